"""Compare paired times by rank, and decide how many rounds a trial measures.

Pure, standard library only, Python 3.8: the trial also runs this text in the target, where the rounds are measured.

The planned rounds are measured if they fit into the time budget. If the model is too slow for that, the budget grows to the time
that a decision needs, and a backend that loses every round is dropped, so that the others get its time. The test is computed more
than once. Each time it is allowed to use a part of LEVEL: half of what is left, and the last time all of it. So the parts
together never exceed LEVEL. docs/method.md gives the reason for each choice.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers only: a target may have Python 3.8, which cannot subscript these names
    from collections.abc import Sequence

COVERAGE = 0.95  # the probability that an interval contains the true median, if there are enough rounds
_EXACT_UP_TO = 60  # with more rounds than this, a normal approximation is used instead of all patterns of signs
LEVEL = 0.05  # probability of any false difference over all looks, and over all comparisons of one dtype
LEAST = 3  # no backend has fewer rounds, unless the time is up
LEAST_BESIDE_WRONG = 2  # the same, with a slow model, if eager is wrong: then no difference to it has to be proven
GROWTH = 1.5  # the number of rounds grows by this factor from one look (test) to the next
PROMISING = 0.3  # a larger p than this at a look: more rounds are not worth their time
LOSES = 1.15  # a backend that was this many times slower than the fastest in each round is dropped
LONGEST = 3  # a slow model may use this many times the budget, even if a decision needs less time
MOST_SECONDS = 300.0  # if a decision needs more time than that, up to so many seconds are used for one dtype


def median(values: Sequence[float]) -> float:
    """Return the median. Raises ValueError if there are no values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def bounds(values: Sequence[float]) -> tuple[float, float, float]:
    """Return (low, high, coverage): an interval for the median, and the share of such intervals that contain the true median.

    The interval goes from the k-th smallest to the k-th largest of n values. It misses the median only if fewer than k values lie
    on one side of it; the probability of that is the one of n coin tosses (binomial), for any continuous distribution. Between
    two neighbouring k the interval is interpolated to 95 % as Hettmansperger and Sheather do (Statistics & Probability Letters 4,
    1986). Below six values not even the smallest and the largest have 95 %: then their own coverage is returned, 75 % for three.
    Raises ValueError for no values.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    n = len(ordered)
    k, wide = 1, _enclosed(n, 1)
    if wide <= COVERAGE:
        return ordered[0], ordered[-1], wide
    while _enclosed(n, k + 1) > COVERAGE:
        k += 1
    wide, narrow = _enclosed(n, k), _enclosed(n, k + 1)
    part = (wide - COVERAGE) / (wide - narrow)
    weight = (n - k) * part / (k + (n - 2 * k) * part)
    low = (1 - weight) * ordered[k - 1] + weight * ordered[k]
    high = (1 - weight) * ordered[n - k] + weight * ordered[n - k - 1]
    return low, high, COVERAGE


def _enclosed(n: int, k: int) -> float:
    """Return the probability that the k-th smallest and the k-th largest of n values enclose the median."""
    if 2 * k > n:
        return 0.0
    return max(0.0, 1 - 2 * sum(_combinations(n, i) for i in range(k)) / 2.0**n)


def _combinations(n: int, k: int) -> int:
    return math.factorial(n) // (math.factorial(k) * math.factorial(n - k))


def logarithms(base: Sequence[float], other: Sequence[float]) -> list[float]:
    """Return log(base / other) for each round of both. It is above zero if the other was faster."""
    return [math.log(b / o) for b, o in zip(base, other)]  # noqa: B905 - Python 3.8; the shorter one was dropped earlier


def signed_rank(values: Sequence[float]) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test.

    That is the probability that random signs give ranks at least as unbalanced as these. Exact up to 60 rounds, ties included.
    Zeros are left out.
    """
    sizes = sorted(abs(value) for value in values if value)
    if not sizes:
        return 1.0
    # Twice the mean rank of equal sizes, so that it is a whole number.
    rank = {size: 2 * sizes.index(size) + sizes.count(size) + 1 for size in set(sizes)}
    ranks = [rank[size] for size in sizes]
    total = sum(ranks)
    positive = sum(rank[abs(value)] for value in values if value > 0)
    lopsided = abs(2 * positive - total)
    if len(ranks) > _EXACT_UP_TO:
        return math.erfc(lopsided / math.sqrt(2 * sum(size**2 for size in ranks)))
    ways = [1] + [0] * total  # ways[s]: the number of choices of signs with the sum s of positive ranks
    for rank_ in ranks:
        ways = [count + (ways[place - rank_] if place >= rank_ else 0) for place, count in enumerate(ways)]
    extreme = sum(count for place, count in enumerate(ways) if abs(2 * place - total) >= lopsided)
    return extreme / 2.0 ** len(ranks)


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values after Holm's step-down correction. They can all be compared with one level."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    corrected = [0.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = highest
    return corrected


def more_rounds(values: Sequence[float], comparisons: int, level: float) -> int | None:
    """Return about how many more rounds like these would decide a comparison; None if no number of rounds would.

    `values`: logarithms of ratios, one for each round. `comparisons`: their number, for Holm's correction. In the normal
    approximation the test grows with the square root of the rounds. Example: three rounds with one winner need four more for two
    comparisons at 0.05, because fewer than seven cannot decide.
    """
    wanted = level / max(1, comparisons)
    sizes = sorted(abs(value) for value in values if value)
    ranks = {size: 2 * sizes.index(size) + sizes.count(size) + 1 for size in set(sizes)}
    total = sum(ranks[abs(value)] * (1 if value > 0 else -1) for value in values if value)
    if not total:
        return None
    least = 1 + math.ceil(math.log2(1 / wanted))
    reached = abs(total) / math.sqrt(sum(ranks[size] ** 2 for size in sizes))
    needed = statistics.NormalDist().inv_cdf(1 - wanted / 2)
    return max(1, max(least, math.ceil(len(values) * (needed / reached) ** 2)) - len(values))


