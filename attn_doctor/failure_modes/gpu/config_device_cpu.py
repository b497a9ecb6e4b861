"""The machine has a GPU, but a setting hides it from the program.

What it is
    CUDA_VISIBLE_DEVICES decides which GPUs a program sees. If it is empty, -1, or a number or UUID that no GPU has, it
    hides all GPUs: the program runs on the CPU or refuses to start. Ultralytics also refuses a device number above the last
    GPU.

How it shows
    "Flash Attention 2 is not available on CPU. Please make sure torch can access a CUDA device."; Ultralytics: "Invalid
    CUDA 'device=1' requested"; "No CUDA GPUs are available". flash-attn, when it
    is given tensors that are on the CPU: "q must be on CUDA", "Could not run 'flash_attn::_flash_attn_forward' with
    arguments from the 'CPU' backend".

Why it happens
    A shell or a job script still sets the variable, or a configuration says device=cpu.

What to do
    Unset CUDA_VISIBLE_DEVICES, or name a GPU that nvidia-smi -L lists. In the program, use device 0.

How to reproduce
    `attn-doctor reproduce config-device-cpu` asks a stand-in driver for a GPU that CUDA_VISIBLE_DEVICES hides, and examines that machine.
    Stand-in: the GPU; its driver. It needs gcc. If that is not available, a simulated machine is judged.

References
    https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html
    https://github.com/FunAudioLLM/FunMusic/issues/30
"""

from __future__ import annotations

import re
from typing import Literal

from packaging.version import Version

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import ASK_DRIVER, PlayedMachine, Recipe, StubDriver, StubGpu, Torch, Variable
from attn_doctor.failure_modes.shared import building, cuda_start, other_devices
from attn_doctor.failure_modes.shared.fact_queries import variable
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Goal, Severity, fact
from attn_doctor.model.versions import parse

_VARIABLE = "CUDA_VISIBLE_DEVICES"

