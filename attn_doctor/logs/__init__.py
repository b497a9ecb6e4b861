"""Read logs: bytes become lines, lines become signs and errors."""
