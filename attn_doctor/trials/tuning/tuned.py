"""Search for the fastest right way to train, and to predict, with a model on this machine. Starts processes of the target."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from attn_doctor.model.facts import Facts
from attn_doctor.prescription.changes.table import CHANGES, PREDICTING, TRAINING, variables
from attn_doctor.trials.plan import model_file
from attn_doctor.trials.tuning.bench import Bench, Ended, Worker
from attn_doctor.trials.tuning.fitting import allocators, fitting
from attn_doctor.trials.tuning.judged import SIXTEEN_BITS, judged
from attn_doctor.trials.tuning.loader_settings import SHARE_OF_MEMORY, room_on_cpu
from attn_doctor.trials.tuning.rows import Checked, NotTried, Pass
from attn_doctor.trials.tuning.search import Combination, search

Say = Callable[[str], None]

# The share of the seconds that the user gave; a training step needs about four times as long as a prediction.
SHARES = {TRAINING: 0.6, PREDICTING: 0.4}
SLOW_SECONDS = 900.0  # a process that compiles may send nothing for so long
PROCESS_BYTES = 700 * 2**20  # bytes that torch and ultralytics need before the first pass, with a margin


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the request for one kind of pass: training or predicting."""

    what: str  # "training", "predicting"
    model: str
    device: str
    imgsz: int
    batch: int
    attention: str | None  # the backend that the trial found best; None: none
    level: str = (
        "rounding"  # how far the results of prescribed changes are allowed to differ: "same", "rounding", "precision"
    )
    asked: tuple[str, ...] = ()  # slow changes that were asked for
    contiguous: tuple[str, ...] = ()  # modules whose gradients a trial found wrong in their memory layout
    peak_bytes: int | None = None  # memory that one pass of eager needs, if it was measured
    seconds: float = 60.0  # for all kinds of pass together
    seed: int = 0


def tuned(
    facts: Facts,
    python: Sequence[str],
    wanted: Wanted,
    *,
    timeout: float,
    say: Say,
    environ: Mapping[str, str] | None = None,
    root: str = "/",
) -> tuple[Pass, dict[str, Any]]:
    """Return the search for one kind of pass, and the properties that the target reported about itself.

    `timeout`: the seconds without a record after which a process is ended. `root`: the folder below which allocators are searched
    for. Raises Ended if the program without changes does not run, and OSError if the interpreter cannot be started.
    """
    config = {
        "model": model_file(wanted.model),
        "imgsz": wanted.imgsz,
        "batch": wanted.batch,
        "device": wanted.device,
        "seed": wanted.seed,
        "contiguous": list(wanted.contiguous),
    }
    budget = wanted.seconds * SHARES[wanted.what]
    if wanted.asked:  # a compiler is silent for minutes
        timeout = max(timeout, SLOW_SECONDS)
    with Bench(python, config, timeout=timeout, environ=environ) as bench:
        say(f"building the model for {wanted.what}")
        about = bench.worker({}).ask(do="about", what=wanted.what)
        prefix = facts.interpreter.prefix if isinstance(facts.interpreter.prefix, str) else None
        fits = fitting(
            facts,
            about,
            what=wanted.what,
            device=wanted.device,
            attention=wanted.attention,
            level=wanted.level,
            asked=wanted.asked,
            libraries=allocators(root, prefix),
        )
        values, crowded = _with_room(fits.values, facts, wanted.peak_bytes)
        meter = _Meter(bench, wanted, values, say, os.environ if environ is None else environ)
        meter.prepare()
        found = search(meter, tuple(values), level=wanted.level, budget=budget)
        made = Pass(
            what=wanted.what,
            model=wanted.model,
            device=wanted.device,
            imgsz=wanted.imgsz,
            batch=wanted.batch,
            rows=found.rows,
            steps=found.steps,
            values=values,
            not_tried=(*found.not_tried, *fits.not_tried, *crowded),
            notes=tuple(bench.notes),
            seconds=round(meter.seconds(), 1),
        )
    return made, about


