"""Whole machines: recorded or simulated facts, with the trials and logs that lie beside them (fixtures/README.md)."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import msgspec

from attn_doctor.failure_modes import patterns
from attn_doctor.logs.reader import Log, Reader
from attn_doctor.model.facts import Facts
from attn_doctor.model.trials import Trials

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MACHINES = sorted((Path(__file__).parents[1] / "fixtures" / "machines").glob("*/"))


def expected(folder: Path) -> dict[str, Any]:
    """Return what `expect.toml` says of a machine."""
    return tomllib.loads((folder / "expect.toml").read_text("utf-8"))


def read(folder: Path) -> tuple[Facts, Trials, tuple[Log, ...]]:
    facts = msgspec.json.decode((folder / "facts.json").read_bytes(), type=Facts)
    trials_file = folder / "trials.json"
    trials = (
        msgspec.json.decode(trials_file.read_bytes(), type=Trials)
        if trials_file.exists()
        else Trials(skipped="recorded")
    )
    logs = []
    for path in sorted(folder.glob("*.log")):
        with path.open("rb") as stream:
            logs.append(_reader().read(stream, path.name))
    return facts, trials, tuple(logs)


@functools.cache
def _reader() -> Reader:
    return Reader(patterns())
