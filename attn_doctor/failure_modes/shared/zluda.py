"""Recognise ZLUDA, which replaces CUDA on an AMD GPU under Windows, and a DLL of AMD's HIP SDK that it does not find. Pure.

https://github.com/vosen/ZLUDA, https://vladmandic.github.io/sdnext-docs/ZLUDA. rocm_steps.hip_sdk is the cure.
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Severity
from attn_doctor.model.machine import amd_gpus

NAMES = tuple(
    Sign(
        pattern=rf"(?P<zluda>{name})",
        literal=name,
        sample=f"Using {name} in C:\\webui\\.zluda",
        strength="context",
    )
    for name in ("zluda", "Zluda", "ZLUDA")
)
# ZLUDA replaces these libraries by its own, which need AMD's HIP SDK. If the log does not name ZLUDA, torch-install-broken
# reports the line.
DLL = Sign(
    pattern=r"\[WinError 12[67]\].{0,300}?(?P<cuda>caffe2_nvrtc|nvrtc64|cublas|cusparse|cufft|cudart|cudnn)\w*\.dll",
    literal="[WinError 12",
    sample='OSError: [WinError 126] The specified module could not be found. Error loading "C:\\ZLUDA\\venv\\lib\\site-packages\\torch'
    '\\lib\\caffe2_nvrtc.dll" or one of its dependencies.',
    strength="hint",
)


class HipMissing(Variant, frozen=True):
    """Mark the case that a library of AMD's HIP SDK is missing, which ZLUDA needs."""


def named(seen: Seen) -> bool:
    """Return whether a line names ZLUDA."""
    return any("zluda" in m.groups for m in seen.matches)


def hit_of_dll(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit for a torch for CUDA on an AMD GPU: ZLUDA replaces CUDA on such a machine, and a library of AMD's HIP SDK is not found."""
    lacks = [m for m in seen.matches if "cuda" in m.groups]
    zluda = named(seen)
    if not lacks or not (zluda or amd_gpus(facts)):
        return None
    return Hit(
        message=f"{'ZLUDA, which replaces CUDA on an AMD GPU,' if zluda else 'A torch for CUDA, on an AMD GPU,'} could not be loaded: a DLL is "
        "not found. Probably it is a DLL of AMD's HIP SDK, and the folder of the SDK is not on PATH.",
        evidence=tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in lacks[:4]),
        variant=HipMissing(),
        confidence=Confidence.MEDIUM,
        severity=Severity.ERROR,
    )
