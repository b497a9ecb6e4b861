"""Judging: facts, logs and trials become findings, an outcome and advice. Pure."""
