"""Makes the environment in which a program finds the prescription. `attn-doctor run` becomes that program.

This process becomes the program, so that its exit code and the signals sent to it are its own. Only the environment is
changed: a folder on PYTHONPATH whose sitecustomize exchanges the attention when the program imports ultralytics
(target/startup). No file is written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from attn_doctor.errors import Refused
from attn_doctor.exchange.traits import TRAITS, compiles_model

VARIABLE = "ATTN_DOCTOR_ATTENTION"
STARTUP = Path(__file__).parents[1] / "target" / "startup"


class NothingToRun(Refused):
    """Report that the request cannot be met; the text is one sentence."""


def names() -> tuple[str, ...]:
    """Return the backends that can be put into a program."""
    return ("auto", *(name for name, traits in TRAITS.items() if traits.exchanged or traits.family == "eager"))


def environment(backend: str, base: Mapping[str, str]) -> dict[str, str]:
    """Return `base` with the prescription added. Raises NothingToRun for an unknown backend."""
    if backend not in names():
        also = (
            " (with ultralytics: yolo train ... compile=True)" if backend in TRAITS and compiles_model(backend) else ""
        )
        raise NothingToRun(f"{backend!r} is no attention to exchange{also}: use {', '.join(names())}")
    # Only the startup folder is added: were the doctor's own packages on the path, they would hide those of the program.
    path = [str(STARTUP), *([base["PYTHONPATH"]] if base.get("PYTHONPATH") else [])]
    return {**base, VARIABLE: backend, "PYTHONPATH": os.pathsep.join(path)}
