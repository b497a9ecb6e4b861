"""Failure modes of importing: libraries and binary interfaces."""
