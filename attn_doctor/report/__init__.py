"""Showing: the report as a value, its redaction, one outline that decides wording and order, a renderer a format."""
