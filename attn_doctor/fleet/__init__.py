"""Examine many machines at once, and find the machine that differs from the others, and the reason."""
