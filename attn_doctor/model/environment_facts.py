"""Define the facts of a Python environment and of the project around it. Other modules import them from `model.facts`."""

from __future__ import annotations

from typing import Literal, NamedTuple

from attn_doctor.model.record import UNRECORDED, Fault, Flag, Number, Real, Record, Text, Unknown

InterpreterKind = Literal["venv", "conda", "pixi", "uv", "pipx", "system", "standalone"]


class ChosenPython(NamedTuple):
    """Hold the path of the interpreter that is examined, and the reason for which it was chosen."""

    python: str
    why: str


class Interpreter(Record, frozen=True, kw_only=True):
    """Describe the target: its interpreter, and the environment of that interpreter."""

    python: Text = UNRECORDED
    why: Text = UNRECORDED  # why it was chosen
    version: Text = UNRECORDED
    build: Text = UNRECORDED  # sys.version, with the date of the build and the compiler
    platform_name: Text = UNRECORDED  # platform.platform(), "Linux-6.1.0-x86_64-with-glibc2.36"
    implementation: Text = UNRECORDED
    free_threaded: Flag = UNRECORDED
    bits: Number = UNRECORDED
    tag: Text = UNRECORDED  # "cp311"
    platform: Text = UNRECORDED  # sysconfig platform, "linux-x86_64"
    extension_suffix: Text = UNRECORDED
    prefix: Text = UNRECORDED
    base_prefix: Text = UNRECORDED
    kind: InterpreterKind | Unknown | None = UNRECORDED
    externally_managed: Flag = UNRECORDED
    installers: tuple[str, ...] | Unknown = UNRECORDED  # "pip 23.2.1", "uv 0.13.8"
    indexes: tuple[str, ...] | Unknown = (
        UNRECORDED  # addresses of package indexes in settings of pip and uv, no passwords
    )
    settings: tuple[InstallerSettings, ...] | Unknown = (
        UNRECORDED  # of pip and of uv; a tool without settings is left out
    )
    site_packages: Text = UNRECORDED
    writable: Flag = UNRECORDED
    user_site: Flag = UNRECORDED
    headers: Flag = UNRECORDED  # Python.h is installed
    differs_isolated: tuple[str, ...] | Unknown = UNRECORDED  # modules that -I finds in another place
    shadowed_here: tuple[str, ...] | Unknown = UNRECORDED  # files of the current folder that hide modules
    shadows_loaded: tuple[str, ...] | Unknown = (
        UNRECORDED  # those files of `shadowed_here` whose module torch or ultralytics loads
    )
    standard_hidden: tuple[str, ...] | Unknown = (
        UNRECORDED  # files on PYTHONPATH that hide modules of the standard library
    )
    broken_pth: tuple[str, ...] | Unknown = UNRECORDED


class InstallerSettings(Record, frozen=True, kw_only=True):
    """Hold the settings of pip or uv that apply to every installation, from variables and configuration files.

    The package indexes are in `Interpreter`.
    """

    installer: Literal["pip", "uv"]
    find_links: tuple[str, ...] = ()  # folders and pages of wheels, no passwords
    no_index: str | None = None  # the place of the setting that forbids every index: "PIP_NO_INDEX", "/etc/pip.conf"
    constraints: tuple[
        Pin, ...
    ] = ()  # versions that the tool may install; `file` names the setting too, if that is another place


class Distribution(Record, frozen=True, kw_only=True):
    """Describe one installed package of Python."""

    name: str  # normal name: "flash-attn"
    version: Text = UNRECORDED
    location: Text = UNRECORDED  # the folder that contains it
    installer: Text = UNRECORDED  # "pip", "uv", "conda"; None: its metadata do not say it
    direct_url: Text = UNRECORDED  # the address that it was installed from; None: from an index
    from_pypi: bool = False  # a project file says that it is to be taken from PyPI
    wheel_tag: Text = UNRECORDED  # "cp311-cp311-linux_x86_64"; several with spaces between them
    files_missing: Number = UNRECORDED  # RECORD entries that are gone


class Conflict(Record, frozen=True, kw_only=True):
    """Describe a requirement of an installed package that is not met."""

    package: str  # that has the requirement: "torchvision 0.23.0"
    requires: str  # "torch==2.8.0"
    found: str | None  # installed version; None: missing


class Wanted(Record, frozen=True, kw_only=True):
    """Describe a requirement of the installed ultralytics, and the version that is installed in the target."""

    requires: str  # "numpy>=1.23.0"
    found: str | None  # installed version; None: missing
    met: bool


