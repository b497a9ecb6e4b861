"""Name the package for a machine without an NVIDIA GPU, where a list asks for the build for GPUs, which exists for no Mac. Pure.

https://pypi.org/project/onnxruntime-gpu/#files (Linux x86_64 and Windows), https://onnxruntime.ai/docs/install/ (the package onnxruntime has CoreML on a Mac),
https://pypi.org/project/tensorflow-gpu/ (removed: tensorflow), https://pypi.org/project/faiss-gpu/#files (Linux), https://pypi.org/project/faiss-cpu/#files
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

_PLAIN = {
    "onnxruntime-gpu": "onnxruntime",
    "tensorflow-gpu": "tensorflow",
    "faiss-gpu": "faiss-cpu",
    "rembg[gpu]": "rembg",
}


class ForGpus(Variant, frozen=True, kw_only=True):
    """Hold the package for NVIDIA GPUs, "onnxruntime-gpu", and the one that takes its place, "onnxruntime"."""

    name: str
    plain: str


def told(facts: Facts, ours: Sequence[Match]) -> Hit | None:
    """Return the hit for such a package, of which the index has nothing for this machine; None for others. `ours`: the lines of pip."""
    for match in ours:
        name = name_of(match.groups.get("requirement", "").rstrip(".,")) or ""
        if name not in _PLAIN or not match.groups.get("versions", "").startswith("none"):
            continue
        mac = facts.system.os == "darwin"
        where = "macOS" if mac else "this system or this Python"
        return Hit(
            message=f"{name} has no wheel for {where}: it is the build for NVIDIA GPUs, for Linux on x86-64 and for Windows. {_PLAIN[name]} is the same package without CUDA.",
            evidence=building.lines(list(ours)),
            variant=ForGpus(name=name, plain=_PLAIN[name]),
            confidence=Confidence.HIGH if mac else Confidence.MEDIUM,
        )
    return None


def fixes(facts: Facts, found: ForGpus) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    get = commands.install(
        found.plain,
        why="the same modules, without CUDA; on a Mac ONNX Runtime uses CoreML",
        changes=f"adds {found.plain}",
    )
    line = commands.by_hand(
        (), f"write {found.plain} in the place of {found.name} in the list that asks for it, and repeat your command", "your list of packages", "none"
    )  # fmt: skip
    made = [Fix(title=f"Install {found.plain} in its place", steps=(get, line), verify=verify)]
    if facts.system.os != "darwin":
        ask = commands.by_hand(
            (*commands.starting(facts), "-c", "import sys, platform; print(sys.version, platform.machine())"),
            f"with an NVIDIA GPU: {found.name} has wheels for the Pythons on https://pypi.org/project/{found.name}/#files, and none for 32 bits or for ARM",
            "nothing",
            "none",
        )
        made.append(Fix(title="With an NVIDIA GPU: compare the Python with its wheels", steps=(ask,), verify=verify))
    return tuple(made)
