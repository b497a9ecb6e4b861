"""Simulate studies whose truth is known, and count how often `attn-doctor study` says the truth. No training runs.

    python benchmarks/study_statistics.py [--repeats 4000] [--seed 1] [--only NAME] [--json FILE]

Each simulated study is a whole record and goes through `attn_doctor.study.comparisons.compared`, as a real one does. Each training of a
seed has the seed's own mAP, an effect of its attention, and noise; the spread of the paired differences is that of the scenario.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from attn_doctor.model.study import Cell, Comparison, Design, Epoch, Study
from attn_doctor.study.comparisons import compared
from attn_doctor.study.paired import enough, power_of_difference, power_of_equivalence

MAP = 0.6  # mAP50-95 of the first arm, on average
LOSS = 0.02 * MAP  # the planted loss: 2 % of it
MARGIN = 0.01
LEVEL = 0.05
Noise = Callable[[random.Random], float]  # with mean 0 and standard deviation 1


def normal(chance: random.Random) -> float:
    return chance.gauss(0, 1)


def skewed(chance: random.Random) -> float:
    """Return an exponential value, moved so that its mean is 0."""
    return chance.expovariate(1) - 1


def heavy(chance: random.Random) -> float:
    """Return Student's t with 3 degrees of freedom, scaled to standard deviation 1."""
    return chance.gauss(0, 1) / math.sqrt(sum(chance.gauss(0, 1) ** 2 for _ in range(3)) / 3) / math.sqrt(3)


class Truth(NamedTuple):
    """Describe simulated studies. Effects are of mAP50-95 against the first arm, one for each further arm."""

    seeds: int
    spread: float  # standard deviation of the paired differences
    effects: tuple[float, ...] = (0.0,)
    cost: float = 1.0  # ratio of the times
    cost_spread: float = 0.02
    metrics: int = 4  # how many of mAP50-95, mAP50, precision, recall are known
    noise: Noise = normal


def study(truth: Truth, chance: random.Random) -> Study:
    """Return one simulated study."""
    arms = ("eager", *(f"arm{i}" for i in range(1, len(truth.effects) + 1)))
    cells = []
    for seed in range(truth.seeds):
        level = MAP + chance.gauss(0, 0.02)
        pace = chance.gauss(0, 0.05)
        for arm, effect in zip(arms, (0.0, *truth.effects), strict=True):
            values: list[float | None] = [
                level + effect + i * 0.02 + truth.spread / math.sqrt(2) * truth.noise(chance) for i in range(4)
            ]
            values = [value if i < truth.metrics else None for i, value in enumerate(values)]
            seconds = math.exp(pace + truth.cost_spread / math.sqrt(2) * chance.gauss(0, 1))
            epoch = Epoch(
                number=1,
                seconds=10 * seconds * (1.0 if arm == "eager" else truth.cost),
                map50_95=values[0],
                map50=values[1],
                precision=values[2],
                recall=values[3],
            )
            cells.append(Cell(arm=arm, seed=seed, state="done", proven=True, epochs=(epoch,)))
    design = Design(
        model="simulated",
        data="simulated",
        arms=arms,
        seeds=tuple(range(truth.seeds)),
        epochs=1,
        imgsz=0,
        batch=0,
        margin=MARGIN,
        level=LEVEL,
    )
    return Study(design=design, cells=tuple(cells))


def simulated(truth: Truth, repeats: int, chance: random.Random) -> Iterator[tuple[Comparison, ...]]:
    for _ in range(repeats):
        yield compared(study(truth, chance))


def accuracy(rows: tuple[Comparison, ...]) -> list[Comparison]:
    return [row for row in rows if row.scale == "difference"]


def shares(truth: Truth, repeats: int, chance: random.Random) -> dict[str, float]:
    """Return the share of studies by the outcome of mAP50-95 of the first compared arm."""
    found = Counter(rows[0].outcome for rows in simulated(truth, repeats, chance))
    return {outcome: count / repeats for outcome, count in found.items()}


def powers(repeats: int, chance: random.Random) -> list[dict[str, Any]]:
    """Answer: how often are identical arms called equivalent, and a planted loss found, and what was computed beforehand?

    One metric and one arm, so that the computed powers are of the same test.
    """
    made = []
    for spread in (0.005, 0.01, 0.02):
        for seeds in (3, 5, 10, 20, 40):
            same = shares(Truth(seeds, spread, metrics=1), repeats, chance)
            lost = shares(Truth(seeds, spread, (-LOSS,), metrics=1), repeats, chance)
            made.append(
                {
                    "spread": spread,
                    "seeds": seeds,
                    "identical: equivalent": same.get("equivalent", 0.0),
                    "computed": power_of_equivalence(seeds, spread, MARGIN, LEVEL),
                    "identical: falsely different": same.get("higher", 0.0) + same.get("lower", 0.0),
                    "2 % lost: found": lost.get("lower", 0.0),
                    "computed of the loss": power_of_difference(seeds, spread, LOSS, LEVEL),
                    "2 % lost: falsely equivalent": lost.get("equivalent", 0.0),
                    "2 % lost: called higher": lost.get("higher", 0.0),
                }
            )
    return made


