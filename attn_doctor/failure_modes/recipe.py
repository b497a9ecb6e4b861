"""Describe how a failure is reproduced: data only. `attn_doctor.reproduction` prepares the ingredients and runs the commands.

A recipe is part of the record of its failure mode. Its commands, and the texts of its ingredients, may contain these words:
    {folder}    the throw-away folder             {python}      Python of the throw-away environment
    {site}      its site-packages                 {source}      flash-attn's own source, unpacked
    {toolkit}   a stand-in CUDA toolkit           {nvcc}        a real nvcc
    {torch}     the folder of the torch in use    {pair}        the version of torchvision that fits this torch
"""

from __future__ import annotations

from typing import Literal

from attn_doctor.model.facts import Record
from attn_doctor.model.findings import Goal

TorchBuild = Literal["any", "cpu", "cuda"]  # a CUDA build is never downloaded: it has several gigabytes
# "none": no network at all · "404": a stand-in for GitHub that has no such file · "self-signed": the same, with a certificate
# that nobody trusts · "hang": a server that never answers · "reset": a server that ends every connection
NetworkKind = Literal["none", "404", "self-signed", "hang", "reset"]


class Torch(Record, frozen=True, kw_only=True):
    """Provide a torch: the target's own if it fits (it is only read), else a downloaded torch."""

    versions: str = ""  # versions that fit, as in a requirement: ">=2.14"
    build: TorchBuild = "any"
    cuda: str | None = None  # a setup.py sees a build for this CUDA; code that is compiled for it is never run
    without: tuple[str, ...] = ()  # distributions that must not be installed beside it
    besides: tuple[str, ...] = ()  # distributions of the target that are also used
    if_there: bool = False  # only the target's own torch: if it does not fit, the recipe runs without torch


class Packages(Record, frozen=True, kw_only=True):
    """Provide packages from the registry."""

    requirements: tuple[str, ...]  # "numpy<2"
    megabytes: int  # of the download
    options: tuple[str, ...] = ()  # of `pip install`


class Source(Record, frozen=True, kw_only=True):
    """Provide flash-attn's source distribution, unpacked at {source}."""

    release: str | None = None  # None: the newest
    without: tuple[str, ...] = ()  # folders that are removed from it


class File(Record, frozen=True, kw_only=True):
    """Write a file before the commands run."""

    path: str  # in {folder}
    text: str = ""
    executable: bool = False


class Wheel(Record, frozen=True, kw_only=True):
    """Provide a wheel that holds only its metadata and some bytes; built for the environment unless `tag` says otherwise."""

    name: str
    version: str
    tag: str = "py3-none-any"
    requires: tuple[str, ...] = ()  # the requirements in its metadata
    megabytes: int = 0  # the size of those bytes


class StubToolkit(Record, frozen=True, kw_only=True):
    """Provide a stand-in CUDA toolkit at {toolkit}: its nvcc prints a version and compiles nothing.

    With `silent`, nvcc and c++ fail without output; with `waits`, nvcc and c++ never end.
    """

    version: str  # "12.4"
    nvcc: bool = True  # False: the toolkit has no nvcc
    silent: bool = False
    waits: bool = False


class Nvcc(Record, frozen=True, kw_only=True):
    """Provide a real nvcc at {nvcc}: an nvcc of this machine, or one from the package registry."""


class Library(Record, frozen=True, kw_only=True):
    """Provide a small shared library, compiled here. A symbol may name its version: "name@VERSION"."""

    path: str  # in {folder}; the file name is its soname
    exports: tuple[str, ...] = ()  # symbols that it contains
    asks: tuple[str, ...] = ()  # symbols that it uses but does not contain
    needs: tuple[str, ...] = ()  # paths of other libraries of the recipe


class Extension(Record, frozen=True, kw_only=True):
    """Provide a small Python extension module, compiled here into the environment."""

    name: str  # of the module: "flash_attn_2_cuda"
    asks: tuple[str, ...] = ()  # as in Library
    needs: tuple[str, ...] = ()  # as in Library
    body: str = ""  # C statements that run when it is imported


