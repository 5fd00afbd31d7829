"""Every SQL statement of verification; nothing here decides anything."""
