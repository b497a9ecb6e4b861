"""Judge the nvcc that conda installed beside a torch for another CUDA major, in a stated environment. Pure.

`cuda-nvcc` of the channels nvidia and conda-forge holds the compiler alone, and pytorch-cuda does not bring it: it is there because somebody compiles.
https://github.com/pytorch/builder/blob/main/conda/pytorch-cuda/meta.yaml (cuda-libraries, cuda-nvtx, libnvjpeg), https://anaconda.org/nvidia/cuda-nvcc,
https://docs.nvidia.com/cuda/cuda-installation-guide-linux/#conda-installation
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.failure_modes.shared.fact_queries import holds, package_evidence
from attn_doctor.failure_modes.shared.torch_facts import distribution
from attn_doctor.knowledge import cuda
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity, fact
from attn_doctor.model.versions import dotted, pair

# cudatoolkit-dev of conda-forge is left out: it came with whole environments, also where nothing is compiled.
_COMPILERS = ("cuda-nvcc", "cuda-toolkit")


class CondaNvcc(Variant, frozen=True, kw_only=True):
    """Hold the package that contains nvcc, its place in a file, and the CUDA of torch."""

    package: str  # "cuda-nvcc"
    place: str | None  # "environment.yml, line 17"; None: a list of installed packages
    need: str  # "11.8"


def told(facts: Facts) -> Hit | None:
    """Return the hit if a stated conda environment has an nvcc of another CUDA major than its torch; else None."""
    need = facts.torch.cuda
    found = next((one for name in _COMPILERS if (one := distribution(facts, name)) and one.installer == "conda"), None)
    if facts.grade != "stated" or found is None or not isinstance(found.version, str) or not isinstance(need, str):
        return None
    have = pair(found.version)
    if have is None or holds(cuda.nvcc_for_torch(dotted(have), need)):
        return None
    file, _, line = facts.sources.get("toolchain.toolkits", "").rpartition(":")
    return Hit(
        message=f"The nvcc of this conda environment belongs to CUDA {dotted(have)}, and torch is built for CUDA {need}: PyTorch refuses to compile extensions with it.",
        evidence=(package_evidence(facts, found.name), fact(facts, "torch.cuda")),
        variant=CondaNvcc(package=found.name, place=f"{file}, line {line}" if file else None, need=need),
        severity=Severity.WARNING,
    )


def fixes(facts: Facts, found: CondaNvcc) -> tuple[Fix, ...]:
    """Return the fix that takes the package with nvcc from NVIDIA's channel for torch's CUDA.

    In words for a file, by conda for an installed environment.
    """
    channel = f"nvidia/label/cuda-{found.need}.0"
    why = "NVIDIA's channel for this CUDA release; nvcc and torch then have one CUDA"
    if found.place is not None:
        words = (
            f"{found.place}: {channel}::{found.package} in the place of this {found.package}. {why[0].upper()}{why[1:]}"
        )
        step = commands.by_hand((), words, found.place.partition(",")[0])
    else:
        step = commands.by_hand(places.conda_install(facts, found.package, channels=(channel,)), why, found.package)
    return (Fix(title=f"Use the nvcc of CUDA {found.need}", steps=(step,), verify=building.verify(facts)),)