class Gone(Record, frozen=True, kw_only=True):
    """Remove a file below {folder} after everything is made, for example a library that only the linker needs."""

    path: str


class Variable(Record, frozen=True, kw_only=True):
    """Set an environment variable of the run. The value None unsets it."""

    name: str
    value: str | None


class Without(Record, frozen=True, kw_only=True):
    """Hide programs from PATH."""

    programs: tuple[str, ...]


class Hidden(Record, frozen=True, kw_only=True):
    """Hide entries of a folder from the processes of the run, by a Linux namespace."""

    folder: str
    names: str  # a pattern: "cuda*"


class SmallDisk(Record, frozen=True, kw_only=True):
    """Mount a file system in memory at a folder, so that the disk is soon full."""

    path: str
    megabytes: int
    noexec: bool = False  # no program in it may be run


class ReadOnly(Record, frozen=True, kw_only=True):
    """Make a folder read-only for the commands."""

    path: str


class Network(Record, frozen=True, kw_only=True):
    """Replace the network of the run by one that fails. `kind` says in which way."""

    kind: NetworkKind
    hosts: tuple[str, ...] = ()  # the names for which a stand-in answers: "github.com"; not with "none"


class Memory(Record, frozen=True, kw_only=True):
    """Limit the address space of every process of the run."""

    megabytes: int


class StubHealth(Record, frozen=True, kw_only=True):
    """Describe the health of a GPU of a stand-in driver.

    The defaults are those of a healthy idle GPU. -1: this model does not have the value. The values that `GpuHealth` of
    model/machine_facts.py has are explained there.
    """

    uncorrected: int = 0
    uncorrected_ever: int = 0
    rows: int = 0
    rows_pending: int = 0  # 1: yes
    remap_failed: int = 0  # 1: yes
    pages: int = -1
    pages_pending: int = -1  # 1: yes
    generation: int = 1  # of PCI Express, as the next
    generation_most: int = 4
    width: int = 16  # lanes of PCI Express, as the next
    width_most: int = 16
    busy: int = 0  # percent
    celsius: int = 34
    slowdown: int = 90  # degrees Celsius
    milliwatts: int = 60000
    reasons: int = 0x1  # why the clocks are lowered, as bits of NVML; 0x1: the GPU is idle
    persistence: int = 1  # 1: on
    processes: tuple[tuple[int, int], ...] = ()  # (process number, its memory in MiB)


class StubClocks(Record, frozen=True, kw_only=True):
    """Describe the clocks of a GPU of a stand-in driver in MHz. The defaults are those of an idle A100.

    -1: this model does not have the value. See `GpuClocks` of model/machine_facts.py.
    """

    sm: int = 210
    memory: int = 1215
    sm_most: int = 1410
    memory_most: int = 1215
    application: int = 1095
    application_memory: int = 1215
    application_default: int = 1095
    application_memory_default: int = 1215
    default_milliwatts: int = 400000


class StubGpu(Record, frozen=True):
    """Describe one GPU of a stand-in driver. A field that is None is a feature that this model does not have."""

    name: str
    capability: str  # "8.9"
    memory_mib: int  # 0: shared with the machine, as on GB10: NVML then names no size
    free_mib: int | None = None
    uuid: str | None = None
    mig: bool | None = None  # MIG mode is on
    mig_slices: int = 0  # the number of its instances
    ecc: bool | None = None  # ECC is on
    power_watts: float | None = 100.0
    error: int = 0  # NVML's error code for this GPU; 15: the GPU is lost
    fabric: int = 0  # 1 not started, 2 in progress, 3 completed
    health: StubHealth | None = None  # None: the driver answers no question about it
    clocks: StubClocks | None = None  # the same


