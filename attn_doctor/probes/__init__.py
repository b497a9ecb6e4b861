"""Collect the facts, with one module for each section of the facts. These modules run in attn-doctor's own process.

Each module lists its sources, the most reliable first.
"""
