"""Show reports: redaction, one outline that decides wording and order, and a renderer for each format."""
