"""An attention backend crashes the process, or computes wrong numbers.

What it is
    One of the attention backends that were tried here crashes, hangs, ends the process, or gives numbers that differ from the
    reference in float64 (or from finite differences). A backend that raises an error because it has no kernel for this device
    is healthy.

How it shows
    `Segmentation fault`, a process that ends without a message, a step that never ends. If only the numbers are wrong,
    nothing shows it: the loss still falls.

Why it happens
    A kernel was compiled for another torch, CUDA or GPU; or a kernel has a fault for one memory layout or one size; or
    torch was patched. Most code calls `sdpa`, so its failure is an error; the failure of another backend is a warning.

What to do
    Use a backend that passed the trial. If the failing backend is part of a package, install the release of that
    package that fits your torch.

How to reproduce
    There is no recipe: it needs a broken kernel. attn-doctor's tests break one on purpose
    (`tests/hostile/test_trials_hostile.py`).

References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Variant
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.trials import Trial, Trials

MODE = FailureMode(
    code="AD429",
    slug="backend-fails",
    title="An attention backend fails or computes wrong numbers",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
)
# There is no `detect`: only a run shows the numbers that a kernel computes.
_CALLED_BY_MOST = ("eager", "sdpa")
_TOOK_IT_DOWN = ("signal", "exited", "timeout", "vanished", "flooded")


class Failing(Variant, frozen=True, kw_only=True):
    """Hold the names of the backends that fail or compute wrong numbers."""

    backends: tuple[str, ...]


def observe(facts: Facts, trials: Trials) -> Hit | None:
    bad = [(i, row) for i, row in enumerate(trials.rows) if _is_bad(row, trials)]
    if not bad:
        return None
    bad.sort(key=lambda item: item[1].backend not in _CALLED_BY_MOST)
    names = tuple(dict.fromkeys(row.backend for _, row in bad))
    _, first = bad[0]
    others = f" The same is true of {', '.join(names[1:])}." if len(names) > 1 else ""
    what = "computes wrong numbers" if first.status == "wrong" else "fails"
    said = (first.reason or "no reason was given").partition("\n")[0].rstrip(".")
    grave = any(name in _CALLED_BY_MOST for name in names)
    return Hit(
        message=f"{first.backend} {what} on {first.device} in {first.dtype}: {said}.{others}",
        evidence=tuple(
            Evidence(kind="trial", path=f"trials.{i}", text=f"{r.backend} ({r.dtype}): {r.status}, {r.reason}")
            for i, r in bad[:6]
        ),
        variant=Failing(backends=names),
        severity=Severity.ERROR if grave else Severity.WARNING,
        blocks=names,
    )


def _is_bad(row: Trial, trials: Trials) -> bool:
    """Return whether this failure mode reports the result of this backend."""
    check = trials.run.reference
    if row.status == "wrong":
        known = check is not None and check.ok is False and row.wrong_module == check.module
        # torch-cpu-batchnorm-gradient reports eager, and the backends that share its layout.
        return not (known and "BatchNorm" in (row.wrong_module or ""))
    if row.backend == "eager" or row.status not in ("failed", "timeout"):
        return False  # reported by eager-fails
    if row.ended in _TOOK_IT_DOWN:
        return True
    return row.backend == "sdpa"  # sdpa has a kernel for every call: each of its exceptions is a fault


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Failing) and hit.variant.backends == ("eager",):
        step = commands.by_hand(
            ("attn-doctor", "run", "--attention", "auto", "--", *commands.program(facts)),
            "your training command with an attention backend that gave right results here",
            "nothing",
            "none",
        )
        return (Fix(title="Exchange the attention", steps=(step,), verify=commands.check(facts)),)
    step = commands.by_hand(
        ("attn-doctor", "run", "--attention", "eager", "--", *commands.program(facts)),
        "your training command without the backend that fails",
        "nothing",
        "none",
    )
    return (Fix(title="Do not use this backend", steps=(step,), verify=commands.check(facts)),)
