"""A GPU kernel read or wrote outside its memory.

What it is
    A kernel used an address outside its memory. CUDA reports it at some later call, so the Python line in the traceback is
    often not the line of the faulty call, and every call after it fails as well.

How it shows
    "CUDA error: an illegal memory access was encountered", CUDA_ERROR_ILLEGAL_ADDRESS, "misaligned address", "unspecified launch failure".

Why it happens
    A kernel has a bug (often variable-length attention with wrong cu_seqlens or more than 2^31 elements); or indexes in
    the program's own tensors are out of range; or, rarely, the GPU's memory is overclocked or failing.

What to do
    Run the program once with CUDA_LAUNCH_BLOCKING=1: then the traceback names the faulty call. If it points into flash_attn,
    install the newest release, and compare with PyTorch's own fused attention.

How to reproduce
    `attn-doctor reproduce illegal-memory-access` starts a kernel of torch on a stand-in GPU, which ends every kernel
    with this error. Stand-in: the GPU; its driver. It needs gcc and a CUDA build of torch in the target.

References
    https://docs.nvidia.com/compute-sanitizer/ComputeSanitizer/index.html
    https://github.com/Dao-AILab/flash-attention/issues/1311
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import Recipe, StubDriver, StubGpu, Torch, Variable
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Goal, Severity

MODE = FailureMode(
    code="AD423",
    slug="illegal-memory-access",
    title="A GPU kernel used memory that is not its own",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("eager-fails", "model-not-built"),
    signs=(
        Sign(
            pattern=r"an illegal memory access was encountered",
            literal="illegal memory access",
            sample="RuntimeError: CUDA error: an illegal memory access was encountered",
        ),
        Sign(
            pattern=r"CUDA_ERROR_ILLEGAL_ADDRESS",
            literal="CUDA_ERROR_ILLEGAL_ADDRESS",
            sample="CUDA error: CUDA_ERROR_ILLEGAL_ADDRESS (700)",
        ),
        Sign(
            pattern=r"CUDA error: (?P<kind>misaligned address|unspecified launch failure|an illegal instruction was encountered)",
            literal="CUDA error: ",
            sample="RuntimeError: CUDA error: misaligned address",
        ),
        Sign(
            pattern=r"Warp Illegal Address",
            literal="Warp Illegal Address",
            sample="CUDA Exception: Warp Illegal Address",
        ),
        Sign(
            pattern=r"flash_attn_interface\.py\", line \d+",
            literal="flash_attn_interface.py",
            sample='  File "/venv/lib/python3.11/site-packages/flash_attn/flash_attn_interface.py", line 91, in _flash_attn_forward',
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="starts a kernel of torch on a stand-in GPU, which ends every kernel with this error",
        of=(
            Torch(build="cuda"),
            StubDriver(cuda="13.9", nvml=True, gpus=(StubGpu("NVIDIA A10", "8.6", 22515),), runtime=True),
            Variable(name="STUB_LAUNCH", value="700"),
        ),
        run=(("{python}", "-c", "import torch; torch.ones(1, device='cuda')"),),
        shows="an illegal memory access was encountered",
        goal=Goal.TRAIN,
        seconds=8,
        stands_in=("the GPU", "its driver"),
    ),
)


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    in_flash = any(
        m.strength == "context" and m.file == p.file and 0 < p.line - m.line <= 12 for p in proofs for m in seen.matches
    )
    where = "; the traceback ends in flash_attn, but the fault may be in an earlier call" if in_flash else ""
    return Hit(
        message=f"A GPU kernel used memory that does not belong to it{where}.",
        evidence=evidence,
        confidence=Confidence.HIGH,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    blocking = commands.variable(
        "CUDA_LAUNCH_BLOCKING", "1", "set it for one run: the traceback then names the call that failed"
    )
    made = [Fix(title="Find the call that failed", steps=(blocking,), verify=verify)]
    if isinstance(facts.flash_attention.version, str):
        newer = commands.install(
            "flash-attn",
            upgrade=True,
            no_build_isolation=True,
            why="later releases fixed several such bugs",
            changes="flash-attn, to the newest release",
            risk="medium",
            risk_text="if no prebuilt wheel fits, pip compiles flash-attn for hours",
        )
        made.append(Fix(title="Install the newest flash-attn", steps=(newer,), verify=verify))
    return tuple(made)
