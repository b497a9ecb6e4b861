"""Describe how a failure is reproduced: data only. `attn_doctor.reproduction` prepares the ingredients and runs the commands.

A recipe stands in the record of its failure mode. Its commands, and the texts of its ingredients, may hold
    {folder}    the throw-away folder             {python}      Python of the throw-away environment
    {site}      its site-packages                 {source}      flash-attn's own source, unpacked
    {toolkit}   a stand-in CUDA toolkit           {nvcc}        a real nvcc
    {torch}     the folder of the torch in use    {pair}        the torchvision that goes with it
"""

from __future__ import annotations

from typing import Literal

from attn_doctor.model.facts import Record
from attn_doctor.model.findings import Goal

TorchBuild = Literal["any", "cpu", "cuda"]  # a CUDA build is never downloaded, it is several gigabytes
# "none": no network at all · "404": a stand-in for GitHub that has no such file · "self-signed": the same, with a certificate
# that nobody trusts · "hang": a server that never answers · "reset": one that ends every connection
NetworkKind = Literal["none", "404", "self-signed", "hang", "reset"]


class Torch(Record, frozen=True, kw_only=True):
    """Provide a torch: the target's own where it fits, only read; else one that is downloaded."""

    versions: str = ""  # versions that fit, as in a requirement: ">=2.14"
    build: TorchBuild = "any"
    cuda: str | None = None  # looks, to a setup.py, like a build for this CUDA: what is compiled for it is not run
    without: tuple[str, ...] = ()  # distributions that must not be installed beside it
    besides: tuple[str, ...] = ()  # distributions of the target that are also used


class Packages(Record, frozen=True, kw_only=True):
    """Provide packages from the registry."""

    requirements: tuple[str, ...]
    megabytes: int  # of the download
    options: tuple[str, ...] = ()


class Source(Record, frozen=True, kw_only=True):
    """Provide flash-attn's source distribution, unpacked at {source}."""

    release: str | None = None  # the newest
    without: tuple[str, ...] = ()  # folders of it that are taken away


class File(Record, frozen=True, kw_only=True):
    path: str
    text: str = ""
    executable: bool = False


class Wheel(Record, frozen=True, kw_only=True):
    """Provide a wheel that holds only its metadata and some bytes; built for the environment unless `tag` says otherwise."""

    name: str
    version: str
    tag: str = "py3-none-any"
    requires: tuple[str, ...] = ()
    megabytes: int = 0


class StubToolkit(Record, frozen=True, kw_only=True):
    """Provide a stand-in CUDA toolkit at {toolkit}: its nvcc prints a version and compiles nothing.

    With `silent`, c++ fails without output too; with `waits`, neither of them ever ends.
    """

    version: str
    nvcc: bool = True
    silent: bool = False
    waits: bool = False


class Nvcc(Record, frozen=True, kw_only=True):
    """Provide a real nvcc at {nvcc}: one of this machine, or the registry's."""


class Library(Record, frozen=True, kw_only=True):
    """Provide a small shared library, compiled here. A symbol may name its version: "name@VERSION"."""

    path: str  # in {folder}; the file name is its soname
    exports: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()  # symbols that it does not have itself
    needs: tuple[str, ...] = ()  # paths of other libraries of the recipe


class Extension(Record, frozen=True, kw_only=True):
    """Provide a small Python extension module, compiled here into the environment."""

    name: str
    asks: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    body: str = ""  # C statements that run when it is imported


class Gone(Record, frozen=True, kw_only=True):
    """Remove a file of {folder} when everything is made: a library that is there for the linker only."""

    path: str


class Variable(Record, frozen=True, kw_only=True):
    """Set an environment variable of the run; None: unset it."""

    name: str
    value: str | None


class Without(Record, frozen=True, kw_only=True):
    """Hide programs from PATH."""

    programs: tuple[str, ...]


class Hidden(Record, frozen=True, kw_only=True):
    """Hide entries of a folder during the run, in a namespace of its own."""

    folder: str
    names: str  # a pattern: "cuda*"


class SmallDisk(Record, frozen=True, kw_only=True):
    """Mount a file system in memory at a folder."""

    path: str
    megabytes: int
    noexec: bool = False


class ReadOnly(Record, frozen=True, kw_only=True):
    path: str


class Network(Record, frozen=True, kw_only=True):
    """Replace the network of the run by one that fails in the way that `kind` says."""

    kind: NetworkKind
    hosts: tuple[str, ...] = ()


class Memory(Record, frozen=True, kw_only=True):
    """Limit the address space of every process of the run."""

    megabytes: int


class StubDriver(Record, frozen=True, kw_only=True):
    """Provide a stand-in for libcuda.so.1: it says which CUDA it supports, and fails with an error code."""

    cuda: str
    refusal: int = 0


class Apt(Record, frozen=True, kw_only=True):
    """Run apt with a state of its own over the real package index of an Ubuntu release; `packages` is a repository beside it."""

    release: str
    packages: str = ""


Ingredient = (
    Torch
    | Packages
    | Source
    | File
    | Wheel
    | StubToolkit
    | Nvcc
    | Library
    | Extension
    | Gone
    | Variable
    | Without
    | Hidden
    | SmallDisk
    | ReadOnly
    | Network
    | Memory
    | StubDriver
    | Apt
)


# Packages that flash-attn's setup.py imports first. Older releases of torch import pkg_resources, which
# setuptools had until 80.
BUILD_TOOLS = Packages(requirements=("setuptools<81", "wheel", "packaging", "psutil", "ninja"), megabytes=3)
PIP = ("{python}", "-m", "pip")
INSTALL = (*PIP, "install", "--no-build-isolation", "--no-deps")
INSTALL_SOURCE = (*INSTALL, "{source}")
GITHUB = ("github.com", "objects.githubusercontent.com", "release-assets.githubusercontent.com")
LOOKS_LIKE_CUDA = "a torch that only looks like a CUDA build"


class Recipe(Record, frozen=True, kw_only=True):
    """Describe how one failure is reproduced.

    Without commands it is a simulated machine, recorded in reproduction/machines/<slug>.json. Such a machine also stands in
    where the real thing cannot be had.
    """

    does: str  # what happens, as the end of the sentence "attn-doctor reproduce <slug> ..."
    seconds: int  # that it takes, about, without downloads
    of: tuple[Ingredient, ...] = ()
    run: tuple[tuple[str, ...], ...] = ()
    shows: str = ""  # a pattern that the output holds if the failure did happen
    examine: tuple[str, ...] | None = (
        None  # options of `attn-doctor check` for the environment; None: the output is judged
    )
    goal: Goal = Goal.FLASH_ATTN
    downloads: int = 0  # megabytes that the commands themselves download
    deadline: float = 300.0  # for each command; one that is meant to hang is stopped by it
    stands_in: tuple[str, ...] = ()  # the parts that are not real, in words
