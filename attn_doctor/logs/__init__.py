"""Logs: bytes become lines, lines become signs and errors."""
