"""Recognise NVIDIA's container for a Jetson on a board of another release: its CUDA libraries are those of the board, which are mounted into it. Pure.

Up to JetPack 4 the image holds no CUDA: the runtime `nvidia` mounts the board's. https://github.com/dusty-nv/jetson-containers/issues/126 (an image of
r32.5 on r32.3), https://github.com/dusty-nv/jetson-containers/issues/164 (an image of r32.6 on JetPack 5), https://github.com/dusty-nv/jetson-containers/issues/194
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign, Variant
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

SIGNS = (
    *(
        Sign(
            pattern=r"(?P<mounted_image>(?:nvcr\.io/nvidia/l4t-(?:pytorch|ml):|dustynv/[\w.-]{2,40}:(?:[\w.-]{1,40}-l4t-)?)r(?P<mounted_l4t>32(?:\.\d+){1,2})[\w.-]*)",
            literal=literal,
            sample=f"sudo docker run -it --runtime nvidia {literal}{rest}r32.5.0{end}",
            strength="context",
        )
        for literal, rest, end in (
            ("nvcr.io/nvidia/l4t-", "pytorch:", "-pth1.7-py3"),
            ("dustynv/", "ros:noetic-pytorch-l4t-", ""),
        )
    ),
)
# The libraries of CUDA and cuDNN that torch needs, and that the runtime mounts.
_MOUNTED = re.compile(r"lib(?:nvToolsExt|cudart|cublas\w*|curand|cufft|cusparse|cusolver|cudnn\w*|nvrtc|cupti)\.so")
# The image of NVIDIA for each release of Jetson Linux: tags of https://catalog.ngc.nvidia.com/orgs/nvidia/containers/l4t-pytorch, https://github.com/dusty-nv/jetson-inference/blob/master/docker/build.sh
_TAGS = (
    ("32.4.2", "r32.4.2-pth1.5-py3"),
    ("32.4.3", "r32.4.3-pth1.6-py3"),
    ("32.4.4", "r32.4.4-pth1.6-py3"),
    ("32.5*", "r32.5.0-pth1.6-py3"),
    ("32.6*", "r32.6.1-pth1.9-py3"),
    ("32.7*", "r32.7.1-pth1.10-py3"),
    ("34.1*", "r34.1.1-pth1.12-py3"),
    ("35.1*", "r35.1.0-pth1.12-py3"),
    ("35*", "r35.2.1-pth2.0-py3"),
)


class OfBoard(Variant, frozen=True, kw_only=True):
    """Hold the image ("nvcr.io/nvidia/l4t-pytorch:r32.5.0-pth1.7-py3") and the release of Jetson Linux that it is for ("32.5.0")."""

    image: str
    l4t: str


def told(seen: Seen, library: str) -> OfBoard | None:
    """Return the image, if it takes this library ("libcurand.so.10") from the board; None for other images and libraries."""
    image, l4t = seen.group("mounted_image"), seen.group("mounted_l4t")
    return OfBoard(image=image, l4t=l4t) if image and l4t and _MOUNTED.match(library) else None


def message(found: OfBoard, library: str) -> str:
    """Return the message of the hit."""
    return (
        f"The container does not find {library}: an image for Jetson Linux {found.l4t} holds no CUDA, and takes that of the board. The board has another "
        "release, or its CUDA is not installed, or not mounted."
    )


def fixes(facts: Facts, found: OfBoard) -> tuple[Fix, ...]:
    """Return the fixes: the image for the board's own release, and the board's own CUDA."""
    verify = commands.check(facts)
    release = "sed -nE 's/^# R([0-9]+) .release., REVISION: ([0-9.]+),.*/\\1.\\2/p' /etc/nv_tegra_release"
    look = commands.by_hand(
        ("sh", "-c", f"L=$({release}); echo $L; ls -d /usr/local/cuda-*"),
        f"on the board, not in the container: prints its release of Jetson Linux and its CUDA. The image is for {found.l4t}, and needs CUDA 10.2",
        "nothing",
        "none",
    )
    cases = " ".join(f"{number}) T={tag};;" for number, tag in _TAGS)
    start = 'if [ -n "$T" ]; then sudo docker run -it --rm --runtime nvidia --network host nvcr.io/nvidia/l4t-pytorch:$T; else echo "no image for $L"; fi'
    run = commands.by_hand(
        ("sh", "-c", f"case $L in {cases} *) T=;; esac; {start}"),
        "starts the image of NVIDIA's torch for that release. It prints 'no image' for JetPack 4.3 (32.3) and older: bring the board to JetPack 4.6 first "
        "(https://developer.nvidia.com/embedded/jetpack-archive; NVIDIA's SDK Manager writes the board anew)",
        "a new container",
        takes="about 2 GB",
    )
    jetpack = commands.by_hand(
        ("sudo", "apt-get", "install", "-y", "nvidia-jetpack"),
        f"on the board, if its release is {found.l4t} already: installs its CUDA and the lists by which the runtime mounts it "
        '(/etc/nvidia-container-runtime/host-files-for-container.d/cuda.csv). In a `docker build` also write "default-runtime": "nvidia" into /etc/docker/daemon.json, and restart docker',
        "adds JetPack's packages",
        takes="several GB",
    )
    return (
        Fix(title="Start the image for the board's own release", steps=(look, run), verify=verify),
        Fix(title="Or install the board's CUDA", steps=(jetpack,), verify=verify),
    )
