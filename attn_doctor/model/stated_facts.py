"""Define the records of facts that are written in a log, about the machine that wrote the log. No function here reads a log.

A log contains few facts. Any other field is ``Unknown("the log does not say")``, which never means "absent".
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar, get_args

import msgspec

from attn_doctor.model.facts import Board, Doing, Hosted, OsName, Record, Unknown

NOT_SAID = "the log does not say"
FEWEST_FROZEN = 8  # fewer lines "name==version" in a row are pins, and not the list of an environment

Wsl = Literal[1, 2]
Surroundings = Literal["docker", "docker build", "kubernetes"] | Hosted
Shell = Literal["powershell", "cmd", "bash", "notebook", "dockerfile"]
Installer = Literal["pip", "uv", "conda", "mamba", "micromamba", "pixi", "poetry", "pdm", "pipx"]
# "user": packages of one user for the system's Python, in ~/.local/lib/python3.10.
EnvironmentKind = Literal["venv", "conda", "pixi", "pipx", "system", "standalone", "user"]
CondaTool = Literal["conda", "mamba", "micromamba"]
Flavour = Literal["cuda", "cpu", "rocm", "xpu"]  # of a torch build
How = Literal[
    "said", "implied"
]  # "said": a tool prints the value; "implied": a path, a file name or an error text contains it

T = TypeVar("T")


class Place(Record, frozen=True, kw_only=True):
    """Describe a line of a log: the name of the log, the number of the line, its text."""

    file: str
    line: int  # from 1
    text: str


class Stated(Record, Generic[T], frozen=True, kw_only=True):
    """Describe a fact that a log contains, and the line that contains it."""

    value: T
    place: Place
    how: How
    also: tuple[tuple[T, Place], ...] = ()  # other values that the same logs state just as surely


class StatedPackage(Record, frozen=True, kw_only=True):
    """Hold the installed version of a package, as a log gives it."""

    name: str  # normalised: "flash-attn"
    version: str  # empty: the package is installed, and the log does not say its version
    place: Place
    installer: Literal["pip", "conda"] | None = None  # the tool that installed it, if a list in the log says so


def _not_said() -> Unknown:
    return Unknown(NOT_SAID)


_NOT_SAID: Any = msgspec.field(default_factory=_not_said)


class StatedFacts(Record, frozen=True, kw_only=True):
    """Hold the facts that logs contain about their machine. A list has only the things that the logs name."""

    os: Stated[OsName] | Unknown = _NOT_SAID
    os_version: Stated[str] | Unknown = _NOT_SAID  # Windows and macOS: "11", "14.5"
    distribution: Stated[str] | Unknown = _NOT_SAID  # Linux: "ubuntu"
    distribution_version: Stated[str] | Unknown = _NOT_SAID
    kernel: Stated[str] | Unknown = _NOT_SAID
    wsl: Stated[Wsl] | Unknown = _NOT_SAID
    surroundings: Stated[Surroundings] | Unknown = _NOT_SAID
    shell: Stated[Shell] | Unknown = (
        _NOT_SAID  # by its prompt; "notebook" by a command in a cell; "dockerfile" where a program runs in an image
    )
    modules: Stated[bool] | Unknown = _NOT_SAID  # a cluster on which software is loaded by `module`
    machine: Stated[str] | Unknown = _NOT_SAID  # "x86_64" | "aarch64" | "arm64" (Apple)
    board: Stated[Board] | Unknown = _NOT_SAID
    jetpack: Stated[str] | Unknown = _NOT_SAID
    l4t: Stated[str] | Unknown = _NOT_SAID
    glibc: Stated[str] | Unknown = _NOT_SAID
    installer: Stated[Installer] | Unknown = _NOT_SAID  # the installer that ran last before the error
    environment: Stated[str] | Unknown = _NOT_SAID  # its folder, "/home/me/.venv"
    environment_kind: Stated[EnvironmentKind] | Unknown = _NOT_SAID
    managed: Stated[bool] | Unknown = _NOT_SAID  # pip refused to change this Python (PEP 668)
    prompt: Stated[str] | Unknown = _NOT_SAID  # the name of the active environment in the prompt, "yolo"
    conda_tool: Stated[CondaTool] | Unknown = _NOT_SAID  # which tool of the conda family is installed
    interpreter: Stated[str] | Unknown = _NOT_SAID  # the path of a portable Python, ".\\python_embeded\\python.exe"
    bundled: Stated[str] | Unknown = (
        _NOT_SAID  # the Python of the program that the log is of, known by the program's folder
    )
    python: Stated[str] | Unknown = _NOT_SAID
    torch: Stated[str] | Unknown = _NOT_SAID  # as the log says it, "2.5.1+cu124"
    torch_flavour: Stated[Flavour] | Unknown = _NOT_SAID
    torch_cuda: Stated[str] | Unknown = _NOT_SAID  # torch.version.cuda, "12.4"
    torch_hip: Stated[str] | Unknown = _NOT_SAID
    available: Stated[bool] | Unknown = _NOT_SAID  # torch.cuda.is_available() said True; a False is not kept
    packages: tuple[StatedPackage, ...] = ()
    whole: bool = False  # no other packages than `packages` are installed
    driver: Stated[str] | Unknown = _NOT_SAID
    driver_cuda: Stated[str] | Unknown = _NOT_SAID  # the newest CUDA that the driver supports
    gpus: tuple[Stated[str], ...] = ()  # names, each once
    capability: Stated[str] | Unknown = _NOT_SAID  # "8.9"
    gfx: Stated[str] | Unknown = _NOT_SAID  # "gfx1100"
    pci: tuple[Stated[str], ...] = ()  # makers of the display devices that lspci shows, each once: "Intel Corporation"
    toolkit: Stated[str] | Unknown = _NOT_SAID  # release of nvcc, "12.4"
    cuda_home: Stated[str] | Unknown = _NOT_SAID
    compiler: Stated[str] | Unknown = _NOT_SAID  # "gcc 11.4.0"
    yolo_location: Stated[str] | Unknown = _NOT_SAID  # the folder of the ultralytics in the last frame
    package: Stated[str] | Unknown = _NOT_SAID  # being built, installed, imported or run when it failed
    doing: Stated[Doing] | Unknown = _NOT_SAID
    asked: Stated[str] | Unknown = _NOT_SAID  # version of the package that a project's tool tried to build
    locked: Stated[bool] | Unknown = _NOT_SAID  # uv had resolved the project
    command: Stated[str] | Unknown = _NOT_SAID  # typed last before the error
    folder: Stated[str] | Unknown = _NOT_SAID  # the folder of the sources, if they were built in place
    address: Stated[str] | Unknown = _NOT_SAID  # the repository that the package came from
    started: Stated[str] | Unknown = _NOT_SAID  # the command that started the container, as it was typed
    image: Stated[str] | Unknown = (
        _NOT_SAID  # the image that a Dockerfile begins with, or that a container was started from
    )

    def version_of(self, package: str) -> str | None:
        """Return the version of a package in these logs; None if no log contains the package, an empty text if none contains its version."""
        return next((p.version for p in self.packages if p.name == package), None)


Fact = Literal[
    "os", "os_version", "distribution", "distribution_version", "kernel", "wsl", "surroundings", "shell", "modules", "machine", "board",
    "jetpack", "l4t", "glibc", "installer", "environment", "environment_kind", "managed", "prompt", "conda_tool", "interpreter", "bundled", "python", "torch", "torch_flavour",
    "torch_cuda", "torch_hip", "available", "driver", "driver_cuda", "gpu", "pci", "capability", "gfx", "toolkit", "cuda_home", "compiler", "yolo_location",
    "package", "doing", "asked", "locked", "command", "folder", "address", "started", "image",
]  # fmt: skip
SINGLE = tuple(name for name in get_args(Fact) if name not in ("gpu", "pci"))


class Contradiction(Record, frozen=True, kw_only=True):
    """Describe a fact of the examined machine, and a different value of the same fact in a log."""

    path: str  # of the fact: "torch.version"
    name: str  # "torch"
    here: str
    stated: str
    place: Place
