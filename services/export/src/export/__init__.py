"""Drafts, approves and signs the task force's periodic submissions."""
