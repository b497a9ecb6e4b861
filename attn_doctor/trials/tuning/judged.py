"""Judge the numbers of a combination of changes by fixed limits. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from attn_doctor.prescription.changes.table import CHANGES
from attn_doctor.trials.tuning.rows import Checked


class Limits(NamedTuple):
    """Hold the largest allowed errors. An error is the length of the difference from float64, divided by the length of the values."""

    output: float
    gradient: float
    overlap: float  # 95 of 100 boxes have at least this IoU with the same box in float64
    score: float  # the largest difference of a score


FLOAT32 = Limits(output=1e-4, gradient=1e-2, overlap=0.99, score=1e-3)
SIXTEEN_BITS = Limits(output=5e-2, gradient=0.5, overlap=0.80, score=2e-2)
# An error up to this many times the error of the program without changes is also allowed, unless that program is known to be wrong.
AS_SHIPPED = 2.0


def limits(changes: Sequence[str]) -> Limits:
    """Return the limits of a combination of changes. They are wider if the combination computes with fewer bits."""
    return SIXTEEN_BITS if any(CHANGES[name].numbers == "precision" for name in changes) else FLOAT32


def judged(
    changes: Sequence[str], told: Mapping[str, Any], shipped: Checked | None, most: Limits | None = None
) -> Checked:
    """Return the verdict on the numbers of one pass. `told`: the errors that a worker reported.

    `shipped`: the verdict on the program without changes; None: this pass is that program. `most`: other limits, for a device on
    which the program without changes computes in 16 bits.
    """
    if told.get("failed"):
        return Checked(status="failed", reason=str(told["failed"]).splitlines()[0][:300])
    most = most or limits(changes)
    found = Checked(
        output_error=told.get("output_error"),
        gradient_error=told.get("gradient_error"),
        box_overlap=told.get("box_overlap"),
        score_error=told.get("score_error"),
        first_ms=told.get("first_ms"),
    )
    reason = None
    if told.get("finite") is False:
        reason = "it gives NaN or infinite values"
    own = shipped if shipped and shipped.status == "ok" else None
    errors = [
        ("outputs", found.output_error, most.output, own.output_error if own else None),
        ("gradients", found.gradient_error, most.gradient, own.gradient_error if own else None),
    ]
    if shipped:  # the program without changes shows how far float32 alone moves the boxes of this model
        errors.append(("scores", found.score_error, most.score, own.score_error if own else None))
    for what, error, limit, its in errors:
        at_most = limit if its is None else max(limit, AS_SHIPPED * its)
        if reason is None and error is not None and not error <= at_most:
            reason = f"its numbers are wrong: {what} differ from float64 by {error:.2g}, and the limit is {at_most:.2g}"
    if reason is None and shipped and found.box_overlap is not None:
        least = most.overlap
        if own and own.box_overlap is not None:
            least = min(least, 1 - AS_SHIPPED * (1 - own.box_overlap))
        if not found.box_overlap >= least:
            reason = f"95 of 100 boxes overlap the same box in float64 by at least {found.box_overlap:.0%}, and the limit is {least:.0%}"
    if reason is None:
        return found
    return Checked(
        status="wrong",
        reason=reason,
        output_error=found.output_error,
        gradient_error=found.gradient_error,
        box_overlap=found.box_overlap,
        score_error=found.score_error,
        first_ms=found.first_ms,
    )
