"""Show reports: one outline for each command decides wording and order, a renderer for each format writes it, and private data are removed."""
