"""Failure modes of one operating system."""
