"""Define the rows of the tables about attention: flash-attn with its wheels, packages and variables, and the kernels of torch's own attention."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from attn_doctor.knowledge.rows import Row


class FlashRelease(Row, frozen=True, kw_only=True):
    """Describe one flash-attn 2 release: the behaviour of its setup.py and of its C++ code."""

    TABLE: ClassVar[str] = "flash_attn"

    release: str  # "2.8.3"
    date: str
    pypi: bool  # it is on PyPI
    requires_python: str  # ">=3.9"
    min_nvcc: str  # the oldest that its setup.py accepts: "11.7"
    archs: dict[str, str]  # architecture that is compiled ("80") -> oldest nvcc that can compile it
    archs_variable: bool  # reads FLASH_ATTN_CUDA_ARCHS
    ptx: bool  # the build also contains PTX
    nvcc_threads: int  # --threads that its setup.py gives to nvcc
    nvcc_threads_variable: bool  # reads NVCC_THREADS
    sets_max_jobs: bool  # setup.py computes MAX_JOBS from cores and memory if it is unset
    cxx: int  # C++ standard that it passes with -std
    wheel_tag: dict[str, str]  # CUDA major of torch -> CUDA part of the wheel asked for ("cu12"); "else" for all others
    min_capability: str  # "8.0"
    majors: tuple[int, ...]  # capability majors that its own check accepts; empty: all from min_capability on
    max_head_dim: int
    backward_limits: tuple[BackwardLimit, ...]


class BackwardLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Describe a limit on training: head dimensions above `above` and up to `to` have a backward pass only on the devices in `only_on`."""

    above: int
    to: int
    with_dropout_only: bool
    only_on: tuple[str, ...]


class WheelMatrix(Row, frozen=True, kw_only=True):
    """Describe the wheels of one flash-attn release: the build matrix of its workflow, and exceptions from it."""

    TABLE: ClassVar[str] = "flash_attn_wheels"

    release: str
    known: bool = True  # False: the list of wheels is not known
    released: bool = True
    pythons: tuple[str, ...] = ()  # "3.12"
    # torch minor -> torch version used for the build; "dev" in it: a nightly
    torch: dict[str, str] = msgspec.field(default_factory=dict)
    cuda: dict[str, str] = msgspec.field(default_factory=dict)  # CUDA part of the name ("cu12") -> toolkit ("12.9.1")
    # CUDA part -> torch minor -> flavour built against
    torch_flavour: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    cxx11_abi: tuple[bool, ...] = ()
    platforms: tuple[str, ...] = ()
    excludes: tuple[Combination, ...] = ()  # parts of the matrix that are not built
    added: tuple[Combination, ...] = ()  # uploaded by hand in addition to the matrix
    absent: tuple[Combination, ...] = ()  # looked for and not found
    really: tuple[AbiLabel, ...] = ()  # wheels with a wrong label
    sm: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)  # CUDA part -> cubins, "sm_80"
    ptx: tuple[str, ...] = ()  # "compute_120"
    runner_glibc: str | None = None  # of the machine that built them
    needs_glibc: str | None = None  # oldest glibc with which the import works; None: not known
    works_on_glibc: str | None = None  # a glibc with which somebody ran it
    seen: tuple[str, ...] = ()  # evidence that wheels of this release exist


class Combination(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Describe some of a release's wheels by parts of their key. None means: every value."""

    torch: str | None = None
    cuda: str | None = None
    python: str | None = None
    cxx11_abi: bool | None = None
    platform: str | None = None
    verified: bool = True
    source: str | None = None


class AbiLabel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Describe wheels whose file name has one C++ ABI and whose code has the other."""

    torch: str  # the minor, "2.6"
    label: bool  # the C++ ABI in the name: True for cxx11abiTRUE
    really: bool  # the C++ ABI of the code
    source: str


class FlashPackage(Row, frozen=True, kw_only=True):
    """Describe FlashAttention 3 or 4, which are packages of their own, with their own requirements."""

    TABLE: ClassVar[str] = "flash_packages"

    package: str  # "flash-attn-4"
    version: str
    module: str  # "flash_attn.cute"
    forward: tuple[str, ...]  # capabilities, "9.0", or whole majors, "9"
    backward: tuple[str, ...]
    forward_unverified: tuple[str, ...]  # accepted by the code, not named by the documentation
    dtypes: tuple[str, ...]
    dropout: bool
    min_nvcc: str | None  # None: nothing is compiled at installation
    pypi: bool
    torch_sdpa_majors: tuple[int, ...]  # majors that torch's own registry accepts; empty: not usable through torch


class FlashVariable(Row, frozen=True, kw_only=True):
    """Describe an environment variable that flash-attn's setup.py reads."""

    TABLE: ClassVar[str] = "flash_variables"

    name: str  # "MAX_JOBS"
    since: str  # the first flash-attn release that reads it
    values: str  # in words: "number"
    meaning: str  # in words
    exactly_true: bool  # only the text TRUE counts


class SdpaKernel(Row, frozen=True, kw_only=True):
    """Describe the conditions of one CUDA kernel of scaled_dot_product_attention."""

    TABLE: ClassVar[str] = "sdpa"

    kernel: str  # "sdpa-flash"
    torch: str  # version whose source was read
    lowest: str | None  # compute capability; None: any
    highest: str | None
    dtypes: tuple[str, ...]
    bf16_from: str | None  # the lowest capability with bfloat16; None: each
    mask: bool  # accepts a mask
    # Which of query, key and value must have the same head dim; "qk": query and key
    equal_head_dims: Literal["all", "qk", "none"]
    max_head_dim: int | None  # None: no limit
    head_dim_multiple: int | None  # for 16-bit dtypes
    last_stride_one: bool  # the last dimension of the tensors must be contiguous
    dropout: bool  # accepts dropout
    training_limits: tuple[BackwardLimit, ...]
    causal_needs_equal_lengths: bool
    os: tuple[str, ...]


class Calibration(Row, frozen=True, kw_only=True):
    """Hold the measured costs of one compilation of flash-attn from source."""

    TABLE: ClassVar[str] = "build_calibration"

    release: str
    files: int  # that are compiled for one architecture
    cpu_hours_per_arch: float
    gigabytes_per_job: float  # peak of the worst file at NVCC_THREADS=1; adds up over threads
