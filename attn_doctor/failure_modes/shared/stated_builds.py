"""Find in a stated environment a package whose version names a torch or a CUDA that is not the one there: "2.1.2+pt23cu121". Pure.

https://data.pyg.org/whl/ has the names of PyG's wheels, https://whl.natten.org/ those of natten, https://flashinfer.ai/whl/ those of flashinfer.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import stated_family, torchcodec_releases
from attn_doctor.failure_modes.shared.fact_queries import package_evidence
from attn_doctor.failure_modes.shared.torch_facts import distribution, machine_of
from attn_doctor.knowledge import torch_choice
from attn_doctor.model.facts import Distribution, Facts
from attn_doctor.model.findings import Fix, Severity, fact
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import before_release, local, pair

# "cu124torch2.6", "pt24cu121" (PyG: torch 2.4), "pt113cu117" (1.13), "pt2.4.1cu121" (pytorch3d), "torch250cu121" (natten: torch 2.5.0).
_TORCH = (
    re.compile(r"(?:torch|pt)(?P<major>[12])\.(?P<minor>\d{1,2})(?!\d)"),
    re.compile(r"torch(?P<major>[12])(?P<minor>\d{1,2})\d(?=cu)"),
    re.compile(r"^pt(?P<major>1)(?P<minor>1\d)(?=cu|cpu)"),
    re.compile(r"^pt(?P<major>2)(?P<minor>\d)(?=cu|cpu)"),
)
_CUDA = re.compile(r"cu(?P<major>1[0-3])(?P<minor>\d)(?!\d)")
_OF_PYG = ("torch-scatter", "torch-sparse", "torch-cluster", "torch-spline-conv", "pyg-lib")
# torchaudio and torchvision compare both numbers of CUDA and refuse to be imported; torchvision has a rule of its own.
# https://github.com/pytorch/audio/blob/v2.8.0/src/torchaudio/_extension/utils.py (_check_cuda_version).
# PyG's packages compare the first number: https://github.com/rusty1s/pytorch_scatter/blob/master/torch_scatter/__init__.py. The kernels of
# xformers load libcudart of their CUDA's first number.
_WHOLE, _FIRST = ("torchaudio",), ("xformers", *_OF_PYG)
_PYG_WHEELS = "https://data.pyg.org/whl/torch-{torch}+{flavour}.html"


class OtherBuild(Variant, frozen=True, kw_only=True):
    """Hold the package that belongs to another build of torch."""

    package: str


class _Built(NamedTuple):
    torch: str | None  # the minor, "2.4"
    cuda: str | None  # "12.1"


def found(facts: Facts) -> Hit | None:
    """Return the hit for the first package that was built for another torch or another CUDA; None if all of them fit, and for a real environment."""
    torch = facts.torch.version
    if facts.grade != "stated" or not isinstance(torch, str) or before_release(torch):
        return None
    listed = facts.packages.distributions
    for one in listed if isinstance(listed, tuple) else facts.packages.named:
        if one.installer != "conda" and isinstance(one.version, str) and (text := _wrong(facts, one, torch)):
            return Hit(
                message=text,
                evidence=(package_evidence(facts, one.name), fact(facts, "torch.version")),
                variant=OtherBuild(package=one.name),
                severity=Severity.WARNING,
            )
    return None


def _wrong(facts: Facts, one: Distribution, torch: str) -> str | None:
    name, version = one.name, str(one.version)
    built, cuda = _built(name, version), facts.torch.cuda
    if built.torch is not None and pair(built.torch) != pair(torch):
        return f"{name} {version} was built for torch {built.torch}, you have {torch}: it does not load."
    if built.cuda is None or not isinstance(cuda, str):
        return None
    have, want = pair(cuda), pair(built.cuda)
    if have is None or want is None or have == want or name not in (*_WHOLE, *_FIRST):
        return None
    if name in _FIRST and have[0] == want[0]:
        return None
    return f"{name} {version} was built for CUDA {built.cuda}, and torch {torch} is built for CUDA {cuda}: it does not load."


def _built(name: str, version: str) -> _Built:
    """Return the torch and the CUDA that the version names."""
    label = local(version) or ""
    cuda = _CUDA.search(label)
    asked = next((m for pattern in _TORCH if (m := pattern.search(label))), None)
    torch = f"{asked['major']}.{asked['minor']}" if asked and name not in ("torch", "flash-attn") else None
    if name == "torchcodec" and torch is None:
        torch = stated_family.listed_torch(name, ".".join(version.split(".")[:2]))
    return _Built(torch, f"{cuda['major']}.{cuda['minor']}" if cuda else None)


def fixes(facts: Facts, wrong: OtherBuild) -> tuple[Fix, ...]:
    """Return the fix: the same package for the torch that is there."""
    name = wrong.package
    if name == "torchcodec":
        return torchcodec_releases.install(facts)[:1]
    return (Fix(title=f"Install the {name} for this torch", steps=(_step(facts, name),), verify=commands.check(facts)),)


def _step(facts: Facts, name: str) -> Step:
    have = str(facts.torch.version)
    one = distribution(facts, name)
    version = str(one.version) if one else ""
    release = version.partition("+")[0]
    if name in ("torchaudio", "xformers"):
        flavour = local(have)
        asked = torch_choice.same(have, name)[-1] if name == "torchaudio" else f"{name}=={release}"
        return commands.install(
            asked,
            index_url=torch_choice.index_of(flavour)
            if flavour
            else torch_choice.index_of_build(have, machine_of(facts)),
            reinstall=True,
            no_deps=True,
            why=f"the build for torch {have}, from the same index; without --no-deps pip may replace torch too",
            changes=name,
        )
    cuda = facts.torch.cuda
    build = f"cu{cuda.replace('.', '')}" if isinstance(cuda, str) else "cpu"
    minor = pair(have)
    if name in _OF_PYG and minor:
        page = _PYG_WHEELS.format(torch=f"{minor[0]}.{minor[1]}.0", flavour=build)
        words = f"{release} with the build +pt{minor[0]}{minor[1]}{build}, from the page of wheels for this torch: {page} (option -f of pip)"
    else:
        words = f"the build of {name} for torch {have}, in the place of {version}; the page from which it came lists the builds for each torch"
    return commands.by_hand((), f"{name}: {words}", name)
