"""Recognise that conda chose a CPU build of torch, in a list of packages or in conda's plan, and install its CUDA build. Pure.

conda takes the CPU build if no CUDA build of that release fits the other requirements: https://github.com/pytorch/pytorch/issues/69202,
https://github.com/SupreethN/HOISTFormer/issues/3 (pip's wheel cured it), https://github.com/mamba-org/mamba/issues/1349. A requirement with a build
string demands a CUDA build: https://docs.conda.io/projects/conda/en/stable/user-guide/concepts/pkg-specs.html#package-match-specifications
"""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, old_torch_steps, torch_steps
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Fix
from attn_doctor.model.machine import nvidia_present
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

_LAST_OF_CHANNEL = (2, 5)  # PyTorch's own channel ended there: https://github.com/pytorch/pytorch/issues/138506
_FIRST_PYTORCH_CUDA = (
    1,
    13,
)  # until then cudatoolkit chose the CUDA: https://pytorch.org/get-started/previous-versions/

SIGNS = (
    # "pytorch  1.9.0  py3.8_cpu_0  pytorch", conda-forge's "pytorch  2.1.2  cpu_mkl_py311h3e86a8a_102  conda-forge"
    Sign(
        pattern=r"^(?:\+ )?(?P<of_conda>pytorch)\s+(?P<conda_version>\d+\.\d+\.\d+)\s+(?:\S*_)?cpu(?:_\S*)?(?=\s|$)",
        literal="pytorch",
        sample="pytorch                   1.9.0               py3.8_cpu_0    pytorch",
        strength="hint",
    ),
    Sign(
        pattern=r"::(?P<of_conda>pytorch)-(?P<conda_version>\d+\.\d+\.\d+)-(?:\S*_)?cpu(?:_\S*)?(?=\s|$)",
        literal="::pytorch-",
        sample="  pytorch            pytorch/linux-64::pytorch-1.9.0-py3.8_cpu_0",
        strength="hint",
    ),
    Sign(
        pattern=r"^(?:pytorch-mutex\s+1\.0\s+(?P<of_conda>cpu)|(?P<of_conda_only>cpuonly)\s+\d\S*\s+\S+)(?=\s|$)",
        literal="cpu",
        sample="pytorch-mutex             1.0                         cpu    pytorch",
        strength="hint",
    ),
    Sign(
        pattern=r"\b(?:conda|mamba|micromamba) (?:install|create)\b.{0,200}?\b(?P<toolkit_asked>cudatoolkit|pytorch-cuda|pytorch-gpu|cuda-version)\b",
        literal="cuda",
        sample="$ conda install pytorch=1.9.0 torchvision cudatoolkit=11.3 -c pytorch",
        strength="context",
    ),
)


class ByConda(Variant, frozen=True, kw_only=True):
    """Hold the release of torch of which conda installed the CPU build, "1.9.0"; None if the log does not show it."""

    version: str | None


def hit(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit for a CPU build that conda chose on a machine with an NVIDIA GPU; None for other logs."""
    rows = [m for m in seen.matches if "of_conda" in m.groups or "of_conda_only" in m.groups]
    if not rows or nvidia_present(facts) is not True or any("+cu" in m.text for m in rows):
        return None
    if isinstance(facts.torch.cuda, str) or facts.system.os == "darwin":
        return None  # a later list shows a CUDA build
    version = seen.group("conda_version")
    only = any("of_conda_only" in m.groups for m in rows)
    asked = seen.group("toolkit_asked")
    why = (
        "the package cpuonly demands it"
        if only
        else f"there is no CUDA build of this release that fits {asked} and the other packages"
        if asked
        else "no CUDA build fits the other packages"
    )
    return Hit(
        message=f"conda installed the CPU build of torch{f' {version}' if version else ''}, so the GPU of this machine is not used: {why}.",
        evidence=building.lines(rows[:3]),
        variant=ByConda(version=version),
    )


def fixes(facts: Facts, found: ByConda) -> tuple[Fix, ...]:
    """Return the fixes: pip's wheel for CUDA in place of conda's CPU build, or conda's CUDA build by its build string."""
    verify = commands.check(facts)
    version = found.version
    if version is not None and isinstance(facts.torch.version, Unknown):
        facts = msgspec.structs.replace(facts, torch=msgspec.structs.replace(facts.torch, version=version))
    old = old_torch_steps.same_release(facts)
    if old is not None:
        steps: tuple[Step, ...] = old_torch_steps.steps(facts, old)
        name, cuda = f"torch {old.row.torch}", old.cuda
    else:
        steps = torch_steps.for_gpu(facts, version, "the same release, with CUDA") if version else ()
        steps = steps or torch_steps.by_pip(facts, "with CUDA")
        name, cuda = f"torch {version}" if version else "torch", None
    tool = "mamba" if places.environment_tool(facts) == "mamba" else "conda"
    remove = commands.by_hand(
        (tool, "remove", "--force", "-y", "pytorch", "torchvision", "pytorch-mutex"),
        "removes conda's CPU build and leaves the other packages; if conda says that one of them is missing, write the command without it",
        "pytorch and torchvision",
    )
    by_pip = Fix(
        title=f"Replace conda's CPU build by pip's wheel of {name} for CUDA", steps=(remove, *steps), verify=verify
    )
    return (by_pip, _by_build_string(facts, tool, version, cuda))


def _by_build_string(facts: Facts, tool: str, version: str | None, cuda: str | None) -> Fix:
    """Return the fix that asks conda for a CUDA build. With the build string conda refuses instead of taking a CPU build."""
    minor = pair(version) if version else None
    release = f"={version}" if version else ""
    if minor is None or minor > _LAST_OF_CHANNEL or cuda is None:
        argv: tuple[str, ...] = (
            tool,
            "install",
            "-c",
            "conda-forge",
            f"pytorch{release or '=*'}=*cuda*",
            "torchvision",
        )
    else:
        kit = f"cudatoolkit={cuda}" if minor < _FIRST_PYTORCH_CUDA else f"pytorch-cuda={cuda}"
        argv = (tool, "install", f"pytorch{release}=*cuda{cuda}*", "torchvision", kit, "-c", "pytorch", "-c", "nvidia")
    step = commands.by_hand(
        argv,
        "the build string *cuda* demands a CUDA build: if none fits the other packages, conda says so and does not take the CPU build",
        "packages of conda",
        takes="1 to 3 GB",
    )
    return Fix(title="Ask conda for a CUDA build, by its build string", steps=(step,), verify=commands.check(facts))
