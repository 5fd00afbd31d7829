"""Counts violations per period from immutable postings."""
