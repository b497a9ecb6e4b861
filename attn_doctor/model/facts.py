"""Define the record types of all facts that probes collect. No function here reads the machine, judges or renders.

A field holds a value, ``None`` if the thing is known to be absent, or ``Unknown(why)`` if it could not be found out. Every field
has the default "not recorded", so a facts file may hold only the few facts that its author knows. Versions are texts as their
maker writes them; ``attn_doctor.model.versions`` compares them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from attn_doctor.model.environment_facts import (
    AttentionCall,
    Binary,
    BinaryCause,
    BinaryVerdict,
    ChosenPython,
    Conflict,
    Distribution,
    FlashAttention,
    Import,
    InstallerSettings,
    Interpreter,
    InterpreterKind,
    ModelFile,
    ModelFormat,
    Needed,
    Packages,
    Pin,
    Project,
    Torch,
    TorchDevice,
    Wanted,
    Yolo,
    YoloKind,
    YoloLayout,
)
from attn_doctor.model.machine_facts import (
    AmdGpu,
    Board,
    Compiler,
    Cpu,
    Disk,
    Gpu,
    GpuClocks,
    GpuHealth,
    GpuProcess,
    Graphics,
    Hosted,
    OsName,
    PciDevice,
    Purpose,
    Shadow,
    System,
    Toolchain,
    Toolkit,
    Variable,
    Xid,
)
from attn_doctor.model.record import (
    NOT_ASKED,
    UNRECORDED,
    Fault,
    FaultKind,
    Flag,
    Number,
    Real,
    Record,
    Text,
    Unknown,
    all_unknown,
    index_in,
)

__all__ = [
    "NOT_ASKED",
    "SCHEMA_VERSION",
    "UNRECORDED",
    "AmdGpu",
    "AttentionCall",
    "Binary",
    "BinaryCause",
    "BinaryVerdict",
    "Board",
    "ChosenPython",
    "Compiler",
    "Conflict",
    "Cpu",
    "Disk",
    "Distribution",
    "Doing",
    "Facts",
    "Fault",
    "FaultKind",
    "Flag",
    "FlashAttention",
    "Gpu",
    "GpuClocks",
    "GpuHealth",
    "GpuProcess",
    "Grade",
    "Graphics",
    "Hosted",
    "Import",
    "InstallerSettings",
    "Interpreter",
    "InterpreterKind",
    "ModelFile",
    "ModelFormat",
    "Needed",
    "Number",
    "OsName",
    "Packages",
    "PciDevice",
    "Pin",
    "ProbeRun",
    "Project",
    "Purpose",
    "Real",
    "Record",
    "Shadow",
    "Subject",
    "System",
    "Text",
    "Toolchain",
    "Toolkit",
    "Torch",
    "TorchDevice",
    "Unknown",
    "Variable",
    "Wanted",
    "Xid",
    "Yolo",
    "YoloKind",
    "YoloLayout",
    "all_unknown",
    "lookup",
    "paths_of_unknown",
    "walk",
]

SCHEMA_VERSION = 1


class ProbeRun(Record, frozen=True, kw_only=True):
    """Describe one run of a probe: how it ended, and its seconds.

    It explains why the facts of that probe are unknown.
    """

    name: str
    seconds: float
    note: str | None = None


Doing = Literal["building", "installing", "importing", "running"]


class Subject(Record, frozen=True, kw_only=True):
    """Describe the package that failed in a log, and the command that the user typed.

    Facts without a log have no subject.
    """

    package: Text = UNRECORDED  # normal name of the distribution: "causal-conv1d"
    doing: Doing | Unknown | None = (
        UNRECORDED  # "installing": pip looked for it or downloaded it; "running": one of its functions was called
    )
    command: Text = UNRECORDED
    asked: Text = UNRECORDED  # the version that a pin asks for, or that a project's tool tried to build: "2.8.3"
    locked: Flag = UNRECORDED  # uv had resolved the project before it failed
    folder: Text = UNRECORDED  # the folder of the sources, if they were built in place: a checkout
    address: Text = UNRECORDED  # the repository from which pip took the source: "git+https://..."
    started: Text = (
        UNRECORDED  # the command that started the container, as it was typed: "sudo docker run -it trainer:latest bash"
    )
    image: Text = UNRECORDED  # the image that a Dockerfile begins with, or that a container was started from: "pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime"


# "static": no module of the target was imported. "stated": all facts are what a log says about its machine.
Grade = Literal["dynamic", "static", "stated"]


class Facts(Record, frozen=True, kw_only=True):
    """Hold all facts of a machine and of the examined environment, in sections."""

    schema_version: int = SCHEMA_VERSION
    grade: Grade = "dynamic"
    system: System = msgspec.field(default_factory=System)
    cpu: Cpu = msgspec.field(default_factory=Cpu)
    environment: tuple[Variable, ...] | Unknown = UNRECORDED
    graphics: Graphics = msgspec.field(default_factory=Graphics)
    toolchain: Toolchain = msgspec.field(default_factory=Toolchain)
    interpreter: Interpreter = msgspec.field(default_factory=Interpreter)
    packages: Packages = msgspec.field(default_factory=Packages)
    torch: Torch = msgspec.field(default_factory=Torch)
    imports: tuple[Import, ...] | Unknown = UNRECORDED
    flash_attention: FlashAttention = msgspec.field(default_factory=FlashAttention)
    yolo: Yolo = msgspec.field(default_factory=Yolo)
    models: tuple[ModelFile, ...] | Unknown = UNRECORDED
    project: Project = msgspec.field(default_factory=Project)
    subject: Subject = msgspec.field(default_factory=Subject)
    binaries: tuple[Binary, ...] | Unknown = UNRECORDED
    sources: dict[str, str] = msgspec.field(default_factory=dict)  # path of a fact or a section -> where it was read
    probes: tuple[ProbeRun, ...] = ()


def walk(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield each value of a record with its dotted path, "graphics.gpus.0.name". Items of a tuple are numbered from 0.

    A value is a leaf (a text, a number, None, a dict) or an Unknown. `path`: stands in front of each path.
    """
    if isinstance(value, Record):
        for name in value.__struct_fields__:
            yield from walk(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from walk(item, f"{path}.{index}")
    else:
        yield path, value


def paths_of_unknown(facts: Facts) -> dict[int, list[str]]:
    """Map the `id()` of each Unknown object in the facts to the dotted paths of the fields that hold this object.

    Example: {140237: ["torch.cuda", "torch.hip"]} if both fields hold the same object. Two Unknown objects with the same reason have two
    keys.
    """
    paths: dict[int, list[str]] = {}
    for path, value in walk(facts):
        if isinstance(value, Unknown):
            paths.setdefault(id(value), []).append(path)
    return paths


def lookup(facts: Facts, path: str) -> object:
    """Return the value at a dotted path, "torch.version"; if a part of the path is Unknown, this Unknown.

    Raises LookupError if facts have no such path.
    """
    value: object = facts
    for part in path.split("."):
        if isinstance(value, tuple) and (index := index_in(value, part)) is not None:
            value = value[index]
        elif isinstance(value, Record) and part in value.__struct_fields__:
            value = getattr(value, part)
        elif isinstance(value, Unknown):
            return value
        else:
            raise LookupError(f"no fact at {path}")
    return value
