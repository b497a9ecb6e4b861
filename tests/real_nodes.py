"""What the tests of the engines of `attn-doctor fleet` share: answers by node, the processes of checks, and targets that are ill."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from targets import add_metadata, broken_torch, torch_of

from attn_doctor.model.fleet import NodeAnswer

CHECK = ("--no-trial",)


def by_name(rows) -> dict[str, NodeAnswer]:
    return {row.node.name: row for row in rows}


def ends(rows: dict[str, NodeAnswer]) -> dict[str, str]:
    return {name: row.end for name, row in rows.items()}


def running(*words: str) -> list[int]:
    """The processes whose command line has all these words."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and all(word in (entry / "cmdline").read_text() for word in words):
                found.append(int(entry.name))
    return found


def checks(target: str) -> list[int]:
    """The processes of a check of this target, and of the target itself. A raylet, and `ray start`, have its labels in their command lines too."""
    found = []
    for pid in running(target):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_text()
            found += [pid] if not any(word in line for word in ("raylet", "ray.scripts")) else []
    return found


def family(pid: int) -> list[int]:
    """A process and all below it."""
    with contextlib.suppress(OSError):
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *(one for child in below for one in family(int(child)))]
    return []


def until(true, seconds: float = 60.0) -> None:
    last = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < last
        time.sleep(0.1)


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith("attn-doctor-")]


HEALTHY = "__version__ = '2.6.0+cpu'\nclass _C: pass\nversion = None\n"


def ill_targets(folder: Path) -> dict[str, str]:
    """Return the Pythons of targets by their illness. `as the others` is what the other nodes have."""
    made = {}
    for name, version in (("as the others", "2.6.0"), ("other torch", "2.5.1"), ("missing package", "2.6.0")):
        torch_of(folder / name.replace(" ", "-"), HEALTHY, version, None)
        made[name] = str(folder / name.replace(" ", "-") / "bin" / "python")
        if name != "missing package":
            add_metadata(folder / name.replace(" ", "-"), "ultralytics", "8.4.190")
    made["hung torch"] = str(broken_torch(folder / "hung", "hangs"))
    return made
