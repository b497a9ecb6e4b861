"""A fused attention kernel was expected, but PyTorch computed attention unfused and printed nothing.

What it is
    scaled_dot_product_attention falls back to its math kernel if no fused kernel supports the call. The result is
    right, but it takes the time and memory of eager attention. PyTorch prints nothing unless the other kernels were
    forbidden.

How it shows
    There is no message; a profile shows no flash or fmha kernel. Called with debug=True, PyTorch's can_use_* functions give the
    reason: a last stride other than 1, float32, a mask, a head dimension, unequal widths of key and value.

Why it happens
    In YOLO12 query, key and value come out of a convolution as transposed views: in the NCHW layout every call falls
    back at batch 1, and at larger batches the calls of the layers that are not divided into areas. YOLO11's and
    YOLO26's attention has key width 32 and value width 64, which flash always refuses; the memory-efficient kernel
    supports it.

What to do
    Use channels_last, or attn-doctor's exchange of attention, which passes tensors in a layout that the kernels support.

How to reproduce
    `attn-doctor reproduce sdpa-silent-math-fallback` tries PyTorch's own attention in YOLO11, whose queries and values
    differ in length, on the CPU, and counts which kernel ran. It needs ultralytics in the target.

References
    https://pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html
    https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/transformers/sdp_utils_cpp.h
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import Recipe, Torch
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Goal, Severity
from attn_doctor.model.trials import Trial, Trials

MODE = FailureMode(
    code="AD427",
    slug="sdpa-silent-math-fallback",
    title="Attention ran unfused, although a fused kernel was expected",
    train=Severity.WARNING,
    flash_attn=Severity.WARNING,
    signs=(
        Sign(
            pattern=r"(?P<kernel>Flash attention|Memory [Ee]fficient|[Cc]u[Dd][Nn][Nn](?: attention)?) kernel not used because",
            literal="kernel not used because",
            sample="UserWarning: Flash attention kernel not used because: (Triggered internally at "
            "/pytorch/aten/src/ATen/native/transformers/cuda/sdp_utils.cpp:831.)",
            strength="hint",
        ),
    ),
    recipe=Recipe(
        does="tries PyTorch's own attention in YOLO11, whose queries and values differ in length, on the CPU, and counts which "
        "kernel ran",
        of=(Torch(besides=("ultralytics",)),),
        run=(("{python}", "-c", "import ultralytics; print('ultralytics', ultralytics.__version__)"),),
        shows="^ultralytics ",
        examine=("--model", "yolo11n.yaml", "--device", "cpu", "--batch", "2", "--imgsz", "64", "--backend", "sdpa"),
        goal=Goal.TRAIN,
        seconds=60,
    ),
)
# There is no `detect`: only a run shows which kernel is used.


def observe(facts: Facts, trials: Trials) -> Hit | None:
    served = [(index, row) for index, row in enumerate(trials.rows) if row.status == "other-kernel"]
    if not served:
        return None
    # A user gets the kernel that PyTorch chooses (sdpa). If another backend, with a fixed kernel, was refused, that is only a notice.
    row = min((row for _, row in served), key=lambda row: row.backend != "sdpa")
    own = row.backend == "sdpa"
    return Hit(
        message=f"{row.backend} in {row.dtype}: {_served(row)}.",
        evidence=tuple(
            Evidence(kind="trial", path=f"trials.{i}", text=r.reason or f"another kernel ran in place of {r.backend}")
            for i, r in served[:4]
        ),
        severity=Severity.WARNING if own else Severity.INFO,
    )


def _served(row: Trial) -> str:
    calls = row.attention_calls
    count = ""
    if calls is not None and calls.math + calls.eager:
        total = calls.fused + calls.math + calls.eager
        count = f"{calls.math + calls.eager} of {total} attention calls ran unfused; "
    return count + (row.reason or "another kernel ran").rstrip(".")


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    kernels = list(dict.fromkeys(m.groups["kernel"].lower() for m in seen.matches if "kernel" in m.groups))
    return Hit(
        message=f"PyTorch says why it did not use {' and '.join(kernels)}; it used another allowed kernel.",
        evidence=evidence,
        confidence=Confidence.MEDIUM,
        severity=Severity.INFO,  # PyTorch prints this only if the program asks for the reasons; the program goes on
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    step = commands.by_hand(
        ("attn-doctor", "run", "--attention", "sdpa", "--", *commands.program(facts)),
        "your training command, with query, key and value in a memory layout that the fused kernels support",
        "nothing that is installed",
        "none",
    )
    return (Fix(title="Let attn-doctor replace the model's attention", steps=(step,), verify=commands.check(facts)),)
