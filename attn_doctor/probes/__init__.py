"""Collecting: our side of the probes, a module for each section of the facts; each names its sources in order of trust."""
