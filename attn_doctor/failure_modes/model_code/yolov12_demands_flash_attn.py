"""The yolov12 fork stops because flash-attn cannot be imported.

What it is
    In its first weeks, the code of the fork sunsmarterjie/yolov12 could not run without flash-attn: it stops with an AssertionError. Later
    commits of the fork, and Ultralytics itself, compute the same attention without flash-attn.

How it shows
    "AssertionError: import FlashAttention error! Please install FlashAttention first.", at "import ultralytics" or "from ultralytics
    import YOLO". The lines above it show why flash-attn did not import: it is not installed, or its compiled part does not fit.

Why it happens
    You use a clone of the fork from February 2025, or another project that contains a copy of it. flash-attn needs Linux or Windows, a
    CUDA build of torch, and an NVIDIA GPU of compute capability 8.0 or newer (RTX 30 series). If one of these is missing, flash-attn
    cannot be used on this machine.

What to do
    Update the fork: today it uses PyTorch's own attention if flash-attn is missing. Or use Ultralytics, which has YOLO12 since 8.3.78 and
    needs no flash-attn; weights of the fork do not work there. Or, if the GPU can run flash-attn, install the wheel that fits.

How to reproduce
    There is no recipe: it needs the fork's code of February 2025, which is only on GitHub. In a clone of that time, `python -c "import
    ultralytics"` shows the error if flash-attn is not installed.

References
    https://github.com/sunsmarterjie/yolov12/issues/1
    https://github.com/sunsmarterjie/yolov12
    https://docs.ultralytics.com/models/yolo12/
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.shared import building
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity

MODE = FailureMode(
    code="AD604",
    slug="yolov12-demands-flash-attn",
    title="The yolov12 fork stops without flash-attn",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("transformers-flash-attn-2-not-installed",),
    says="This code of the yolov12 fork stops if flash-attn cannot be imported; later commits of the fork work without flash-attn.",
    signs=(
        Sign(
            pattern=r"import FlashAttention error!",
            literal="import FlashAttention error!",
            sample="AssertionError: import FlashAttention error! Please install FlashAttention first.",
        ),
    ),
)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    update = commands.by_hand(
        ("git", "pull"),
        "run this in the folder of the clone: later commits use PyTorch's own attention if there is no flash-attn",
        "the clone of the fork",
        "medium",
        risk_text="your own changes in the clone can conflict with the update",
    )
    mainline = commands.install(
        "ultralytics>=8.3.78",
        upgrade=True,
        why="Ultralytics has its own YOLO12 since 8.3.78 (model=yolo12n.yaml or yolo12n.pt) and never calls flash-attn; weights that were "
        "trained with the fork do not work with it",
        changes="ultralytics: replaces the fork's code",
        risk="medium",
        risk_text="checkpoints of the fork work only with the fork",
    )
    return (
        Fix(title="Update the fork", steps=(update,), verify=verify),
        Fix(title="Use the YOLO12 of Ultralytics", steps=(mainline,), verify=verify),
        *building.without_compiling(facts),
    )
