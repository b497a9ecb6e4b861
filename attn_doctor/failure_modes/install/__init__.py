"""Failure modes of finding, fetching and installing packages."""
