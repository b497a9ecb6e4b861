"""Judge the numbers of a combination of changes, by limits that are stated. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from attn_doctor.prescription.changes.table import CHANGES
from attn_doctor.trials.tuning.rows import Checked


class Limits(NamedTuple):
    """Hold the largest errors that are right, each the length of the difference to float64 over the length of the values."""

    output: float
    gradient: float
    overlap: float  # the IoU with their own in float64 that 95 of 100 boxes have at least
    score: float  # the largest difference of a score


FLOAT32 = Limits(output=1e-4, gradient=1e-2, overlap=0.99, score=1e-3)
SIXTEEN_BITS = Limits(output=5e-2, gradient=0.5, overlap=0.80, score=2e-2)
AS_SHIPPED = 2.0  # times the error of the program as shipped, where that is larger and not known to be wrong


def limits(changes: Sequence[str]) -> Limits:
    """Return the limits of a combination: wider where it computes with fewer bits."""
    return SIXTEEN_BITS if any(CHANGES[name].numbers == "precision" for name in changes) else FLOAT32


def judged(
    changes: Sequence[str], told: Mapping[str, Any], shipped: Checked | None, most: Limits | None = None
) -> Checked:
    """Return the verdict on what a worker told of one pass. `shipped`: that of the program as shipped; None for itself.

    `most`: other limits, for a device that computes in 16 bits as shipped.
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
        reason = "it gives values that are no numbers"
    own = shipped if shipped and shipped.status == "ok" else None
    errors = [
        ("outputs", found.output_error, most.output, own.output_error if own else None),
        ("gradients", found.gradient_error, most.gradient, own.gradient_error if own else None),
    ]
    if shipped:  # how far float32 itself moves the boxes of this model is what the program as shipped shows
        errors.append(("scores", found.score_error, most.score, own.score_error if own else None))
    for what, error, limit, its in errors:
        at_most = limit if its is None else max(limit, AS_SHIPPED * its)
        if reason is None and error is not None and not error <= at_most:
            reason = f"its numbers are wrong: {what} are {error:.2g} off float64, and {at_most:.2g} is the limit"
    if reason is None and shipped and found.box_overlap is not None:
        least = most.overlap
        if own and own.box_overlap is not None:
            least = min(least, 1 - AS_SHIPPED * (1 - own.box_overlap))
        if not found.box_overlap >= least:
            reason = f"95 of 100 boxes overlap their own in float64 by {found.box_overlap:.0%} at least, and {least:.0%} is the limit"
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
