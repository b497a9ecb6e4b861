"""Describe the progress of a trial: the present step, the next one, and the elapsed share of its time. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

# The time of each stage in relation to the others, as measured with yolo12n at 640 pixels and batch 2 on a CPU. Only their relation
# counts: the time that is left follows from the time that the first stages took.
_START, _MODEL, _REFERENCE, _PROOF = 3.0, 0.5, 3.5, 2.2
_ROUND = {"forward": 0.16, "step": 0.6}  # of one backend


class Doing(NamedTuple):
    """Hold the step of a trial that begins now."""

    text: str
    then: str  # what comes after it; empty if nothing comes, or if `text` says it
    done: float  # the share of the trial's time that is over, from 0 to 1


class Stages:
    """Count the stages of one trial, and describe the one that begins.

    `cells`: the names of the cells, "sdpa float32", in their order. `rounds`: how many are planned.
    """

    def __init__(self, cells: Iterable[str], rounds: int) -> None:
        self._cells = list(cells)
        many = len(self._cells)
        dtypes = len({name.partition(" ")[2] for name in self._cells})
        self._dtypes = max(dtypes, 1)
        self._rounds = rounds
        self._rounds_of = {what: each * many * rounds for what, each in _ROUND.items()}
        self._proofs = _START + _MODEL + _REFERENCE
        self._measuring = self._proofs + _PROOF * many + _START + _MODEL
        self._total = self._measuring + sum(self._rounds_of.values())
        self._over = 0.0
        self._counted = dict.fromkeys(_ROUND, 0)

    def model(self, *, again: bool) -> Doing:
        if again:
            return self._at(self._measuring - _MODEL, "building the model again, to measure it", "")
        return self._at(_START, "building the model", "the float64 reference")

    def reference(self) -> Doing:
        return self._at(_START + _MODEL, "computing the float64 reference", "the proofs")

    def proof(self, name: str) -> Doing:
        place = self._cells.index(name)
        following = self._cells[place + 1 : place + 2]
        then = following[0].partition(" ")[0] if following else "measuring"
        return self._at(self._proofs + _PROOF * place, f"proving {name}", then)

    def round(self, text: str, what: str) -> Doing:
        """Count a round of kind `what` ("forward" or "step"), and return it as the present step. `text`: its description."""
        before = self._rounds_of["forward"] if what == "step" else 0.0
        all_rounds = self._rounds * self._dtypes
        over = min(self._counted[what], all_rounds) / all_rounds
        self._counted[what] += 1
        then = "training" if what == "forward" else ""
        return self._at(self._measuring + before + over * self._rounds_of[what], text, then)

    def _at(self, over: float, text: str, then: str) -> Doing:
        """Return a step of the trial. `over`: the elapsed share of the time.

        The share never decreases, even if a trial is started again without a backend.
        """
        self._over = max(self._over, min(over / self._total, 1.0))
        return Doing(text, then, self._over)
