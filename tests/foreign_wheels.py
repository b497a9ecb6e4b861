"""Fetch wheels for another system from the index. ATTN_DOCTOR_WHEELS may name a folder in which they are kept for the next run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

_TAGS = "--python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none".split()


def kept_wheels(factory: pytest.TempPathFactory, name: str) -> Path:
    """The folder for the wheels of a test."""
    kept = os.environ.get("ATTN_DOCTOR_WHEELS")
    place = Path(kept) / name if kept else factory.mktemp(name)
    place.mkdir(parents=True, exist_ok=True)
    return place


def download(place: Path, requirement: str, platforms: Sequence[str]) -> None:
    """Fetch the wheel of a requirement for one of these platforms, unless it is there."""
    stem = requirement.replace("==", "-").replace("-", "_").lower()
    names = [path.name.replace("-", "_").lower() for path in place.glob("*.whl")]
    if any(name.startswith(f"{stem}_") for name in names):
        return
    wanted = [word for platform in platforms for word in ("--platform", platform)]
    argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", *_TAGS, *wanted]
    subprocess.run([*argv, "--dest", str(place), requirement], check=True)
