"""Recorded logs, and what must be said of each: written by hand beside the logs (fixtures/README.md)."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any, NamedTuple

from attn_doctor.failure_modes import patterns
from attn_doctor.logs.reader import Reader

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LOGS = Path(__file__).parents[1] / "fixtures" / "logs"
NOTHING = ("healthy", "unrelated")  # folders of logs in which nothing is wrong


class Case(NamedTuple):
    folder: str
    name: str
    expect: dict[str, Any]

    @property
    def data(self) -> bytes:
        return (LOGS / self.folder / f"{self.name}.log").read_bytes()

    @property
    def root(self) -> str | None:
        return None if self.folder in NOTHING else self.folder


@functools.cache
def reader() -> Reader:
    return Reader(patterns())


def tables(folder: Path, name: str) -> dict[str, Any]:
    return tomllib.loads((folder / name).read_text("utf-8"))


def cases() -> list[Case]:
    return [
        Case(folder.name, name, expect)
        for folder in sorted(LOGS.iterdir())
        if folder.is_dir()
        for name, expect in tables(folder, "expect.toml").items()
    ]


CASES = cases()
