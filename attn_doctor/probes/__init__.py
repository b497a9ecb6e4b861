"""Collect the facts, with one module for each section of the facts. These modules run in attn-doctor's own process.

A module that has several sources lists them, the most reliable first. Most modules return two things: the record of a section, and a
dict with the source of each of its fields, {"caches": "/sys/devices/system/cpu"}; the key "" stands for all fields that the dict does
not name.
"""
