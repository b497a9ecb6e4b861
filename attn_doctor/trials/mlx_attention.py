"""Measure MLX's attention on shapes alone, if the target has mlx: the fused kernel, and the same formula written in MLX.

MLX has its own arrays, gradients and device, so it cannot be a backend of a torch model. The first call at a shape is a separate
result: it compiles, allocates and starts threads, and is many times slower than the others.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from attn_doctor import child
from attn_doctor.model.facts import Facts, Fault, Record, Unknown
from attn_doctor.model.trials import Interval, Shape
from attn_doctor.trials.process import in_words
from attn_doctor.trials.statistics import interval

Say = Callable[[str], None]

ROUNDS = 50
SECONDS = 2.0  # for the rounds of one shape
RIGHT = 1e-4  # relative error in float32


class MlxRow(Record, frozen=True, kw_only=True):
    """Hold the measurement of one way to compute attention in MLX, "eager" or "fused", at one shape. Forward passes in float32."""

    kind: Literal["eager", "fused"]
    shape: Shape
    device: str
    first_ms: float  # the first call at this shape
    ms: Interval  # all later calls
    tokens_per_second: float
    error: float  # relative, against float64
    right: bool


class MlxTimes(Record, frozen=True, kw_only=True):
    """Hold the measurements of MLX's attention at all shapes."""

    rows: tuple[MlxRow, ...] = ()
    notes: tuple[str, ...] = ()  # sentences about what failed


def installed(facts: Facts) -> bool:
    """Return whether the target is known to have mlx."""
    listed = facts.packages.distributions
    return not isinstance(listed, Unknown) and any(d.name.lower() == "mlx" for d in listed)


def measure(
    python: Sequence[str],
    shapes: Sequence[Shape],
    *,
    timeout: float,
    say: Say,
    environ: Mapping[str, str] | None = None,
) -> MlxTimes:
    """Measure all shapes in one process of the target. Raises OSError if the interpreter cannot be started.

    `timeout`: the seconds without a record after which the process is ended.
    """
    say("measuring MLX's attention")
    config = {
        "shapes": [[s.batch, s.heads, s.tokens, s.width] for s in shapes],
        "rounds": ROUNDS,
        "seconds": SECONDS,
        "seed": 0,
    }
    with tempfile.TemporaryDirectory(prefix="attn-doctor-") as folder:
        outcome = child.run(
            python,
            ("target/channel.py", "target/mlx_attention.py"),
            config=config,
            deadline=24 * 3600.0,
            quiet=timeout,
            environ=environ,
            changes=dict(child.harmless(folder)),
        )
    notes = [f"MLX, {m.section}: {in_words(Fault(**m.data))}" for m in outcome.messages if m.at == "raised"]
    if outcome.fault:
        notes.append(f"measuring MLX ended early: {in_words(outcome.fault)}")
    rows = tuple(row for told in outcome.facts("mlx") for row in rows_of(told))
    return MlxTimes(rows=rows, notes=tuple(notes))


def rows_of(told: Mapping[str, Any]) -> tuple[MlxRow, ...]:
    """Return the rows that one record of the target contains: "eager", "fused" or both, at one shape."""
    batch, heads, tokens, width = told["shape"]
    shape = Shape(batch=batch, heads=heads, tokens=tokens, width=width)
    made = []
    kinds: tuple[Literal["eager"], Literal["fused"]] = ("eager", "fused")
    for kind in (k for k in kinds if k in told["ms"]):
        taken = interval(told["ms"][kind])
        made.append(
            MlxRow(
                kind=kind,
                shape=shape,
                device=told["device"],
                first_ms=round(told["first_ms"][kind], 3),
                ms=taken,
                tokens_per_second=round(1e3 * batch * tokens / taken.median),
                error=told["errors"][kind],
                right=told["errors"][kind] <= RIGHT,
            )
        )
    return tuple(made)
