"""What vetting is: stages, criteria, dockets, links, what a monitor may know. Pure: time, ids and secrets come in as arguments."""
