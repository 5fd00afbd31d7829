"""Keeps sealed reports, lets the task force vet each violation, publishes coded facts."""
