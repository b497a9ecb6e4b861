"""A program can use fewer or more GPUs than it, or `--expect-gpus`, expects.

What it is
    A program asks for a GPU number that no GPU has: cuda:1 where torch sees one GPU, whose number is 0.

    `attn-doctor check --expect-gpus 4`, or `expect-gpus = 4` in the configuration of a project, states how many GPUs a program should be able to
    use. The finding names the number that torch counts, and what each part of the machine shows.

How it shows
    torch.cuda.device_count() is lower than the number of cards; a training over four GPUs ends with "CUDA error: invalid device ordinal", or runs on
    two. torch.load: "Attempting to deserialize object on CUDA device 1 but torch.cuda.device_count() is 1"; "AssertionError: Invalid device id".

Why it happens
    The number of the GPU is written into the program or its weights, for a machine with more GPUs. Or a launcher starts more processes than there
    are GPUs. Or a program uses fewer GPUs than expected for one of these reasons. CUDA_VISIBLE_DEVICES hides some. A container or a job of Slurm
    was given fewer. A GPU no longer answers the driver ("has fallen off the bus"), or is not firmly in its slot. The driver does not
    support one of them. A GPU is divided by MIG: a process sees one part alone.

What to do
    If a program names a GPU number: write cuda:0, or the number of a GPU that `nvidia-smi -L` lists. Start no more processes than there are GPUs
    (`torchrun --nproc_per_node`). Otherwise compare the numbers in the finding: GPUs on the PCI bus, device files /dev/nvidia0 and so on, GPUs that nvidia-smi lists, GPUs that
    torch counts. The first number that is too low shows the cause. On the bus: the machine has no more GPUs, or one is not firmly in
    its slot. Device files: the container or the job was given fewer. nvidia-smi: a GPU does not answer the driver. Only torch:
    CUDA_VISIBLE_DEVICES hides some.

How to reproduce
    There is no recipe: run `attn-doctor check --expect-gpus 99` on any machine.

References
    https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html
    https://docs.pytorch.org/docs/stable/generated/torch.cuda.device_count.html
    https://docs.pytorch.org/docs/stable/generated/torch.load.html (map_location)
    https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html (cudaErrorInvalidDevice, 101)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from attn_doctor import commands
from attn_doctor.commands import nvidia_drivers, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, known
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import nvidia_on_bus, usable_gpus

MODE = FailureMode(
    code="AD440",
    slug="gpu-count-differs",
    title="Another number of GPUs than expected",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("nccl-error", "rocm-specific"),
    signs=(
        Sign(
            pattern=r"(?:CUDA|HIP|[Cc]uda)(?: runtime)? (?:error|failure|Error|call)\b.{0,80}?(?P<ordinal>invalid device ordinal)",
            literal="invalid device ordinal",
            sample="RuntimeError: CUDA error: invalid device ordinal",
        ),
        Sign(
            pattern=r"on CUDA device (?P<asked>\d{1,3}) but torch\.cuda\.device_count\(\) is (?P<have>[1-9]\d{0,2})\b",
            literal="but torch.cuda.device_count() is ",
            sample="RuntimeError: Attempting to deserialize object on CUDA device 1 but torch.cuda.device_count() is 1. Please use torch.load with map_location",
        ),
        Sign(
            pattern=r"AssertionError: (?P<ordinal>Invalid device id)$",
            literal="Invalid device id",
            sample="AssertionError: Invalid device id",
        ),
        Sign(
            pattern=r"CUDA_VISIBLE_DEVICES(?:'\])?\s*[=:]\s*(?P<hidden>''|\"\"|-1|'-1'|\"-1\")",
            literal="CUDA_VISIBLE_DEVICES",
            sample="os.environ['CUDA_VISIBLE_DEVICES']: '-1'",
            strength="context",
        ),
    ),
)

_VARIABLE = "CUDA_VISIBLE_DEVICES"
_NODE = re.compile(r"/dev/nvidia\d+")
_DISPLAYS = ("0300", "0302")  # PCI classes: VGA and 3D controllers
Place = Literal["more", "hidden", "not given", "lost", "missing", "mig", "torch"]


class Counted(Variant, frozen=True, kw_only=True):
    """Hold why a program can use another number of GPUs than expected.

    "more": it can use more. "hidden": CUDA_VISIBLE_DEVICES hides some. "not given": the container or the job was given fewer. "lost":
    more are on the PCI bus than the driver lists. "missing": the machine has no more. "mig": some are divided by MIG. "torch": torch
    counts fewer than the driver lists.
    """

    place: Place


class Numbered(Variant, frozen=True, kw_only=True):
    """Hold the number of GPUs that torch saw (None if the log does not say it), and whether torch.load asked for a GPU that is not there."""

    have: int | None
    loading: bool


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    if not proofs or seen.group("hidden"):
        return None  # config-device-cpu: a variable hides every GPU
    asked, have = seen.group("asked"), seen.group("have")
    if asked is not None and have is not None:
        message = f"The weights were saved from GPU number {asked}, and torch sees {have} GPU(s) here: the numbers begin with 0."
    elif places.jetson(facts):
        message = "A program asked for a GPU number that no GPU has: a Jetson has one GPU, number 0."
    else:
        message = "A program asked for a GPU number that no GPU has: the numbers begin with 0."
    return Hit(
        message=message,
        evidence=building.lines(proofs[:3]),
        severity=Severity.ERROR,
        variant=Numbered(have=int(have) if have else 1 if places.jetson(facts) else None, loading=asked is not None),
    )


def detect(facts: Facts) -> Hit | None:
    expected = facts.graphics.expected_gpus
    if not isinstance(expected, int):
        return None
    usable = known(usable_gpus(facts))
    if usable == expected:
        return None
    place = _place(facts, usable, expected)
    seen = tuple(_seen(facts))
    return Hit(
        message=f"{expected} GPU{'' if expected == 1 else 's'} {'was' if expected == 1 else 'were'} expected, and a program can use {usable}"
        f"{_WORDS[place]}.",
        evidence=seen or (fact(facts, "graphics.expected_gpus", f"expected: {expected}"),),
        variant=Counted(place=place),
        certainty=Certainty.OBSERVED,
    )


_WORDS: dict[Place, str] = {
    "more": "",
    "hidden": f": {_VARIABLE} hides the others",
    "not given": ": this container or job was given no more",
    "lost": ": more are on the PCI bus than the driver lists",
    "missing": ": the machine has no more",
    "mig": ": with MIG a process sees one instance alone",
    "torch": ": torch counts fewer than the driver lists",
}


def _place(facts: Facts, usable: int, expected: int) -> Place:
    """Return why `usable` GPUs are not the `expected` number, see Counted."""
    if usable > expected:
        return "more"
    gpus = facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    hidden = sum(gpu.visible is False for gpu in gpus)
    if usable + hidden >= expected and hidden:
        return "hidden"
    if any(gpu.mig is True for gpu in gpus):
        return "mig"
    bus = _cards(facts)
    if len(gpus) < expected and bus > len(gpus):
        nodes = _nodes(facts)
        given = places.container(facts) or _in_a_job(facts) or (nodes is not None and nodes < bus)
        return "not given" if given else "lost"
    return "torch" if len(gpus) >= expected else "missing"


def _cards(facts: Facts) -> int:
    bus = nvidia_on_bus(facts)
    return 0 if isinstance(bus, Unknown) else sum(device.pci_class in _DISPLAYS for device in bus)


def _nodes(facts: Facts) -> int | None:
    nodes = facts.graphics.device_nodes
    return sum(bool(_NODE.fullmatch(node)) for node in nodes) if isinstance(nodes, tuple) and nodes else None


def _value(facts: Facts, name: str) -> str | None:
    variables = facts.environment if isinstance(facts.environment, tuple) else ()
    return next((one.value for one in variables if one.name == name), None)


def _in_a_job(facts: Facts) -> bool:
    return _value(facts, "SLURM_JOB_ID") is not None


def _seen(facts: Facts) -> Iterator[Evidence]:
    """Yield how many GPUs the PCI bus, the device files, the driver and torch show, in this order, and what can hide some of them.

    A number that is not known is left out.
    """
    graphics = facts.graphics
    if isinstance(graphics.pci, tuple):
        yield fact(facts, "graphics.pci", f"on the PCI bus: {_cards(facts)} NVIDIA")
    if (nodes := _nodes(facts)) is not None:
        yield fact(facts, "graphics.device_nodes", f"device files /dev/nvidia0, ...: {nodes}")
    if isinstance(graphics.gpus, tuple):
        source = facts.sources.get("graphics.gpus", "the driver")
        lost = sum(isinstance(gpu.name, Unknown) for gpu in graphics.gpus)
        yield fact(
            facts,
            "graphics.gpus",
            f"{source} lists {len(graphics.gpus)}" + (f", {lost} of them without an answer" if lost else ""),
        )
        if any(gpu.mig is True for gpu in graphics.gpus):
            yield fact(facts, "graphics.gpus", f"in MIG mode: {sum(gpu.mig is True for gpu in graphics.gpus)}")
    if isinstance(graphics.amd, tuple) and graphics.amd:
        yield fact(facts, "graphics.amd", f"AMD GPUs: {len(graphics.amd)}")
    if (value := _value(facts, _VARIABLE)) is not None:
        yield fact(facts, "environment", f"{_VARIABLE}={value}")
    if isinstance(facts.system.container, str):
        yield fact(facts, "system.container", f"inside a container: {facts.system.container}")
    if _in_a_job(facts):
        yield fact(facts, "environment", "inside a job of Slurm")
    if isinstance(facts.torch.devices, tuple) and isinstance(facts.torch.available, bool):
        yield fact(facts, "torch.devices", f"torch.cuda.device_count(): {len(facts.torch.devices)}")


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Numbered):
        return _of_a_number(facts, hit.variant)
    if not isinstance(hit.variant, Counted):  # the page: which of the causes it is, is not known
        lost = msgspec.structs.replace(_lost(facts), title="If a GPU does not answer: read the kernel log, then reboot")
        return (_unhidden(facts), _asked(facts), lost, _corrected(facts))
    place = hit.variant.place
    if place == "mig":
        return ()
    if place == "hidden":
        return (_unhidden(facts),)
    if place == "not given":
        return (_asked(facts),)
    if place == "lost":
        return (_lost(facts),)
    if place == "torch" and facts.torch.available is False:
        return ()  # another finding says why torch sees no GPU
    return (_corrected(facts),)


def _of_a_number(facts: Facts, numbered: Numbered) -> tuple[Fix, ...]:
    """Return the fixes for a program, or weights, that name a GPU which is not there.

    Use the number of a GPU that torch sees, or unset CUDA_VISIBLE_DEVICES.
    """
    verify = commands.check(facts)
    last = None if numbered.have is None else numbered.have - 1
    numbers = "device 0" if last in (None, 0) else f"device 0 to device {last}"
    words = (
        f"in the command or the program, use a GPU that torch sees: {numbers}. In Python write cuda:0, for Ultralytics device=0; with torchrun start at most "
        "as many processes as there are GPUs (--nproc_per_node)"
    )
    named = commands.by_hand((), words, "the settings of the program", "none")
    if numbered.loading:
        words = 'write torch.load(FILE, map_location="cuda:0") in the program: the weights then go to the first GPU, on whichever they were saved'
        named = commands.by_hand((), words, "one line of the program", "none")
    fix = Fix(title="Use the number of a GPU that torch sees", steps=(named,), verify=verify)
    return (fix,) if last == 0 and places.jetson(facts) else (fix, _unhidden(facts))


def _unhidden(facts: Facts) -> Fix:
    step = commands.variable(_VARIABLE, None, "this variable hides GPUs from every program that starts in this shell")
    return Fix(title=f"Unset {_VARIABLE}", steps=(step,), verify=commands.check(facts))


def _asked(facts: Facts) -> Fix:
    """Return the fix for a job of Slurm or a container: ask for more GPUs when it is started."""
    job = "ask for more GPUs when you start the job: --gpus-per-node or --gres=gpu:N of Slurm"
    container = "start the container with the GPUs that it should see: docker run --gpus all, or nvidia.com/gpu: N in the pod's limits"
    words = job if _in_a_job(facts) else container
    if isinstance(facts.system.container, Unknown) and not _in_a_job(facts):
        words = f"in a container: {container}. In a job: {job}"
    step = commands.by_hand((), words, "where the program runs", "none")
    return Fix(title="Ask for more GPUs", steps=(step,), verify=commands.check(facts))


def _lost(facts: Facts) -> Fix:
    """Return the fix for a GPU that no longer answers the driver: read why in the kernel log, and restart the machine."""
    look = commands.by_hand(
        places.as_root(facts, "dmesg"),
        "if a GPU does not answer the driver: the lines with NVRM or Xid say why",
        "nothing",
        "none",
    )
    again = nvidia_drivers.restart(facts, "the driver then looks for its GPUs again")
    return Fix(title=again.title, steps=(look, *again.steps), verify=commands.check(facts))


def _corrected(facts: Facts) -> Fix:
    words = "correct the number, or the machine: --expect-gpus on the command line, expect-gpus in the configuration of the project"
    step = commands.by_hand((), words, "the configuration", "none")
    return Fix(title="Correct the expected number", steps=(step,), verify=commands.check(facts))
