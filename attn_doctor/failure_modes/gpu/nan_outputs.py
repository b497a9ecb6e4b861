"""Attention, or the training around it, gives NaN.

What it is
    A result is not a number (NaN), and so is every value that is computed from it.

How it shows
    "Function 'FlashAttnFuncBackward' returned nan values in its 0th output" (under detect_anomaly); a loss column that shows
    nan.

Why it happens
    Values too large for float16 (bfloat16 has the range of float32); bugs in the backward pass of early flash-attn 2
    (2.0.x) and in some later releases; a GPU that computes NaN in half precision (GTX 1630 to 1660, T400 to T2000); rows of the mask that exclude every position; a learning rate that is too high.

What to do
    Use bfloat16 instead of float16, or full precision (amp=False). Install the newest flash-attn. Run the same training with PyTorch's own attention: if that
    gives no NaN, the flash-attn kernel is the cause.

How to reproduce
    `attn-doctor reproduce nan-outputs` lets PyTorch's anomaly detection find a NaN, on the CPU. If the torch of the
    target does not fit, a CPU build is downloaded: 200 MB.

References
    https://pytorch.org/docs/stable/autograd.html#anomaly-detection
    https://github.com/Dao-AILab/flash-attention/issues/334
"""

from __future__ import annotations

import re

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
        # In words. Programs test for it too: "if loss is nan: break".
        *(
            Sign(
                pattern=r"(?i)(?<!if )(?<!if the )(?<!when )(?<!whether )(?<![\w.])(?:box_|cls_|dfl_|obj_|train(?:ing)? |val(?:idation)? |total )?loss(?:es)?\b(?:(?! if )[^.\n]){0,40}?"
                r"(?:\b(?:is|are|was|were|be|become|becomes|became|turns?|goes|shows?|all|only)\b|[:=为是]|变成|变为|становится|равен|равны)\s?(?:to |always |all |just |only )?(?P<words>nan)\b",
                literal=literal,
                sample=f"The box loss becomes {literal} after two epochs",
                strength="hint",
            )
            for literal in ("nan", "NaN", "NAN", "Nan")
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
    if not any(m.strength == "proof" for m in seen.matches):
        return Hit(
            message="The loss there is NaN, in the words of the log"
            + (
                f": the {_half_is_weak(facts)} there computes NaN in half precision in some operations."
                if _half_is_weak(facts)
                else "."
            ),
            evidence=evidence,
            confidence=Confidence.LOW,
        )
    function = seen.group("function")
    where = f"{function} gave NaN there" if function else "The loss there is NaN"
    return Hit(message=f"{where}.", evidence=evidence, confidence=Confidence.HIGH)


# The GPUs with which Ultralytics leaves mixed precision off (check_amp): https://github.com/ultralytics/ultralytics/blob/main/ultralytics/utils/checks.py
_WEAK = re.compile(r"\b(?:GTX 16[356]0\w*|T(?:400|550|600|1000|1200|2000)\b|K40m)")


def _half_is_weak(facts: Facts) -> str | None:
    """Return the name of a GPU that computes NaN in half precision, "GeForce GTX 1660 Ti"; None if there is none, or it is not known."""
    gpus = facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    return next((gpu.name for gpu in gpus if isinstance(gpu.name, str) and _WEAK.search(gpu.name)), None)


def _in_full_precision(facts: Facts) -> Fix:
    words = (
        "repeat the training with amp=False (Ultralytics; in other programs: without autocast, in float32). If the loss is a number then, half "
        "precision is the cause"
    )
    step = commands.by_hand((), words, "the training: it takes more memory and time", "none")
    return Fix(title="Train in full precision", steps=(step,), verify=commands.check(facts))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    compare = commands.by_hand(
        ("attn-doctor", "run", "--attention", "eager", "--", *commands.program(facts)),
        "the same run with plain attention (eager): if it gives no NaN, the kernel is the cause",
        "nothing that is installed",
        "none",
    )
    find = Fix(title="Find out whether attention is the cause", steps=(compare,), verify=commands.check(facts))
    full = _in_full_precision(facts)
    return (full, find) if hit.confidence is Confidence.LOW or _half_is_weak(facts) else (find, full)
