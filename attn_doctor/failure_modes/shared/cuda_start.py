"""What CUDA answered when it was started, and on which GPUs: the questions that the rules about drivers share. Pure.

Each raises Unsure where the answer is not known.
"""

from __future__ import annotations

import re

from attn_doctor.failure_modes.mode import Unsure, known
from attn_doctor.failure_modes.shared import fact_queries
from attn_doctor.model.facts import Facts, Gpu, OsName, Unknown
from attn_doctor.model.findings import Evidence, fact

_CODE = re.compile(r"^(\d{1,4})\b")
_IN_TORCH = re.compile(r"\bError (\d{1,3}): ")


def works(facts: Facts) -> bool:
    """Whether torch was seen to use CUDA: then no reason why it should not can be right."""
    return facts.torch.available is True


def refused(facts: Facts) -> int | None:
    """The number of the error with which CUDA refused to start, cuInit's or what torch said of it; None: it did not, or gave none."""
    said = facts.graphics.cuda_error
    if isinstance(said, str):
        code = _CODE.match(said)
        if code:
            return int(code[1])
    of_torch = facts.torch.cuda_error
    if isinstance(of_torch, str):
        code = _IN_TORCH.search(of_torch)
        if code:
            return int(code[1])
    return None


def asked(facts: Facts) -> bool:
    """Whether anybody has started CUDA here."""
    return not works(facts) and (facts.graphics.cuda_error is None or isinstance(facts.graphics.cuda_error, str))


def evidence(facts: Facts) -> Evidence:
    """What CUDA said, from whoever asked it."""
    if isinstance(facts.graphics.cuda_error, str):
        return fact(facts, "graphics.cuda_error", f"cuInit: {facts.graphics.cuda_error}")
    return fact(facts, "torch.cuda_error")


def visible(facts: Facts) -> list[tuple[int, Gpu]]:
    """GPUs that programs see, with their place in the list; one of which that is not known counts as seen."""
    return [(index, gpu) for index, gpu in enumerate(known(facts.graphics.gpus)) if gpu.visible is not False]


def driver_os(facts: Facts) -> OsName:
    """Whose driver it is: under WSL that of Windows. Raises Unsure where it is not known whether this is WSL."""
    return "windows" if facts.system.os == "windows" or fact_queries.under_wsl(facts) else "linux"


def driver_os_or_none(facts: Facts) -> OsName | None:
    """Whose driver it is; None where that is not known, as for a log of which no machine is known."""
    if isinstance(facts.system.os, Unknown):
        return None
    try:
        return driver_os(facts)
    except Unsure:
        return None


def name(gpu: Gpu) -> str:
    return gpu.name if isinstance(gpu.name, str) else f"GPU {gpu.index}"
