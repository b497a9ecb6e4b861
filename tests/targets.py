"""Targets made of files: real virtual environments whose packages are a few lines of ours, healthy or ill."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from attn_doctor.model.facts import ChosenPython, Facts
from attn_doctor.probes.gather import GatherRequest, gather

# What `import torch` runs into, each in as few lines as it takes.
TORCHES = {
    "segfaults": "import ctypes\nctypes.string_at(0)\n",
    "hangs": "import time\ntime.sleep(1000)\n",
    "exits": "import os\nos._exit(3)\n",
    "exits quietly": "import sys\nsys.exit(0)\n",
    "vanishes": "import os\nos._exit(0)\n",
    "raises": "raise ImportError('libcudnn.so.9: cannot open shared object file: No such file or directory')\n",
    "aborts": "import os\nos.abort()\n",
}


def make_target(folder: Path, packages: dict[str, dict[str, str]] | None = None, pip: bool = False) -> Path:
    """A virtual environment in `folder` with these packages (name -> file -> text); returns its Python."""
    command = [sys.executable, "-m", "venv", str(folder)] + ([] if pip else ["--without-pip"])
    subprocess.run(command, check=True)
    for name, files in (packages or {}).items():
        add_package(folder, name, files)
    return folder / "bin" / "python"


def site_packages(folder: Path) -> Path:
    return next(folder.glob("lib/python3*/site-packages"))


def add_package(folder: Path, name: str, files: dict[str, str]) -> None:
    for file, text in files.items():
        path = site_packages(folder) / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def add_metadata(folder: Path, name: str, version: str, requires: tuple[str, ...] = (), installer: str = "pip") -> Path:
    """A dist-info as an installer would leave it."""
    info = site_packages(folder) / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *[f"Requires-Dist: {r}" for r in requires],
    ]
    (info / "METADATA").write_text("\n".join(lines) + "\n\n")
    (info / "INSTALLER").write_text(installer + "\n")
    return info


def broken_torch(folder: Path, how: str, version: str = "2.6.0", cuda: str | None = "12.4") -> Path:
    """A target whose torch does what `TORCHES[how]` says."""
    return torch_of(folder, TORCHES[how], version, cuda)


def torch_of(folder: Path, code: str, version: str = "2.6.0", cuda: str | None = "12.4") -> Path:
    local = f"+cu{cuda.replace('.', '')}" if cuda else "+cpu"
    text = f"__version__ = {version + local!r}\ndebug = False\ncuda: object = {cuda!r}\nhip: object = None\n"
    python = make_target(folder, {"torch": {"__init__.py": code, "version.py": text}})
    add_metadata(folder, "torch", version)
    return python


def examine(python: Path, **options) -> Facts:
    """The facts that attn-doctor gathers of this target."""
    return gather(GatherRequest(ChosenPython(str(python), "for the test"), os.environ, **options))
