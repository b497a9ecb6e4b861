"""Define the environment and the steps that the tests of installers share."""

from __future__ import annotations

from little_steps import install

PY = "/venv/bin/python"
HERE = {"python": PY, "prefix": "/venv", "folder": "/project", "declared": frozenset({"numpy"})}
CU128 = "https://download.pytorch.org/whl/cu128"


INSTALL, UPGRADE = install("numpy<2"), install("numpy", upgrade=True)
TORCH = install("torch==2.8.0", "torchvision==0.23.0", index_url=CU128)
