"""Make all calls that only some operating systems have; also the streams, the paths and the last error handler of this process.

Other packages never test for themselves on which system they run: ruff's rule TID251 (pyproject.toml) forbids `os.killpg`,
`sys.platform` and similar names there. If a function differs between Linux, macOS and Windows, its docstring says how. This file imports
nothing, because `own_path`, `streams` and `failure` are imported before the search path is clean.
"""
