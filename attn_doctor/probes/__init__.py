"""Collect the facts: our side of the probes, one module for each section of the facts.

Each lists its sources in order of trust.
"""
