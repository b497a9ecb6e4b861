"""Choose NVIDIA's container image with a CUDA toolkit, and build the step that starts from it. Pure."""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.knowledge.pytorch import pypi_cuda
from attn_doctor.knowledge.rows import TorchRelease
from attn_doctor.knowledge.tables import load
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import dotted, pair

# CUDA release -> its last patch release at https://hub.docker.com/r/nvidia/cuda
TAGS = {
    (11, 7): "11.7.1",
    (11, 8): "11.8.0",
    (12, 1): "12.1.1",
    (12, 2): "12.2.2",
    (12, 3): "12.3.2",
    (12, 4): "12.4.1",
    (12, 5): "12.5.1",
    (12, 6): "12.6.3",
    (12, 8): "12.8.1",
    (12, 9): "12.9.1",
    (13, 0): "13.0.1",
    (13, 1): "13.1.1",
    (13, 2): "13.2.1",
}
# Folder of NVIDIA's repository for a system -> end of the image's name.
_SYSTEMS = {"ubuntu2004": "ubuntu20.04", "ubuntu2204": "ubuntu22.04", "ubuntu2404": "ubuntu24.04", "rhel8": "rockylinux8", "rhel9": "rockylinux9"}  # fmt: skip


# Who has a Python of this release as the system's own: https://packages.ubuntu.com/search?keywords=python3
_UBUNTU_OF = {"3.8": "ubuntu20.04", "3.10": "ubuntu22.04", "3.12": "ubuntu24.04"}
_SMALL = re.compile(r"-(?:runtime|base)(?=$|-)")


def _image(facts: Facts, version: tuple[int, int], repository: str | None) -> str | None:
    """Return the image that has this toolkit on the system of this container; None if there is no such image."""
    tag, system = TAGS.get(version), _SYSTEMS.get(repository or "")
    if system is None and not isinstance(facts.system.distribution, str):
        python = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
        by_python = _UBUNTU_OF.get(dotted(python)) if python and facts.interpreter.kind != "conda" else None
        system = by_python or ("ubuntu22.04" if version < (12, 6) else "ubuntu24.04")
    return f"nvidia/cuda:{tag}-devel-{system}" if tag and system else None


def another(facts: Facts, version: tuple[int, int] | None, repository: str | None) -> Step:
    """Return the step that starts the container from an image with nvcc.

    If the log names a -runtime or -base image, the new image is its -devel variant. Else it is NVIDIA's -devel image
    for `version`, the CUDA of torch; None: for the CUDA of the newest torch that has wheels for this Python.
    `repository`: the folder of NVIDIA's repository, which shows the system ("ubuntu2204"). If there is no such image,
    the step has no command.
    """
    now = facts.subject.image if isinstance(facts.subject.image, str) else ""
    usual = None if version else _of_newest_torch(facts)
    name = _SMALL.sub("-devel", now) if _SMALL.search(now) else _image(facts, version or usual or (12, 8), repository)
    hold = "-devel images hold nvcc and its headers, -runtime and -base do not"
    if usual and not _SMALL.search(now):
        hold += f"; CUDA {dotted(usual)} is the CUDA of the newest torch for this Python: if your torch is pinned, use the tag of its CUDA"
    if name is None:
        return commands.by_hand(
            (), f"start from the -devel variant of the container image that is used now: {hold}", "another image"
        )
    if not now:
        hold += (
            ". If the present line is FROM pytorch/pytorch:...-runtime, write the same name with -devel: an image of nvidia/cuda contains neither Python "
            "nor torch"
        )
    if places.container(facts) == places.BUILD:
        return commands.by_hand(
            ("FROM", name),
            f"the first line of the Dockerfile, instead of the present FROM line: {hold}",
            "another image",
        )
    return commands.by_hand((), f"start from {name}: {hold}", "another image")


def _of_newest_torch(facts: Facts) -> tuple[int, int]:
    """Return the CUDA version of the newest torch that pip installs for this Python; of the newest torch of all if the Python is not known."""
    python = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    for row in sorted(load(TorchRelease), key=lambda row: pair(row.minor) or (0, 0), reverse=True):
        cuda = pypi_cuda(row.minor)
        found = pair(cuda) if isinstance(cuda, str) else None
        if found in TAGS and (python is None or dotted(python) in row.pythons):
            return found
    return (12, 8)
