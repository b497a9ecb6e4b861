"""All calls that only some operating systems have, and what is of this very process: streams, paths, the last resort.

Other rooms never ask which system they run on in their own words: ruff's rule TID251 (pyproject.toml) forbids `os.killpg`,
`sys.platform` and their like elsewhere. Each function here says what it does on Linux, macOS and Windows. This file imports
nothing, because `own_path`, `streams` and `failure` are imported before the search path is clean.
"""
