"""Define the record types of all probed facts. Nothing here reads the machine, judges or renders.

A field holds a value, ``None`` if the thing is known to be absent, or ``Unknown(why)`` if it could not be found out.
Every field has the default "not recorded", so a facts file may hold only the few facts that its author knows.
Versions are strings as their maker writes them; ``attn_doctor.model.versions`` compares them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import msgspec

SCHEMA_VERSION = 1


class Unknown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Stand for a value that could not be told. In JSON: ``{"unknown": why}``.

    It is neither true nor false: ``if facts.system.container:`` would take a machine of which nothing is known for a
    container. Its truth value raises TypeError.
    """

    unknown: str

    def __bool__(self) -> bool:
        raise TypeError(
            f"an unknown fact ({self.unknown}) is neither true nor false: ask known(fact), isinstance(fact, Unknown) or "
            "`is True`"
        )

    @property
    def why(self) -> str:
        return self.unknown


def _unrecorded() -> Unknown:
    return Unknown("not recorded")


# A fresh object at each place, so that an Unknown can be traced back to the field that holds it (see `paths_of`).
UNRECORDED: Any = msgspec.field(default_factory=_unrecorded)

Text = str | None | Unknown
Flag = bool | None | Unknown
Number = int | None | Unknown
Real = float | int | None | Unknown


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Define the base of all fact records: immutable, keyword only, compared by value."""


# How a piece of foreign code can end. "vanished": it cannot even be killed. "out-of-memory": it raised so, in a trial.
FaultKind = Literal["raised", "exited", "signal", "timeout", "vanished", "out-of-memory"]


class Fault(Record, frozen=True, kw_only=True):
    """Say how a piece of foreign code ended: it raised, exited, was killed by a signal, or never came back."""

    kind: FaultKind
    type: str | None = None  # exception type, e.g. "ImportError"
    message: str | None = None
    signal: str | None = None  # e.g. "SIGSEGV"
    exit_code: int | None = None
    where: str | None = None  # innermost frame or open section
    traceback: str | None = None
    seconds: float | None = None

    @property
    def headline(self) -> str:
        """Return the line of the message that says most. NumPy puts a page of advice before "Original error was: ..."."""
        text = (self.message or "").strip()
        original = text.partition("Original error was:")[2].strip()
        lines = (original or text).splitlines()
        return lines[0] if lines else ""


Purpose = Literal["tmp", "cache", "site-packages"]


class Disk(Record, frozen=True, kw_only=True):
    """Describe the file system under a folder that an installation or a build writes to."""

    purpose: Purpose
    path: str
    free_bytes: Number = UNRECORDED
    device: int | str | Unknown | None = UNRECORDED
    writable: Flag = UNRECORDED
    noexec: Flag = UNRECORDED


OsName = Literal["linux", "windows", "darwin"]
Board = Literal["jetson", "dgx-spark"]  # machines whose torch is another than a desktop's or a server's
Hosted = Literal["colab", "kaggle", "sagemaker"]  # notebooks whose system belongs to somebody else


class System(Record, frozen=True, kw_only=True):
    os: OsName | Unknown | None = UNRECORDED
    distribution: Text = UNRECORDED  # os-release ID
    distribution_version: Text = UNRECORDED
    distribution_name: Text = UNRECORDED
    kernel: Text = UNRECORDED
    machine: Text = UNRECORDED  # as `uname -m`
    glibc: Text = UNRECORDED  # None: another libc
    musl: Text = UNRECORDED
    libstdcxx: Text = UNRECORDED  # path of the libstdc++ that would be loaded
    glibcxx: Text = UNRECORDED  # newest GLIBCXX_ version in it
    cxxabi: Text = UNRECORDED
    wsl: Number = UNRECORDED  # 1, 2 or None
    wsl_driver_folder: Flag = UNRECORDED  # /usr/lib/wsl/lib
    dxg: Flag = UNRECORDED  # /dev/dxg
    board: Board | Unknown | None = UNRECORDED
    jetpack: Text = UNRECORDED  # "6.2": NVIDIA's system of a Jetson
    hosted: Hosted | Unknown | None = UNRECORDED
    container: Text = (
        UNRECORDED  # "docker", "podman", "kubernetes", "apptainer", "lxc", or what the container calls itself
    )
    cores: Number = UNRECORDED
    cores_allowed: Number = UNRECORDED  # affinity mask
    cgroup_cpus: Real = UNRECORDED  # quota in cores; None: no limit
    memory_bytes: Number = UNRECORDED
    available_bytes: Number = UNRECORDED
    swap_bytes: Number = UNRECORDED
    cgroup_memory_bytes: Number = UNRECORDED  # None: no limit
    disks: tuple[Disk, ...] | Unknown = UNRECORDED
    loader_cache: tuple[str, ...] | Unknown = UNRECORDED  # CUDA-related entries of ld.so.cache, "soname => path"
    shell: Text = UNRECORDED
    modules: Flag = UNRECORDED  # `module load` is there, as on clusters


class Cpu(Record, frozen=True, kw_only=True):
    model: Text = UNRECORDED
    avx2: Flag = UNRECORDED
    avx512: Flag = UNRECORDED
    amx: Flag = UNRECORDED
    bf16: Flag = UNRECORDED


class Variable(Record, frozen=True, kw_only=True):
    name: str
    value: str


class PciDevice(Record, frozen=True, kw_only=True):
    """Describe a display or accelerator function on the PCI bus."""

    vendor: str  # "10de" NVIDIA, "1002" AMD, "8086" Intel
    device: str
    pci_class: str  # e.g. "0300" VGA, "0302" 3D
    driver: Text = UNRECORDED  # kernel driver bound to it


class Gpu(Record, frozen=True, kw_only=True):
    index: int
    name: Text = UNRECORDED
    compute_capability: Text = UNRECORDED  # "8.9"
    memory_bytes: Number = UNRECORDED
    free_bytes: Number = UNRECORDED
    uuid: Text = UNRECORDED
    mig: Flag = UNRECORDED  # MIG mode on
    mig_slices: Number = UNRECORDED
    ecc: Flag = UNRECORDED
    power_limit_watts: Real = UNRECORDED
    visible: Flag = UNRECORDED  # False: hidden by CUDA_VISIBLE_DEVICES


class AmdGpu(Record, frozen=True, kw_only=True):
    name: Text = UNRECORDED
    gfx: Text = UNRECORDED  # "gfx942"


class Graphics(Record, frozen=True, kw_only=True):
    """Describe GPUs, and what stands between them and a program."""

    pci: tuple[PciDevice, ...] | Unknown = UNRECORDED
    gpus: tuple[Gpu, ...] | Unknown = UNRECORDED
    stated: Flag = False  # the GPU was stated by --gpu: it is elsewhere, and nothing of this section was seen of it
    driver: Text = UNRECORDED  # "580.65.06"; None: no NVIDIA driver
    driver_cuda: Text = UNRECORDED  # most that the driver supports, "13.0"
    kernel_module: Text = UNRECORDED  # version of the loaded module; None: not loaded
    libcuda: Text = UNRECORDED  # path of the libcuda.so.1 that the loader would take
    libcuda_version: Text = UNRECORDED
    nvml_error: Text = UNRECORDED  # None: NVML answered
    nvml_code: Number = UNRECORDED
    nvidia_smi: Text = UNRECORDED  # path
    nvidia_smi_error: Text = UNRECORDED
    device_nodes: tuple[str, ...] | Unknown = UNRECORDED  # /dev/nvidia*
    uvm: Flag = UNRECORDED  # /dev/nvidia-uvm
    fabric_manager: Text = UNRECORDED  # "active", "inactive", ...; None: no NVSwitch here
    cuda_error: Text = UNRECORDED  # what cuInit answered, e.g. "803 system has unsupported ..."; None: it worked
    amd: tuple[AmdGpu, ...] | Unknown = UNRECORDED
    rocm: Text = UNRECORDED
    apple: Flag = UNRECORDED  # Apple silicon


class Toolkit(Record, frozen=True, kw_only=True):
    """Describe one CUDA toolkit, counted once whatever links lead to it."""

    root: str
    found_by: tuple[str, ...] = ()  # "CUDA_HOME", "PATH", "/usr/local/cuda", "conda", "pip"
    nvcc: Text = UNRECORDED
    version: Text = UNRECORDED
    problem: Text = UNRECORDED  # why nvcc gave no version; None: it did
    missing_headers: tuple[str, ...] | Unknown = UNRECORDED
    archs: tuple[str, ...] | Unknown = UNRECORDED  # nvcc --list-gpu-arch, "8.0"
    max_gcc: Number = UNRECORDED  # from its own crt/host_config.h


class Compiler(Record, frozen=True, kw_only=True):
    name: str  # "gcc", "g++", "clang", "clang++", "cl", or a name that CC or CXX gives
    path: str
    version: Text = UNRECORDED


class Shadow(Record, frozen=True, kw_only=True):
    """Describe a search-path entry that holds CUDA libraries."""

    folder: str
    libraries: tuple[str, ...] = ()


class Toolchain(Record, frozen=True, kw_only=True):
    toolkits: tuple[Toolkit, ...] | Unknown = UNRECORDED
    nvcc_on_path: Text = UNRECORDED
    cuda_home: Text = UNRECORDED  # what torch's cpp_extension would choose
    cuda_home_by: Text = UNRECORDED  # "CUDA_HOME", "CUDA_PATH", "nvcc on PATH", "/usr/local/cuda"
    cuda_home_problem: Text = (
        UNRECORDED  # "is a list", "is a file", "does not exist", "has no bin/nvcc", ...; None: sound
    )
    compilers: tuple[Compiler, ...] | Unknown = UNRECORDED
    ninja: Text = UNRECORDED
    cmake: Text = UNRECORDED
    git: Text = UNRECORDED
    library_path: tuple[Shadow, ...] | Unknown = UNRECORDED  # LD_LIBRARY_PATH entries with CUDA libraries
    long_paths: Flag = UNRECORDED  # Windows LongPathsEnabled


InterpreterKind = Literal["venv", "conda", "pixi", "uv", "pipx", "system", "standalone"]


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


class ProbeRun(Record, frozen=True, kw_only=True):
    """Say how one probe went: for the reader who wonders why a value is unknown, and for timing."""

    name: str
    seconds: float
    note: str | None = None


Doing = Literal["building", "installing", "importing", "running"]


class Subject(Record, frozen=True, kw_only=True):
    """Describe the package that failed in a log, and the command that was typed. A machine alone has none."""

    package: Text = UNRECORDED  # normal name of the distribution: "causal-conv1d"
    doing: Doing | Unknown | None = (
        UNRECORDED  # "installing": looked for, or downloaded; "running": a function was called
    )
    command: Text = UNRECORDED
    asked: Text = UNRECORDED  # the version of it that a project's tool tried to build, "2.8.3"
    locked: Flag = UNRECORDED  # uv had resolved the project before it failed
    address: Text = UNRECORDED  # of the repository that pip took its source from: "git+https://..."


# "static": nothing of the target was imported. "stated": nothing but what a log says of its machine is known.
Grade = Literal["dynamic", "static", "stated"]


class Facts(Record, frozen=True, kw_only=True):
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


T = TypeVar("T")
R = TypeVar("R", bound=Record)


def walk(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield every leaf and Unknown of a record with its dotted path; items of tuples are numbered."""
    if isinstance(value, Record):
        for name in value.__struct_fields__:
            yield from walk(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from walk(item, f"{path}.{index}")
    else:
        yield path, value


def paths_of(facts: Facts, unknown: Unknown) -> list[str]:
    """Return the paths that hold this very Unknown (by identity: an equal reason elsewhere is another fact)."""
    return [path for path, value in walk(facts) if value is unknown]


def lookup(facts: Facts, path: str) -> object:
    """Return the value at a dotted path. Raises LookupError for a path that no facts can have."""
    value: object = facts
    for part in path.split("."):
        if isinstance(value, tuple) and part.isdigit():
            value = value[int(part)]
        elif isinstance(value, Record) and part in value.__struct_fields__:
            value = getattr(value, part)
        elif isinstance(value, Unknown):
            return value
        else:
            raise LookupError(f"no fact at {path}")
    return value


def all_unknown(kind: type[R], why: str, **known: Any) -> R:
    """Return a record of this kind with every field unknown that can be, for one reason."""
    blank = kind(**known)
    fields = {
        name: Unknown(why)
        for name in kind.__struct_fields__
        if name not in known and isinstance(getattr(blank, name), Unknown)
    }
    return msgspec.structs.replace(blank, **fields)