class Packages(Record, frozen=True, kw_only=True):
    """Hold the installed packages, and what is wrong with their installation."""

    distributions: tuple[Distribution, ...] | Unknown = UNRECORDED
    named: tuple[Distribution, ...] = ()  # the packages that a log names; more may be installed
    duplicates: tuple[str, ...] | Unknown = UNRECORDED  # packages that are installed twice: "torch 2.8.0 and 2.9.0"
    remnants: tuple[str, ...] | Unknown = UNRECORDED  # of interrupted installations: "~orch"
    broken: tuple[str, ...] | Unknown = UNRECORDED  # .dist-info folders without readable metadata
    conflicts: tuple[Conflict, ...] | Unknown = UNRECORDED
    of_ultralytics: tuple[Wanted, ...] | Unknown = UNRECORDED
    conda: tuple[str, ...] | Unknown | None = (
        UNRECORDED  # conda's packages, "cudatoolkit-11.8.0-h6a678d5_0"; None: no conda here
    )


class Import(Record, frozen=True, kw_only=True):
    """Describe the import of one module, which was tried in a process of its own.

    The name "requirements" stands for all modules that ultralytics imports at its first use, "loggers" for those that report a training
    to other programs (wandb, mlflow).
    """

    module: str
    ok: Flag = UNRECORDED
    failed: Text = UNRECORDED  # if several modules were imported: the module that failed
    fault: Fault | None = None
    path: Text = UNRECORDED
    version: Text = UNRECORDED
    seconds: Real = UNRECORDED
    warnings: tuple[str, ...] = ()
    works_without: Text = UNRECORDED  # "PYTHONPATH", "user site", "LD_LIBRARY_PATH" ...: the module imports without it; None: no such setting helps


class TorchDevice(Record, frozen=True, kw_only=True):
    """Describe a GPU as torch.cuda sees it."""

    index: int
    name: str
    compute_capability: str | None = None


class Torch(Record, frozen=True, kw_only=True):
    """Hold the facts of the installed torch: what it was built for, whether it can be imported, and the GPUs that it sees."""

    version: Text = UNRECORDED  # with its local part; None: not installed
    location: Text = UNRECORDED
    shim: Text = UNRECORDED  # a file or folder that is found under the name torch and is not torch; None: it is torch
    cuda: Text = UNRECORDED  # torch.version.cuda
    hip: Text = UNRECORDED  # torch.version.hip
    rocm: Text = UNRECORDED  # torch.version.rocm, the ROCm SDK that it was built with; None before torch 2.15
    cxx11_abi: Flag = UNRECORDED
    archs: tuple[str, ...] | Unknown = UNRECORDED  # "sm_80", "compute_90"
    cudnn: Text = UNRECORDED
    header_cxx: Number = UNRECORDED  # C++ standard that its headers demand, 17 or 20
    flash_compiled: Flag = UNRECORDED
    importable: Flag = UNRECORDED
    fault: Fault | None = None  # why torch cannot be imported; None unless `importable` is False
    works_without: Text = UNRECORDED  # as in Import
    available: Flag = UNRECORDED  # torch.cuda.is_available()
    cuda_fault: Fault | None = None
    cuda_error: Text = UNRECORDED  # the reason if `available` is False
    devices: tuple[TorchDevice, ...] | Unknown = UNRECORDED
    mps: Flag = UNRECORDED
    numpy_bridge: Flag = UNRECORDED  # torch.ones(1).numpy() works
    numpy_error: Text = UNRECORDED
    threads: Number = UNRECORDED
    debug: Flag = UNRECORDED  # a debug build
    xnnpack: Flag = UNRECORDED
    xpu: Flag = UNRECORDED  # torch.xpu.is_available()
    hip_runtime: Text = UNRECORDED
    miopen: Text = UNRECORDED
    cpu_capability: Text = UNRECORDED  # the instruction sets that torch chose for this CPU: "AVX512"
    loaded: tuple[str, ...] | Unknown = (
        UNRECORDED  # paths of the libraries of CUDA, ROCm and OpenMP in the process that imported torch
    )
    bundled: tuple[str, ...] | Unknown = UNRECORDED  # such libraries of torch and of the packages beside it, on disk
    chatter: Text = UNRECORDED  # the output of `import torch`


class FlashAttention(Record, frozen=True, kw_only=True):
    """Describe the packages that are installed under the import name flash_attn, each with its version."""

    version: Text = UNRECORDED  # distribution flash-attn; None: not installed
    modules: tuple[str, ...] | Unknown = UNRECORDED  # extension modules on disk, e.g. "flash_attn_2_cuda"
    namespace_only: Flag = UNRECORDED  # flash_attn without __init__.py
    fa3: Text = UNRECORDED  # version of flash-attn-3 / flash_attn_interface
    fa4: Text = UNRECORDED  # version of flash-attn-4 / flash_attn.cute
    wheel_torch: Text = UNRECORDED  # the torch in the local version of the wheel, "2.8"
    wheel_cuda: Text = UNRECORDED  # "12"
    wheel_abi: Flag = UNRECORDED


YoloKind = Literal["mainline", "fork"]
AttentionCall = Literal["eager", "sdpa", "flash-attn"]  # a way to compute attention that is in a source file
YoloLayout = Literal["qkv", "qk+v"]  # how the projections are stored; checkpoints with the other layout do not load


