"""Attention, or the training around it, gives NaN.

What it is
    A result is not a number (NaN), and so is every value that is computed from it.

How it shows
    "Function 'FlashAttnFuncBackward' returned nan values in its 0th output" (under detect_anomaly); a loss column that shows
    nan.

Why it happens
    Values too large for float16 (bfloat16 has the range of float32); bugs in the backward pass of early flash-attn 2
    (2.0.x) and in some later releases; rows of the mask that exclude every position; a learning rate that is too high.

What to do
    Use bfloat16 instead of float16. Install the newest flash-attn. Run the same training with PyTorch's own attention: if that
    gives no NaN, the flash-attn kernel is the cause.

How to reproduce
    `attn-doctor reproduce nan-outputs` lets PyTorch's anomaly detection find a NaN, on the CPU. If the torch of the
    target does not fit, a CPU build is downloaded: 200 MB.

References
    https://pytorch.org/docs/stable/autograd.html#anomaly-detection
    https://github.com/Dao-AILab/flash-attention/issues/334
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import Recipe, Torch
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.trials import Trials

MODE = FailureMode(
    code="AD424",
    slug="nan-outputs",
    title="Results that are not numbers",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"Function '(?P<function>\w+)' returned nan values in its \d+th output",
            literal="returned nan values in its",
            sample="RuntimeError: Function 'FlashAttnFuncBackward' returned nan values in its 0th output.",
        ),
        Sign(
            pattern=r"(?:^|\s)\d+/\d+\s+[\d.]+G(?:\s+nan){2}",
            literal="        nan",
            sample="      2/100      4.31G        nan        nan        nan         31        640: 100%",
        ),
    ),
    recipe=Recipe(
        does="lets PyTorch's anomaly detection find a NaN, on the CPU",
        of=(Torch(),),
        run=(
            (
                "{python}",
                "-c",
                (
                    "import torch\n"
                    "x = torch.zeros(1, requires_grad=True)\n"
                    "with torch.autograd.detect_anomaly():\n"
                    "    (x.sqrt() * 0).backward()"
                ),
            ),
        ),
        shows="returned nan values",
        seconds=5,
    ),
)


def observe(facts: Facts, trials: Trials) -> Hit | None:
    for index, row in enumerate(trials.rows):
        if row.ended == "not-finite":
            return Hit(
                message=f"{row.backend} in {row.dtype} gives results here that are not numbers.",
                evidence=(
                    Evidence(kind="trial", path=f"trials.{index}", text=row.reason or "the results are not all finite"),
                ),
                severity=Severity.WARNING,
            )
    return None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    function = seen.group("function")
    where = f"{function} gave NaN there" if function else "The loss there is NaN"
    return Hit(message=f"{where}.", evidence=evidence, confidence=Confidence.HIGH)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    compare = commands.by_hand(
        ("attn-doctor", "run", "--attention", "eager", "--", *commands.program(facts)),
        "the same run with plain attention (eager): if it gives no NaN, the kernel is the cause",
        "nothing that is installed",
        "none",
    )
    return (Fix(title="Find out whether attention is the cause", steps=(compare,), verify=commands.check(facts)),)
