"""Define the rows of the tables, one record for each table. The meaning of each field is here, its values are in `data/`.

The rows of the tables about attention are in attention_rows.py; a table that one module alone asks has its row in that module.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Define the base of all rows. A row contains only what its source says."""

    TABLE: ClassVar[str]

    source: str
    checked: str  # the day on which the source was read: "2026-11-20"
    verified: bool = True  # False: inferred, or reported once, or announced
    inferred: tuple[str, ...] = ()  # fields of a verified row that are inferred
    note: str | None = None


class TorchRelease(Row, frozen=True, kw_only=True):
    """Describe a minor release of torch as the PyTorch project ships it."""

    TABLE: ClassVar[str] = "torch"

    minor: str  # "2.15"
    latest: str  # "2.15.0"
    pythons: tuple[str, ...]  # "3.12"
    pypi_cuda: dict[str, str | None]  # platform tag ("linux_x86_64") -> CUDA of the wheel on PyPI; None: a CPU build
    cxx_default: int  # C++ standard that cpp_extension passes if none is given
    cxx_minimum: int  # oldest C++ standard with which its headers compile under gcc
    cxx_minimum_msvc: int  # the same under MSVC
    cudnn: str  # requirement, "nvidia-cudnn-cu13==9.26.0.51"
    triton: str  # requirement, "triton~=3.9.0"
    nccl: str  # requirement
    sdpa_flash: str  # the flash kernel in its SDPA, in words


class TorchBuild(Row, frozen=True, kw_only=True):
    """Describe one CUDA build of a torch minor: its `torch.version.cuda`, and the GPU code in it."""

    TABLE: ClassVar[str] = "torch_builds"

    torch: str  # the minor, "2.15"
    cuda: str  # "13.2"
    platform: str  # "linux_x86_64"
    pypi: bool  # this is the build on PyPI for that platform
    archs: tuple[str, ...]  # as torch.cuda.get_arch_list() returns them: "sm_80", "compute_120"
    glibc: str  # the oldest that the wheel accepts: "2.28"


class FlavourBuild(Row, frozen=True, kw_only=True):
    """Describe the newest torch on an index of PyTorch for the GPUs of AMD or Intel."""

    TABLE: ClassVar[str] = "torch_flavours"

    torch: str  # exactly: "2.14.0"
    flavour: str  # the name of the index, "rocm7.2", "xpu"
    torchvision: str  # the release that belongs to it: "0.29.0"
    archs: tuple[str, ...]  # "gfx1100"; empty: not listed
    platforms: tuple[str, ...]


class JetsonTorch(Row, frozen=True, kw_only=True):
    """Describe NVIDIA's torch for a range of JetPacks, and the place from which it comes."""

    TABLE: ClassVar[str] = "torch_jetson"

    first: str  # the first JetPack, "6.0"
    last: str  # the last one, which belongs to the range
    url: str
    index: bool  # pip can install from it; else it is a folder of wheels, or a page
    python: str
    wheel: str | None = None  # the file in that folder
    torchvision: str | None = None  # the release that belongs to that wheel, which has to be compiled


class TorchAbi(Row, frozen=True, kw_only=True):
    """Describe the C++ ABI of the torch wheels on PyPI and on the PyTorch index; not of conda-forge or NGC builds."""

    TABLE: ClassVar[str] = "torch_abi"

    first: str  # the first minor of torch, "2.7"
    last: str  # the last one, which belongs to the range
    flavours: tuple[str, ...]  # "cu126", "rocm", "xpu"; empty: every flavour
    platforms: tuple[str, ...]  # empty: every platform
    cxx11_abi: bool  # True: built with the new C++ ABI of libstdc++


class Torchvision(Row, frozen=True, kw_only=True):
    """Describe the torch that a torchvision release requires."""

    TABLE: ClassVar[str] = "torchvision"

    torchvision: str
    torch: str  # requirement, "==2.8.0" or ">=2.14.0"
    built_for: str  # torch minor that it was released with
    python: str  # its Requires-Python


class TorchFamily(Row, frozen=True, kw_only=True):
    """Describe releases of a package whose compiled code was built for one minor of torch."""

    TABLE: ClassVar[str] = "torch_family"

    package: str
    releases: tuple[
        str, ...
    ]  # whole releases of xformers ("0.0.25.post1"), vllm and sglang, minors of the others ("2.3")
    torch: str  # the minor, "2.2"


class NumpyBuild(Row, frozen=True, kw_only=True):
    """Describe since which release a package is compiled for NumPy 2, and since which one it requires NumPy 2."""

    TABLE: ClassVar[str] = "numpy_2"

    package: str
    compiled: str  # the first release that can be imported with NumPy 2: "4.10.0.84"
    requires: str | None = None  # the first release that cannot be installed with NumPy 1, "4.12"; None: none does


class NumpyPair(Row, frozen=True, kw_only=True):
    """Describe whether torch's wheels of these minors work with numpy 2."""

    TABLE: ClassVar[str] = "numpy"

    first: str  # the first minor of torch, "2.3"
    last: str  # the last one, which belongs to the range
    os: tuple[str, ...]
    numpy2: bool


class Driver(Row, frozen=True, kw_only=True):
    """Describe the driver that was released with a CUDA toolkit. `Floor` has the oldest driver that works."""

    TABLE: ClassVar[str] = "cuda_drivers"

    cuda: str  # "11.6"
    update: str  # of the toolkit: "GA" (the first), "Update 1"
    linux: str  # "510.39.01"
    windows: str | None  # None: no driver is listed


