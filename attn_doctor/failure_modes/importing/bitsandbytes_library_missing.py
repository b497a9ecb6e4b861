"""bitsandbytes has no compiled library for the CUDA or ROCm of this torch.

What it is
    A wheel of bitsandbytes holds one library for each CUDA (or ROCm) that was current when it was made, and loads the one that fits the
    installed torch. None fits, or torch is a CPU build.

How it shows
    "CUDA Setup failed despite GPU being available", "Could not find the bitsandbytes CUDA binary at PosixPath(...)", "Configured CUDA binary
    not found at ...libbitsandbytes_cuda130.so", "The installed version of bitsandbytes was compiled without GPU support", "Method '...' not
    available in CPU-only version of bitsandbytes", "'NoneType' object has no attribute 'cadam32bit_grad_fp32'".

Why it happens
    torch is newer than bitsandbytes (a torch for CUDA 13 beside a bitsandbytes of 2024), BNB_CUDA_VERSION names a library that is not
    there, torch is a CPU build, or it is Windows with a bitsandbytes before 0.43, which had no wheels for it.

What to do
    Upgrade bitsandbytes: 0.50.2 holds libraries for CUDA 11.8 to 13.2, ROCm 6.4 to 7.2 and XPU. With a CPU build of torch: install the CUDA build.
    Unset BNB_CUDA_VERSION. `python -m bitsandbytes` says what it looked for.

How to reproduce
    There is no recipe: bitsandbytes complains at its first call on a GPU. Without a GPU, `python -m bitsandbytes` beside a CPU build of
    torch shows the sentences about the CPU.

References
    https://huggingface.co/docs/bitsandbytes/main/en/installation
    https://huggingface.co/docs/bitsandbytes/main/en/errors
    https://github.com/bitsandbytes-foundation/bitsandbytes/releases
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD323",
    slug="bitsandbytes-library-missing",
    title="bitsandbytes has no library for this torch",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("libcudart-missing", "torch-cpu-build"),
    signs=(
        Sign(
            pattern=r"CUDA Setup failed despite (?:CUDA|GPU) being available",
            literal="CUDA Setup failed despite ",
            sample="RuntimeError: CUDA Setup failed despite GPU being available. Please run the following command to get more information:",
        ),
        Sign(
            pattern=r"(?:Could not find the bitsandbytes|Configured) (?:CUDA|ROCm)? ?binary",
            literal=" binary ",
            sample="Could not find the bitsandbytes CUDA binary at PosixPath('/opt/venv/bitsandbytes/libbitsandbytes_cuda126.so')",
        ),
        Sign(
            pattern=r"bitsandbytes was compiled without GPU support",
            literal="bitsandbytes was compiled without GPU support",
            sample="The installed version of bitsandbytes was compiled without GPU support. 8-bit optimizers and GPU quantization are unavailable.",
        ),
        Sign(
            pattern=r"not available in CPU-only version of bitsandbytes",
            literal="CPU-only version of bitsandbytes",
            sample="RuntimeError: Method 'cquantize_blockwise_fp16_nf4' not available in CPU-only version of bitsandbytes.",
        ),
        Sign(
            pattern=r"libbitsandbytes_(?:cpu|cuda\d+(?:_nocublaslt)?)\.(?:so|dll): (?:undefined symbol|cannot open shared object)",
            literal="libbitsandbytes_",
            sample="AttributeError: /opt/venv/lib/python3.10/site-packages/bitsandbytes/libbitsandbytes_cpu.so: undefined symbol: cget_col_row_stats",
        ),
        Sign(
            pattern=r"'NoneType' object has no attribute 'c(?:quantize_blockwise|dequantize_blockwise|adam|lion|momentum|rmsprop|adagrad|get_)\w*'",
            literal="'NoneType' object has no attribute 'c",
            sample="AttributeError: 'NoneType' object has no attribute 'cadam32bit_grad_fp32'",
        ),
    ),
)
# There is no `detect`: no fact lists the libraries in the wheel of bitsandbytes.


class Sources(Variant, frozen=True, kw_only=True):
    """Name the folder of a copy of the sources, without a compiled library, that was imported in place of the installed package."""

    folder: str


_LIBRARY = re.compile(r"(?P<folder>/[^'\"\s:]*)/bitsandbytes/libbitsandbytes_\w+\.so")


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    places = [found["folder"] for m in seen.matches if (found := _LIBRARY.search(m.text))]
    own = next((place for place in places if not place.endswith(("site-packages", "dist-packages"))), None)
    if own is None:
        return Hit(
            message="bitsandbytes found no compiled library of its own for the CUDA of the torch there.",
            evidence=evidence,
        )
    return Hit(
        message=f"Python imported bitsandbytes from its sources in {own}, which hold no compiled library.",
        evidence=evidence,
        variant=Sources(folder=own),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    upgrade = commands.install(
        "bitsandbytes",
        upgrade=True,
        why="0.50.2 holds libraries for CUDA 11.8 to 13.2, ROCm 6.4 to 7.2 and XPU, for Linux and Windows",
        changes="bitsandbytes",
    )
    ask = commands.by_hand(
        ("python", "-m", "bitsandbytes"),
        "says which library it looked for; where BNB_CUDA_VERSION is set, unset it first",
        "nothing",
        "none",
    )
    if isinstance(hit.variant, Sources):
        words = f"start the program from another folder than {hit.variant.folder}, whose bitsandbytes hides the installed one"
        away = commands.by_hand(("cd", ".."), words, "nothing", "none")
        installed = commands.install(
            "bitsandbytes",
            upgrade=True,
            why="the release, with its libraries; an installation with -e is replaced by it",
            changes="bitsandbytes",
        )
        return (Fix(title="Leave the folder of the sources", steps=(away, installed), verify=verify),)
    return (
        Fix(title="Upgrade bitsandbytes", steps=(upgrade,), verify=verify),
        Fix(title="Ask bitsandbytes what it looked for", steps=(ask,), verify=verify),
    )
