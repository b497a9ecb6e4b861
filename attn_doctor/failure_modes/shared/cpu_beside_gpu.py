"""Judge a program that computes on the CPU although the log shows a GPU: no error, only `False`, or "CPU" in the banner of Ultralytics. Pure.

https://docs.ultralytics.com/guides/nvidia-jetson/ (images for a Jetson), https://docs.ultralytics.com/guides/docker-quickstart/
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import container_starts
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, torch_steps
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Fix, Severity
from attn_doctor.model.machine import amd_gpus, nvidia_present

_NEAR = 3  # lines between a question that was typed and its answer
# "Ultralytics YOLOv8.0.75 Python-3.10.7 torch-2.0.0 CPU", "YOLOv5 v7.0 Python-3.8.10 torch-1.13.1 CPU"
BANNER = (
    Sign(
        pattern=r"\b(?:Ultralytics|YOLOv5)\b.{0,40}Python-3\S* torch-(?P<banner>\d[\w.+]*) (?P<computes>CPU\b|CUDA:\d)",
        literal=" torch-",
        sample="Ultralytics 8.3.40 Python-3.10.12 torch-2.5.1 CPU (Cortex-A78AE)",
        strength="hint",
    ),
    Sign(
        pattern=r"(?P<chosen>(?:--)?\bdevice[=: ]{1,2}['\"]?cpu\b|\bCUDA_VISIBLE_DEVICES=(?:-1|''|\"\"|\s))",
        literal="cpu",
        sample="yolo predict model=yolo11n.pt device=cpu",
        strength="context",
    ),
    Sign(
        pattern=r"(?P<started>(?:sudo )?docker run \S.{0,600})$",
        literal="docker run ",
        sample="$ sudo docker run -it --rm --runtime nvidia ultralytics/ultralytics:latest-arm64",
        strength="context",
    ),
)
SIGNS = (
    Sign(
        pattern=r"(?P<question>\btorch\.cuda\.is_available\(\))(?!\s*(?:=|:|returns?)?\s*(?:True|False))",
        literal="torch.cuda.is_available()",
        sample='python3 -c "import torch; print(torch.cuda.is_available(), torch.version.cuda)"',
        strength="context",
    ),
    Sign(
        pattern=r"^(?:(?:torch )?\d[\w.+]{2,24},? )?(?P<answer>False|True)(?:[ ,]+[\w.+()'-]{1,24}){0,4}$",
        literal="False",
        sample="False 12.4 None",
        strength="hint",
    ),
    Sign(
        pattern=r"^(?:(?:torch )?\d[\w.+]{2,24},? )?(?P<answer>False|True)(?:[ ,]+[\w.+()'-]{1,24}){0,4}$",
        literal="True",
        sample="True 12.4 None",
        strength="context",
    ),
    *BANNER,
)


class OnCpu(Variant, frozen=True, kw_only=True):
    """Hold why a GPU is not used, and the container image in which the program ran."""

    # "jetson": torch is not NVIDIA's for the board. "amd": it is not the build for AMD GPUs. "cpu-build": it is a CPU build.
    kind: Literal["jetson", "amd", "cpu-build"]
    image: str | None = None  # "ultralytics/ultralytics:latest-arm64"; None: no container, or not known
    started: str | None = None  # the typed line that started the container


def told(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit for a log whose last word about the GPU is that there is none, on a machine that has one; None for all others."""
    if any(m.groups.get("chosen") for m in seen.matches):
        return None
    said = [m for m in seen.matches if m.groups.get("computes") or (m.groups.get("answer") and _answers(seen, m))]
    if not said or said[-1].groups.get("answer") == "True" or said[-1].groups.get("computes", "CPU") != "CPU":
        return None
    lines = [m for m in said if m.groups.get("answer") == "False" or m.groups.get("computes") == "CPU"]
    banner = next((m.groups["banner"] for m in reversed(lines) if m.groups.get("banner")), None)
    torch = banner or (facts.torch.version if isinstance(facts.torch.version, str) else None)
    kind = _kind(facts, torch)
    if kind is None:
        return None
    name = f"torch {torch}" if torch else "The installed torch"
    image = container_starts.image(facts)
    message = {
        "jetson": f"{name} does not use the GPU of this Jetson: it is the usual build for ARM, which is a CPU build there. Only NVIDIA's torch for JetPack uses that GPU.",
        "amd": f"{name} is a build for CUDA, and the GPU is one of AMD: torch sees no GPU. It takes the ROCm build.",
        "cpu-build": f"{name} is a CPU build, so the GPU of this machine is not used.",
    }[kind]
    answered = any(m.groups.get("answer") for m in lines)
    return Hit(
        message=message,
        evidence=building.lines(lines[-3:]),
        variant=OnCpu(
            kind=kind,
            image=image if image != container_starts.IMAGE else None,
            started=next((m.groups["started"] for m in reversed(seen.matches) if m.groups.get("started")), None),
        ),
        confidence=Confidence.HIGH if answered else Confidence.MEDIUM,
        severity=Severity.ERROR,
    )


