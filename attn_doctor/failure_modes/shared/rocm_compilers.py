"""Recognise a source that clang compiles as CUDA though it is for an AMD GPU, and torch's composable kernels that a GPU does not compile, and make the fixes. Pure.

https://github.com/leejet/stable-diffusion.cpp/issues/464, https://github.com/ROCm/rocThrust/issues/150 (clang takes a .cu file as CUDA, without -x hip),
https://github.com/robertrosenbusch/gfx803_rocm/issues/53, https://github.com/pytorch/pytorch/issues/150187 (composable kernels are not for all GPUs). torch's setup.py reads
USE_ROCM_CK_GEMM and USE_ROCM_CK_SDPA: https://github.com/pytorch/pytorch/blob/main/setup.py
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

SIGNS = (
    Sign(
        pattern=r"clang[\w+-]{0,8}: error: [Uu]nsupported CUDA gpu architecture: (?P<as_cuda>gfx\w{3,5})",
        literal="nsupported CUDA gpu architecture: gfx",
        sample="clang++: error: unsupported CUDA gpu architecture: gfx1100",
    ),
    Sign(
        pattern=r"FAILED: (?:\[code=\d+\] )?caffe2/CMakeFiles/torch_hip\.dir/\S{0,200}/(?P<composable>bgemm_kernels|ck_\w{2,30})/",
        literal="torch_hip.dir/",
        sample="FAILED: caffe2/CMakeFiles/torch_hip.dir/__/aten/src/ATen/native/hip/bgemm_kernels/torch_hip_generated_bgemm_kernel_bf16.hip.o",
    ),
)
AS_CUDA = "clang compiles a source as CUDA, and the GPU is one of AMD: the build does not tell it that the source is HIP, or calls clang in place of hipcc."
COMPOSABLE = "torch's composable kernels (CK) do not compile for this AMD GPU: they are for AMD's Instinct cards, and torch can be built without them."


def fixes(facts: Facts, *, as_cuda: bool) -> tuple[Fix, ...]:
    """Return the fixes for a build of ROCm sources.

    `as_cuda`: a source was compiled as CUDA: compile with hipcc. False: composable kernels do not compile: build torch
    without them, or take an older or finished torch.
    """
    verify = commands.check(facts)
    if as_cuda:
        words = (
            "delete the build folder, and build again with AMD's compiler, which compiles as HIP: CXX=hipcc for a setup.py; -DCMAKE_CXX_COMPILER=/opt/rocm/bin/hipcc for CMake, or CMake's own "
            "HIP support: HIPCXX=/opt/rocm/llvm/bin/clang. Take newer sources too: newer releases of many projects set this themselves"
        )
        step = commands.by_hand((), words, "what is built")
        return (Fix(title="Compile with hipcc", steps=(step,), verify=verify),)
    steps = (
        commands.variable(
            "USE_ROCM_CK_GEMM", "0", "torch is then built without the composable kernels of products of matrices"
        ),
        commands.variable("USE_ROCM_CK_SDPA", "0", "and without those of attention"),
        commands.by_hand(
            (),
            "in a Dockerfile: ENV USE_ROCM_CK_GEMM=0 USE_ROCM_CK_SDPA=0 above the line that builds. Delete the folder build of torch's sources, and build again. If it fails again, send the first error of "
            "the compiler above the line FAILED: it is not in this log",
            "the build of torch",
            takes="hours",
        ),
    )
    without = Fix(title="Build torch without composable kernels", steps=steps, verify=verify)
    older = commands.by_hand(
        (),
        "take an older torch, from before it had such kernels for products of matrices, or a finished image or wheel of somebody who builds for this GPU (for gfx803: https://github.com/robertrosenbusch/gfx803_rocm)",
        "the installed torch",
        "medium",
    )
    return (without, Fix(title="Take an older or finished torch", steps=(older,), verify=verify))
