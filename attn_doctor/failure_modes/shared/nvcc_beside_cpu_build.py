"""Judge an nvcc that runs while torch finds no CUDA_HOME: torch is a CPU build, which does not look for nvcc. Make the fix. Pure."""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building, toolkits, torch_for_toolkit
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Confidence, Evidence, Fix
from attn_doctor.model.versions import pair


class NoHome(Variant, frozen=True, kw_only=True):
    """Hold the release of the nvcc that ran, "12.6", although torch found no CUDA_HOME."""

    nvcc: str


def on_path(facts: Facts) -> str | None:
    """Return the version of the nvcc that only PATH shows, "12.6"; None if there is none."""
    kits = facts.toolchain.toolkits if isinstance(facts.toolchain.toolkits, tuple) else ()
    return next((kit.version for kit in kits if kit.found_by == ("PATH",) and isinstance(kit.version, str)), None)


def hit(facts: Facts, nvcc: str, evidence: tuple[Evidence, ...]) -> Hit | None:
    """Return the hit for an nvcc on PATH without a CUDA_HOME: torch is probably a CPU build.

    None if torch's build is known, or if pip does not install a CPU build on such a machine by default.
    """
    if not _mostly_cpu(facts):
        return None
    return Hit(
        message=f"nvcc {nvcc} runs, but torch found no CUDA_HOME. A torch for CUDA finds the nvcc on PATH; a CPU build of torch 2.6 or newer "
        "does not look for nvcc. So the installed torch is a CPU build, or the two lines come from different shells.",
        evidence=evidence,
        variant=NoHome(nvcc=nvcc),
        confidence=Confidence.MEDIUM,
    )


def _mostly_cpu(facts: Facts) -> bool:
    """Return whether the build of torch is not known, and pip installs a CPU build on such a machine by default."""
    unknown = isinstance(facts.torch.cuda, Unknown) and isinstance(facts.torch.hip, Unknown)
    return unknown and (facts.system.os == "windows" or facts.system.board == "jetson")


def fix(facts: Facts, nvcc: str) -> Fix | None:
    """Return the fix that installs a torch for the toolkit's CUDA major, and sets CUDA_HOME to the toolkit.

    None on a Jetson, and if this machine can run no such torch. `nvcc`: the release of the toolkit, "12.6".
    """
    if facts.system.board == "jetson":
        return None
    steps = torch_for_toolkit.for_toolkit(facts, nvcc) or torch_for_toolkit.for_cuda_major(
        facts, (pair(nvcc) or (0, 0))[0], nvcc
    )
    if not steps:
        return None
    home = toolkits.point_at(facts, nvcc)
    title = f"Install a torch for the installed CUDA {nvcc}, and point CUDA_HOME at it"
    return Fix(title=title, steps=(*steps, home), verify=building.verify(facts))
