"""Choose the best backend of a trial. `check`, `trial` and the table use this module and no other rule. Pure.

The row of a backend already contains whether it is faster than eager (`step_gain.verdict`: paired rounds, corrected for the
number of backends). This module does not compare times with eager's again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from attn_doctor.model.trials import Dtype, Trial
from attn_doctor.trials.statistics import compare, decide

# "faster": beyond doubt, and right · "right": eager's numbers are wrong, these are not · "kept": eager, nothing is faster
# "only": eager was not asked for · "none right": no backend ended well · "lost": eager gave no numbers to compare with
Why = Literal["faster", "right", "kept", "only", "none right", "lost"]


class Best(NamedTuple):
    """Describe the backend to use (None if there is none), and the reason."""

    row: Trial | None
    why: Why


def best(rows: Sequence[Trial], dtype: Dtype | None) -> Best:
    """Return the backend to use in this dtype. `rows`: of one model (or its attention) at one image size.

    A row whose status is not "ok" is never chosen. Another backend is chosen instead of eager only if its own verdict is "faster";
    if there is none, eager is kept. If eager was not tried, or is "wrong", the fastest right row is chosen, even if it is slower than
    eager. If eager failed, none is chosen ("lost"); the same if eager's status is "other-kernel" and no verdict is "faster". Rows of
    old reports have no verdict, so they are never chosen instead of eager.
    """
    mine = [row for row in rows if row.dtype == dtype]
    right = [row for row in mine if row.status == "ok" and row.step_ms]
    eager = next((row for row in mine if row.backend == "eager"), None)
    if eager is None or eager.status == "ruled-out":
        return Best(min(right, key=_step), "only") if right else Best(None, "none right")
    if eager.status == "wrong":
        return Best(max(right, key=_pace), "right") if right else Best(None, "none right")
    if eager.step_ms is None or eager.status not in ("ok", "other-kernel"):
        return Best(None, "lost")
    faster = [row for row in right if row.step_gain is not None and row.step_gain.verdict == "faster"]
    if faster:
        return Best(max(faster, key=_ratio), "faster")
    return Best(eager, "kept") if eager.status == "ok" else Best(None, "lost")


def training_dtype(rows: Sequence[Trial]) -> Dtype | None:
    """Return the dtype in which training runs; None if no row was tried ("ruled-out").

    On a CUDA device it is float16, if a row in float16 was tried: ultralytics uses it there by default (`amp=True`), even if a small
    model gains nothing. Elsewhere it is the dtype of the fastest step; if no step was measured, the dtype of the first tried row.
    """
    tried = [row for row in rows if row.status != "ruled-out"]
    if any(row.device.startswith("cuda") and row.dtype == "float16" for row in tried):
        return "float16"
    measured = [row for row in tried if row.status == "ok" and row.step_ms]
    if measured:
        return min(measured, key=_step).dtype
    return tried[0].dtype if tried else None


def beats(row: Trial, others: Sequence[Trial]) -> bool:
    """Return whether this row's training steps are faster than those of every other row, corrected for the number of rows.

    False if there are no other rows, or if the rows do not all have the same number of rounds (`step_samples`).
    """
    if not row.step_samples or not others or any(len(o.step_samples) != len(row.step_samples) for o in others):
        return False
    samples = list(dict.fromkeys(other.step_samples for other in others))
    return all(gain.verdict == "faster" for gain in decide([compare(other, row.step_samples) for other in samples]))


def _step(row: Trial) -> float:
    assert row.step_ms
    return row.step_ms.median


def _pace(row: Trial) -> tuple[bool, float]:
    """Return a sort key by speed.

    The key is made of paired rounds with eager if there are any, because other load on the machine changes a plain median.
    """
    return row.step_gain is not None, row.step_gain.ratio if row.step_gain else -_step(row)


def _ratio(row: Trial) -> float:
    assert row.step_gain
    return row.step_gain.ratio
