"""Reproduce failures in throw-away environments, and check that the doctor names them. Never changes the target."""
