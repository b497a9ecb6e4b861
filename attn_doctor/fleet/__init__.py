"""Examine many machines at once, and say which is not like the others, and why."""
