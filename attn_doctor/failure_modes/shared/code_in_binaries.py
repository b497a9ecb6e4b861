"""Judge by facts whether torch and flash-attn, which hold compiled GPU code, have code for the GPUs of this machine. Pure."""

from __future__ import annotations

from attn_doctor.failure_modes.mode import EVERY_BACKEND, Hit, Variant, known, present
from attn_doctor.failure_modes.shared import cuda_start
from attn_doctor.failure_modes.shared.fact_queries import package_evidence
from attn_doctor.knowledge import flash_attention, gpu, pytorch, wheels
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.knowledge.yes_no_unknown import Answer
from attn_doctor.model.facts import Facts, Gpu, Unknown
from attn_doctor.model.findings import Severity, fact
from attn_doctor.model.versions import capability, pair


class Lacking(Variant, frozen=True, kw_only=True):
    """Hold the package whose binary has no code for the GPU. If it is not known which one, `sure` is False and the package is "torch"."""

    binary: str
    sure: bool = True
    folder: str | None = None  # of the sources of the extension, if the log shows it
    operator: str | None = None  # the function of an extension that printed the error: "deformable_im2col"


def of_torch(facts: Facts, seen: list[tuple[int, Gpu]]) -> Hit | None:
    """Return the hit if torch has no code for one of these GPUs; else None.

    `seen`: the GPUs with their index in the facts. Raises Unsure if a fact that decides is not known.
    """
    archs = facts.torch.archs
    cuda = present(facts.torch.cuda)
    read = archs if isinstance(archs, tuple) and archs else _of_the_table(facts, cuda)
    codes = read or _of_the_linux_wheel(facts, cuda)
    refused = [
        (index, card)
        for index, card in seen
        if not _runs(facts, codes, card, cuda) and (read or _newer_than_all(codes, card))
    ]
    if not refused:
        return None
    index, card = refused[0]
    path = "torch.archs" if isinstance(archs, tuple) and archs else "torch.version"
    return Hit(
        message=f"torch {facts.torch.version} has code for {_names(codes)}, but not for {cuda_start.name(card)} ({gpu.name(str(card.compute_capability))}).",
        evidence=(
            fact(facts, path),
            fact(
                facts,
                f"graphics.gpus.{index}.compute_capability",
                f"{cuda_start.name(card)}: {card.compute_capability}",
            ),
        ),
        variant=Lacking(binary="torch"),
        severity=Severity.ERROR if len(refused) == len(seen) else Severity.WARNING,
        blocks=EVERY_BACKEND,
    )


def of_torch_cuda(facts: Facts, seen: list[tuple[int, Gpu]]) -> Hit | None:
    """Return the hit if torch's CUDA is too old for all GPUs here: CUDA 10.2 knows no GPU of 8.0 or newer; else None.

    Only for CUDA before 11.0, and a torch whose GPU code was not read. `seen`: the GPUs with their index in the facts.
    Raises Unsure if a fact that decides is not known.
    """
    version, cuda = known(facts.torch.version), known(facts.torch.cuda)
    newer = [(index, card, gpu.too_new_for(cuda, present(card.compute_capability))) for index, card in seen if cuda]
    if cuda is None or not newer or not all(first for _, _, first in newer):
        return None
    if (pair(cuda) or (99, 0)) >= _FIRST_OF_AMPERE or isinstance(facts.torch.archs, tuple):
        return None
    index, card, first = newer[0]
    return Hit(
        message=f"torch {version} is built for CUDA {cuda}, which does not support {cuda_start.name(card)} ({gpu.name(str(card.compute_capability))}): that GPU needs CUDA {first} or newer.",
        evidence=(
            fact(facts, "torch.cuda"),
            fact(
                facts,
                f"graphics.gpus.{index}.compute_capability",
                f"{cuda_start.name(card)}: {card.compute_capability}",
            ),
        ),
        variant=Lacking(binary="torch"),
        severity=Severity.ERROR,
        blocks=EVERY_BACKEND,
    )


# The wheels for CUDA 10.2 and older hold no PTX: torch warns there of "sm_86", and every kernel fails.
# https://github.com/pytorch/pytorch/issues/45028, https://github.com/pytorch/pytorch/issues/52288
_FIRST_OF_AMPERE = (11, 0)


