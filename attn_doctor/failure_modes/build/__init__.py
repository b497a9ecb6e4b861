"""Failure modes of building flash-attn."""
