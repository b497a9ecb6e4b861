"""Name the package for a machine without an NVIDIA GPU, where a list asks for the build for GPUs, which exists for no Mac. Pure.

https://pypi.org/project/onnxruntime-gpu/#files (Linux on x86-64, from 1.29 on also on ARM; Windows), https://onnxruntime.ai/docs/install/ (the package onnxruntime
has CoreML on a Mac), https://pypi.org/project/tensorflow-gpu/ (2.12 is empty and refuses to be installed; wheels until 2.11 and Python 3.10),
https://pypi.org/project/faiss-gpu/#files (Linux on x86-64 alone), https://pypi.org/project/faiss-cpu/#files
"""

from __future__ import annotations

from collections.abc import Sequence

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Match
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Fix
from attn_doctor.model.steps import name_of

_PLAIN = {"onnxruntime-gpu": "onnxruntime", "tensorflow-gpu": "tensorflow", "faiss-gpu": "faiss-cpu"}
_ABOUT = {
    "onnxruntime-gpu": "onnxruntime is the same package without CUDA",
    "tensorflow-gpu": "tensorflow is the package of today",
    "faiss-gpu": "faiss-cpu is the same package without CUDA",
}
_SYSTEMS = {
    "onnxruntime-gpu": "for Linux and for Windows",
    "tensorflow-gpu": "for Linux on x86-64 and for Windows, and ended with TensorFlow 2.11 (Windows: 2.10) and Python 3.10",
    "faiss-gpu": "for Linux on x86-64",
}


class ForGpus(Variant, frozen=True, kw_only=True):
    """Hold the package for NVIDIA GPUs, "onnxruntime-gpu", and the one that takes its place, "onnxruntime"."""

    name: str
    plain: str


def told(facts: Facts, ours: Sequence[Match]) -> Hit | None:
    """Return the hit for the GPU build of a package ("onnxruntime-gpu") without any wheel for this machine; None for other packages.

    `ours`: the lines in which pip says so. The confidence is HIGH on a Mac, else MEDIUM.
    """
    for match in ours:
        name = name_of(match.groups.get("requirement", "").rstrip(".,")) or ""
        if name not in _PLAIN or not match.groups.get("versions", "").startswith("none"):
            continue
        mac = facts.system.os == "darwin"
        where = "macOS" if mac else "this system or this Python"
        return Hit(
            message=f"{name} has no wheel for {where}: it is the build for NVIDIA GPUs, {_SYSTEMS[name]}. {_ABOUT[name]}.",
            evidence=building.lines(list(ours)),
            variant=ForGpus(name=name, plain=_PLAIN[name]),
            confidence=Confidence.HIGH if mac else Confidence.MEDIUM,
        )
    return None


def fixes(facts: Facts, found: ForGpus) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    get = commands.install(
        found.plain,
        why={
            "onnxruntime": "the same modules, without CUDA; on a Mac it can use CoreML",
            "tensorflow": "the same modules; under Linux it uses an NVIDIA GPU too",
        }.get(found.plain, "the same modules, without CUDA"),
        changes=f"adds {found.plain}",
    )
    line = commands.by_hand(
        (), f"write {found.plain} in the place of {found.name} in the list that asks for it, and repeat your command", "your list of packages", "none"
    )  # fmt: skip
    made = [Fix(title=f"Install {found.plain} in its place", steps=(get, line), verify=verify)]
    if facts.system.os != "darwin":
        ask = commands.by_hand(
            (*commands.starting(facts), "-c", "import sys, platform; print(sys.version, platform.machine())"),
            f"with an NVIDIA GPU: {found.name} has wheels for the Pythons and systems on https://pypi.org/project/{found.name}/#files, and none for 32 bits",
            "nothing",
            "none",
        )
        made.append(Fix(title="With an NVIDIA GPU: compare the Python with its wheels", steps=(ask,), verify=verify))
    return tuple(made)
