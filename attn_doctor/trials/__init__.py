"""Prove the backends: one model, every attention backend that this machine can run, checked and measured there."""
