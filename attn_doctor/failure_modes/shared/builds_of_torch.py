"""Say for which CUDA, or for which other device, a torch and the torchvision beside it were built. Pure."""

from __future__ import annotations

import re

from attn_doctor.failure_modes.shared import torchvision_cures
from attn_doctor.knowledge import pytorch
from attn_doctor.model.facts import Facts
from attn_doctor.model.versions import local

_CUDA_LIBRARY = re.compile(r"lib(?:c10_cuda|torch_cuda|cudart|cublas|nvjpeg)\b|c10::cuda|\bcuda", re.IGNORECASE)


def differing(facts: Facts, torchvision: str, said: str) -> str:
    """Return the builds of torchvision and torch in words, if both are known and they differ; else an empty text.

    Example: " (torchvision is a CPU build, torch is a build for CUDA 12.4)". `torchvision`: its version. `said`: the
    error, which may name a CUDA library.
    """
    theirs, ours = (
        torchvision_cures.build_in_words(local(torchvision)),
        torchvision_cures.build_in_words(local(str(facts.torch.version))),
    )
    if theirs is None and _CUDA_LIBRARY.search(said):
        theirs = "a CUDA build"
    if ours is None and isinstance(facts.torch.cuda, str):
        ours = f"a build for CUDA {facts.torch.cuda}"
    if ours is None and facts.torch.cuda is None and facts.torch.hip is None:
        ours = "a CPU build"
    if theirs is None or ours is None or theirs == ours:
        return ""
    if theirs == "a CUDA build" and ours != "a CPU build":
        return ""  # the CUDA version of torchvision is not known
    return f" (torchvision is {theirs}, torch is {ours})"


def of_pypi(facts: Facts, torchvision: str, torch: str) -> str | None:
    """Return a sentence: torchvision comes from PyPI, where it is built for another CUDA than this torch.

    None if that is not so, or not known. `torchvision`, `torch`: versions. torchvision compares the major version of
    the two CUDA:
    https://github.com/pytorch/vision/blob/main/torchvision/extension.py
    """
    theirs, ours = pytorch.pypi_cuda(torch), flavour(torch)
    if not isinstance(theirs, str) or ours is None or not _from_pypi(facts):
        return None
    cuda = re.fullmatch(r"cu(\d+)\d", ours)
    if (cuda and cuda[1] != theirs.partition(".")[0]) or (ours == "cpu" and facts.system.os == "linux"):
        return (
            f"torchvision {torchvision} is taken from PyPI, where it is built for CUDA {theirs} (on Windows for the CPU), and torch {torch} from another "
            "index: their builds do not fit."
        )
    return None


def _from_pypi(facts: Facts) -> bool:
    listed = facts.packages.distributions
    return any(
        d.name == "torchvision" and d.from_pypi
        for d in (*facts.packages.named, *(listed if isinstance(listed, tuple) else ()))
    )


def flavour(text: str) -> str | None:
    """Return the build that the local part of a version names, "cu124", "cpu" or "rocm6.3"; None for the hash of a commit ("0.8.0a0+a4736ea") and where there is none."""
    part = local(text) or ""
    return part if re.fullmatch(r"cpu|cu\d{2,3}|rocm[\d.]+|xpu", part) else None
