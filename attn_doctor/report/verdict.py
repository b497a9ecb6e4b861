"""Sum up a report in one sentence. Pure.

The sentence says "healthy" only if everything was seen to work. It also says if nothing was run.
"""

from __future__ import annotations

from collections.abc import Iterator

from attn_doctor.model.findings import Goal, Severity
from attn_doctor.model.report import STOPPED, Report
from attn_doctor.report.blocks import Verdict


def verdict(report: Report) -> Verdict:
    """Return the sentence and its tone: "bad" for an error, "good" only for the outcome "healthy"."""
    stopped = report.trials_skipped == STOPPED and f"anything more: {STOPPED}" not in report.unexamined
    roots = [f for f in report.findings if f.root_cause]
    errors = [f for f in roots if f.severity is Severity.ERROR]
    purpose = "flash-attn" if report.goal is Goal.FLASH_ATTN else "training"
    if errors:
        and_then = " The model was not tried." if stopped else ""
        return Verdict(f"{counted(len(errors))} in the way of {purpose} here.{and_then}", "bad")
    if report.acceptance and (ignored := report.acceptance.ignored_errors):
        return Verdict(f"{counted(len(ignored))} in the way of {purpose} here, ignored by the configuration.", "warn")
    if stopped:
        return Verdict("Could not tell: the model was not tried.", "warn")
    know = f", with {counted(len(roots), 'to know about')}" if roots else ""
    if report.outcome == "healthy":
        return Verdict(f"{_seen(report)}{know}.{_not_tried(report)}", "warn" if roots else "good")
    if report.unexamined:
        return Verdict(f"Could not tell {'; nor '.join(report.unexamined)}.", "warn")
    if report.unrecognised:
        return Verdict("Not recognised: a log has an error that attn-doctor does not know.", "warn")
    if report.facts.grade == "static":
        return Verdict(f"Files show nothing in the way of {purpose}{know}. Nothing was run.", "warn" if roots else "")
    if report.goal is Goal.FLASH_ATTN and "torch imported" in report.seen:
        return Verdict(
            f"Nothing was found in the way of flash-attn{know}. It was not seen to import.", "warn" if roots else ""
        )
    if report.seen and roots:
        return Verdict(f"{_seen(report)}, but {_may_stop(len(roots))}", "warn")
    return Verdict(
        f"Nothing was found in the way of {purpose} in these facts{know}. Nothing was run.", "warn" if roots else ""
    )


def counted(number: int, what: str = "") -> str:
    """Return "3 things stand", which a sentence continues, or with `what` ("to know about") "3 things to know about". For 1: "One thing"."""
    if what:
        return f"one thing {what}" if number == 1 else f"{number} things {what}"
    return "One thing stands" if number == 1 else f"{number} things stand"


def _may_stop(number: int) -> str:
    return "one thing may stop training." if number == 1 else f"{number} things may stop training."


def _seen(report: Report) -> str:
    """Return the observed successes in words: "torch 2.15.0 and ultralytics 8.4.190 import, and yolo12n.yaml trains"."""
    names = list(_imports(report))
    said = f"{', '.join(names[:-1])} and {names[-1]} import" if len(names) > 1 else f"{names[0]} imports"
    if "eager trained" not in report.seen:
        return said + " here"
    row = next(row for row in report.trials if row.backend == "eager")
    what = row.model or "YOLO12's attention alone"
    return f"{said} here, and {what} trains on {row.device}"


def _imports(report: Report) -> Iterator[str]:
    facts = report.facts
    yield f"torch {facts.torch.version}"
    if "ultralytics imported" in report.seen:
        yield f"ultralytics {facts.yolo.version}"
    if "flash-attn imported" in report.seen:
        version = facts.flash_attention.version
        yield f"flash-attn {version}" if isinstance(version, str) else "flash-attn"


def _not_tried(report: Report) -> str:
    if "eager trained" not in report.seen:
        return " The model was not tried."
    return "" if "model built" in report.seen else " There is no ultralytics here: no model was built."
