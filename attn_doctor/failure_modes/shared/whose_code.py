"""Find the package whose binary has no code for the GPU, by the lines above the error. Pure."""

from __future__ import annotations

from attn_doctor.failure_modes.shared import code_for_gpu, compiled_calls, subject
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts

ONNX = "onnxruntime-gpu"


def package(facts: Facts, proofs: list[Match], seen: Seen) -> str:
    """Return the package that is called in the lines above the error, if it has its own GPU code; else "torch"."""
    if any("onnxruntime" in m.text for m in proofs):
        return ONNX
    if (owner := seen.group("owner")) is not None and code_for_gpu.lacks(facts, seen.group("flags") or ""):
        return owner
    if seen.group("native") is not None:
        return subject.FLASH_ATTN
    # A copy of flash-attention's sources inside those of xformers: https://github.com/facebookresearch/xformers/issues/1329
    if any("xf" in m.text and "third_party" in m.text for m in proofs):
        return "xformers"
    name = subject.package(facts) if isinstance(facts.subject.package, str) else None
    if name is not None and name != subject.FLASH_ATTN and built_packages.row_of(name) is not None:
        return name
    if (called := compiled_calls.above(proofs, seen)) and name not in ("torch", "torchvision", "torchaudio"):
        module = None if called.startswith(("_", "flash_attn")) else called
        if (whose := name or module) is not None:
            return whose
    if (seen.group("operator") or "").startswith("ms_deformable_"):
        return "MultiScaleDeformableAttention"
    return subject.FLASH_ATTN if any(_near(m, seen) for m in proofs) else "torch"


def _near(match: Match, seen: Seen) -> bool:
    """Return whether the line is of flash-attn or sageattention, or a few lines above it one of their files is named."""
    return "flash_" in match.text or any(
        m.strength == "context"
        and not {"archs", "owner", "capability", "compiled"} & m.groups.keys()
        and m.file == match.file
        and 0 < match.line - m.line <= 12
        for m in seen.matches
    )
