"""Define the facts of a Python environment and of the project around it. Others import them from `model.facts`."""

from __future__ import annotations

from typing import Literal, NamedTuple

from attn_doctor.model.record import UNRECORDED, Fault, Flag, Number, Real, Record, Text, Unknown

InterpreterKind = Literal["venv", "conda", "pixi", "uv", "pipx", "system", "standalone"]


class ChosenPython(NamedTuple):
    """Name the interpreter that is examined, and say why it was chosen."""

    python: str
    why: str


class Interpreter(Record, frozen=True, kw_only=True):
    """Describe the target: its interpreter, and the environment that this belongs to."""

    python: Text = UNRECORDED
    why: Text = UNRECORDED  # why it was chosen
    version: Text = UNRECORDED
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
    settings: tuple[InstallerSettings, ...] | Unknown = UNRECORDED  # of pip and of uv, where they say anything
    site_packages: Text = UNRECORDED
    writable: Flag = UNRECORDED
    user_site: Flag = UNRECORDED
    headers: Flag = UNRECORDED  # Python.h is there
    differs_isolated: tuple[str, ...] | Unknown = UNRECORDED  # modules found elsewhere under -I
    shadowed_here: tuple[str, ...] | Unknown = UNRECORDED  # files of the current folder that hide modules
    shadows_loaded: tuple[str, ...] | Unknown = UNRECORDED  # those of them whose module torch or ultralytics loads
    standard_hidden: tuple[str, ...] | Unknown = (
        UNRECORDED  # files on PYTHONPATH that hide modules of the standard library
    )
    broken_pth: tuple[str, ...] | Unknown = UNRECORDED


class InstallerSettings(Record, frozen=True, kw_only=True):
    """Hold what variables and configuration files say of every installation by pip, or by uv, beside the indexes."""

    installer: Literal["pip", "uv"]
    find_links: tuple[str, ...] = ()  # folders and pages of wheels, no passwords
    no_index: str | None = None  # the setting that keeps it from asking any index: "PIP_NO_INDEX", "/etc/pip.conf"
    constraints: tuple[
        Pin, ...
    ] = ()  # versions that it may take; `file` names the setting too where that is another place


class Distribution(Record, frozen=True, kw_only=True):
    name: str
    version: Text = UNRECORDED
    location: Text = UNRECORDED
    installer: Text = UNRECORDED
    direct_url: Text = UNRECORDED
    wheel_tag: Text = UNRECORDED
    files_missing: Number = UNRECORDED  # RECORD entries that are gone


class Conflict(Record, frozen=True, kw_only=True):
    package: str
    requires: str
    found: str | None  # installed version; None: missing


class Packages(Record, frozen=True, kw_only=True):
    distributions: tuple[Distribution, ...] | Unknown = UNRECORDED
    named: tuple[Distribution, ...] = ()  # those that a log names: more may be installed
    duplicates: tuple[str, ...] | Unknown = UNRECORDED
    remnants: tuple[str, ...] | Unknown = UNRECORDED  # "~orch"
    broken: tuple[str, ...] | Unknown = UNRECORDED
    conflicts: tuple[Conflict, ...] | Unknown = UNRECORDED


class Import(Record, frozen=True, kw_only=True):
    """Say how the import of one module ended, in a child of its own. "requirements": what ultralytics imports at first use."""

    module: str
    ok: Flag = UNRECORDED
    failed: Text = UNRECORDED  # of several modules the one that did not import
    fault: Fault | None = None
    path: Text = UNRECORDED
    version: Text = UNRECORDED
    seconds: Real = UNRECORDED
    warnings: tuple[str, ...] = ()
    works_without: Text = UNRECORDED  # "PYTHONPATH", "user site", "LD_LIBRARY_PATH" ...: with it left out, it imports; None: nothing helps


class TorchDevice(Record, frozen=True, kw_only=True):
    index: int
    name: str
    compute_capability: str | None = None


class Torch(Record, frozen=True, kw_only=True):
    version: Text = UNRECORDED  # with its local part; None: not installed
    location: Text = UNRECORDED
    shim: Text = UNRECORDED  # what is found under the name torch and is no torch: a file or a folder; None: it is torch
    cuda: Text = UNRECORDED  # torch.version.cuda
    hip: Text = UNRECORDED
    cxx11_abi: Flag = UNRECORDED
    archs: tuple[str, ...] | Unknown = UNRECORDED  # "sm_80", "compute_90"
    cudnn: Text = UNRECORDED
    header_cxx: Number = UNRECORDED  # C++ standard that its headers demand, 17 or 20
    flash_compiled: Flag = UNRECORDED
    importable: Flag = UNRECORDED
    fault: Fault | None = None  # set where importable is False
    works_without: Text = UNRECORDED  # as in Import
    available: Flag = UNRECORDED  # torch.cuda.is_available()
    cuda_fault: Fault | None = None
    cuda_error: Text = UNRECORDED  # text behind available == False
    devices: tuple[TorchDevice, ...] | Unknown = UNRECORDED
    mps: Flag = UNRECORDED
    numpy_bridge: Flag = UNRECORDED  # torch.ones(1).numpy() works
    numpy_error: Text = UNRECORDED
    threads: Number = UNRECORDED
    chatter: Text = UNRECORDED  # what importing it printed


