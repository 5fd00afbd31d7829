"""What is counted and how: pure rules C1-C14, no database and no wire format."""
