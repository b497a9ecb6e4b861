"""The stand-in drivers of `attn_doctor.reproduction`, compiled once for the process of the tests."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attn_doctor.failure_modes.recipe import StubGpu as Gpu
from attn_doctor.reproduction import stub_drivers as drivers


def stub_drivers(folder: Path, gpus: Sequence[Gpu] = (), **what: Any) -> dict[str, str]:
    """Stubs in a folder, see `attn_doctor.reproduction.stub_drivers.put`."""
    return drivers.put(folder, _compiled(), gpus, **what)


@functools.cache
def _compiled() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="stub-drivers-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    def run(argv: list[str]) -> None:
        subprocess.run([*argv, "-Wall", "-Werror"], check=True)

    drivers.compile_into(folder, run)
    return folder
