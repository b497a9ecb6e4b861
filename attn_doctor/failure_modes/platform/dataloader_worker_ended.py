"""A process that loads data ended, and the reason is not shown.

What it is
    A DataLoader starts processes that load the batches. One of them ended without a Python error, so that the training only sees that it is
    gone.

How it shows
    "RuntimeError: DataLoader worker (pid(s) 16144) exited unexpectedly", "... exited unexpectedly with exit code 1. Details are lost due to
    multiprocessing", "... is killed by signal: Segmentation fault".

Why it happens
    Windows: each worker is a new Python that loads torch again, and the page file has no room for so many. Linux: the
    kernel ended it because memory ran out, or /dev/shm was full. Everywhere: compiled code in the worker (OpenCV, a
    decoder of images) crashed.

What to do
    Repeat the training with workers=0. If it works, use few workers, or make the page file or /dev/shm larger. If it
    fails, it now shows the true error.

How to reproduce
    There is no recipe. A dataset whose `__getitem__` calls `os._exit(1)` shows the message.

References
    https://github.com/pytorch/pytorch/blob/main/torch/utils/data/dataloader.py
    https://github.com/pytorch/pytorch/issues/5301
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import data_workers
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

_WORKER = r"(?i:dataloader) worker \(pid(?:\(s\))? [\d, ]+\)"

MODE = FailureMode(
    code="AD509",
    slug="dataloader-worker-ended",
    title="A process that loads data ended",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=_WORKER + r" exited unexpectedly(?: with exit code (?P<code>-?\d+))?",
            literal=") exited unexpectedly",
            sample="RuntimeError: DataLoader worker (pid(s) 16144) exited unexpectedly",
        ),
        Sign(
            # Killed is out-of-memory-host, Bus error is shared-memory-full.
            pattern=_WORKER + r" (?:is|was) killed by signal: ?(?P<signal>(?!(?i:killed|bus error))\w[\w ]{2,40})",
            literal=" killed by signal",
            sample="RuntimeError: DataLoader worker (pid 4711) is killed by signal: Segmentation fault.",
        ),
    ),
)
# There is no `detect`: no fact says how a process will end.


class Ended(Variant, frozen=True, kw_only=True):
    """Hold the end of the worker as the log shows it: the name of a signal ("signal"), or nothing ("unknown")."""

    how: Literal["unknown", "signal"]


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    if not proofs:
        return None
    signal = seen.group("signal")
    if signal:
        return Hit(
            message=f"A process that loads data was ended by a signal ({signal.strip().rstrip('.').lower()}): compiled code in it crashed, "
            "or somebody ended it.",
            evidence=evidence,
            variant=Ended(how="signal"),
            confidence=Confidence.MEDIUM,
            explains=(*MODE.explains, "segfault"),  # segfault has a sign for the same line
        )
    likely = {
        "windows": "probably the page file is too small for so many workers, or the error of the worker is further up in the log",
        "linux": "probably memory ran out, or the error of the worker is further up in the log",
    }.get(str(facts.system.os), "probably memory ran out, or the error of the worker is further up in the log")
    return Hit(
        message=f"A process that loads data ended, and the log does not say why: {likely}.",
        evidence=evidence,
        variant=Ended(how="unknown"),
        confidence=Confidence.LOW,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    how = hit.variant.how if isinstance(hit.variant, Ended) else "unknown"
    known = facts.system.os if isinstance(facts.system.os, str) else None
    page_file = (data_workers.larger_page_file(facts),) if known == "windows" and how == "unknown" else ()
    memory = (_memory(facts),) if known != "windows" and how == "unknown" else ()
    crash = (_crash(facts),) if how == "signal" else ()
    return (data_workers.none(facts), *crash, *page_file, *memory)


def _crash(facts: Facts) -> Fix:
    argv = (*commands.starting(facts), "-X", "faulthandler", "PROGRAM")
    step = commands.by_hand(
        argv, "with workers=0: prints the Python lines at which the process crashes", "nothing", "none"
    )
    return Fix(title="See where it crashes", steps=(step,), verify=commands.check(facts))


def _memory(facts: Facts) -> Fix:
    """Return the fix whose commands show whether memory ran out on Linux. By default a container has a /dev/shm of 64 MB."""
    killed = commands.by_hand(
        places.as_root(facts, "dmesg"),
        'if the kernel ended it, the last lines say "Killed process" or "oom-kill": use fewer workers, a smaller batch, cache=False',
        "nothing",
        "none",
    )
    shared = commands.by_hand(
        ("df", "-h", "/dev/shm"),  # noqa: S108 - nothing is written there
        "if it is full, or has 64M in a container: start the container again with --shm-size=8g",
        "nothing",
        "none",
    )
    return Fix(title="On Linux: see whether memory ran out", steps=(killed, shared), verify=commands.check(facts))