def _answers(seen: Seen, match: Match) -> bool:
    """Return whether the question for this value is a few lines above it, in the same log."""
    return any(
        m.groups.get("question") and m.file == match.file and 0 < match.line - m.line <= _NEAR for m in seen.matches
    )


def _kind(facts: Facts, torch: str | None) -> Literal["jetson", "amd", "cpu-build"] | None:
    """Return why torch cannot use the GPU of this machine: another torch is needed on a Jetson or for AMD, or it is a CPU build. Else None."""
    if facts.system.board == "jetson":
        nvidias = torch is not None and re.search(r"\+nv|a0\+|\.nv\d", torch)
        return None if nvidias else "jetson"
    if (
        amd_gpus(facts)
        and not isinstance(facts.torch.hip, str)
        and (isinstance(facts.torch.cuda, str) or (torch and "+cu" in torch))
    ):
        return "amd"
    return "cpu-build" if nvidia_present(facts) is True and torch is not None and torch.endswith("+cpu") else None


def fixes(facts: Facts, found: OnCpu) -> tuple[Fix, ...]:
    """Return the fixes for this kind of case.

    "jetson": the container image with NVIDIA's torch, if an image was used, and that torch itself. "amd": the ROCm
    build of torch. "cpu-build": the CUDA build.
    """
    if found.kind == "amd":
        return torch_steps.newest(facts, "Install the ROCm build of torch", reinstall=True, maker="amd")
    if found.kind == "cpu-build":
        return torch_steps.newest(facts, "Install a CUDA build of torch", reinstall=True)
    return (
        *_image(facts, found),
        *torch_steps.newest(facts, "Install NVIDIA's torch for this JetPack", reinstall=True),
    )


def _image(facts: Facts, found: OnCpu) -> tuple[Fix, ...]:
    """Return the fix that starts Ultralytics' image for a Jetson instead of its image for any ARM computer; empty for other images."""
    image = found.image
    if image is None or not image.startswith("ultralytics/"):
        return ()
    major = facts.system.jetpack.partition(".")[0] if isinstance(facts.system.jetpack, str) else ""
    right = f"{image.partition(':')[0]}:latest-jetson-jetpack{major or '6'}"
    which = (
        f"for JetPack {major}"
        if major
        else "for JetPack 6; latest-jetson-jetpack5 is for JetPack 5 (`cat /etc/nv_tegra_release`: R35)"
    )
    start = commands.by_hand(
        container_starts.with_image(found.started, image, right),
        f"the image {which}, with NVIDIA's torch; {image} is for any ARM computer and has a CPU build",
        "adds an image",
        takes="several GB",
    )
    return (Fix(title="Use the container image for a Jetson", steps=(start,), verify=commands.check(facts)),)