class FlashAttention(Record, frozen=True, kw_only=True):
    """Describe the packages that are installed under the name flash_attn, each with its release."""

    version: Text = UNRECORDED  # distribution flash-attn; None: not installed
    modules: tuple[str, ...] | Unknown = UNRECORDED  # extension modules on disk, e.g. "flash_attn_2_cuda"
    namespace_only: Flag = UNRECORDED  # flash_attn without __init__.py
    fa3: Text = UNRECORDED  # version of flash-attn-3 / flash_attn_interface
    fa4: Text = UNRECORDED  # version of flash-attn-4 / flash_attn.cute
    wheel_torch: Text = UNRECORDED  # torch that the local version names, "2.8"
    wheel_cuda: Text = UNRECORDED  # "12"
    wheel_abi: Flag = UNRECORDED


YoloKind = Literal["mainline", "fork"]
AttentionCall = Literal["eager", "sdpa", "flash-attn"]  # a way to compute attention that a source file holds
YoloLayout = Literal["qkv", "qk+v"]  # how the projections are kept: it decides whose checkpoints load


class Yolo(Record, frozen=True, kw_only=True):
    """Describe the installed ultralytics, and what its YOLO12 attention really calls."""

    version: Text = UNRECORDED  # None: not installed
    kind: YoloKind | Unknown | None = UNRECORDED
    location: Text = UNRECORDED
    attention: Text = UNRECORDED  # class name, "AAttn"
    calls: tuple[AttentionCall, ...] | Unknown = UNRECORDED
    layout: YoloLayout | Unknown | None = UNRECORDED
    flash_error: Text = UNRECORDED  # the exception behind the fork's swallowed import; None: imports


# "zip": as torch.save writes since 1.6 · "legacy": as before, pickles one after the other · "pickle": one pickle alone
ModelFormat = Literal["zip", "legacy", "pickle", "torchscript", "other"]


class ModelFile(Record, frozen=True, kw_only=True):
    """Describe a file of weights that was read without loading it: no class that it names was imported."""

    path: str  # as given, or from the current folder: "runs/detect/train/weights/best.pt"
    asked: bool = False  # given by --model; else it lies beside the project
    size_bytes: Number = UNRECORDED
    format: ModelFormat | Unknown | None = UNRECORDED
    classes: tuple[str, ...] | Unknown = UNRECORDED  # of ultralytics, that it holds objects of
    absent: tuple[str, ...] | Unknown = UNRECORDED  # those of them that the installed ultralytics lacks
    layout: YoloLayout | Unknown | None = UNRECORDED  # of its AAttn; None: it has none
    written_by: Text = UNRECORDED  # version of the ultralytics that wrote it, "8.3.63"; None: it does not say
    date: Text = UNRECORDED
    problem: Text = UNRECORDED  # why it could not be read; None: it was read


class Pin(Record, frozen=True, kw_only=True):
    file: str
    line: int
    requirement: str
    isolated: bool = True  # False: a command installs it with --no-build-isolation
    by_command: bool = False  # a command of a Dockerfile installs it, so that all its options are known
    without_torch: bool = False  # and nothing that ran before it in that image brings torch


class Project(Record, frozen=True, kw_only=True):
    """List the requirements of the project in the current folder, and say whose environment the target is."""

    folder: Text = UNRECORDED
    environment_of: Text = (
        UNRECORDED  # folder of the project whose environment the target is; None: of none that is known
    )
    locks: tuple[str, ...] | Unknown = UNRECORDED  # lock files of that project: "uv.lock"
    pins: tuple[Pin, ...] | Unknown = UNRECORDED
    source_checkout: Text = UNRECORDED  # "flash-attention" when the current folder is its source tree
    cutlass_missing: Flag = UNRECORDED


class Needed(Record, frozen=True, kw_only=True):
    """Describe a shared library that a binary names in DT_NEEDED, and where the loader would take it from."""

    name: str
    found: Text = UNRECORDED  # path; None: nowhere
    package: Text = UNRECORDED  # distribution that would bring it


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
    "no-entry",
    "not-linked",
    "python-abi",
    "symbol",
    "torch",
    "torch-missing",
    "torch-version",
    "wheel-tag",
]


class Binary(Record, frozen=True, kw_only=True):
    """Describe one compiled extension, read from its file alone against the torch of the target."""

    module: str
    path: str
    verdict: BinaryVerdict | Unknown | None = UNRECORDED  # None where it makes no sense
    because: tuple[str, ...] = ()
    needs: tuple[Needed, ...] | Unknown = UNRECORDED
    undefined: tuple[str, ...] | Unknown = UNRECORDED  # symbols that nobody exports
    cause: BinaryCause | Unknown | None = UNRECORDED
    built_for_torch: Text = UNRECORDED
    glibc: Text = UNRECORDED  # newest GLIBC_ version that it needs
    glibcxx: Text = UNRECORDED
    sm: tuple[str, ...] | Unknown = UNRECORDED  # "8.0", "9.0a"
    ptx: tuple[str, ...] | Unknown = UNRECORDED
    cxx11_abi: Flag = UNRECORDED
