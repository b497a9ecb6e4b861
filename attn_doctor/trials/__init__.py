"""Proving: one model, every attention backend that this machine can run, measured and checked in the target."""
