"""The installed model does not run: its forward pass, its loss or its backward pass fails.

What it is
    torch imports, the model is there, and one training step with the attention as installed raises an exception, crashes the
    process, or never ends. Another attention does not help: the rest of the model fails as well.

How it shows
    `RuntimeError: cuDNN error: CUDNN_STATUS_NOT_INITIALIZED`, `GET was unable to find an engine to execute this computation`, an
    exception of one operator, a crash in compiled code, or a step without end.

Why it happens
    A library that torch uses for convolutions (cuDNN, oneDNN, MKL) is broken, too old or from a release that does not
    fit. Or code was compiled for another processor. Or torch or ultralytics was patched. Or threads wait for each other
    for ever.

What to do
    Read the exception, and the frame in which it was raised. Install torch again, with the libraries that belong to it.

How to reproduce
    There is no recipe: it needs a torch whose own operators are broken. attn-doctor's tests break one on purpose
    (`tests/hostile/test_trials_hostile.py`).

References
    https://docs.pytorch.org/docs/stable/notes/faq.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit
from attn_doctor.failure_modes.shared import torch_here, torch_steps
from attn_doctor.failure_modes.shared.fact_queries import message
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.trials import Trials

MODE = FailureMode(
    code="AD428",
    slug="eager-fails",
    title="The model's own attention fails",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("backend-fails",),
)
# There is no `detect`: only a training step shows whether a training step runs.
_FAILED = ("failed", "timeout")


def observe(facts: Facts, trials: Trials) -> Hit | None:
    run = trials.run
    for fault, path, what in (
        (run.forward_fault, "trial_run.forward_fault", "a pass through the model"),
        (run.fault, "trial_run.fault", trials.skipped or "the trial"),
    ):
        if fault is not None:
            where = f" ({fault.where})" if fault.where else ""
            said = message(fault)
            # The text of a skipped trial already says how an earlier trial ended.
            text = what if fault is run.fault and trials.skipped else f"{what} fails: {said}"
            return Hit(
                message=f"{text[0].upper()}{text[1:]}.",
                evidence=(Evidence(kind="trial", path=path, text=f"{said}{where}"),),
            )
    lost = [(i, r) for i, r in enumerate(trials.rows) if r.backend == "eager" and r.status in _FAILED]
    lost = [(i, r) for i, r in lost if r.ended != "not-finite"]  # reported by nan-outputs
    if not lost:
        return None
    row = lost[0][1]
    said = (row.reason or "no reason was given").partition("\n")[0].rstrip(".")
    what = "A training step of the model as installed" if row.scope == "model" else "The model's own attention"
    return Hit(
        message=f"{what} fails on {row.device} in {row.dtype}: {said}.",
        evidence=tuple(
            Evidence(kind="trial", path=f"trials.{i}", text=f"eager ({r.dtype}): {r.reason}") for i, r in lost[:4]
        ),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    again = torch_here.again(facts, only_torch=True)
    verify = commands.check(facts, "--imgsz", "64")
    if not again:
        return torch_steps.newest(facts, "Install a torch for this machine", reinstall=True)
    return (Fix(title="Install the same torch again", steps=again, verify=verify),)
