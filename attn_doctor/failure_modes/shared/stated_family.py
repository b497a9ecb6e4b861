"""Find in a stated environment a package whose release was compiled for another torch: torchaudio, torchtext, xformers, vllm, sglang. Pure.

A real environment needs no such table: an import was tried there, and pip's metadata name the conflict.
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Hit
from attn_doctor.failure_modes.shared.fact_queries import package_evidence
from attn_doctor.failure_modes.shared.stated_conflicts import Conflicting, Pair
from attn_doctor.failure_modes.shared.torch_facts import SERVERS, distribution
from attn_doctor.knowledge.rows import TorchFamily
from attn_doctor.knowledge.tables import load
from attn_doctor.knowledge.torch_machine import exactly
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Severity, fact
from attn_doctor.model.versions import before_release, local, pair

# What happens where the package is used.
_THEN = {
    "xformers": "its compiled kernels do not load",
    "torchaudio": "it does not import",
    "torchtext": "it does not import",
    "vllm": "its compiled part does not load, and pip refuses both in one command",
    "sglang": "its kernels are compiled for that torch, and pip refuses both in one command",
}


def found(facts: Facts) -> Hit | None:
    """Return the hit for the first package that was compiled for another minor of torch: xformers, torchaudio, torchtext, vllm, sglang.

    None if all of them fit, if the environment is a real one, or if a version does not show the torch: a nightly, a build of the user.
    """
    torch = facts.torch.version
    if facts.grade != "stated" or not isinstance(torch, str) or before_release(torch):
        return None
    for name, then in _THEN.items():
        one = distribution(facts, name)
        if one is None or not isinstance(one.version, str):
            continue
        # conda builds one release of xformers for several torches.
        wanted = None if name == "xformers" and one.installer == "conda" else _torch_of(name, one.version)
        if wanted is None or pair(wanted) == pair(torch):
            continue
        return Hit(
            message=f"{name} {one.version} was built for torch {wanted}, you have {torch}: {then}.",
            evidence=(package_evidence(facts, name), fact(facts, "torch.version")),
            variant=Conflicting(
                pairs=(Pair(package=name, requires=exactly("torch", f"{wanted}.*"), have=f"torch {torch}"),)
            ),
            severity=Severity.WARNING,
        )
    return None


def _torch_of(name: str, version: str) -> str | None:
    """Return the minor of torch for which this release was built, "2.2"; None if the table lacks it, or if it is no release."""
    release, build = version.partition("+")[0], local(version)
    if before_release(version) or not (build is None or build == "cpu" or build.startswith(("cu", "rocm"))):
        return None
    return listed_torch(
        name, release if name == "xformers" else ".".join(release.split(".")[: 3 if name in SERVERS else 2])
    )


def listed_torch(name: str, key: str) -> str | None:
    """Return the minor of torch for which the table has this release, or minor, of a package; None if it lacks it."""
    return next((row.torch for row in load(TorchFamily) if row.package == name and key in row.releases), None)
