"""Judge a release of bitsandbytes that has no library for the CUDA of the torch beside it, and cure it. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared.fact_queries import package_evidence
from attn_doctor.failure_modes.shared.torch_facts import distribution
from attn_doctor.knowledge import bitsandbytes_libraries
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity, fact
from attn_doctor.model.versions import local, pair


class WithoutLibrary(Variant, frozen=True, kw_only=True):
    """Hold the CUDA of torch for which the release has no library: "12.8"."""

    cuda: str


def told(facts: Facts) -> Hit | None:
    """Return the hit if this release from PyPI lacks a library for torch's CUDA; else None.

    None also if the libraries of the release are not listed, for other builds (conda, own sources), and on a Jetson.
    """
    found, cuda = distribution(facts, "bitsandbytes"), facts.torch.cuda
    if found is None or not isinstance(found.version, str) or not isinstance(cuda, str):
        return None
    if found.installer == "conda" or local(found.version) or facts.system.board == "jetson":
        return None
    held = bitsandbytes_libraries.contains(found.version)
    numbers = pair(cuda)
    if held is None or numbers is None or ".".join(map(str, numbers)) in held:
        return None
    return Hit(
        message=f"bitsandbytes {found.version} has libraries for CUDA {held[0]} to {held[-1]}, and none for CUDA {cuda}, which torch has.",
        evidence=(package_evidence(facts, "bitsandbytes"), fact(facts, "torch.cuda")),
        variant=WithoutLibrary(cuda=".".join(map(str, numbers))),
        severity=Severity.ERROR,
    )


def fixes(facts: Facts, found: WithoutLibrary) -> tuple[Fix, ...]:
    """Return the fix that installs a release with a library for this CUDA, or a newer one."""
    first = bitsandbytes_libraries.first_with(found.cuda)
    get = commands.install(
        f"bitsandbytes>={first}",
        upgrade=True,
        why=f"{first} is the first release that serves CUDA {found.cuda}",
        changes="bitsandbytes",
    )
    return (Fix(title=f"Install bitsandbytes {first} or newer", steps=(get,), verify=commands.check(facts)),)
