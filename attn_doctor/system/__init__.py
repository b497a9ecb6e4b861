"""Make all calls that only some operating systems have; also the streams, the paths and the last error handler of this process.

Other packages never test for themselves on which system they run: ruff's rule TID251 (pyproject.toml) forbids `os.killpg`,
`sys.platform` and similar names there. Each docstring here says what a function does on Linux, macOS and Windows. This file imports
nothing, because `own_path`, `streams` and `failure` are imported before the search path is clean.
"""
