"""The attention heads are wider than the kernel supports on this GPU.

What it is
    Attention kernels keep a head's rows in the GPU's shared memory, so each kernel has a largest head dimension, and
    training needs more than inference. Consumer cards (compute capability 8.6, 8.9, 12.0) have less shared memory than
    A100 and H100.

How it shows
    "FlashAttention backward for head dim > 64 requires A100 or H100" (1.x), "> 192 requires A100/A800 or H100/H800" (2.x),
    "FlashAttention forward only supports head dimension at most 256", "Expected is_sm80 to be true, but got false".

Why it happens
    The model has wide heads. YOLO12 is not affected: its heads are 32 wide.

What to do
    Use a newer flash-attn (2.5.5 and 2.7.3 removed limits), or let PyTorch choose the kernel: it then uses a kernel
    that supports wide heads.

How to reproduce
    There is no recipe: it needs a compiled flash-attn, and a GPU on which the backward pass of flash-attn is limited.

References
    https://github.com/Dao-AILab/flash-attention#nvidia-cuda-support
    https://github.com/Dao-AILab/flash-attention/issues/276
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

MODE = FailureMode(
    code="AD413",
    slug="head-dim-unsupported",
    title="Heads wider than the kernel supports",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2",),
    signs=(
        Sign(
            pattern=r"backward for head dim ?> ?(?P<limit>\d+).{0,60} requires A100",
            literal="backward for head dim",
            sample="RuntimeError: FlashAttention backward for head dim > 64 requires A100 or H100 GPUs as the implementation needs a "
            "large amount of shared memory.",
        ),
        Sign(
            pattern=r"backward for head dim (?P<limit>\d+) .{0,80}requires A100",
            literal="FlashAttention backward for head",
            sample="RuntimeError: FlashAttention backward for head dim 256 with dropout, or head dim 224 with/without dropout requires "
            "A100/A800 or H100/H800",
        ),
        Sign(
            pattern=r"only supports? head dimensions? (?:at most |up to )?(?P<limit>\d+)",
            literal="head dimension",
            sample="RuntimeError: FlashAttention forward only supports head dimension at most 256",
        ),
        # The backward pass names the cards with enough shared memory for wide heads: sm80 and sm90. A list with sm75 or "sm8x" is
        # the test of the GPU's age, not of its heads: gpu-arch-unsupported-by-flash-attn.
        Sign(
            pattern=r"Expected is_sm(?:80|90|1[0-9]{2}) (?:\|\| is_sm(?:80|90|1[0-9]{2}) ){0,3}to be true, but got false",
            literal="to be true, but got false",
            sample="RuntimeError: Expected is_sm80 to be true, but got false.  (Could this error message be improved?)",
        ),
        Sign(
            # xformers lists every kernel that does not run. Its kernel smallkF supports heads up to 32, and that limit alone stops no program.
            pattern=r"max\(query\.shape\[-1\] ?!= ?value\.shape\[-1\]\) ?> ?(?P<limit>(?!32\b)\d+)",
            literal="max(query.shape[-1]",
            sample="    max(query.shape[-1] != value.shape[-1]) > 128",
        ),
        Sign(
            pattern=r"head_size should be a multiple of 8|head_size_?o?g? must be a multiple of 8",
            literal="a multiple of 8",
            sample="RuntimeError: head_size should be a multiple of 8",
        ),
    ),
)
# There is no `detect`: no fact says the width of a model's heads; YOLO12's are narrow enough for every kernel.


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    limit = seen.group("limit")
    most = f" of {limit}" if limit else ""
    return Hit(
        message=f"The model's heads are wider than the limit{most} that flash-attn has on that GPU.",
        evidence=evidence,
        confidence=Confidence.HIGH,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    step = commands.by_hand(
        (),
        'let PyTorch choose the kernel (attn_implementation="sdpa"), or install a newer flash-attn',
        "the program",
        "none",
    )
    return (Fix(title="Use a kernel that supports wide heads", steps=(step,), verify=commands.check(facts)),)
