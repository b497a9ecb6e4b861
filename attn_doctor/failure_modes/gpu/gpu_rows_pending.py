"""A GPU waits for a reset to repair its memory, or could not repair it.

What it is
    A GPU replaces a bad place of its memory by a spare one: a row since Ampere (A100), a page before. The replacement becomes active when the
    GPU starts the next time. Each bank of memory has few spare rows; when they are used up, the repair fails.

How it shows
    nvidia-smi -q shows "Pending: Yes" below "Remapped Rows", or "Pending Page Blacklist: Yes" below "Retired Pages"; "Remapping Failure
    Occurred: Yes"; Xid 63 (recorded) or 64 (failed) in the kernel log.

Why it happens
    The memory had an error that could not be corrected, or the same corrected one again and again.

What to do
    Reset the GPU, or reboot, at the next chance: until then the driver keeps programs away from the bad place. If the repair failed, or the
    pages reach NVIDIA's limit, have the GPU replaced.

How to reproduce
    There is no recipe: only a faulty memory shows it. `nvidia-smi -q -d ROW_REMAPPER,PAGE_RETIREMENT` shows the state of a GPU.

References
    https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/
    https://docs.nvidia.com/deploy/dynamic-page-retirement/
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import FailureMode, Hit, Variant
from attn_doctor.failure_modes.shared import gpu_health
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Fix, Severity

MODE = FailureMode(
    code="AD442",
    slug="gpu-rows-pending",
    title="A repair of GPU memory that waits, or that failed",
    train=Severity.WARNING,
    flash_attn=Severity.WARNING,
)

# Of GPUs before Ampere: NVIDIA replaces one with 60 retired pages. https://docs.nvidia.com/deploy/dynamic-page-retirement/
_MOST_PAGES = 60


class Repair(Variant, frozen=True, kw_only=True):
    """Hold the state of the memory's repair. `failed` False: the repair waits for a reset of the GPU."""

    failed: bool


def detect(facts: Facts) -> Hit | None:
    gpus = gpu_health.judged(facts)
    failed = [
        (i, g)
        for i, g in gpus
        if g.health.remap_failed is True or gpu_health.positive(g.health.retired_pages) >= _MOST_PAGES
    ]
    waits = [(i, g) for i, g in gpus if g.health.rows_pending is True or g.health.pages_pending is True]
    if failed:
        return Hit(
            message=f"The memory of {gpu_health.names(g for _, g in failed)} could not be repaired any more: its spare places are used up.",
            evidence=tuple(
                gpu_health.value(facts, i, "remap_failed", f"GPU {g.index}: remapping a row failed")
                if g.health.remap_failed is True
                else gpu_health.value(
                    facts, i, "retired_pages", f"GPU {g.index}: {g.health.retired_pages} retired pages"
                )
                for i, g in failed
            ),
            variant=Repair(failed=True),
            certainty=Certainty.OBSERVED,
            severity=Severity.ERROR,
        )
    if not waits:
        return None
    return Hit(
        message=f"A repair of the memory of {gpu_health.names(g for _, g in waits)} waits for the next reset. Programs run until then: the driver "
        "keeps them away from the bad place.",
        evidence=tuple(
            gpu_health.value(facts, i, "rows_pending", f"GPU {g.index}: a remapped row is pending")
            if g.health.rows_pending is True
            else gpu_health.value(facts, i, "pages_pending", f"GPU {g.index}: a retired page is pending")
            for i, g in waits
        ),
        variant=Repair(failed=False),
        certainty=Certainty.OBSERVED,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Repair) and hit.variant.failed:
        return (gpu_health.replace(facts, "the memory has no spare places left"),)
    waiting = (
        g for _, g in gpu_health.judged(facts) if g.health.rows_pending is True or g.health.pages_pending is True
    )
    return (gpu_health.reset(facts, next(waiting, None), "makes the repair of the memory active"),)
