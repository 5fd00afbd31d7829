"""The signed submission as a file: canonical form, manifest, tables and the sums that must hold. Import from the modules."""
