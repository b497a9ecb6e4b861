"""Chooses NVIDIA's container image with a CUDA toolkit, and builds the step that begins with it. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step

# CUDA release -> its last patch release at https://hub.docker.com/r/nvidia/cuda
TAGS = {
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


def _image(facts: Facts, version: tuple[int, int], repository: str | None) -> str | None:
    """Return the image that has this toolkit on the system of this container; None: there is no such image."""
    tag, system = TAGS.get(version), _SYSTEMS.get(repository or "")
    if system is None and not isinstance(facts.system.distribution, str):
        system = "ubuntu22.04" if version < (12, 6) else "ubuntu24.04"
    return f"nvidia/cuda:{tag}-devel-{system}" if tag and system else None


def another(facts: Facts, version: tuple[int, int] | None, repository: str | None) -> Step:
    """Return the step that starts the container from an image with nvcc. `repository`: the folder of NVIDIA's repository ("ubuntu2204")."""
    name = _image(facts, version, repository) if version else None
    if name is None:
        why = "begin with the -devel variant of the image that is used now: -runtime and -base have no nvcc"
    elif places.container(facts) == places.BUILD:
        why = f"begin the Dockerfile with `FROM {name}`: -devel images hold nvcc and its headers, -runtime and -base do not"
    else:
        why = f"start from {name}: -devel images hold nvcc and its headers, -runtime and -base do not"
    return commands.by_hand((), why, "another image")
