"""Find in a stated environment NVIDIA's wheels of another release than pip's torch loads: cuDNN, nvJitLink, cuBLAS, NCCL. Pure.

The wheels of torch for Linux require one exact release of each: Requires-Dist of torch 2.3.1, 2.5.1, 2.8.0 on PyPI. A newer release of the same
major loads; an older one, and another major of cuDNN, do not.
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Hit
from attn_doctor.failure_modes.shared.fact_queries import package_evidence
from attn_doctor.failure_modes.shared.stated_conflicts import Conflicting, Pair
from attn_doctor.failure_modes.shared.torch_facts import distribution
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Severity, fact
from attn_doctor.model.versions import Pair as Numbers
from attn_doctor.model.versions import before_release, dotted, local, pair

_FIRST_WITH_WHEELS = (2, 1)  # pip's torch 2.1 is the first that takes CUDA 12 from NVIDIA's wheels
_FIRST_OF_CUDNN_9 = (2, 4)  # https://github.com/pytorch/pytorch/blob/v2.4.0/.ci/docker/common/install_cudnn.sh
# The libraries whose first two numbers are those of their CUDA. libcusparse of CUDA 12.4 asks for symbols of nvJitLink 12.4 by this number:
# https://github.com/pytorch/pytorch/issues/111469
_NUMBERED = ("nvidia-nvjitlink", "nvidia-cublas", "nvidia-cuda-runtime")


def found(facts: Facts) -> Hit | None:
    """Return the hit for the first such wheel; None for a real environment, for conda's torch, and for a torch before 2.1."""
    torch, cuda, of = facts.torch.version, facts.torch.cuda, distribution(facts, "torch")
    if facts.grade != "stated" or not isinstance(torch, str) or before_release(torch) or _elsewhere(facts):
        return None
    built = local(torch)
    if (of is not None and of.installer == "conda") or not (built is None or built.startswith("cu")):
        return None
    release, have = pair(torch), pair(cuda) if isinstance(cuda, str) else None
    if release is None or release < _FIRST_WITH_WHEELS:
        return None
    return _cudnn(facts, torch, release, have) or (_older(facts, torch, have) if have is not None else None)


def _elsewhere(facts: Facts) -> bool:
    """Return whether the system is, or may be, Windows or macOS: torch for Windows brings these libraries in its own folder.

    tqdm, click and others require colorama only on Windows.
    """
    doubt = any(distribution(facts, name) for name in ("colorama", "pywin32", "pywinpty", "triton-windows"))
    return facts.system.os in ("windows", "darwin") or (facts.system.os != "linux" and doubt)


def _cudnn(facts: Facts, torch: str, release: Numbers, cuda: Numbers | None) -> Hit | None:
    want = 9 if release >= _FIRST_OF_CUDNN_9 else 8
    # Without a known CUDA of torch, only a list with one such package shows which one torch loads.
    majors = (cuda[0],) if cuda else (12, 11, 13)
    names = [name for major in majors if distribution(facts, name := f"nvidia-cudnn-cu{major}") is not None]
    one = distribution(facts, names[0]) if len(names) == 1 else None
    numbers = pair(one.version) if one is not None and isinstance(one.version, str) else None
    if one is None or numbers is None or one.installer == "conda" or numbers[0] == want:
        return None
    return _hit(
        facts,
        one.name,
        f"{one.name} {one.version} is cuDNN {numbers[0]}, and torch {torch} loads libcudnn.so.{want}: import torch fails.",
        f"{one.name}=={want}.*",
    )


def _older(facts: Facts, torch: str, cuda: Numbers) -> Hit | None:
    for stem in _NUMBERED:
        one = distribution(facts, f"{stem}-cu{cuda[0]}")
        numbers = pair(one.version) if one is not None and isinstance(one.version, str) else None
        if one is None or numbers is None or one.installer == "conda" or numbers >= cuda or numbers[0] != cuda[0]:
            continue
        return _hit(
            facts,
            one.name,
            f"{one.name} {one.version} belongs to CUDA {dotted(numbers)}, and torch {torch} is built for CUDA {dotted(cuda)} and requires that release.",
            f"{one.name}=={dotted(cuda)}.*",
        )
    return None


def _hit(facts: Facts, name: str, message: str, requires: str) -> Hit:
    version = (one := distribution(facts, name)) and one.version
    return Hit(
        message=message,
        evidence=(package_evidence(facts, name), fact(facts, "torch.version")),
        variant=Conflicting(pairs=(Pair(package="torch", requires=requires, have=f"{name} {version}"),)),
        severity=Severity.WARNING,
    )
