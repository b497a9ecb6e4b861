"""Describe the comparisons of a study in words, for tables, pictures and the verdict. Pure."""

from __future__ import annotations

from attn_doctor.model.study import Cell, Comparison
from attn_doctor.report.blocks import Tone
from attn_doctor.report.machine_summary import size
from attn_doctor.study.metrics import BY_NAME
from attn_doctor.study.paired import MOST


def seeds(count: int) -> str:
    """Return "1 seed" or "3 seeds"."""
    return f"{count} seed" if count == 1 else f"{count} seeds"


def outcome(row: Comparison) -> str:
    """Return the result of a comparison, such as "equivalent within 0.01" or "cannot tell with 3 seeds: about 12 are needed"."""
    tried = len(row.seeds)
    if row.outcome == "equivalent":
        same = f"the same within {row.margin:.0%}" if row.scale == "ratio" else f"equivalent within {row.margin:g}"
        return f"{same}; a smaller difference is certain" if _certain(row) else same
    if row.outcome == "identical":
        return f"identical: the same numbers to the last digit with {'each of ' if tried > 1 else ''}{seeds(tried)}"
    if row.outcome == "constant":
        return f"{change(row)} with each of {seeds(tried)}: no spread, so no test"
    if row.outcome == "nothing learned":
        return f"says nothing: it is 0 in all {2 * tried} trainings"
    if row.outcome == "one seed":
        return "cannot tell with 1 seed: one pair shows no spread"
    if row.outcome == "no pair":
        return "cannot tell: no seed ended with both"
    if row.outcome == "cannot tell":
        if (
            row.margin is None
        ):  # nobody said which difference would count, so no number of seeds could show that there is none
            return f"no difference shown with {seeds(tried)}; no margin was stated"
        return f"cannot tell with {seeds(tried)}: {_needed(row)}"
    return f"{row.outcome}{_by(row)}"


def _certain(row: Comparison) -> bool:
    return row.p is not None and row.p <= 1 - row.coverage


def _by(row: Comparison) -> str:
    """Return how much higher or lower an arm is, and whether that is certainly more than the margin.

    For a ratio the text is empty, because the ratio already shows it.
    """
    if row.scale == "ratio" or row.estimate is None or row.low is None or row.high is None:
        return ""
    beyond = row.margin is not None and (row.low > row.margin or row.high < -row.margin)
    return f" by {abs(row.estimate):.4f}" + (f", more than the margin of {row.margin:g}" if beyond else "")


def _needed(row: Comparison) -> str:
    number = row.seeds_needed
    return f"more than {MOST:,} would be needed" if number is None else f"about {number:,} are needed"


def needed_roughly(row: Comparison) -> str:
    """Return how uncertain the number of needed seeds is; an empty text if no number is named."""
    if row.seeds_needed is None or row.seeds_between is None:
        return ""
    low, high = row.seeds_between
    upper = f"more than {MOST:,}" if high is None else f"{high:,}"
    return f"{row.arm}, {title(row)}: about {row.seeds_needed:,}, from {low:,} to {upper}, because {seeds(len(row.seeds))} tell the spread only roughly"


def tone(row: Comparison) -> Tone:
    """Return the tone of a comparison.

    "good": equivalent, identical, or certainly better ("higher" for mAP, "lower" for time). "bad": certainly worse. "": "constant",
    which no test judged. "warn": all other outcomes.
    """
    if row.outcome in ("equivalent", "identical"):
        return "good"
    if row.outcome in ("higher", "lower"):
        return "good" if row.outcome == BY_NAME[row.metric].better else "bad"
    return "" if row.outcome == "constant" else "warn"


def title(row: Comparison) -> str:
    """Return the name of the metric for a reader."""
    return BY_NAME[row.metric].title


def change(row: Comparison) -> str:
    """Return the estimate without its interval: "−0.0031", "0.91×"."""
    if row.estimate is None:
        return ""
    return f"{row.estimate:.3g}×" if row.scale == "ratio" else signed(row.estimate)


def between(row: Comparison) -> str:
    """Return the estimate with its interval: "−0.0031 (−0.0120 to 0.0058)"."""
    if row.low is None or row.high is None:
        return change(row)
    if row.scale == "ratio":
        return f"{change(row)} ({row.low:.3g} to {row.high:.3g})"
    return f"{change(row)} ({signed(row.low)} to {signed(row.high)})"


def signed(value: float) -> str:
    """Return a difference with its sign and four decimals."""
    text = f"{abs(value):.4f}"
    return text if float(text) == 0 else f"{'−' if value < 0 else '+'}{text}"


def probability(p: float | None) -> str:
    """Return a p value as text, "0.033" as "0.03"; empty for None."""
    return "" if p is None else "< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.01 else f"{p:.2f}"


def value(metric: str, number: float | None) -> str:
    """Return a value of a metric with its unit, "4.19 s"; empty for None. `metric`: a name of `study.metrics`, "epoch_seconds"."""
    if number is None:
        return ""
    if metric == "peak_memory":
        return size(number)
    if metric == "epoch_seconds":
        return f"{number:.2f} s" if number < 100 else f"{number:,.0f} s"
    if metric == "joules":
        return f"{number / 1000:,.1f} kJ" if number >= 10_000 else f"{number:,.0f} J"
    return f"{number:.1f}" if metric == "images_per_second" else f"{number:.4f}"


def kernels(cells: list[Cell]) -> str:
    """Return the kernel that was seen in the trainings of an arm, and how many others: "flash_fwd and 2 more".

    "another kernel ran" if a training had a wrong one; "not proven" if none was seen in some training.
    """
    if any(cell.proven is False for cell in cells):
        return "another kernel ran"
    named = tuple(dict.fromkeys(name for cell in cells for name in cell.kernels))
    if any(cell.proven is None for cell in cells if cell.state == "done") or not named:
        return "not proven"
    return named[0] + (f" and {len(named) - 1} more" if len(named) > 1 else "")