class Race:
    """Collect the times of one dtype, round by round, in milliseconds, and decide when there are enough."""

    def __init__(
        self,
        names: Sequence[str],
        base: str | None,
        rounds: int,
        budget: float,
        *,
        fixed: bool,
        wrong: Sequence[str] = (),
        lost: Sequence[str] = (),
    ) -> None:
        """Start with all backends in `names`. `base` is eager, which is never dropped; None: eager is not measured.

        `budget`: seconds. `fixed`: exactly `rounds` rounds, unless the time is up, and no test before the last one. `wrong`: backends with
        wrong numbers, which cannot win. `lost`: backends that lost every round of inference. With a slow model, one that loses the
        first training step too is dropped at once.
        """
        self.left = list(names)
        self.wrong = wrong
        self.lost = lost
        self.base = base if base in self.left else None
        self.comparisons = len(self.left) - (self.base is not None)
        self.rounds = rounds
        self.budget = budget
        self.fixed = fixed
        self.times: dict[str, list[float]] = {name: [] for name in names}
        self.dropped: dict[str, str] = {}  # name -> the backend that won every round against it
        self.settled = (
            False  # whether measuring ended early, because eager is wrong, and no difference to it has to be proven
        )
        self.level = LEVEL  # the level of the look after which measuring ended
        self._spent = 0.0  # the part of LEVEL that earlier looks used
        self._next_look = rounds
        self._done = 0

    def add(self, name: str, milliseconds: float) -> None:
        """Add the time of a backend in this round."""
        self.times[name].append(milliseconds)

    def failed(self, name: str) -> None:
        """Remove a backend because it raised an exception."""
        if name in self.left:
            self.left.remove(name)
        if name == self.base:
            self.base = None

    def end_round(self, seconds: float) -> bool:
        """End a round, `seconds` after the first round began. Returns whether another round must be measured."""
        self._done += 1
        if not self.left:
            return False
        if self.fixed:
            return self._done < self.rounds and not (self._done >= LEAST and seconds > self._most())
        slow = seconds + self._missing(self.rounds) > self.budget
        if slow and self._done == 1:
            self._drop(self.lost)
        beside_wrong = slow and self.base in self.wrong and bool(self._right())
        if self._done < (LEAST_BESIDE_WRONG if beside_wrong else LEAST):
            return seconds <= self._most()
        if slow:
            self._drop(self.left)
            # The fastest right backend is advised: whether it is faster than wrong numbers does not matter.
            self.settled = beside_wrong
            if self.settled:
                return False
            self._next_look = max(min(self._next_look, self._deciding()), self._done)
        if self._done < self._next_look:
            return seconds + self._missing(self._next_look) <= self._most()
        return self._look(seconds)

    def _missing(self, rounds: int) -> float:
        """Return the seconds that are needed to reach this number of rounds."""
        each = sum(median(self.times[name]) for name in self.left if self.times[name]) / 1e3
        return max(0, rounds - self._done) * each

    def _most(self) -> float:
        """Return the seconds after which no new round begins.

        That is a multiple of the budget; with a slow model, the time that a decision needs.
        """
        needed = 2 * self._missing(self._done + self._deciding())
        return max(LONGEST * self.budget, min(MOST_SECONDS, needed))

    def _deciding(self) -> int:
        """Return the number of rounds after which the first test can decide: 8 for two or three comparisons.

        Nine rounds with one winner have p = 2 / 2**9.
        """
        return next(n for n in range(LEAST, 64) if max(1, self.comparisons) * 2.0 ** (1 - n) <= LEVEL / 2)

    def _drop(self, names: Sequence[str]) -> None:
        """Drop each of these backends that was clearly slower than the fastest one in every round.

        Eager is never dropped, because all others are compared with it.
        """
        leader = min(self._right() or self.left, key=lambda name: median(self.times[name]))
        for name in [name for name in names if name in self.left]:
            pairs = list(zip(self.times[name], self.times[leader]))  # noqa: B905 - Python 3.8
            if name not in (leader, self.base) and all(mine > LOSES * best for mine, best in pairs):
                self.left.remove(name)
                self.dropped[name] = leader

    def _right(self) -> list[str]:
        return [name for name in self.left if name not in self.wrong]

    def _look(self, seconds: float) -> bool:
        remaining = LEVEL - self._spent
        following = max(self._done + 1, int(self._done * GROWTH + 0.5))
        last = seconds + self._missing(following) > self._most()
        self.level = remaining if last else remaining / 2
        if last or self.base is None:
            return False
        found = {
            name: signed_rank(logarithms(self.times[self.base], self.times[name]))
            for name in self.left
            if name != self.base
        }
        lost = [1.0] * (self.comparisons - len(found))  # dropped and failed backends count as comparisons
        compared = holm([*found.values(), *lost])[: len(found)]
        if not found or min(compared) <= self.level or min(compared) > PROMISING:
            return False
        self._spent += self.level
        self._next_look = following
        return True
