"""Describe the plan and the result of a reproduction.

The plan: its costs and its steps. The result: whether attn-doctor named the failure. Nothing is rendered here.
"""

from __future__ import annotations

from typing import Any

from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.findings import Diagnosis
from attn_doctor.report.blocks import Block, Details, Heading, Listing, Notes, Verdict
from attn_doctor.report.gate import Gate
from attn_doctor.report.issue_outline import for_an_issue
from attn_doctor.report.log_outline import of_diagnosis
from attn_doctor.reproduction.plan import ReproductionPlan
from attn_doctor.reproduction.reproduce import Reproduction, read

_MOST_LINES = 60  # the screen shows at most so many lines of a log; --log writes all lines


def intention(plan: ReproductionPlan) -> tuple[str, ...]:
    """Return sentences about what the reproduction will do, download and need. They are shown before it runs."""
    lines = [f"{plan.mode.slug}: {plan.recipe.does}."]
    if plan.simulated:
        why = f" ({plan.obstacles[0]})" if plan.obstacles else ""
        return (*lines, f"Simulated here: the facts of such a machine are judged, nothing is run{why}.")
    if plan.obstacles:
        return (*lines, f"It cannot be reproduced here: {plan.obstacles[0]}.")
    if plan.recipe.stands_in:
        lines.append(f"Stand-ins in it: {'; '.join(plan.recipe.stands_in)}.")
    if plan.downloads:
        lines.append(
            f"Downloads up to {plan.download_mb} MB (less where pip has it already): {'; '.join(plan.downloads)}."
        )
    else:
        lines.append("Downloads nothing.")
    where = "of disk in a temporary folder that is removed afterwards; your environments are only read"
    lines.append(f"Takes about {plan.disk_mb} MB {where}, and about {plan.recipe.seconds} s beside the download.")
    return tuple(lines)


def outcome(plan: ReproductionPlan, done: Reproduction) -> list[Block]:
    """Return the blocks about what the reproduction printed, and whether attn-doctor named the failure."""
    blocks: list[Block] = []
    if done.log:
        blocks += [Heading("What it printed"), Listing(tuple(_shortened(done.log)))]
    if not done.reproduced:
        return [*blocks, Verdict(f"{plan.mode.slug} cannot be reproduced here: {done.why_not}.", "warn")]
    how = "was simulated" if done.simulated else "happened"
    said = "and the doctor named it" if done.named else "and the doctor did not name it"
    blocks.append(Verdict(f"{plan.mode.slug} {how}, {said}.", "good" if done.named else "bad"))
    logs = [read(done.log, f"{plan.mode.slug}.log")]
    blocks += [
        block
        for block in of_diagnosis(done.diagnosis, facts_of_logs(logs), logs)
        if done.diagnosis.findings or not isinstance(block, Verdict)
    ]
    if done.kept:
        blocks.append(Notes("Kept", (done.kept,)))
    return blocks


def to_paste(plan: ReproductionPlan, done: Reproduction) -> list[Block]:
    """Return the blocks of `outcome` for an issue: what the reproduction printed is folded, at the end."""
    rest = outcome(plan, done)[2 if done.log else 0 :]  # without the heading and the log
    printed = (Listing(tuple(_shortened(done.log))),) if done.log else ()
    return [*for_an_issue(rest), *([Details("What it printed", printed)] if printed else [])]


def without_private_data(done: Reproduction, gate: Gate) -> Reproduction:
    """Return the outcome without private data."""
    (diagnosis,) = gate.typed((done.diagnosis, Diagnosis))
    return done._replace(
        diagnosis=diagnosis,
        log=gate.text(done.log.decode("utf-8", "replace")).encode(),
        why_not=done.why_not and gate.text(done.why_not),
        kept=done.kept and gate.text(done.kept),
    )


def _shortened(log: bytes) -> list[str]:
    """Return the log's lines, without the middle of a long one."""
    lines = log.decode("utf-8", "replace").rstrip("\n").split("\n")
    if len(lines) <= _MOST_LINES:
        return lines
    half = _MOST_LINES // 2
    return [*lines[:half], f"[{len(lines) - 2 * half} lines left out: --log FILE has all]", *lines[-half:]]


def as_data(plan: ReproductionPlan, done: Reproduction) -> dict[str, Any]:
    """Return the outcome as data for JSON. `why_not` is null if the failure was reproduced."""
    return {
        "slug": done.slug,
        "reproduced": done.reproduced,
        "simulated": done.simulated,
        "named": done.named,
        "findings": done.diagnosis.findings,
        "log": done.log.decode("utf-8", "replace"),
        "why_not": done.why_not,
        "stands_in": plan.recipe.stands_in if done.reproduced and not done.simulated else (),
        "seconds": round(done.seconds, 1),
    }
