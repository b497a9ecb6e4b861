"""The machine has a GPU, but a setting hides it from the program.

What it is
    CUDA_VISIBLE_DEVICES decides which GPUs a program sees. If it is empty, -1, or a number or UUID that no GPU has, it
    hides all GPUs: the program runs on the CPU or refuses to start. A program that asks for a device number above the
    last GPU also stops.

How it shows
    "Flash Attention 2 is not available on CPU. Please make sure torch can access a CUDA device."; Ultralytics: "Invalid
    CUDA 'device=1' requested"; "CUDA error: invalid device ordinal"; "No CUDA GPUs are available". flash-attn, when it
    is given tensors that are on the CPU: "q must be on CUDA", "Could not run 'flash_attn::_flash_attn_forward' with
    arguments from the 'CPU' backend".

Why it happens
    A shell or a job script still sets the variable; a launcher starts more processes than there are GPUs; or a configuration
    says device=cpu.

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

from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import ASK_DRIVER, PlayedMachine, Recipe, StubDriver, StubGpu, Torch, Variable
from attn_doctor.failure_modes.shared import cuda_start
from attn_doctor.failure_modes.shared.fact_queries import variable
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Goal, Severity, fact

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
            pattern=r"Invalid CUDA '?device=(?P<device>[^' ]*)'? requested",
            literal="Invalid CUDA ",
            sample="ValueError: Invalid CUDA 'device=1' requested. Use 'device=cpu' or pass valid CUDA device(s) if available",
        ),
        Sign(
            pattern=r"CUDA error: invalid device ordinal",
            literal="invalid device ordinal",
            sample="RuntimeError: CUDA error: invalid device ordinal",
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
    """Say why the program did not see the GPU that it asked for."""

    why: Literal[
        "hidden", "number", "unseen", "unknown"
    ]  # hidden by a variable; no GPU has this number; not hidden, and torch sees none; not known
    count: int | None = None  # the GPUs that torch saw


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    hidden = any("hidden" in m.groups for m in seen.matches)
    proven = [m for m in seen.matches if m.strength == "proof"]
    none_seen = any("No CUDA GPUs" in m.text for m in seen.matches)
    if not proven and not (hidden and none_seen):
        return None
    device, count = seen.group("device"), seen.group("count")
    confidence = Confidence.HIGH
    if hidden:
        cause, message = Cause(why="hidden"), f"{_VARIABLE} hides every GPU from the program."
    elif device is not None and count not in (None, "0"):
        cause = Cause(why="number", count=int(count))
        message = f"The program was told to use device {device}, and sees {count} GPU(s)."
    elif any("ordinal" in m.text for m in proven):
        cause, message = Cause(why="number"), "A program asked for a GPU number that no GPU has."
    elif count == "0" and any("unset" in m.groups for m in seen.matches):
        cause = Cause(why="unseen")
        message = (
            f"torch sees no GPU, and {_VARIABLE} hides none: no NVIDIA driver works, or this machine has no NVIDIA GPU."
        )
        confidence = Confidence.MEDIUM
    else:
        cause = Cause(why="unknown")
        message = "The program sees no GPU: the GPU is hidden, or torch cannot use the GPU, or the machine has no GPU."
        confidence = Confidence.MEDIUM
    return Hit(message=message, evidence=evidence, confidence=confidence, severity=Severity.ERROR, variant=cause)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    cause = hit.variant if isinstance(hit.variant, Cause) else Cause(why="hidden")
    unset = commands.variable(_VARIABLE, None, "the program then sees every GPU")
    unhide = Fix(title=f"Unset {_VARIABLE}", steps=(unset,), verify=commands.check(facts))
    if cause.why == "unseen":
        return (_look(facts), _on_the_cpu(facts))
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


def _look(facts: Facts) -> Fix:
    """Return the fix that shows whether the driver does not work or there is no GPU."""
    words = "lists the NVIDIA GPUs if their driver works; if it fails or lists none, install the driver: https://www.nvidia.com/drivers"
    step = commands.by_hand(("nvidia-smi",), words, "nothing", "none")
    return Fix(title="See whether the NVIDIA driver works", steps=(step,), verify=commands.check(facts))


def _on_the_cpu(facts: Facts) -> Fix:
    words = "if there is no NVIDIA GPU: repeat the command with device=cpu; training is many times slower on the CPU"
    step = commands.by_hand((), words, "nothing", "none")
    return Fix(title="Compute on the CPU", steps=(step,), verify=commands.check(facts))
