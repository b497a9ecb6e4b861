"""Failure modes of models, their code and their weights."""
