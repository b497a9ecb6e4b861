"""Combine changes, beginning with the most helpful one, and compare the result with the program without changes.

Pure: a `Meter` measures. The method is successive halving: each round measures every candidate together with the best combination
so far. A candidate that loses is not measured again, and the others get its time. At the end, separate paired rounds with the
rules of the trial judge the final combination.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple, Protocol

import msgspec

from attn_doctor.model.trials import Gain
from attn_doctor.prescription.changes.table import CHANGES, is_allowed
from attn_doctor.trials.paired_rounds import LEVEL, Race
from attn_doctor.trials.statistics import compare, decide, interval
from attn_doctor.trials.tuning.rows import Checked, NotTried, Row, Step

Combination = tuple[str, ...]

ROUNDS, LEAST_ROUNDS = 3, 2  # of one comparison in the search
# A change is taken if its fastest pass is this many times as fast, and the median of its rounds is faster too.
WORTH_TAKING = 1.02
# A change with a lower ratio is not measured again: the limit after two rounds, and after one.
HOPELESS, HOPELESS_AT_ONCE = 0.97, 0.5
SHARE_OF_SEARCH = 0.6  # share of the seconds; the rest is for the comparison with the program without changes
ROUNDS_OF_RESULT = 9
SHARE_OF_EXTRA = 0.3  # the share of the seconds for combinations that are not allowed, and so not prescribed
DECIDING = 8  # if one combination wins so many rounds, this decides between two or three combinations


class Meter(Protocol):
    """Measure combinations of changes on this machine."""

    def check(self, changes: Combination) -> Checked:
        """Run one pass, and return whether its numbers are right, and by how much they differ from float64."""

    def time(self, changes: Combination) -> float | None:
        """Return the milliseconds of one pass; None if the pass fails."""

    def seconds(self) -> float:
        """Return the seconds since the measuring began."""


class Found(NamedTuple):
    """Hold the result of a search: its measurements, its comparisons, and the changes that it did not try."""

    rows: tuple[Row, ...]  # one of them is marked as the combination to prescribe, if there is any
    steps: tuple[Step, ...]
    not_tried: tuple[NotTried, ...]


def added(combination: Combination, change: str) -> Combination:
    """Return the combination with one more change, in the order of the table. Changes that the new one excludes are left out."""
    instead = CHANGES[change].instead
    kept = {name for name in combination if not instead or CHANGES[name].instead != instead}
    return tuple(name for name in CHANGES if name in kept or name == change)


def search(meter: Meter, candidates: Sequence[str], *, level: str, budget: float) -> Found:
    """Search for the best combination of the changes in `candidates`, and return all measurements.

    `level`: how far the results are allowed to differ ("same", "rounding", "precision"). `budget`: seconds. Changes that the
    level does not allow are measured together with the result, but are not part of it.
    """
    run = _Search(meter, budget)
    start: Combination = ()
    run.known(start)
    best = start
    if "attention" in candidates:
        with_attention = ("attention",)
        if run.is_right(with_attention):
            best = with_attention
    first = best
    open_ = [name for name in candidates if name != "attention" and is_allowed(name, level)]
    while open_:
        best, open_, went_on = run.extend(best, open_)
        if not went_on:
            break
    beyond = [name for name in candidates if not is_allowed(name, level)]
    # The search started with the new attention: with the other changes it may not help any more.
    bare = tuple(name for name in best if name != "attention")
    rows = run.compare([start, best], [bare, first])
    # In separate rounds, so that the combination to prescribe is never dropped because a combination that is not allowed is faster.
    extra = run.compare([start, *(added(best, name) for name in beyond)], [], SHARE_OF_EXTRA) if beyond else ()
    rows = (*rows, *(row for row in extra if row.changes), *run.refused())
    names = {c for c in (start, first, best, bare) if all(is_allowed(name, level) for name in c)}
    return Found(_with_applied(rows, names), tuple(run.steps), tuple(run.not_tried))


def _with_applied(rows: Sequence[Row], allowed_: set[Combination]) -> tuple[Row, ...]:
    """Mark the combination to prescribe: the fastest one whose numbers are right and that is certainly faster than the program without changes.

    If there is none, the program without changes is marked. If the numbers of the program without changes are wrong (its
    gradients for one image can be), the fastest combination whose numbers are right is marked.
    """
    mine = [row for row in rows if row.changes in allowed_ and row.checked.status == "ok" and row.ms]
    shipped = next((row for row in mine if not row.changes), None)
    faster = [row for row in mine if row.gain and (row.gain.verdict == "faster" or shipped is None)]
    best = max(faster, key=lambda row: row.gain.ratio if row.gain else 0.0, default=shipped)
    return tuple(msgspec.structs.replace(row, applied=row is best) for row in rows)


def _ratio(own: Sequence[float], taken: Sequence[float]) -> float:
    """Return the ratio of the fastest passes. Slower passes say less, because other programs can only make a pass slower."""
    return min(own) / min(taken)


def _pairs(own: Sequence[float], taken: Sequence[float]) -> float:
    return median(own[i] / t for i, t in enumerate(taken))


class _Search:
    """Hold what was checked and measured in one search."""

    def __init__(self, meter: Meter, budget: float) -> None:
        self.meter = meter
        self.budget = budget
        self.checked: dict[Combination, Checked] = {}
        self.compared = False
        self.last: dict[Combination, float] = {}  # milliseconds of the last pass
        self.steps: list[Step] = []
        self.not_tried: list[NotTried] = []

    def known(self, changes: Combination) -> Checked:
        """Return whether the numbers of a combination are right.

        Each combination is checked once. The check is also its warm-up.
        """
        if changes not in self.checked:
            self.checked[changes] = self.meter.check(changes)
        return self.checked[changes]

    def time(self, changes: Combination) -> float | None:
        taken = self.meter.time(changes)
        if taken is not None:
            self.last[changes] = taken
        return taken

    def is_right(self, changes: Combination) -> bool:
        return self.known(changes).status == "ok"

    def extend(self, best: Combination, candidates: list[str]) -> tuple[Combination, list[str], bool]:
        """Add the most helpful candidate. Return (combination, remaining candidates, whether to continue)."""
        limit = SHARE_OF_SEARCH * self.budget
        running: list[str] = []
        times: dict[str, list[float]] = {}
        own: list[float] = []
        for name in candidates:
            if self.meter.seconds() > limit:
                self._leave(name, "no time was left")
            elif self.is_right(added(best, name)):  # otherwise its row gives the reason
                running.append(name)
                times[name] = []
        for number in range(ROUNDS):
            if number >= LEAST_ROUNDS and self.meter.seconds() > limit:
                break
            mine = self.time(best)
            if mine is None:
                break
            own.append(mine)
            for name in list(running):
                taken = self.time(added(best, name))
                if taken is None:
                    running.remove(name)
                    self._leave(name, "it failed")
                else:
                    times[name].append(taken)
            # If there is no time for another round of all candidates, only the better half continues.
            running = self._halved(running, own, times, limit)
        ratios = {name: _ratio(own, taken) for name, taken in times.items() if taken}
        helps = {
            name: ratio
            for name, ratio in ratios.items()
            if ratio >= WORTH_TAKING and len(times[name]) >= LEAST_ROUNDS and _pairs(own, times[name]) > 1
        }
        winner = max(helps, key=lambda name: helps[name], default=None)
        self.steps += [
            Step(change=name, on=best, ratio=ratio, n=len(times[name]), taken=name == winner)
            for name, ratio in ratios.items()
        ]
        if winner is None:
            return best, [], False
        best = added(best, winner)
        instead = CHANGES[winner].instead
        left = [
            name
            for name, ratio in ratios.items()
            if name != winner and ratio >= HOPELESS and (not instead or CHANGES[name].instead != instead)
        ]
        if left and self.meter.seconds() > limit:
            for name in left:
                self._leave(name, f"no time was left: not measured together with {winner}")
            return best, [], False
        return best, left, bool(left)

    def _halved(
        self, running: list[str], own: Sequence[float], times: dict[str, list[float]], limit: float
    ) -> list[str]:
        each = (own[-1] + sum(times[name][-1] for name in running)) / 1e3
        good = sorted(running, key=lambda name: _ratio(own, times[name]), reverse=True)
        # After one round the limit is lower: another program may have slowed that round.
        least = HOPELESS if len(own) >= LEAST_ROUNDS else HOPELESS_AT_ONCE
        good = [name for name in good if _ratio(own, times[name]) >= least]
        if self.meter.seconds() + each > limit:
            good = good[: max(1, len(good) // 2)]
        return [name for name in running if name in good]

    def _leave(self, name: str, why: str) -> None:
        self.not_tried.append(NotTried(change=name, why=why))

    def compare(
        self, needed: Sequence[Combination], wished: Sequence[Combination], share: float = 1.0
    ) -> tuple[Row, ...]:
        """Measure rounds of the program without changes and of the `needed` combinations, and return a row for each.

        `wished`: more combinations, which are measured if the remaining time is enough for a decision. The rounds of a slow
        program can need more than the remaining time: at most `share` of the time of the complete search.
        """
        left = max(0.0, self.budget - self.meter.seconds())
        wanted = [c for c in dict.fromkeys(needed) if not c or self.is_right(c)]
        spent = sum(self.last.get(c, 0.0) for c in wanted)
        for combination in dict.fromkeys(wished):
            spent += self.last.get(combination, spent)
            if combination not in wanted and spent * DECIDING / 1e3 <= left and self.is_right(combination):
                wanted.append(combination)
        if len(wanted) == 1 and self.compared:
            return ()
        self.compared = True
        names = {" + ".join(c) or "as shipped": c for c in wanted}
        race = Race(list(names), "as shipped", ROUNDS_OF_RESULT, left, fixed=False)
        began = self.meter.seconds()
        most = max(left, share * self.budget)
        another = bool(names)
        while another:
            for name in list(race.left):
                taken = self.time(names[name])
                if taken is None:
                    race.failed(name)
                else:
                    race.add(name, taken)
            spent = self.meter.seconds() - began
            another = race.end_round(spent) and spent < most
        return tuple(self._rows(race, names))

    def refused(self) -> list[Row]:
        """Return a row for each combination whose numbers were wrong, or that failed."""
        return [Row(changes=c, checked=seen) for c, seen in self.checked.items() if c and seen.status != "ok"]

    def _rows(self, race: Race, names: dict[str, Combination]) -> list[Row]:
        base = race.times.get("as shipped", [])
        others = {name: race.times[name] for name in names if name != "as shipped" and race.times[name]}
        whole = [name for name, taken in others.items() if len(taken) == len(base)]
        gains = decide([compare(base, others[name]) for name in whole], race.level or LEVEL, len(others) - len(whole))
        by_name: dict[str, Gain] = dict(zip(whole, gains, strict=True))
        for name, taken in others.items():
            if name not in by_name and base:
                short = compare(base[: len(taken)], taken)
                by_name[name] = msgspec.structs.replace(short, verdict="dropped")
        return [
            Row(
                changes=changes,
                checked=self.checked.get(changes, Checked()),
                ms=interval(race.times[name]) if race.times[name] else None,
                gain=by_name.get(name),
                samples=tuple(race.times[name]),
            )
            for name, changes in names.items()
        ]