class Yolo(Record, frozen=True, kw_only=True):
    """Describe the installed ultralytics: its YOLO12 attention class, and the functions that this class calls."""

    version: Text = UNRECORDED  # None: not installed
    kind: YoloKind | Unknown | None = UNRECORDED
    location: Text = UNRECORDED
    checkout: Flag = UNRECORDED  # a git checkout
    program: Text = (
        UNRECORDED  # what starts it: "yolo" if PATH leads to the target's own, else its path; None: it has none
    )
    attention: Text = UNRECORDED  # class name, "AAttn"
    calls: tuple[AttentionCall, ...] | Unknown = UNRECORDED
    layout: YoloLayout | Unknown | None = UNRECORDED
    flash_error: Text = (
        UNRECORDED  # the exception that the fork hides if its import of flash_attn fails; None: it imports
    )


# "zip": torch.save since 1.6 · "legacy": torch.save before 1.6, several pickles one after the other · "pickle": one pickle alone
ModelFormat = Literal["zip", "legacy", "pickle", "torchscript", "other"]


class ModelFile(Record, frozen=True, kw_only=True):
    """Describe a file of weights. The file is read without importing the classes that it names."""

    path: str  # as the user gave it, or relative to the current folder: "runs/detect/train/weights/best.pt"
    asked: bool = False  # named by --model; else it was found in the project's folders
    size_bytes: Number = UNRECORDED
    format: ModelFormat | Unknown | None = UNRECORDED
    classes: tuple[str, ...] | Unknown = UNRECORDED  # the classes of ultralytics whose objects are in the file
    absent: tuple[str, ...] | Unknown = UNRECORDED  # those of `classes` that the installed ultralytics lacks
    layout: YoloLayout | Unknown | None = UNRECORDED  # of its AAttn modules; None: it has no AAttn
    written_by: Text = UNRECORDED  # version of the ultralytics that wrote it, "8.3.63"; None: it does not say
    date: Text = UNRECORDED
    problem: Text = UNRECORDED  # why it could not be read; None: it was read


class Pin(Record, frozen=True, kw_only=True):
    """Describe a requirement that a file of the project contains."""

    file: str
    line: int  # from 1
    requirement: str  # "torch==2.8.0"
    isolated: bool = True  # False: a command installs it with --no-build-isolation
    by_command: bool = False  # a command of a Dockerfile installs it, so all options of the installation are known
    project_tool: str | None = None  # "uv", "PDM" or "Poetry": this tool installs the file's packages
    without_torch: bool = False  # with `by_command`: no earlier command in the image installs torch


class Project(Record, frozen=True, kw_only=True):
    """Describe the project in the current folder: its requirements, its lock files, and whether the target is its environment."""

    folder: Text = UNRECORDED
    environment_of: Text = (
        UNRECORDED  # folder of the project whose environment the target is; None: no such project is known
    )
    locks: tuple[str, ...] | Unknown = UNRECORDED  # lock files of that project: "uv.lock"
    pins: tuple[Pin, ...] | Unknown = UNRECORDED
    source_checkout: Text = UNRECORDED  # "flash-attention" when the current folder is its source tree
    cutlass_missing: Flag = UNRECORDED


class Needed(Record, frozen=True, kw_only=True):
    """Describe a shared library that a binary names in DT_NEEDED, and the file that the loader would load for it."""

    name: str
    found: Text = UNRECORDED  # path; None: it was not found
    package: Text = UNRECORDED  # the distribution that contains it


BinaryVerdict = Literal["loads", "fails"]
BinaryCause = Literal[
    "cuda-flavour",
    "cxx11-abi",
    "damaged",
    "glibc",
    "glibcxx",
    "library",
    "library-version",
    "machine",
    "macos",
    "no-entry",
    "not-linked",
    "python-abi",
    "signature",
    "symbol",
    "torch",
    "torch-missing",
    "torch-version",
    "wheel-tag",
]


class Binary(Record, frozen=True, kw_only=True):
    """Describe one compiled extension.

    It was not imported: its file was compared with the torch of the target.
    """

    module: str
    path: str
    verdict: BinaryVerdict | Unknown | None = UNRECORDED  # None if a verdict makes no sense
    because: tuple[str, ...] = ()
    needs: tuple[Needed, ...] | Unknown = UNRECORDED
    undefined: tuple[str, ...] | Unknown = UNRECORDED  # symbols that no library exports
    cause: BinaryCause | Unknown | None = UNRECORDED
    built_for_torch: Text = UNRECORDED
    glibc: Text = UNRECORDED  # newest GLIBC_ version that it needs
    glibcxx: Text = UNRECORDED
    sm: tuple[str, ...] | Unknown = UNRECORDED  # "8.0", "9.0a"
    ptx: tuple[str, ...] | Unknown = UNRECORDED
    cxx11_abi: Flag = UNRECORDED
    macos: Text = None  # oldest macOS for which it was built; None for a file of another system
    # "none", "ad hoc" or "of a certificate": nothing of it is checked. None for a file of Linux, where files have none
    signature: Text = None
