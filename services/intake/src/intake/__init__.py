"""Takes monitors' incident reports, seals them at once and answers with a signed receipt."""
