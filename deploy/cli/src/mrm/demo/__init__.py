"""`mrm demo`: from a situation's published figures to incidents, through the whole system, and back to the same figures."""
