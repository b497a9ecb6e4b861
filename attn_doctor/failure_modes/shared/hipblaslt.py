"""Recognise a hipBLASLt without code for the AMD GPU, and make the fixes. Pure.

hipBLASLt multiplies matrices for torch beside rocBLAS, and has code for fewer GPUs: https://github.com/ROCm/TheRock/issues/754 (gfx1101),
https://github.com/vladmandic/sdnext/issues/4574 (ZLUDA, gfx1030). torch calls it for linear layers (addmm) unless DISABLE_ADDMM_CUDA_LT is 1, and for other products if
TORCH_BLAS_PREFER_HIPBLASLT is 1: https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cuda/Blas.cpp and .../aten/src/ATen/Context.h.
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

SIGNS = (
    Sign(
        pattern=r"(?P<blaslt>rocblaslt) error: (?:Could not load|Cannot read) .{0,200}?TensileLibrary\w*?(?:_(?P<gfx>gfx[0-9a-f]{3,5}))?\.dat",
        literal="rocblaslt error: ",
        sample='rocblaslt error: Could not load "C:\\Program Files\\AMD\\ROCm\\6.2\\bin\\hipblaslt\\library\\TensileLibrary_lazy_gfx1030.dat"',
    ),
    Sign(
        pattern=r"(?P<blaslt>hipBLASLt) on an unsupported architecture",
        literal="hipBLASLt on an unsupported architecture",
        sample="UserWarning: Attempting to use hipBLASLt on an unsupported architecture! Overriding blas backend to hipblas",
        strength="context",
    ),
)


def message(card: str) -> str:
    """Return what happened. `card`: the GPU in words, "gfx1030 (Radeon RX 6800 XT)"."""
    return f"hipBLASLt, with which torch multiplies matrices, has no library files for {card}. rocBLAS, which does the same, may have them."


def fixes(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes: let torch use rocBLAS, or take library files that have the GPU."""
    verify = commands.check(facts)
    steps = (
        commands.variable(
            "DISABLE_ADDMM_CUDA_LT", "1", "linear layers then use rocBLAS; set it before the program starts"
        ),
        commands.variable("TORCH_BLAS_PREFER_HIPBLASLT", "0", "all other products of matrices too"),
    )
    without = Fix(title="Do without hipBLASLt", steps=steps, verify=verify)
    words = (
        "take a release that has files for the GPU: of AMD's HIP SDK for Windows a newer one, or ROCm's wheels for the family of the GPU "
        "(https://github.com/ROCm/TheRock/blob/main/RELEASES.md), which bring their own library files. The log names the folder in which the file is missing"
    )
    files = Fix(
        title="Take library files for this GPU", steps=(commands.by_hand((), words, "ROCm", "medium"),), verify=verify
    )
    return (without, files)
