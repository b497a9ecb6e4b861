"""Say for which CUDA, or for which other device, a torch and the torchvision beside it were built. Pure."""

from __future__ import annotations

import re

from attn_doctor.failure_modes.shared import torchvision_cures
from attn_doctor.model.facts import Facts
from attn_doctor.model.versions import local

_CUDA_LIBRARY = re.compile(r"lib(?:c10_cuda|torch_cuda|cudart|cublas|nvjpeg)\b|c10::cuda|\bcuda", re.IGNORECASE)


def differing(facts: Facts, torchvision: str, said: str) -> str:
    """Return the builds of torchvision and torch in words, if both are known and they differ; else an empty text."""
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


def flavour(text: str) -> str | None:
    """Return the build that the local part of a version names, "cu124", "cpu" or "rocm6.3"; None for the hash of a commit ("0.8.0a0+a4736ea") and where there is none."""
    part = local(text) or ""
    return part if re.fullmatch(r"cpu|cu\d{2,3}|rocm[\d.]+|xpu", part) else None
