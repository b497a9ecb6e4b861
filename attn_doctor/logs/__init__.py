"""Read logs: turn bytes into lines, and find signs and errors in the lines."""
