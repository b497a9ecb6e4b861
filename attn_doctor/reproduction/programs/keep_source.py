# ruff: noqa: INP001, PTH109 - a program
"""Keep the source that pip has just unpacked. A program, not a module: put on PYTHONPATH as sitecustomize.py.

pip runs the setup.py of a source distribution even for `pip download`, and the one of flash-attn fails if torch is not
installed. The first Python that pip starts inside the unpacked source copies the folder and ends.
"""

import os
import shutil

_TO = os.environ.get("ATTN_DOCTOR_KEEP_SOURCE")
if _TO and os.path.exists("setup.py") and not os.path.exists(_TO):
    shutil.copytree(os.getcwd(), _TO, symlinks=True)
    os._exit(1)
