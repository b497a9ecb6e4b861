"""Describe the kernels of a trial: the kernels that ran, their share of a step, and whether their results are reproducible. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from attn_doctor.model.trials import ReferenceCheck, Trial
from attn_doctor.report.blocks import Block, Notes
from attn_doctor.trials.paired_rounds import COVERAGE

_TELLING = re.compile(r"soft_?max|attention|attn|flash|fmha|sdpa", re.IGNORECASE)
_LEAST = 0.001  # kernels with a smaller share of a step are left out: they only prepare for another kernel
_MOST = 4  # a line names at most so many kernels: the other kernels need almost no time


def kernels(rows: Sequence[Trial]) -> list[Block]:
    """Return a block with one line for each profiled backend and dtype: its largest kernels. Empty if nothing was profiled."""
    items = []
    for row in rows:
        largest = sorted((k for k in row.kernel_shares if k.share >= _LEAST), key=lambda kernel: -kernel.share)
        if not largest:
            continue
        shape = f" {row.shape}" if row.shape else ""
        shares: dict[str, float] = {}
        for kernel in largest:  # instances of one template are shown as one kernel
            name = short(kernel.name)
            shares[name] = shares.get(name, 0.0) + kernel.share
        named = [f"{name} {share:.1%}" for name, share in list(shares.items())[:_MOST]]
        left = f" and {len(shares) - _MOST} more" if len(shares) > _MOST else ""
        items.append(f"{row.backend} ({row.dtype}){shape}: {', '.join(named)}{left}")
    if not items:
        return []
    what = "GPU kernels" if any(row.device.startswith("cuda") for row in rows) else "operators"
    return [Notes(f"Attention's {what}, and their share of a training step (torch.profiler)", tuple(items))]


def ranges(rows: Iterable[Trial]) -> list[str]:
    """Return one line that explains the ranges in brackets beside the times; empty if no time has a range."""
    found = {(t.n, round(t.coverage, 4)) for row in rows for t in (row.forward_ms, row.step_ms) if t and t.n > 1}
    if not found:
        return []
    few = sorted(pair for pair in found if pair[1] < COVERAGE)
    said = [f"{coverage:.0%} where n is {n}" for n, coverage in few]
    whole = ["95 %" + (" in the rest" if few else "")] if len(few) < len(found) else []
    return [f"in brackets: a confidence interval of the median ({', '.join([*said, *whole])}); n: measured rounds"]


def short(name: str) -> str:
    """Return a kernel's name without its return type, template arguments and parameters."""
    whole, previous = name, None
    name = name.replace("(anonymous namespace)::", "")
    while previous != name:  # innermost first
        previous, name = name, re.sub(r"<[^<>]*>|\([^()]*\)", "", name)
    name = re.split(r"[<(]", name)[0].strip().removeprefix("void ")  # the profiler truncates long names in the middle
    if _TELLING.search(name):
        return name
    # CUTLASS names every kernel device_kernel: its arguments name the operation.
    inside = next(
        (word for word in re.findall(r"\w+", whole) if re.match(r"Flash\w*(Fwd|Bwd|Forward|Backward)", word)), None
    )
    return f"{name}<{inside}>" if inside else name or whole


def by_reason(rows: Iterable[Trial]) -> list[str]:
    """Return one line for each reason why rows failed or did not run: the backends, and the reason.

    A backend that did not run in any dtype is named without a dtype.
    """
    found: dict[tuple[bool, str], dict[str, None]] = {}
    for row in rows:
        left_out = row.status == "ruled-out"
        if row.reason or left_out:
            name = row.backend if left_out else f"{row.backend} ({row.dtype})"
            found.setdefault((left_out, row.reason or "no reason was given"), {})[name] = None
    return [f"{'not run: ' * out}{', '.join(names)}: {reason}" for (out, reason), names in found.items()]


def wrong_reference(checks: Iterable[ReferenceCheck | None]) -> tuple[str, ...]:
    """Return a sentence for each error of torch itself that finite differences found.

    It has the module and the size of the error. For such a module, a comparison with torch's gradients means little.
    """
    return tuple(
        dict.fromkeys(
            f"{c.module}, {c.note}, {c.error or 0:.0%} off: torch's fault, not the model's"
            for c in checks
            if c and c.ok is False
        )
    )


def repeats(rows: Iterable[Trial]) -> tuple[str, ...]:
    """Return a note about backends whose results are not bitwise equal in two runs; this is not a fault."""
    names = dict.fromkeys(f"{row.backend} ({row.dtype})" for row in rows if row.deterministic is False)
    if not names:
        return ()
    return (f"results that differ in their last bits between two runs on the same numbers: {', '.join(names)}",)