def _of_the_table(facts: Facts, cuda: str) -> tuple[str, ...]:
    """Return the GPU code of this torch; empty for Windows, whose wheels nobody has read."""
    asked = key_of(facts).platform
    # nvidia-smi, `yolo checks` and torch's version alone, as most people post them, do not name the processor.
    if isinstance(asked, Unknown) and facts.grade == "stated" and facts.system.os in ("linux", "windows"):
        asked = pytorch.LINUX if facts.system.os == "linux" else "win_amd64"
    platform = known(asked)
    found = pytorch.archs(present(facts.torch.version), cuda, platform)
    return () if isinstance(found, Unknown) and platform.startswith("win") else known(found)


def _of_the_linux_wheel(facts: Facts, cuda: str) -> tuple[str, ...]:
    """Return the GPU code of the same release for Linux.

    The wheels for Windows may keep older architectures, and never have newer ones: .ci/pytorch/windows/cuda*.bat of PyTorch's sources.
    """
    return known(pytorch.archs(present(facts.torch.version), cuda))


def _newer_than_all(codes: tuple[str, ...], card: Gpu) -> bool:
    parsed = [code for name in codes if (code := gpu.parse(name))]
    return all(capability(present(card.compute_capability)) > code.capability for code in parsed)


def of_flash_attn(facts: Facts, seen: list[tuple[int, Gpu]]) -> Hit | None:
    """Return the hit if flash-attn has no code for a GPU that it supports; else None.

    `seen`: the GPUs with their index in the facts. None also if flash-attn is not installed, or if its GPU code is not
    known. Raises Unsure if a fact that decides is not known.
    """
    version = known(facts.flash_attention.version)
    if version is None:
        return None
    oldest = capability(flash_attention.latest().min_capability)
    able = [(i, card) for i, card in seen if capability(present(card.compute_capability)) >= oldest]
    held = _held(facts)
    if not able or held is None:
        return None
    codes, cuda, path = held
    refused = [(index, card) for index, card in able if not _runs(facts, codes, card, cuda)]
    if not refused:
        return None
    index, card = refused[0]
    return Hit(
        message=f"flash-attn {version} has code for {_names(codes)}, but not for {cuda_start.name(card)} ({gpu.name(str(card.compute_capability))}).",
        evidence=(
            fact(facts, path) if path else package_evidence(facts, "flash-attn"),
            fact(
                facts,
                f"graphics.gpus.{index}.compute_capability",
                f"{cuda_start.name(card)}: {card.compute_capability}",
            ),
        ),
        variant=Lacking(binary="flash-attn"),
        severity=None if len(refused) == len(able) else Severity.INFO,
        blocks=("flash-attn-2",),
    )


def _held(facts: Facts) -> tuple[tuple[str, ...], str | None, str] | None:
    """Return (the GPU code in flash-attn's extension, its CUDA, the path of the fact); None if no code is known.

    From the file itself: the CUDA is None. Else by the table of wheels: the path is "". Example of the code: ("sm_80", "sm_90").
    """
    for index, binary in enumerate(facts.binaries if isinstance(facts.binaries, tuple) else ()):
        if binary.module == "flash_attn_2_cuda" and isinstance(binary.sm, tuple):
            ptx = binary.ptx if isinstance(binary.ptx, tuple) else ()
            codes = (*(gpu.name(sm) for sm in binary.sm), *(gpu.name(text, ptx=True) for text in ptx))
            return (codes, None, f"binaries.{index}.sm") if codes else None
    cuda = facts.flash_attention.wheel_cuda
    row = wheels.matrix(str(facts.flash_attention.version))
    if not isinstance(cuda, str) or isinstance(row, Unknown):
        return None
    major = pair(cuda)
    codes = next((sm for tag, sm in row.sm.items() if major and tag.startswith(f"cu{major[0]}")), ())
    return (codes, cuda, "") if codes else None


def _runs(facts: Facts, codes: tuple[str, ...], card: Gpu, cuda: str | None) -> bool:
    """Return whether GPU code runs on a GPU. An unknown answer counts as yes: this rule reports only code that surely does not run.

    `codes`: ("sm_80", "compute_90"). `cuda`: with which it was compiled; None if not known. Raises Unsure if the GPU is not known.
    """
    driver_cuda = facts.graphics.driver_cuda if isinstance(facts.graphics.driver_cuda, str) else None
    judged = gpu.runs(codes, present(card.compute_capability), cuda=cuda, driver_cuda=driver_cuda)
    return not (isinstance(judged, Answer) and not judged.yes and judged.verified)


def _names(codes: tuple[str, ...]) -> str:
    return ", ".join(code for code in codes if not code.startswith("compute_")) or ", ".join(codes)
