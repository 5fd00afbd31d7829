"""What a submission says: a module per product for its narrative, and one per form of the figures (PDF, workbook)."""
