"""Read the errors of a setup.py that looks for nvcc itself, with a variable of its own, as those of faster-rcnn and pycuda do. Pure.

locate_cuda takes CUDAHOME/bin/nvcc, else nvcc on PATH and in /usr/local/cuda/bin; the folders include and lib64 beside bin have to exist.
https://github.com/rbgirshick/py-faster-rcnn/blob/master/lib/setup.py
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign
from attn_doctor.logs.reader import Seen
from attn_doctor.model.steps import SetVariable, Step

SIGNS = (
    Sign(
        pattern=r"nvcc binary could not be (?:(?P<own>located)|')",
        literal="nvcc binary could not be",
        sample="OSError: The nvcc binary could not be located in your $PATH. Either add it to your path, or set $CUDAHOME",
    ),
    Sign(
        pattern=r"The CUDA (?:nvcc|include|lib64|home) path could not be (?P<own>located) in (?P<lacks>\S{1,300})",
        literal=" path could not be located in ",
        sample="OSError: The CUDA lib64 path could not be located in /usr/lib64",
    ),
    Sign(
        pattern=r"(?P<own>CUDA_ROOT) not set, and nvcc not in path",
        literal="and nvcc not in path",
        sample="*** CUDA_ROOT not set, and nvcc not in path. Giving up.",
    ),
)


class Told(NamedTuple):
    """Hold the message for the user, and the variable by which this setup.py finds CUDA."""

    message: str
    variable: str  # the one that this setup.py reads: CUDAHOME, or pycuda's CUDA_ROOT


def told(seen: Seen) -> Told | None:
    """Return the message for a setup.py that looked for nvcc itself and did not find it, and the variable that it reads; None for other logs."""
    own, lacks = seen.group("own"), seen.group("lacks")
    if own is None:
        return None
    variable = "CUDA_ROOT" if own == "CUDA_ROOT" else "CUDAHOME"
    if lacks:
        return Told(
            f"This setup.py looked for {lacks}, which does not exist: {variable}, or the folder above the nvcc on PATH, is no complete CUDA toolkit.",
            variable,
        )
    return Told(f"No nvcc is on PATH, and {variable}, the variable that this setup.py reads, is not set.", variable)


def named_too(steps: tuple[Step, ...], variable: str) -> tuple[Step, ...]:
    """Return the steps, in which each step that sets CUDA_HOME is followed by one that sets `variable` ("CUDAHOME") to the same value.

    A command that exports CUDA_HOME exports `variable` in the same line.
    """
    made: list[Step] = []
    for step in steps:
        if isinstance(step, SetVariable):
            made.append(step)
            if step.name == "CUDA_HOME" and step.value is not None:
                made.append(commands.variable(variable, step.value, "this setup.py reads that name"))
            continue
        argv = tuple(_too(word, variable) for word in step.argv)
        made.append(step if argv == step.argv else msgspec.structs.replace(step, argv=argv))
    return tuple(made)


def _too(word: str, variable: str) -> str:
    export = "export CUDA_HOME="
    return f"{word} {variable}={word.removeprefix(export)}" if word.startswith(export) else word


def for_windows(variable: str) -> tuple[Step, ...]:
    """Return the step for Windows: replace the names of Linux's files in the setup.py.

    Empty if `variable` is not "CUDAHOME" (pycuda).
    https://github.com/rbgirshick/py-faster-rcnn/issues/730
    """
    words = (
        "in the setup.py that failed, write 'nvcc.exe' in place of 'nvcc', and 'lib/x64' in place of 'lib64': it was written for Linux. If the project has a "
        "setup_windows.py, run that"
    )
    return (commands.by_hand((), words, "setup.py"),) if variable == "CUDAHOME" else ()
