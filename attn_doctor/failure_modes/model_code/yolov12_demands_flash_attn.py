"""The yolov12 fork stops because flash-attn cannot be imported.

What it is
    The first weeks of the fork sunsmarterjie/yolov12 could not run without flash-attn: its model code ends with an assertion. Later
    commits of the fork, and Ultralytics itself, compute the same attention without flash-attn.

How it shows
    "AssertionError: import FlashAttention error! Please install FlashAttention first.", at "import ultralytics" or "from ultralytics
    import YOLO". Above it stands why flash-attn did not import: it is not there, or its compiled part does not fit.

Why it happens
    The clone of the fork is of February 2025, or a copy of it in another project. flash-attn needs Linux or Windows, a CUDA build of
    torch, and an NVIDIA GPU of compute capability 8.0 or newer (RTX 30 series); without them it can never be imported.

What to do
    Update the fork, which now falls back to PyTorch's own attention. Or use Ultralytics, which has YOLO12 since 8.3.78 and needs no
    flash-attn; weights of the fork do not load there. Or install the flash-attn wheel that fits, where the GPU can run it.

How to reproduce
    There is no recipe: it needs the fork's code of February 2025, which is on GitHub alone. In a clone of that time, `python -c "import
    ultralytics"` shows it wherever flash-attn is not installed.

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
    says="This code of the yolov12 fork ends where flash-attn cannot be imported; later commits of it go on without flash-attn.",
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
        "in the folder of the clone: the commits since then use PyTorch's own attention where there is no flash-attn",
        "the clone of the fork",
        "medium",
        risk_text="your own changes of the clone can conflict",
    )
    mainline = commands.install(
        "ultralytics>=8.3.78",
        upgrade=True,
        why="Ultralytics has YOLO12 itself since 8.3.78 (model=yolo12n.yaml or yolo12n.pt) and never calls flash-attn; weights that the "
        "fork trained do not load in it",
        changes="ultralytics: the fork's code is replaced",
        risk="medium",
        risk_text="checkpoints of the fork need the fork",
    )
    return (
        Fix(title="Update the fork", steps=(update,), verify=verify),
        Fix(title="Use the YOLO12 of Ultralytics", steps=(mainline,), verify=verify),
        *building.without_compiling(facts),
    )
