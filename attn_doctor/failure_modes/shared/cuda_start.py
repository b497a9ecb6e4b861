"""Answer questions that the rules about drivers share: whether CUDA started, with which error, and on which GPUs. Pure.

Only `visible` and `driver_os` raise Unsure if the answer is not known.
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
    """Return whether torch was seen to use CUDA: then no driver failure is present. False also if that is not known."""
    return facts.torch.available is True


def refused(facts: Facts) -> int | None:
    """Return the number of the error with which CUDA did not start (100), from cuInit or from torch's message.

    None if CUDA started, if the message has no number, or if nothing is known.
    """
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
    """Return whether a probe tried to start CUDA here, and torch was not seen to use CUDA. False for facts of a log."""
    return not works(facts) and (facts.graphics.cuda_error is None or isinstance(facts.graphics.cuda_error, str))


def evidence(facts: Facts) -> Evidence:
    """Return the error of CUDA as evidence: that of cuInit if there is one, else that of torch."""
    if isinstance(facts.graphics.cuda_error, str):
        return fact(facts, "graphics.cuda_error", f"cuInit: {facts.graphics.cuda_error}")
    return fact(facts, "torch.cuda_error")


def visible(facts: Facts) -> list[tuple[int, Gpu]]:
    """Return the GPUs that programs can see, with their index in the facts. A GPU whose visibility is not known counts as visible."""
    return [(index, gpu) for index, gpu in enumerate(known(facts.graphics.gpus)) if gpu.visible is not False]


def driver_os(facts: Facts) -> OsName:
    """Return "windows" on Windows and in WSL, where the driver is that of Windows; else "linux".

    Raises Unsure if it is not known whether this is WSL.
    """
    return "windows" if facts.system.os == "windows" or fact_queries.under_wsl(facts) else "linux"


def driver_os_or_none(facts: Facts) -> OsName | None:
    """Return the system to which the driver belongs, "windows" or "linux".

    None if it is not known, for example if there is only a log.
    """
    if isinstance(facts.system.os, Unknown):
        return None
    try:
        return driver_os(facts)
    except Unsure:
        return None


def name(gpu: Gpu) -> str:
    """Return the name of a GPU for a sentence: "NVIDIA A100-SXM4-80GB"; "GPU 3" if its name is not known."""
    return gpu.name if isinstance(gpu.name, str) else f"GPU {gpu.index}"
