"""torch computes wrong BatchNorm2d gradients on the CPU at batch 1, and this affects YOLO12.

What it is
    For a batch of one, BatchNorm2d on the CPU returns a wrong gradient for its input when the incoming gradient has the
    strides (C, 1, W·C, C). Mainline YOLO12 produces such a gradient in its attention blocks. The loss still falls, so
    the fault is easy to miss.

How it shows
    There is no message. A check against finite differences shows errors of over 100 %, and the gradients of the whole
    model are as far off. Batches of 2 and more are right; the last batch of an epoch may still be a batch of 1: 33
    images at batch=8 end with a batch of 1. In evaluation mode the gradient for the image (frozen batch norms,
    Grad-CAM) is wrong too.

Why it happens
    torch has a fault (seen in 2.13.0 and 2.15.0): the batch stride of a batch of one is arbitrary, but the kernel uses
    it. YOLO12 and flash-attn are not the cause.

What to do
    Exchange the attention (`attn-doctor run --attention sdpa -- yolo detect train ...`): the new attention returns a
    gradient with another memory layout, and all gradients are right at batch 1 too. Or train on the CPU with a batch of
    2 or more, so that no epoch ends with a single image: the number of images divided by the batch must not leave the
    remainder 1.

How to reproduce
    `attn-doctor reproduce torch-cpu-batchnorm-gradient` checks the gradients of YOLO12 at batch 1 on the CPU against finite
    differences. It needs ultralytics in the target.

References
    Measured by attn-doctor's own check against finite differences, torch 2.13.0 and 2.15.0 on x86-64, 2026-11-20.
"""

from __future__ import annotations

from collections.abc import Sequence

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Variant
from attn_doctor.failure_modes.recipe import Recipe, Torch
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Goal, Severity, fact
from attn_doctor.model.trials import Trial, Trials

MODE = FailureMode(
    code="AD426",
    slug="torch-cpu-batchnorm-gradient",
    title="Wrong BatchNorm2d gradients on the CPU at batch 1",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    blocks=("eager",),
    explains=("backend-fails",),
    recipe=Recipe(
        does="checks the gradients of YOLO12 at batch 1 on the CPU against finite differences",
        of=(Torch(besides=("ultralytics",)),),
        run=(("{python}", "-c", "import ultralytics; print('ultralytics', ultralytics.__version__)"),),
        shows="^ultralytics ",
        examine=("--device", "cpu", "--batch", "1", "--imgsz", "64", "--backend", "eager"),
        goal=Goal.TRAIN,
        seconds=60,
    ),
)
# There is no `detect`: only a run shows whether this torch is wrong, and whether this batch is affected.


class Shown(Variant, frozen=True, kw_only=True):
    """Hold the name of the fastest backend whose numbers were right in the same trial (None: there is none), and what was tried."""

    right: str | None
    model: str | None = None
    imgsz: int | None = None
    batch: int = 1


def observe(facts: Facts, trials: Trials) -> Hit | None:
    check = trials.run.reference
    if check is None or check.ok is not False or "BatchNorm" not in (check.module or "") or not trials.rows:
        return None  # a wrong gradient of another module is another fault: the report shows it beside the trials
    index, row = next(((i, r) for i, r in enumerate(trials.rows) if r.backend == "eager"), (0, trials.rows[0]))
    size = f", {check.error:.0%} off" if check.error is not None else ""
    return Hit(
        message=f"torch {facts.torch.version} gives wrong gradients here: {check.module}, batch {row.batch} on the {row.device}{size}. "
        "The fault is in torch, not in the model.",
        evidence=(
            Evidence(
                kind="trial", path=f"trials.{index}", text=check.note or "finite differences disagree with autograd"
            ),
            fact(facts, "torch.version"),
        ),
        variant=Shown(right=_right(row, trials.rows), model=row.model, imgsz=row.imgsz, batch=row.batch),
    )


def _right(eager: Trial, rows: Sequence[Trial]) -> str | None:
    steps = {
        other.backend: other.step_ms.median
        for other in rows
        if other.status == "ok" and other.step_ms and other.dtype == eager.dtype
    }
    return min(steps, key=steps.__getitem__, default=None)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    step = commands.by_hand(
        (),
        "train with batch=2 or more, and a number of images with which no epoch ends with a batch of 1: 33 images at "
        "batch=8 do",
        "your training command",
        "none",
    )
    verify = commands.check(facts, "--batch", "2", "--device", "cpu")
    larger = Fix(
        title="Train with at least 2 images in every batch, also in the last batch of an epoch",
        steps=(step,),
        verify=verify,
    )
    tried = hit.variant
    if not isinstance(tried, Shown) or tried.right is None:
        return (larger,)
    exchange = commands.by_hand(
        commands.training(facts, tried.right, tried.model, tried.imgsz, f"batch={tried.batch}", "device=cpu"),
        "the new attention returns a gradient that torch handles correctly, at batch 1 too; put the name of your data in the place of coco8.yaml",
        "nothing",
        "none",
    )
    return (Fix(title="Exchange the attention", steps=(exchange,), verify=()), larger)
