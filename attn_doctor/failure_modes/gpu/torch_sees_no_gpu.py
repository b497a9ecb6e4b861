"""A program says that torch sees no GPU, and nothing says why.

What it is
    Programs ask torch.cuda.is_available() and stop when the answer is False. torch gives no reason with this answer.

How it shows
    Each program has a sentence of its own: "Torch is not able to use GPU" (Stable Diffusion WebUI), "CUDA unavailable, invalid device 0
    requested" (YOLOv3 to YOLOv7), "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False"
    (torch.load), "CUDA is not available on this machine", "No GPU found", "But your machine only has: []" (Lightning), "fp16 mixed
    precision requires a GPU" (accelerate), "Failed to infer device type" (vLLM).

Why it happens
    torch is a CPU build in the environment that the program uses; no NVIDIA driver works; the driver is older than the
    CUDA of torch; a variable or a container hides the GPU; or there is no NVIDIA GPU.

What to do
    Ask the Python that the program uses: `python -c "import torch; print(torch.__version__, torch.version.cuda,
    torch.cuda.is_available())"`, and `nvidia-smi`. The two answers name the cause. Do not install anything before you
    have them.

How to reproduce
    There is no recipe: each program has a sentence of its own. `python -c "import torch; print(torch.cuda.is_available())"` prints
    False on every machine without an NVIDIA GPU.

References
    https://pytorch.org/get-started/locally/
    https://github.com/AUTOMATIC1111/stable-diffusion-webui/blob/master/modules/launch_utils.py
    https://github.com/ultralytics/yolov5/blob/v5.0/utils/torch_utils.py
    https://github.com/pytorch/pytorch/blob/main/torch/serialization.py
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from attn_doctor import commands
from attn_doctor.commands import nvidia_drivers
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import (
    building,
    cpu_beside_gpu,
    cuda_start,
    gpu_sentences,
    other_devices,
    see_torch_and_driver,
    torch_facts,
    torch_steps,
    without_gpu,
)
from attn_doctor.knowledge import cuda as cuda_rules
from attn_doctor.knowledge.yes_no_unknown import Answer
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.machine import amd_gpus, nvidia_present

_SAID = r"(?:Error|Exception|ERROR|CRITICAL|FATAL)\b.{0,60}?(?<![\w-])"  # the sentence ends a program: an exception, or a line of its log

# Words that count only if they end a program.
_WORDS = (
    "GPU found",
    "GPUs found",
    "GPU detected",
    "GPU available",
    "GPU was found",
    "GPU device found",
    "GPU device was found",
    "CUDA device found",
    "CUDA devices found",
    "CUDA device available",
    "cuda device found",
)
_NONE = (
    "CUDA device not found",
    "GPU not found",
    "GPU not detected",
    "GPU unavailable",
    "CUDA unavailable",
    "CUDA is unavailable",
)

MODE = FailureMode(
    code="AD438",
    slug="torch-sees-no-gpu",
    title="torch sees no GPU, and the log does not say why",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=("yolo12-flash-not-used", "transformers-flash-attn-2-not-installed"),
    signs=(
        *(
            Sign(pattern=re.escape(words), literal=words, sample=f"RuntimeError: {words}.")
            for words in gpu_sentences.SENTENCES
        ),
        Sign(
            pattern=r"CUDA unavailable, invalid device '?(?:cuda:)?\d[\d,]*'? requested",
            literal="CUDA unavailable, invalid device",
            sample="AssertionError: CUDA unavailable, invalid device 0 requested",
        ),
        Sign(
            pattern=r"Invalid CUDA '--device [^']{0,20}' requested",
            literal="Invalid CUDA '--device",
            sample="AssertionError: Invalid CUDA '--device 0' requested, use '--device cpu' or pass valid CUDA device(s)",
        ),
        Sign(
            pattern=_SAID + r"(?:CUDA|[Cc]uda|GPU|gpu)(?: devices?)?(?: is| are|'s)? not availa",
            literal=" not availa",
            sample="AssertionError:  [!] CUDA is not available on this machine.",
        ),
        *(
            Sign(
                pattern=_SAID
                + r"(?:[Nn]o|NO) (?:(?:NVIDIA|CUDA|cuda|available|suitable|compatible|usable)(?:-\w{1,12})? ){0,4}"
                + words,
                literal=words,
                sample=f"RuntimeError: No {words}.",
            )
            for words in _WORDS
        ),
        *(Sign(pattern=_SAID + words, literal=words, sample=f"RuntimeError: {words}") for words in _NONE),
        # The source line in the traceback of any program, and its error.
        Sign(
            pattern=r"^(?P<asserted>assert torch\.cuda\.is_available\(\).{0,200})$",
            literal="assert torch.cuda.is_available()",
            sample="assert torch.cuda.is_available(), 'this program needs a GPU'",
            strength="context",
        ),
        Sign(
            pattern=r"^(?P<failed>AssertionError\b.{0,200})$",
            literal="AssertionError",
            sample="AssertionError: this program needs a GPU",
            strength="hint",
        ),
        # Ultralytics, since 8.0: the lines below its error say whether a variable hides the GPU. config-device-cpu judges the others.
        Sign(
            pattern=r"Invalid CUDA '?device=(?P<device>(?:cuda:?)?[\d,: ]*)'? requested",
            literal="Invalid CUDA ",
            sample="ValueError: Invalid CUDA 'device=0' requested. Use 'device=cpu' or pass valid CUDA device(s) if available",
            strength="hint",
        ),
        Sign(
            pattern=r"torch\.cuda\.device_count\(\): (?P<none>0)\b",
            literal="torch.cuda.device_count()",
            sample="torch.cuda.device_count(): 0",
            strength="context",
        ),
        Sign(
            pattern=r"os\.environ\['CUDA_VISIBLE_DEVICES'\]: (?P<unset>None)\b",
            literal="CUDA_VISIBLE_DEVICES",
            sample="os.environ['CUDA_VISIBLE_DEVICES']: None",
            strength="context",
        ),
        # In the words of a person. "AMD Ryzen" and "AMD EPYC" are processors, "AMD64" is every PC.
        *(
            Sign(
                pattern=rf"(?<![\w/.+-])(?P<amd>{word})(?![\w/.+-])(?! ?(?:Ryzen|EPYC|Epyc|Athlon|Threadripper|FX|Phenom|A\d|CPU|cpu|[Pp]rocessor))",
                literal=word,
                sample=f"how do I run it on {word}, which driver does it need?",
                strength="context",
            )
            for word in ("AMD", "amd", "Radeon", "radeon", "RADEON", "ROCm", "rocm", "ZLUDA", "zluda")
        ),
        # After these lines programs go on: the lines count only if the log shows NVIDIA's driver, GPU or toolkit.
        Sign(
            pattern=r"\b(?:CUDA|[Cc]uda|GPU)(?: support)?(?: is)? not available",
            literal="not available",
            sample="CUDA not available - defaulting to CPU. Note: This module is much faster with a GPU.",
            strength="hint",
        ),
        Sign(
            pattern=r"Neither CUDA nor MPS are available",
            literal="Neither CUDA nor MPS",
            sample="Neither CUDA nor MPS are available - defaulting to CPU.",
            strength="hint",
        ),
        Sign(
            pattern=r"is_available\(\)\)?\W{0,12}(?:(?:returns?|is|prints?|gives?)\W{1,4})?False\b",
            literal="is_available()",
            sample="torch.cuda.is_available(): False",
            strength="hint",
        ),
        Sign(
            pattern=r"\b(?:CUDA|[Cc]uda|GPU|gpu)[ _](?:is[ _])?[Aa]vailable(?: \(PyTorch\))?\??\W{1,20}(?:False|No)\b"
            r"|\bIs (?:CUDA|GPU) available: (?:False|No)\b",
            literal="vailable",
            sample="Is CUDA available: False",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<asked>^.{0,30}\btorch\.cuda\.is_available\(\)\)?(?: returns?)?[:?]?[\"']?$)",
            literal="torch.cuda.is_available()",
            sample=">>> torch.cuda.is_available()",
            strength="context",
        ),
        Sign(
            pattern=r"^(?:Out\[\d+\]: )?(?P<answered>False)$",
            literal="False",
            sample="False",
            strength="hint",
        ),
        *cpu_beside_gpu.SIGNS,
    ),
)
# There is no `detect`: on a machine that is examined and has a GPU, another failure mode finds the cause.


class Unseen(Variant, frozen=True, kw_only=True):
    """Hold what the log shows to be right, so that it is not the cause.

    "nothing". "torch": torch is a CUDA build. "driver": torch is a CUDA build, and the driver is new enough for it.
    """

    fits: Literal["nothing", "torch", "driver"]
    amd: bool = False  # the words of the log say that the GPU is of AMD


_NEAR = 3  # lines between a question that was typed and its answer, or a source line and its error


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if facts.system.os != "darwin" and (on_cpu := cpu_beside_gpu.told(facts, seen)) is not None:
        return on_cpu
    if cuda_start.works(facts) or facts.system.os == "darwin":
        return None
    device = _asked_for(seen)
    proofs = tuple(
        m
        for m in seen.matches
        if m.strength == "proof"
        or ("failed" in m.groups and _after(seen, m, "asserted"))
        or ("device" in m.groups and device is not None)
    )
    hints = tuple(
        m
        for m in seen.matches
        if m.strength == "hint"
        and not {"failed", "device", "answer", "computes"} & set(m.groups)
        and ("answered" not in m.groups or _after(seen, m, "asked"))
    )
    if not proofs and not (hints and torch_facts.wants_gpu(facts)):
        return None
    if not torch_facts.wants_gpu(facts) and any("amd" in m.groups for m in seen.matches):
        asked = f"device {device}" if device else "a GPU for CUDA"
        return Hit(
            message=f"The program asked for {asked}, torch sees no GPU, and the log mentions AMD: no torch for CUDA runs on an AMD GPU.",
            evidence=building.lines((*proofs, *(m for m in seen.matches if "amd" in m.groups))[:4]),
            variant=Unseen(fits="nothing", amd=True),
            confidence=Confidence.LOW,
        )
    if proofs and without_gpu.absent(facts):
        return without_gpu.hit(facts, f"device {device}" if device else "a GPU", proofs)
    fits = _fits(facts)
    begin = f"Device {device} was asked for, and torch" if device else "torch"
    torch = f"torch {facts.torch.version}" if isinstance(facts.torch.version, str) else "The installed torch"
    driven = isinstance(facts.graphics.driver, str)
    why_not = (
        "torch is a CPU build, or built for a newer CUDA than the driver supports, or the GPU is hidden from the program."
        if driven
        else "torch is a CPU build, or no NVIDIA driver works, or the driver is older than torch's CUDA, or there is no NVIDIA GPU."
    )
    message = {
        "nothing": f"{begin} sees no GPU, and the log does not say why: {why_not}",
        "torch": f"{torch} is built for CUDA {facts.torch.cuda} and sees no GPU; the log does not say why: no NVIDIA driver works, or the "
        "driver is older than that CUDA, the GPU is hidden, or the machine has no GPU.",
        "driver": f"{torch} is built for CUDA {facts.torch.cuda}, the driver {facts.graphics.driver} supports that CUDA, and torch sees no GPU; "
        "the log does not say why: the GPU is hidden from the program, or the program uses another environment, or the driver needs a restart.",
    }[fits]
    return Hit(
        message=message,
        evidence=building.lines(proofs or hints),
        variant=Unseen(fits=fits),
        confidence=Confidence.LOW,
        severity=None if proofs else Severity.WARNING,
    )


def _asked_for(seen: Seen) -> str | None:
    """Return the device that Ultralytics refused, "0".

    Only from a message that torch sees no GPU and that no variable hides one; else None.
    """
    if seen.group("none") is None or seen.group("unset") is None:
        return None
    return seen.group("device")


def _after(seen: Seen, match: Match, group: str) -> bool:
    """Return whether the match is close below a match of this group, as an answer is below its question."""
    return any(group in m.groups and m.file == match.file and 0 < match.line - m.line <= _NEAR for m in seen.matches)


def _fits(facts: Facts) -> Literal["nothing", "torch", "driver"]:
    cuda, driver = facts.torch.cuda, facts.graphics.driver
    if not isinstance(cuda, str):
        return "nothing"
    os = cuda_start.driver_os_or_none(facts) or "linux"
    covered = cuda_rules.driver_covers(driver, cuda, os) if isinstance(driver, str) else None
    return "driver" if isinstance(covered, Answer) and covered.yes else "torch"


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    fits = hit.variant.fits if isinstance(hit.variant, Unseen) else "nothing"
    if isinstance(hit.variant, Unseen) and hit.variant.amd and not amd_gpus(facts):
        return other_devices.on_amd(facts)
    if isinstance(hit.variant, without_gpu.Absent):
        return without_gpu.fixes(facts)
    if isinstance(hit.variant, cpu_beside_gpu.OnCpu):
        return cpu_beside_gpu.fixes(facts, hit.variant)
    verify = commands.check(facts)
    ask = Fix(
        title="Print what torch and the driver report",
        steps=see_torch_and_driver.steps(facts, cuda_build=fits != "nothing"),
        verify=verify,
    )
    session = nvidia_drivers.session_with_gpu(facts)
    if session is not None:
        return (session, ask, *_titled(_build(facts, fits), _IF_CPU))
    if amd_gpus(facts):
        return (ask, *torch_steps.newest(facts, "Install a torch for the AMD GPU", reinstall=True))
    build = _build(facts, fits)
    if facts.system.board == "jetson" and isinstance(facts.torch.version, str) and ".nv" not in facts.torch.version:
        # PyPI's torch has no code for a Jetson's GPU.
        return (*_titled(build, "Install the torch for this Jetson"), ask)
    # The driver's own titles are for a driver that is known to be missing, so others are used here.
    driver = nvidia_drivers.install(facts) if not isinstance(facts.graphics.driver, str) else ()
    return (
        ask,
        *_titled(build, _IF_CPU),
        *_titled(driver, "If nvidia-smi fails or shows an older CUDA: install the driver"),
        *(() if nvidia_present(facts) is True else (_on_the_cpu(facts),)),
    )


_IF_CPU = "If that torch is a CPU build: install a CUDA build"


def _build(facts: Facts, fits: str) -> tuple[Fix, ...]:
    """Return the fixes that install a CUDA build of torch; empty if the log shows that torch is one (`fits` is not "nothing")."""
    return torch_steps.newest(facts, "Install a CUDA build of torch", reinstall=True) if fits == "nothing" else ()


def _titled(fixes: tuple[Fix, ...], title: str) -> tuple[Fix, ...]:
    """Return the last of these fixes with another title, which says when to use it. The last fix is the one that works on every machine."""
    return tuple(msgspec.structs.replace(fix, title=title) for fix in fixes[-1:])


def _on_the_cpu(facts: Facts) -> Fix:
    words = (
        f"without an NVIDIA GPU: tell the program to use the CPU ({without_gpu.ON_THE_CPU}); it is many times slower"
    )
    step = commands.by_hand((), words, "the settings of the program", "none")
    return Fix(title="Without an NVIDIA GPU: compute on the CPU", steps=(step,), verify=commands.check(facts))