class StubDriver(Record, frozen=True, kw_only=True):
    """Provide stand-ins for libcuda.so.1 and libnvidia-ml.so.1, which are compiled here and found first through LD_LIBRARY_PATH.

    If a PlayedMachine comes before this in the recipe, the stand-ins are the driver of that machine.

    With `runtime`, one more stand-in is loaded before the CUDA runtime, so that torch can make tensors on the GPUs. No kernel ever
    runs: a launch fails with the CUDA error number in the variable STUB_LAUNCH (209, no kernel image, if it is not set).
    """

    cuda: str  # the newest CUDA that it supports: "13.0"
    refusal: int = 0  # the error number with which cuInit fails; 0: it succeeds
    version: str = "580.65.06"
    gpus: tuple[StubGpu, ...] = ()
    nvml: bool = False  # also provide libnvidia-ml.so.1
    nvml_error: int = 0  # the error number with which NVML does not start; 0: it starts
    runtime: bool = False


class PlayedMachine(Record, frozen=True, kw_only=True):
    """Play another Linux machine: attn-doctor reads a folder of files in place of this machine's /proc, /sys, /dev and /etc.

    The environment, its Python and the loader stay the real ones. See docs/testing.md.
    """

    wsl: bool = False
    pci: tuple[tuple[str, str, str | None], ...] = ()  # vendor, device, kernel driver: ("10de", "2684", "nvidia")
    module: str | None = None  # version of NVIDIA's kernel module; with it come the device nodes
    files: tuple[tuple[str, str], ...] = ()  # (path, text): ("/etc/os-release", "ID=ubuntu")


class Apt(Record, frozen=True, kw_only=True):
    """Run apt with a separate state and the real package index of an Ubuntu release; `packages` is the index of one more repository."""

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
    | PlayedMachine
    | Apt
)


# Packages that flash-attn's setup.py imports first. Older releases of torch import pkg_resources, which setuptools 82 removed:
# https://setuptools.pypa.io/en/latest/history.html. The warning of pkg_resources recommends the pin setuptools<81.
BUILD_TOOLS = Packages(requirements=("setuptools<81", "wheel", "packaging", "psutil", "ninja"), megabytes=3)
PIP = ("{python}", "-m", "pip")
INSTALL = (*PIP, "install", "--no-build-isolation", "--no-deps")
INSTALL_SOURCE = (*INSTALL, "{source}")
GITHUB = ("github.com", "objects.githubusercontent.com", "release-assets.githubusercontent.com")
START_CUDA = ("{python}", "-c", "import torch; torch.ones(1).cuda()")
# Starts CUDA as torch does, but without torch. Prints CUDA's error number, or the error of the loader.
ASK_DRIVER = ("{python}", "-c", "import ctypes; print('cuInit:', ctypes.CDLL('libcuda.so.1').cuInit(0))")
# The folders in which the loader of an x86-64 or arm64 Linux looks for libraries of the system.
_LOADED_FROM = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib64", "/usr/lib64")
LOOKS_LIKE_CUDA = "a torch that only looks like a CUDA build"


class Recipe(Record, frozen=True, kw_only=True):
    """Describe how one failure is reproduced.

    A recipe without commands judges a simulated machine, which is recorded in reproduction/machines/<slug>.json. If there is such a
    file, it is also judged on machines that cannot run the commands of the recipe.
    """

    does: str  # what happens, as the end of the sentence "attn-doctor reproduce <slug> ..."
    seconds: int  # about; without the downloads
    of: tuple[Ingredient, ...] = ()
    run: tuple[tuple[str, ...], ...] = ()
    shows: str = ""  # a pattern that is found in the output if the failure happened
    # Options of `attn-doctor check` for the environment; None: the output is judged as a log.
    examine: tuple[str, ...] | None = None
    goal: Goal = Goal.FLASH_ATTN
    downloads: int = 0  # megabytes that the commands themselves download
    deadline: float = 300.0  # seconds for each command, after which it is stopped
    stands_in: tuple[str, ...] = ()  # the parts that are not real, in words


def no_system_library(names: str) -> tuple[Hidden, ...]:
    """Return the ingredients that hide libraries of the system from the loader. Example of `names`: "libcuda.so*"."""
    return tuple(Hidden(folder=folder, names=names) for folder in _LOADED_FROM)
