"""torch was built without its own flash kernel.

What it is
    PyTorch's scaled_dot_product_attention has a flash kernel of its own, which some builds leave out: Windows wheels
    since 2.2, some builds for Jetson, and builds that people made themselves. PyTorch then uses the memory-efficient
    kernel.

How it shows
    "UserWarning: 1Torch was not compiled with flash attention." The program goes on.

Why it happens
    The build was configured without it. Installing the package flash-attn does not help: PyTorch never calls that package.

What to do
    Nothing: the memory-efficient kernel is fused as well and nearly as fast. For the flash kernel: Linux, or WSL2.

How to reproduce
    `attn-doctor reproduce torch-built-without-flash` judges a Windows machine with torch 2.4: a simulated machine, on which
    nothing is run.

References
    https://github.com/pytorch/pytorch/issues/125070
    https://github.com/kohya-ss/sd-scripts/issues/1884
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known
from attn_doctor.failure_modes.recipe import Recipe
from attn_doctor.failure_modes.shared.fact_queries import cuda_build
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Fix, Severity, fact

MODE = FailureMode(
    code="AD416",
    slug="torch-built-without-flash",
    title="torch was built without its flash kernel",
    train=Severity.INFO,
    flash_attn=Severity.INFO,
    blocks=("sdpa-flash",),
    says="The installed torch was built without its flash kernel; another kernel is used, and the program goes on.",
    signs=(
        Sign(
            pattern=r"Torch was not compiled with flash attention",
            literal="was not compiled with flash attention",
            sample="UserWarning: 1Torch was not compiled with flash attention. (Triggered internally at "
            "..\\aten\\src\\ATen\\native\\transformers\\cuda\\sdp_utils.cpp:263.)",
        ),
    ),
    recipe=Recipe(
        does="judges a Windows machine with torch 2.4",
        seconds=1,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(lambda: cuda_build(facts), lambda: known(facts.torch.flash_compiled) is False):
        return None
    return Hit(
        message=f"torch {facts.torch.version} was built without its flash kernel; its memory-efficient kernel is used instead.",
        evidence=(fact(facts, "torch.flash_compiled"),),
        certainty=Certainty.OBSERVED,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    return ()