MODE = FailureMode(
    code="AD418",
    slug="config-device-cpu",
    title="The GPU is hidden from the program",
    train=Severity.WARNING,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=(
        "torch-sees-no-gpu",
        "yolo12-flash-not-used",
    ),
    signs=(
        Sign(
            pattern=r"Flash ?Attention ?\d(?:\.0)? is not available on CPU",
            literal="is not available on CPU",
            sample="ValueError: FlashAttention2 has been toggled on, but it cannot be used due to the following error: Flash Attention 2 "
            "is not available on CPU. Please make sure torch can access a CUDA device.",
        ),
        Sign(
            pattern=r"Invalid CUDA '?device=(?P<device>[^'{} ]*)'? requested",
            literal="Invalid CUDA ",
            sample="ValueError: Invalid CUDA 'device=1' requested. Use 'device=cpu' or pass valid CUDA device(s) if available",
        ),
        # ultralytics' export to TensorRT, and Lightning
        Sign(
            pattern=r"export running on (?P<export>CPU) but must be on GPU",
            literal="export running on CPU but must be on GPU",
            sample="AssertionError: export running on CPU but must be on GPU, i.e. use 'device=0'",
        ),
        Sign(
            pattern=r"You requested gpu: \[(?P<device>[\d, ]+)\]",
            literal="You requested gpu: [",
            sample="MisconfigurationException: You requested gpu: [0, 1]",
        ),
        Sign(
            pattern=r"But your machine only has: \[(?P<have>\d[\d, ]*)\]",
            literal="But your machine only has: [",
            sample=" But your machine only has: [0]",
            strength="context",
        ),
        Sign(
            pattern=r"does not have one of build variants:.{0,120}\bcpu\b",
            literal="one of build variants",
            sample="FileNotFoundError: Kernel at path `/home/user/.cache/x` does not have one of build variants: torch29-cxx11-cpu-x86_64-"
            "linux, torch-cpu, torch-universal",
        ),
        Sign(
            pattern=r"Could not run '(?:flash_attn|xformers|mamba_ssm|causal_conv1d|sageattention|natten|vllm)\w*::\w+' with arguments from the 'CPU' backend",
            literal="with arguments from the 'CPU' backend",
            sample="NotImplementedError: Could not run 'flash_attn::_flash_attn_forward' with arguments from the 'CPU' backend.",
        ),
        Sign(
            pattern=r"RuntimeError: (?:Input tensor|q|k|v|qkv) must be on CUDA( device)?",
            literal=" must be on CUDA",
            sample="RuntimeError: q must be on CUDA",
        ),
        Sign(
            pattern=r"(?:os\.environ\[')?CUDA_VISIBLE_DEVICES(?:'\])?\s*[=:]\s*(?P<hidden>''|\"\"|-1|'-1'|\"-1\"|\s*$)",
            literal="CUDA_VISIBLE_DEVICES",
            sample="os.environ['CUDA_VISIBLE_DEVICES']: '-1'",
            strength="hint",
        ),
        Sign(
            pattern=r"os\.environ\['CUDA_VISIBLE_DEVICES'\]: (?P<unset>None)\b",
            literal="CUDA_VISIBLE_DEVICES",
            sample="os.environ['CUDA_VISIBLE_DEVICES']: None",
            strength="context",
        ),
        Sign(
            pattern=r"torch\.cuda\.device_count\(\): (?P<count>\d+)",
            literal="torch.cuda.device_count()",
            sample="torch.cuda.device_count(): 1",
            strength="context",
        ),
        Sign(
            pattern=r"\bUltralytics (?:YOLO)?v?(?P<release>\d{1,2}\.\d{1,3}\.\d{1,3})\b",
            literal="Ultralytics ",
            sample="Ultralytics 8.3.27 Python-3.10.12 torch-2.3.0",
            strength="context",
        ),
        Sign(
            pattern=r"No CUDA GPUs are available",
            literal="No CUDA GPUs are available",
            sample="RuntimeError: No CUDA GPUs are available",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="asks a stand-in driver for a GPU that CUDA_VISIBLE_DEVICES hides, and examines that machine",
        of=(
            Torch(build="cuda", if_there=True),
            PlayedMachine(pci=(("10de", "2684", "nvidia"),), module="580.95.05"),
            StubDriver(
                cuda="13.0", version="580.95.05", nvml=True, gpus=(StubGpu("NVIDIA GeForce RTX 4090", "8.9", 24564),)
            ),
            Variable(name="CUDA_VISIBLE_DEVICES", value="-1"),
        ),
        run=(ASK_DRIVER,),
        shows="cuInit: 100",  # CUDA_ERROR_NO_DEVICE
        examine=("--no-trial",),
        goal=Goal.TRAIN,
        seconds=8,
        stands_in=("the GPU", "its driver"),
    ),
)


def detect(facts: Facts) -> Hit | None:
    gpus = facts.graphics.gpus
    if not every(
        lambda: bool(known(gpus)),
        lambda: variable(facts, _VARIABLE) is not None,
        lambda: all(known(gpu.visible) is False for gpu in known(gpus)),
    ):
        return None
    value = variable(facts, _VARIABLE)
    count = len(known(gpus))
    cards = f"{count} GPUs" if count > 1 else "the GPU"
    return Hit(
        message=f"{_VARIABLE}={value or '(empty)'} hides {cards} of this machine from every program.",
        evidence=(
            fact(facts, "environment", f"{_VARIABLE}={value!r}"),
            fact(facts, "graphics.gpus.0.visible", f"{cuda_start.name(known(gpus)[0])} is hidden"),
        ),
        certainty=Certainty.OBSERVED,
    )


class Cause(Variant, frozen=True, kw_only=True):
    """Hold the reason why the program did not see the GPU that it requested.

    "hidden": CUDA_VISIBLE_DEVICES hides it. "number": no GPU has this number or name. "other": the device is no GPU of NVIDIA. "export": an
    export to TensorRT was started without a device. "mac": the program asked for CUDA on a Mac. "unknown": the log does not show which.
    """

    why: Literal["hidden", "number", "other", "unknown", "export", "mac"]
    count: int | None = None  # the GPUs that torch saw
    device: str | None = None  # with "other": "dla:1"
    old: bool = False  # with "other": the Ultralytics there is older than its support of this device


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    hidden = any("hidden" in m.groups for m in seen.matches)
    none = seen.group("have") is None  # Lightning: torch-sees-no-gpu is for a machine without any GPU
    proven = [m for m in seen.matches if m.strength == "proof" and not (none and "You requested gpu" in m.text)]
    none_seen = any("No CUDA GPUs" in m.text for m in seen.matches)
    if not proven and not (hidden and none_seen):
        return None
    device, count = seen.group("device"), seen.group("count")
    if have := seen.group("have"):
        count = str(len(have.split(",")))
        evidence = building.lines([m for m in seen.matches if m in proven or "have" in m.groups])
    confidence = Confidence.HIGH
    unset = any("unset" in m.groups for m in seen.matches)
    other = OTHER_DEVICES.match(device or "")
    named = device is None or _NUMBERS.fullmatch(device) is not None
    if (
        count == "0"
        and unset
        and facts.system.os != "darwin"
        and other is None
        and named
        and all("device" in m.groups for m in proven)
    ):
        return None  # nothing is hidden: torch-sees-no-gpu names the causes
    if seen.group("export"):
        return Hit(
            message="The export to TensorRT ran on the CPU: TensorRT makes an engine only on the GPU for which it is.",
            evidence=evidence,
            severity=Severity.ERROR,
            variant=Cause(why="export"),
        )
    if facts.system.os == "darwin" and device is not None:
        return Hit(
            message=f"The program was told to use the CUDA device {device} on a Mac: no torch for macOS has CUDA.",
            evidence=evidence,
            severity=Severity.ERROR,
            variant=Cause(why="mac"),
        )
    if other is not None and device is not None:
        cause, message = _other(seen, device)
        confidence = Confidence.MEDIUM
    elif not named:
        cause = Cause(why="number")
        message = f"The program was told to use the device {device}, which is no device's name: Ultralytics hides every GPU from torch then."
        confidence = Confidence.MEDIUM
    elif hidden:
        cause, message = Cause(why="hidden"), f"{_VARIABLE} hides every GPU from the program."
    elif device is not None and count not in (None, "0"):
        cause = Cause(why="number", count=int(count))
        message = f"The program was told to use device {device}, and sees {count} GPU(s)."
    else:
        cause = Cause(why="unknown")
        message = "The program sees no GPU: the GPU is hidden, or torch cannot use the GPU, or the machine has no GPU."
        confidence = Confidence.MEDIUM
    return Hit(message=message, evidence=evidence, confidence=confidence, severity=Severity.ERROR, variant=cause)


# "0", "cuda:0", "0,1"; Ultralytics puts any other word into the variable as it is
_NUMBERS = re.compile(r"(?:cuda)?[\d,: -]*", re.IGNORECASE)
# Devices that are no GPU of NVIDIA: the deep-learning accelerator of a Jetson, GPUs of Intel and others.
OTHER_DEVICES = re.compile(
    r"(?P<kind>dla|xpu|intel|npu|hpu|mlu|musa|tpu|hip|rocm|vulkan|directml|dml|privateuseone)\b", re.IGNORECASE
)
_KINDS = {
    "dla": "the deep-learning accelerator of a Jetson",
    "xpu": "a GPU of Intel",
    "intel": "a GPU of Intel",
    "npu": "a neural processor",
    "hip": "a GPU of AMD, which torch for ROCm calls cuda",
    "rocm": "a GPU of AMD, which torch for ROCm calls cuda",
}
# The first Ultralytics whose export knows the device: https://github.com/ultralytics/ultralytics/pull/17765 (November 2024)
_DLA_SINCE = "8.3.39"


def _other(seen: Seen, device: str) -> tuple[Cause, str]:
    """Return (cause, message) for a device that is no GPU of NVIDIA ("dla:0"), whose name Ultralytics took for a CUDA device."""
    met = OTHER_DEVICES.match(device)
    kind = met["kind"].lower() if met else ""
    release = seen.group("release")
    have = parse(release) if release else None
    old = kind == "dla" and (have is None or have < Version(_DLA_SINCE))
    what = _KINDS.get(kind, "no GPU of NVIDIA")
    which = f"Ultralytics {release}" if release else "The Ultralytics there"
    return (
        Cause(why="other", device=device, old=old),
        f"{which} took the device {device}, {what}, for a CUDA device, and torch sees no GPU there.",
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    cause = hit.variant if isinstance(hit.variant, Cause) else Cause(why="hidden")
    unset = commands.variable(_VARIABLE, None, "the program then sees every GPU")
    unhide = Fix(title=f"Unset {_VARIABLE}", steps=(unset,), verify=commands.check(facts))
    if cause.why == "other" and cause.device is not None:
        return _for_another(facts, cause.device, old=cause.old)
    if cause.why == "mac":
        return (_on_a_mac(facts),)
    if cause.why == "export":
        return (_export(facts),)
    if cause.why != "number":
        return (unhide,)
    last = None if cause.count is None else cause.count - 1
    named = "device=0" if last in (None, 0) else f"device=0 to device={last}"
    words = f"in the command or the program, use a GPU that torch sees: {named} (the numbers begin with 0)"
    name = Fix(
        title="Use the number of a GPU that torch sees",
        steps=(commands.by_hand((), words, "nothing", "none"),),
        verify=commands.check(facts),
    )
    return (name, unhide)


def _for_another(facts: Facts, device: str, *, old: bool) -> tuple[Fix, ...]:
    """Return the fixes for a device that is no GPU of NVIDIA."""
    verify = commands.check(facts)
    if not device.lower().startswith("dla"):
        return other_devices.fixes(facts, device)
    look = commands.by_hand(
        (
            *commands.starting(facts),
            "-c",
            "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())",
        ),
        "must print True, since TensorRT needs the GPU too. If it prints no number of CUDA, torch is a CPU build: install NVIDIA's torch for this JetPack. If it "
        "prints False in a container, start the container with --runtime nvidia",
        "nothing",
        "none",
    )
    if not old:
        return (Fix(title="Let torch see the Jetson's GPU", steps=(look,), verify=verify),)
    why = f"since {_DLA_SINCE}, an export with device={device} computes on GPU 0 and gives the accelerator the layers that it can run"
    newer = commands.install(f"ultralytics>={_DLA_SINCE}", upgrade=True, why=why, changes="upgrades ultralytics")
    title = "Let torch see the Jetson's GPU, and upgrade Ultralytics"
    return (Fix(title=title, steps=(look, newer), verify=verify),)


def _export(facts: Facts) -> Fix:
    """Return the fix for an export to TensorRT without a device: ultralytics exports on the CPU by default."""
    again = commands.by_hand(
        (commands.yolo(facts), "export", "model=yolo12n.pt", "format=engine", "device=0"),
        'with your model in place of yolo12n.pt; in Python: model.export(format="engine", device=0). If torch then sees no GPU, its build or the driver is at fault: `attn-doctor check` '
        "names the fault",
        "adds an engine",
        takes="5 to 20 minutes",
    )
    return Fix(title="Export on the GPU", steps=(again,), verify=commands.check(facts))


def _on_a_mac(facts: Facts) -> Fix:
    """Return the fix for a Mac: compute on its own GPU, or on its CPU.

    https://docs.ultralytics.com/modes/train/#apple-silicon-mps-training
    """
    words = (
        'write device=mps in place of the number (Python: device="mps"): the GPU of a Mac with an Apple chip. On a Mac with an Intel processor write device=cpu; both are slower than an '
        "NVIDIA GPU"
    )
    step = commands.by_hand((), words, "the command or the program", "none")
    return Fix(title="Compute on the Mac's own GPU, or on its CPU", steps=(step,), verify=commands.check(facts))
