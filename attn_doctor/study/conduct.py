"""Run a study: store its design, train the cells that are not finished, one after the other or on a cluster, and store the events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from attn_doctor.errors import Refused
from attn_doctor.model.facts import Record
from attn_doctor.model.study import Cell, Design, Event, Study
from attn_doctor.study.journal import Journal, differences
from attn_doctor.study.looking import Looked
from attn_doctor.study.state import left_to_do, study_of
from attn_doctor.study.training import Alive, Order, forget, train

_STOP = "stop"  # the file that asks the trainings to stop between two epochs


class Wanted(Record, frozen=True, kw_only=True):
    """Hold the options of a study that are not part of its design."""

    python: tuple[str, ...]
    environ: dict[str, str]
    folder: Path
    budget: float | None = None  # seconds for all trainings of this call; None: no limit
    silence: float = 600.0  # seconds without a sign of life, after which a training counts as hanging
    retry: bool = False  # train failed cells again


class Shown(Protocol):
    """Define the functions that show a study while it runs. Both are called from other threads."""

    def happened(self, event: Event, study: Study) -> None:
        """Show an event, which is already stored on the disk, and the study after it."""

    def alive(self, sign: Alive) -> None:
        """Show the progress of a training."""


class Places(Protocol):
    """Define where cells are trained: on this machine, or on a cluster."""

    def train(self, orders: Sequence[Order], take: Callable[[Event], object], show: Callable[[Alive], object]) -> None:
        """Train the cell of each order. When the time budget ends, the other cells stay untrained.

        `take` gets each event, `show` the progress of a training.
        """


def conduct(design: Design, looked: Looked, wanted: Wanted, shown: Shown, places: Places | None = None) -> Study:
    """Begin a study, or continue it, until every cell has ended or the time budget is over. Return its state then.

    `looked`: what `looking.look` returned. `places`: where to train; None: on this machine. Raises Refused if the folder has another
    study, has a study that is running (Windows: not checked), or cannot be written.
    """
    until = None if wanted.budget is None else time.monotonic() + wanted.budget
    journal = Journal(wanted.folder)
    try:
        _begin(journal, design, wanted.folder)
        stop = wanted.folder / _STOP
        stop.unlink(missing_ok=True)
        cells = left_to_do(study_of(journal.events).cells, retry=wanted.retry)
        orders = [_order(cell, design, looked, wanted, stop) for cell in cells]
        for cell, order in zip(cells, orders, strict=True):
            if cell.state == "failed":
                forget(Path(order.folder))

        def take(event: Event) -> None:
            shown.happened(journal.append(event), study_of(journal.events, runs=True))

        (places or Here(until)).train(orders, take, shown.alive)
        return study_of(journal.events)
    finally:
        journal.close()


def _begin(journal: Journal, design: Design, folder: Path) -> None:
    """Store the design of a new study; for an existing study, add the new seeds. Raises Refused if anything else differs."""
    if not journal.events:
        journal.append(Event(at="design", design=design))
        return
    stored = study_of(journal.events).design
    other = differences(stored, design)
    if other:
        raise Refused(
            f"{folder} has another study: {'; '.join(other)}. Give another folder by --folder, or the command that it began with"
        )
    if stored.seeds != design.seeds:
        journal.append(Event(at="design", design=design))


def _order(cell: Cell, design: Design, looked: Looked, wanted: Wanted, stop: Path) -> Order:
    return Order(
        python=wanted.python,
        design=design,
        arm=cell.arm,
        seed=cell.seed,
        folder=str((wanted.folder / "cells" / f"{cell.arm}-seed-{cell.seed}").resolve()),
        model=looked.model,
        data=looked.data,
        environ=wanted.environ,
        stop=str(stop.resolve()),
        silence=wanted.silence,
    )


class Here:
    """Train on this machine, one cell after the other. `until`: the end of the budget by the monotonic clock; None: no end."""

    def __init__(self, until: float | None = None) -> None:
        self._until = until

    def train(self, orders: Sequence[Order], take: Callable[[Event], object], show: Callable[[Alive], object]) -> None:
        stop = threading.Event()
        try:
            for order in orders:
                left = None if self._until is None else self._until - time.monotonic()
                if left is not None and left <= 0:
                    return
                if not train(msgspec.structs.replace(order, seconds_left=left), take, show, stop):
                    return
        finally:
            stop.set()