def families(repeats: int, chance: random.Random) -> list[dict[str, Any]]:
    """Answer: how often is anything false said, with several arms and all metrics?"""
    made = []
    for arms in (1, 3):
        for seeds in (3, 5, 10):
            nothing = list(simulated(Truth(seeds, 0.01, (0.0,) * arms), repeats, chance))
            edge = list(simulated(Truth(seeds, 0.004, (MARGIN,) * arms), repeats, chance))
            costs = list(simulated(Truth(seeds, 0.01, (0.0,) * arms, cost=1.02), repeats, chance))
            made.append(
                {
                    "arms compared": arms,
                    "seeds": seeds,
                    "identical: any difference claimed": _share(
                        any(row.p is not None and row.p <= LEVEL for row in accuracy(rows)) for rows in nothing
                    ),
                    "at the margin: any called equivalent": _share(
                        any(row.outcome == "equivalent" for row in accuracy(rows)) for rows in edge
                    ),
                    "time at 1.02: any called the same": _share(
                        any(row.outcome == "equivalent" for row in rows if row.scale == "ratio") for rows in costs
                    ),
                }
            )
    return made


def coverages(repeats: int, chance: random.Random) -> list[dict[str, Any]]:
    """Answer: how often does the 95 % interval hold the true value, also if the noise is not normal?"""
    made = []
    for name, noise in (("normal", normal), ("skewed", skewed), ("heavy tails", heavy)):
        for seeds in (3, 5, 10, 30):
            rows = list(simulated(Truth(seeds, 0.01, (-LOSS,), cost=0.9, metrics=1, noise=noise), repeats, chance))
            at_margin = simulated(Truth(seeds, 0.004, (-MARGIN,), metrics=1, noise=noise), repeats, chance)
            made.append(
                {
                    "noise": name,
                    "seeds": seeds,
                    "difference: held": _share(_holds(found[0], -LOSS) for found in rows),
                    "ratio of times: held": _share(_holds(found[-1], 0.9) for found in rows),
                    "at the margin: called equivalent": _share(found[0].outcome == "equivalent" for found in at_margin),
                }
            )
    return made


def _holds(row: Comparison, true: float) -> bool:
    return row.low is not None and row.high is not None and row.low <= true <= row.high


def seeds_named(repeats: int, chance: random.Random) -> list[dict[str, Any]]:
    """Answer: how good is "about n are needed" after a few seeds, compared with the number that is needed?"""
    made = []
    for spread in (0.01, 0.02):
        needed = enough(lambda n, spread=spread: power_of_equivalence(n, spread, MARGIN, LEVEL))
        for seeds in (3, 5, 10):
            named, held = [], []
            for rows in simulated(Truth(seeds, spread, metrics=1), repeats, chance):
                row = rows[0]
                if row.outcome != "cannot tell" or row.seeds_needed is None or row.seeds_between is None:
                    continue
                named.append(row.seeds_needed)
                low, high = row.seeds_between
                held.append(low <= (needed or 0) and (high is None or (needed or 0) <= high))
            tenths = statistics.quantiles(named, n=10)
            made.append(
                {
                    "spread": spread,
                    "seeds tried": seeds,
                    "needed": needed,
                    "named: median": statistics.median(named),
                    "named: 10 % to 90 %": f"{tenths[0]:.0f} to {tenths[-1]:.0f}",
                    "range holds it": _share(held),
                    "studies that named one": len(named) / repeats,
                }
            )
    return made


def _share(truths: Any) -> float:
    counted = [bool(truth) for truth in truths]
    return sum(counted) / len(counted)


SCENARIOS = {"powers": powers, "families": families, "coverages": coverages, "seeds_named": seeds_named}


def as_table(rows: list[dict[str, Any]]) -> str:
    def shown(value: Any) -> str:
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(shown(row[column]) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=SCENARIOS, action="append")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    made = {}
    for name in arguments.only or SCENARIOS:
        made[name] = SCENARIOS[name](arguments.repeats, random.Random(arguments.seed))
        print(f"{name}: {SCENARIOS[name].__doc__}\n\n{as_table(made[name])}\n", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"repeats": arguments.repeats, "seed": arguments.seed, **made}, indent=1))


if __name__ == "__main__":
    main()
