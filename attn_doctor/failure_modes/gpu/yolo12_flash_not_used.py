"""flash-attn is installed or required, but YOLO12 does not use it.

What it is
    There are two cases with one symptom. Ultralytics' own YOLO12 never calls flash-attn, nor PyTorch's SDPA: its area
    attention is a hand-written matrix product, softmax and product ("eager"), whatever is installed. The fork of the
    YOLO12 authors does call flash-attn, but if importing it fails, the fork prints one misleading sentence and runs
    eager too.

How it shows
    The fork: "FlashAttention is not available on this device. Using scaled_dot_product_attention instead." Both halves are
    wrong: any failed import prints this, and eager runs instead. Mainline prints nothing; speed and memory stay as they were.

Why it happens
    The fork imports flash_attn under a bare `except`, which hides the real error: not installed, an undefined symbol, a
    missing CUDA library. Mainline has never called flash-attn since YOLO12 was added in 8.3.78.

What to do
    Let attn-doctor show the exception that the fork hides. With mainline, use attn-doctor's exchange of attention instead of
    installing anything.

How to reproduce
    `attn-doctor reproduce yolo12-flash-not-used` examines ultralytics beside an installed flash-attn. It downloads 2 MB.

References
    https://github.com/sunsmarterjie/yolov12/issues/33
    https://github.com/sunsmarterjie/yolov12/issues/94
    https://github.com/ultralytics/ultralytics/pull/19325
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known
from attn_doctor.failure_modes.recipe import PIP, Packages, Recipe, Wheel
from attn_doctor.failure_modes.shared.fact_queries import package_evidence
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD417",
    slug="yolo12-flash-not-used",
    title="YOLO12 does not use flash-attn",
    train=Severity.INFO,
    flash_attn=Severity.WARNING,
    signs=(
        Sign(
            pattern=r"FlashAttention is not available on this device\. Using scaled_dot_product_attention instead",
            literal="FlashAttention is not available on this device",
            sample="FlashAttention is not available on this device. Using scaled_dot_product_attention instead.",
        ),
    ),
    recipe=Recipe(
        does="examines ultralytics beside an installed flash-attn",
        of=(
            Packages(requirements=("ultralytics",), megabytes=2, options=("--no-deps",)),
            Wheel(name="flash-attn", version="2.8.3"),
        ),
        run=((*PIP, "install", "--no-deps", "--no-index", "{folder}/flash_attn-2.8.3-py3-none-any.whl"),),
        shows="Successfully installed",
        examine=("--static",),
        seconds=15,
    ),
)


def detect(facts: Facts) -> Hit | None:
    yolo = facts.yolo
    if known(yolo.version) is None or known(yolo.attention) is None:
        return None
    if known(yolo.kind) == "fork":
        error = known(yolo.flash_error)
        if error is None:
            return None
        return Hit(
            message=f"This fork could not import flash-attn and runs eager attention instead: {error}.",
            evidence=(
                fact(facts, "yolo.flash_error", f"importing flash_attn as the fork does: {error}"),
                fact(facts, "yolo.calls", "its attention falls back to a hand-written softmax, not to SDPA"),
            ),
            certainty=Certainty.OBSERVED,
        )
    if not every(
        lambda: known(yolo.calls) == ("eager",),
        lambda: known(facts.flash_attention.version) is not None,
    ):
        return None
    return Hit(
        message=f"ultralytics {yolo.version} computes YOLO12's attention eagerly and never calls flash-attn: installing it changes nothing.",
        evidence=(
            fact(facts, "yolo.calls", f"{yolo.attention}.forward calls eager operators only"),
            package_evidence(facts, "flash-attn"),
        ),
        certainty=Certainty.OBSERVED,
        severity=Severity.INFO,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    return Hit(
        message="The YOLO12 fork could not import flash_attn and runs eager attention; the message of the fork hides the real error.",
        evidence=evidence,
        severity=Severity.INFO,  # the program goes on: a notice, no failure
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    return ()


def usual(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix for a machine of which too little is known: print why the import of flash_attn fails."""
    argv = (*commands.starting(facts), "-c", "import flash_attn; print(flash_attn.__version__)")
    step = commands.by_hand(argv, "shows the exception that the fork hides", "nothing", "none")
    return (Fix(title="See why importing flash_attn fails", steps=(step,), verify=commands.check(facts)),)
