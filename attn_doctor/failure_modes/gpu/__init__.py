"""Failure modes of the GPU, its driver, and what runs on it."""