class OldTorch(Row, frozen=True, kw_only=True):
    """Describe the CUDA builds of a torch before 2.0. They are on PyTorch's list of all wheels."""

    TABLE: ClassVar[str] = "torch_before_2"

    torch: str  # "1.2.0"
    torchvision: str
    cudas: tuple[str, ...]  # "10.0", the newest first
    plain: str | None = None  # the CUDA of the wheels without a local part; None: each names its CUDA
    pythons: tuple[str, ...]
    not_on_windows: tuple[str, ...] = ()  # CUDA versions of `cudas` that have no wheel for Windows


class Floor(Row, frozen=True, kw_only=True):
    """Describe the oldest driver that runs programs of a CUDA major (minor-version compatibility), or of one minor of CUDA 10 and older."""

    TABLE: ClassVar[str] = "cuda_floors"

    major: int
    minor: int | None = None  # before CUDA 11 each minor needs a driver of its own
    linux: str
    windows: str


class Nvcc(Row, frozen=True, kw_only=True):
    """Describe the architectures that one nvcc compiles, and the host compilers that it accepts."""

    TABLE: ClassVar[str] = "nvcc"

    cuda: str  # "13.2"
    archs: tuple[str, ...]  # "sm_80"
    max_gcc: int  # the newest major that it accepts
    max_clang: int | None  # the same; None: not known


class GpuModel(Row, frozen=True, kw_only=True):
    """Describe one model of NVIDIA GPU."""

    TABLE: ClassVar[str] = "gpus"

    name: str
    also: tuple[str, ...] = ()  # other names under which drivers report it
    capability: str  # "8.9"


class CodeException(Row, frozen=True, kw_only=True):
    """Describe an exception from the rule "same major, minor not lower" for compiled GPU code."""

    TABLE: ClassVar[str] = "gpu_code"

    code: str  # capability that the code was compiled for, "8.0"
    not_on: tuple[str, ...] = ()  # devices that do not run it although the rule allows them
    only_on: tuple[str, ...] = ()  # not empty: these devices and no others
    lifted_from_cuda: str | None = None  # builds with this CUDA and newer ones follow the rule again


class Distribution(Row, frozen=True, kw_only=True):
    """Describe one release of a Linux distribution."""

    TABLE: ClassVar[str] = "distributions"

    id: str  # os-release ID
    version: str
    glibc: str | None
    libtinfo5: bool | None  # a package of that name can be installed; None: not looked up


class Elsewhere(Row, frozen=True, kw_only=True):
    """Describe a source of FlashAttention other than the official release. The package "torch" stands for PyTorch's own attention."""

    TABLE: ClassVar[str] = "elsewhere"

    name: str
    package: str
    kind: Literal["community", "index", "conda", "hub", "pypi", "source", "none"]
    url: str
    platforms: tuple[str, ...]  # empty: not stated
    torch_first: str | None
    torch_last: str | None
    cuda_majors: tuple[int, ...]
    pythons: tuple[str, ...]
    capabilities: tuple[str, ...] = ()  # the only GPUs that it supports; empty: all GPUs that the package supports
    trust: str  # the builder, and the properties that cannot be checked


class BuiltPackage(Row, frozen=True, kw_only=True):
    """Describe another package that has CUDA code and needs torch: its finished wheels, and the packages that its build imports."""

    TABLE: ClassVar[str] = "built_packages"

    name: str  # normalised: "mamba-ssm"
    also: tuple[str, ...]  # other names of the same package
    module: str
    # "pytorch-index" and "index": `url` is an index; "links": a page for --find-links; "releases": a page with wheels to choose from by hand
    wheels: Literal["pypi", "pytorch-index", "index", "links", "releases", "none"]
    platforms: tuple[str, ...]  # of the wheels
    url: str | None  # "{flavour}": "cu124"; for torch 2.4 "{torch}" is "24", and "{minor}" is "2.4"
    get: str | None  # requirement to build, if it is not the name
    imports: tuple[str, ...]  # distributions that its setup imports, torch among them
    torch_bound: bool  # a wheel is for one minor release of torch
    torch_first: str | None  # first torch minor of the wheels, if they are for some minors only
    torch_last: str | None
    pythons: tuple[str, ...]  # of the wheels; empty: not stated
    attention: bool  # PyTorch's own attention does the same without it
    compiles_at_run_time: bool  # it compiles at its first use, and keeps the result in `cache`
    arch_list: bool  # its setup compiles for TORCH_CUDA_ARCH_LIST; False: for a list of its own
    variables: dict[str, str]  # variable that its setup reads -> meaning
    gigabytes: int  # of memory that one compiler needs at most
    # The newest release has source and wheels at PyPI: `--no-binary` compiles this release. False: pip would go back to an old release.
    source_at_pypi: bool = False
    # Other modules that it installs, normalised: "selective-scan-cuda" of mamba-ssm; a `*` means any text: "gptqmodel-*".
    extensions: tuple[str, ...] = ()
    # Not None: its setup.py downloads the wheel for this torch from `url`, and compiles if there is none; this variable forbids it to compile.
    setup_takes_wheel: str | None = None
    linux_only: bool = False  # its authors support no other system
    only_wheels: bool = False  # PyPI's source is newer than the wheels, and pip would choose the source
    pins: dict[str, str] = {}  # minor of torch -> the release of this package that was built for it
    # Form of the requirement for a wheel: "natten=={release}+torch{digits}0{flavour}"; None: "name=={release}"
    pin: str | None = None
    # A minor of torch -> the last release of this package that an older torch accepts: {"2.4": "2.2.2"}
    last_before: dict[str, str] = {}
    compiled: str | None = None  # the distribution with the compiled code, if it is a separate one
    compiles_nothing: dict[str, str] = {}  # variables with which an installation compiles nothing, and works
