"""A setup.py reads the CUDA of torch, and that torch has none.

What it is
    `torch.version.cuda` is a text such as "12.6" in a torch for CUDA. In a CPU build, a build for AMD GPUs, on a Mac and on a machine with an NPU it is None. Some
    packages take it apart without a look, while they are built or imported.

How it shows
    `CUDA_VERSION = "".join(os.environ.get("CUDA_VERSION", default_cuda_version).split("."))` and "AttributeError: 'NoneType' object has no attribute 'split'"
    below it (auto-gptq); the same with `torch.version.cuda.split(".")` (apex) or `.replace(".", "")`.

Why it happens
    The installed torch has no CUDA. The package has code for NVIDIA GPUs, and its author did not think of such a torch.

What to do
    With an NVIDIA GPU: install a torch for CUDA, and build again. Without one: build without the CUDA code (auto-gptq: BUILD_CUDA_EXT=0), or do without the package.

How to reproduce
    `attn-doctor reproduce setup-reads-torch-cuda` lets a small program take apart the CUDA of a torch that has none. It downloads a CPU build of torch (200 MB) if
    the torch of the target does not fit.

References
    https://github.com/AutoGPTQ/AutoGPTQ/blob/main/setup.py (BUILD_CUDA_EXT, default_cuda_version)
    https://github.com/AutoGPTQ/AutoGPTQ/issues/692
    https://github.com/pytorch/pytorch/issues/19128 (apex)
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import Recipe, Torch
from attn_doctor.failure_modes.shared import building, package_cures, subject, torch_steps
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.machine import nvidia_present

_NO_CUDA = "BUILD_CUDA_EXT"

MODE = FailureMode(
    code="AD136",
    slug="setup-reads-torch-cuda",
    title="A setup reads the CUDA of a torch that has none",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED,),
    signs=(
        Sign(
            pattern=r"(?P<line>torch\.version\.cuda\.(?:split|replace|startswith)\(|default_cuda_version\)\.(?:split|replace)\(|torch_cuda_version\.(?:split|replace)\()",
            literal="cuda",
            sample='    CUDA_VERSION = "".join(torch.version.cuda.split("."))',
            strength="hint",
        ),
        Sign(
            pattern=r"AttributeError: (?P<none>'NoneType' object has no attribute '(?:split|replace|startswith)')",
            literal="AttributeError: 'NoneType' object",
            sample="AttributeError: 'NoneType' object has no attribute 'split'",
            strength="hint",
        ),
    ),
    recipe=Recipe(
        does="takes apart the CUDA of a torch that has none",
        of=(Torch(build="cpu"),),
        run=(("{python}", "-c", "import torch; torch.version.cuda.split('.')"),),
        shows="'NoneType' object has no attribute 'split'",
        seconds=10,
    ),
)
# There is no `detect`: a torch without CUDA is no fault, and no fact shows what a setup.py reads.


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if seen.group("line") is None or seen.group("none") is None:
        return None
    return Hit(
        message=f"The torch that {subject.stated(facts) or 'the package'} found has no CUDA (torch.version.cuda is None), and its code takes that value apart.",
        evidence=evidence,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    name = subject.package(facts)
    row = built_packages.row_of(name) if name else None
    made: list[Fix] = []
    if row is not None and _NO_CUDA in row.variables:
        off = commands.variable(
            _NO_CUDA, "0", f"{name} then leaves its CUDA code out, and does not ask for torch's CUDA"
        )
        again = package_cures.build(facts, f"{name} without CUDA code: on the CPU it is slow")
        made.append(
            Fix(title=f"Install {name} without its CUDA code", steps=(off, again), verify=subject.verify(facts))
        )
    if facts.system.os != "darwin":
        title = "Install a CUDA build of torch"
        if nvidia_present(facts) is not True:
            title = "If the machine has an NVIDIA GPU: install a CUDA build of torch"
        again = package_cures.build(facts, "built again, with the torch of this environment")
        torch = torch_steps.newest_steps(facts, "a torch for CUDA: its torch.version.cuda is a number", reinstall=True)
        cuda = Fix(title=title, steps=(*torch, again), verify=subject.verify(facts))
        made.insert(0 if nvidia_present(facts) is True else len(made), cuda)
    if not made:
        step = commands.by_hand(
            (), "no torch for macOS has CUDA: leave this package out, or run the program on Linux with an NVIDIA GPU", "nothing", "none"
        )  # fmt: skip
        made.append(Fix(title="Do without the package on a Mac", steps=(step,), verify=commands.check(facts)))
    return tuple(made)
