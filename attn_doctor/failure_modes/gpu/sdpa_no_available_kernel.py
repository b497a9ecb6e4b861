"""PyTorch may use only the attention kernels that the program names, and none of them supports the call.

What it is
    F.scaled_dot_product_attention chooses among its kernels. Inside `sdpa_kernel(...)` (older: `sdp_kernel`) it may use
    only the kernels that are named there, and raises an error if none of them supports the call.

How it shows
    "RuntimeError: No available kernel. Aborting execution." Warnings before this error say why each kernel was refused:
    "Flash attention kernel not used because:", and then the reason.

Why it happens
    A program allows only flash, and the call has a mask, float32, or a head dimension or stride that flash does not
    support; or the GPU is older than compute capability 8.0, or the call runs on a CPU, or torch is a Windows build
    without flash.

What to do
    Allow the math and memory-efficient kernels too, or meet the condition that the warning names.

How to reproduce
    `attn-doctor reproduce sdpa-no-available-kernel` lets attention use only a kernel that the CPU does not have. If the
    torch of the target does not fit, a CPU build is downloaded: 200 MB.

References
    https://pytorch.org/docs/stable/generated/torch.nn.attention.sdpa_kernel.html
    https://github.com/facebookresearch/sam2/issues/48
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import Recipe, Torch
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD415",
    slug="sdpa-no-available-kernel",
    title="No allowed attention kernel supports the call",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("sdpa-silent-math-fallback", "torch-built-without-flash"),
    signs=(
        Sign(
            pattern=r"No available kernel\. +Aborting execution",
            literal="No available kernel",
            sample="RuntimeError: No available kernel. Aborting execution.",
        ),
        Sign(
            pattern=r"No viable backend for scaled_dot_product_attention was found",
            literal="No viable backend for",
            sample="RuntimeError: No viable backend for scaled_dot_product_attention was found. This is likely due to turning off both "
            "the math kernel and the fused kernels.",
        ),
        Sign(
            pattern=r"Warning: (?P<reason>(?:Flash [Aa]ttention|Mem(?:ory)? [Ee]fficient|Both fused kernels|All fused kernels|Expected "
            r"query|Query|Mask|Head|CuDNN|cuDNN|For NestedTensor|Torch was not compiled)(?!.{0,40}(?:kernel not used because|runtime disabled)).{5,240}?)"
            r"(?: \(Triggered|$)",
            literal="Warning: ",
            sample="test.py:5: UserWarning: Flash attention only supports gpu architectures in the range [sm80, sm121]. Attempting to run "
            "on a sm 7.5 gpu. (Triggered internally at /pytorch/aten/src/ATen/native/transformers/cuda/sdp_utils.cpp:342.)",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="lets attention use only a kernel that the CPU does not have",
        of=(Torch(),),
        run=(
            (
                "{python}",
                "-c",
                (
                    "import torch\n"
                    "from torch.nn.attention import SDPBackend, sdpa_kernel\n"
                    "q = torch.ones(1, 1, 8, 8)\n"
                    "with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):\n"
                    "    torch.nn.functional.scaled_dot_product_attention(q, q, q)"
                ),
            ),
        ),
        shows="No available kernel|No viable",
        seconds=5,
    ),
)
# There is no `detect`: no fact says which kernels a program forbids.


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    reasons = list(dict.fromkeys(m.groups["reason"].strip(" .") for m in seen.matches if "reason" in m.groups))
    why = f" PyTorch says: {reasons[0]}." if reasons else ""
    given = [
        m for m in seen.matches if m.groups.get("reason", "").strip(" .") in reasons[:2] and m.strength == "context"
    ]
    lines = tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in given[:2])
    return Hit(
        message=f"None of the attention kernels that the program allows supports the call.{why}",
        evidence=(*evidence, *lines),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    step = commands.by_hand(
        (),  # no command does it: the line is in the user's own program
        "in sdpa_kernel(), also allow SDPBackend.EFFICIENT_ATTENTION and SDPBackend.MATH, or call attention outside sdpa_kernel()",
        "the program that calls scaled_dot_product_attention",
        "none",
    )
    return (Fix(title="Let PyTorch use another attention kernel", steps=(step,), verify=commands.check(facts)),)