def _with_room(values: dict[str, Any], facts: Facts, peak: int | None) -> tuple[dict[str, Any], list[NotTried]]:
    """Return (changes, not tried): the changes whose processes fit into memory together, and all others.

    `peak`: bytes of one process. Each environment has its own process, which holds its memory until the end.
    """
    room = room_on_cpu(facts)
    own = [name for name in values if CHANGES[name].how == "environment"]
    if room is None or peak is None:
        return values, []
    # Two processes are always needed: for the program without changes, and for the best combination.
    fit = max(0, int(SHARE_OF_MEMORY * room // (peak + PROCESS_BYTES)) - 2)
    lost = own[fit:]
    kept = {name: value for name, value in values.items() if name not in lost}
    return kept, [NotTried(change=name, why="memory has no room for another process with the model") for name in lost]


class _Meter:
    """Measure combinations in the workers of a bench: the `Meter` of the search."""

    def __init__(
        self, bench: Bench, wanted: Wanted, values: Mapping[str, Any], say: Say, environ: Mapping[str, str]
    ) -> None:
        self._bench = bench
        self._wanted = wanted
        self._values = values
        self._say = say
        self._environ = environ
        self._shipped: Checked | None = None
        self._dead: set[int] = set()
        self._began = time.monotonic()
        self._warm: set[Combination] = set()
        self._checked: dict[Combination, Checked] = {}

    def seconds(self) -> float:
        return time.monotonic() - self._began

    def prepare(self) -> None:
        """Start the processes of all other environments at once, wait until they have built the model, and compute the reference."""
        for name in self._values:
            if CHANGES[name].how == "environment":
                self._worker((name,))
        for name in self._values:
            if CHANGES[name].how == "environment":
                self._ask("about", (name,))
        self.check(())  # float64 needs several times as long as the measured dtype
        self._began = time.monotonic()

    def _worker(self, changes: Combination) -> Worker:
        given: dict[str, str] = {}
        for name in changes:
            given.update(variables(name, self._values[name]))
        preloaded = self._environ.get("LD_PRELOAD")
        if "LD_PRELOAD" in given and preloaded:
            given["LD_PRELOAD"] += ":" + preloaded
        return self._bench.worker(given, self._values["pinning"] if "pinning" in changes else ())

    def _ask(self, do: str, changes: Combination) -> dict[str, Any]:
        worker = self._worker(changes)
        if id(worker) in self._dead:
            return {"failed": "the process of this environment has ended"}
        try:
            return worker.ask(do=do, what=self._wanted.what, settings={n: self._values[n] for n in changes})
        except Ended as error:
            if not changes:
                raise
            self._dead.add(id(worker))
            return {"failed": f"the process ended: {error}"}

    def check(self, changes: Combination) -> Checked:
        """Return whether the numbers of a combination are right.

        Each combination is checked once. Two combinations that differ only in environment variables have the same numbers.
        """
        if changes in self._checked:
            return self._checked[changes]
        inside = tuple(name for name in changes if CHANGES[name].how != "environment")
        if inside != changes:
            known = self._checked.get(inside) or self.check(inside)
            told = self._ask("time", changes)
            return judged(changes, told, None) if told.get("failed") else known
        name = " + ".join(changes) or "as shipped"
        self._say(f"{self._wanted.what}: checking {name}")
        told = self._ask("check", changes)
        on_gpu = self._wanted.device.startswith("cuda") and self._wanted.what == TRAINING
        found = judged(changes, told, self._shipped, SIXTEEN_BITS if on_gpu else None)
        if not changes:
            if found.status == "failed":
                raise Ended(found.reason or "it failed")
            self._shipped = found
        self._checked[changes] = found
        return found

    def time(self, changes: Combination) -> float | None:
        if changes not in self._warm:  # the check ran another pass than the one that is timed
            self._warm.add(changes)
            self._ask("time", changes)
        self._say(f"{self._wanted.what}: measuring {' + '.join(changes) or 'as shipped'}")
        taken = self._ask("time", changes).get("ms")
        return float(taken) if isinstance(taken, (int, float)) else None
