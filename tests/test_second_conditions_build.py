"""The second of two conditions in the rules of builds and disks, judged by facts, and in the choice of their cures."""

from __future__ import annotations

import msgspec
import pytest
from one_rule import found
from plan_reading import variable
from recorded_machines import MACHINES, read
from whole_machines import RTX_4090, changed, with_flash_attn

from attn_doctor.failure_modes import find
from attn_doctor.failure_modes.mode import Hit
from attn_doctor.failure_modes.shared import building
from attn_doctor.model.facts import (
    Compiler,
    Disk,
    Toolkit,
    Unknown,
    Variable,
)
from attn_doctor.model.findings import Confidence, Severity

H = RTX_4090
UNKNOWN = Unknown("not asked")
NOTHING = Hit(message="m", evidence=())
GIB = 1 << 30
# torch 2.8.0+cu128 for Python 3.12, nvcc 12.8, g++ 11: a finished wheel of the pinned flash-attn 2.8.3 fits.
WHEEL_FITS = read(next(folder for folder in MACHINES if folder.name == "rtx-4080-uv-without-wheel"))[0]
KIT = WHEEL_FITS.toolchain.toolkits[0]
# The same with a Python for which there is no wheel: it would be compiled.
COMPILES = changed(
    WHEEL_FITS,
    interpreter__version="3.14.0",
    interpreter__tag="cp314",
    interpreter__extension_suffix=".cpython-314-x86_64-linux-gnu.so",
)


def titles(slug: str, facts, hit: Hit = NOTHING) -> list[str]:
    return [fix.title for fix in find(slug).fixes(facts, hit)]


def kit(**values) -> Toolkit:
    return msgspec.structs.replace(KIT, **values)


def test_what_would_be_compiled():
    assert not building.would_be_built(WHEEL_FITS)
    assert building.would_be_built(COMPILES)
    assert not building.would_be_built(changed(COMPILES, torch__cuda=None))


# -- nvcc and its toolkit


@pytest.mark.parametrize(
    ("facts", "met"),
    [
        (changed(WHEEL_FITS, toolchain__toolkits=(kit(version="11.6"),)), True),
        (WHEEL_FITS, False),
        (changed(WHEEL_FITS, toolchain__toolkits=(kit(version="11.6"),), toolchain__cuda_home_by=None), False),
        (changed(WHEEL_FITS, toolchain__toolkits=(kit(version="11.6"),), torch__cuda=None), False),
    ],
)
def test_an_nvcc_that_is_too_old_for_flash_attn(facts, met):
    assert (found("cuda-too-old-for-flash-attn", facts) is not None) is met


OLD_AND_NEW = (kit(version="11.6"), kit(root="/opt/cuda", found_by=(), version="12.8"))


@pytest.mark.parametrize("slug", ["cuda-too-old-for-flash-attn", "nvcc-torch-cuda-mismatch", "cuda-headers-incomplete"])
def test_cuda_home_is_pointed_at_a_whole_toolkit_that_is_there(slug):
    def offered(*kits: Toolkit) -> bool:
        return "Point CUDA_HOME at /opt/cuda" in titles(slug, changed(COMPILES, toolchain__toolkits=kits))

    old, new = OLD_AND_NEW
    assert offered(old, new)
    assert not offered(old, msgspec.structs.replace(new, missing_headers=("cusparse.h",)))
    assert not offered(old, msgspec.structs.replace(new, version=UNKNOWN))
    assert not offered(old, msgspec.structs.replace(new, version="10.2"))
    if slug != "nvcc-torch-cuda-mismatch":
        assert "Point CUDA_HOME at /opt/cuda" not in titles(slug, changed(COMPILES, toolchain__toolkits=UNKNOWN))


@pytest.mark.parametrize(
    ("facts", "met"),
    [
        (changed(COMPILES, toolchain__toolkits=(kit(version="13.0"),)), True),
        (changed(COMPILES, toolchain__toolkits=(kit(version="12.4"),)), False),
        (changed(WHEEL_FITS, toolchain__toolkits=(kit(version="13.0"),)), False),
        (changed(COMPILES, toolchain__toolkits=(kit(version="13.0"),), toolchain__cuda_home_by=None), False),
    ],
)
def test_an_nvcc_of_another_major_than_torch(facts, met):
    assert (found("nvcc-torch-cuda-mismatch", facts) is not None) is met


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({"toolchain__cuda_home": None}, True),
        ({"toolchain__cuda_home": None, "torch__cuda": None}, False),
        ({}, False),
    ],
)
def test_a_machine_without_a_toolkit(changes, met):
    finding = found("cuda-home-unset", changed(COMPILES, **changes))
    assert (finding is not None) is met


def test_a_conda_environment_is_named_where_there_is_no_toolkit():
    here = (Variable(name="CONDA_PREFIX", value="/opt/conda"),)
    bare = changed(COMPILES, toolchain__cuda_home=None)
    assert len(found("cuda-home-unset", bare).evidence) == 1
    assert len(found("cuda-home-unset", changed(bare, environment=here)).evidence) == 2


NO_NVCC = {"toolchain__cuda_home_problem": "has no bin/nvcc", "toolchain__cuda_home": "/usr/local/cuda"}


def test_a_toolkit_without_a_compiler():
    facts = changed(COMPILES, toolchain__toolkits=(), **NO_NVCC)
    assert "complete toolkit" not in found("nvcc-missing", facts).message
    said = found("nvcc-missing", changed(COMPILES, **NO_NVCC)).message
    assert said.endswith(" /usr/local/cuda-12.8 is a complete toolkit.")
    assert found("nvcc-missing", COMPILES) is None
    assert found("nvcc-missing", changed(facts, toolchain__cuda_home_problem="is a file")) is None
    assert found("nvcc-missing", changed(facts, torch__cuda=None)) is None


# -- the host compiler


@pytest.mark.parametrize(
    ("version", "name", "max_gcc", "met"),
    [
        ("14.2.0", "g++", 14, False),
        ("15.1.0", "g++", 14, True),
        ("15.1.0", "g++", 15, False),
        ("15.1.0", "g++", UNKNOWN, True),  # by the table
        ("11.4.0", "g++", UNKNOWN, False),
        ("21.0.0", "clang++", 30, True),  # the limit is one of gcc
        ("11.4.0", "clang++", 1, False),
    ],
)
def test_a_compiler_that_nvcc_does_not_take(version, name, max_gcc, met):
    compilers = (
        Compiler(name="make", path="/usr/bin/make", version="4"),
        Compiler(name=name, path="/usr/bin/x", version=version),
    )
    facts = changed(COMPILES, toolchain__compilers=compilers, toolchain__toolkits=(kit(max_gcc=max_gcc),))
    finding = found("host-compiler-unsupported", facts)
    assert (finding is not None) is met
    assert finding is None or finding.evidence[0].path == "toolchain.compilers.1.version"


# -- memory and time


@pytest.mark.parametrize(("free", "met"), [(4 * GIB, True), (400 * GIB, False)])
def test_a_build_that_needs_more_memory_than_there_is(free, met):
    finding = found("out-of-memory-build", changed(COMPILES, system__available_bytes=free))
    assert (finding is not None) is met
    assert found("out-of-memory-build", changed(COMPILES, system__available_bytes=free, torch__cuda=None)) is None


def test_swap_is_advised_where_not_even_one_compiler_fits():
    def first(free: int):
        (fix,) = [
            f
            for f in find("out-of-memory-build").fixes(changed(COMPILES, system__available_bytes=free), NOTHING)
            if f.title == "Build with less at once"
        ]
        return fix.steps[0]

    assert variable(first(2 * GIB)) is None
    assert variable(first(200 * GIB)) is not None


# -- the loader's cache


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({"system__loader_cache": ()}, True),
        ({"system__loader_cache": ("libcuda.so.1 => /lib/libcuda.so.1",)}, False),
        ({"system__loader_cache": (), "system__os": "windows"}, False),
        ({"system__loader_cache": (), "torch__cuda": None}, False),
        ({"system__loader_cache": (), "graphics__gpus": ()}, False),
        ({"system__loader_cache": (), "graphics__stated": True}, False),
    ],
)
def test_a_driver_that_is_not_in_the_loaders_cache(changes, met):
    finding = found("triton-libcuda-link", changed(WHEEL_FITS, **changes))
    assert (finding and finding.severity) == (Severity.INFO if met else None)
    assert finding is None or finding.confidence is Confidence.LOW


@pytest.mark.parametrize(
    ("libcuda", "value"),
    [("/lib/x86_64-linux-gnu/libcuda.so.1", "/lib/x86_64-linux-gnu"), ("/libcuda.so.1", "/"), (None, None)],
)
def test_triton_is_told_where_libcuda_is(libcuda, value):
    (fix,) = find("triton-libcuda-link").fixes(changed(H, graphics__libcuda=libcuda), NOTHING)
    assert (variable(fix.steps[0]) or (None, None))[1] == value


# -- disks


def disk(purpose: str, path: str, free: object, **values) -> Disk:
    return Disk(purpose=purpose, path=path, free_bytes=free, **values)


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({"system__disks": (disk("tmp", "/tmp", 400 * GIB), disk("cache", "/c/pip", 1 * GIB))}, Severity.INFO),
        ({"system__disks": (disk("tmp", "/tmp", 400 * GIB), disk("cache", "/c/pip", UNKNOWN))}, None),
        ({"system__disks": (disk("tmp", "/tmp", 1 * GIB),), "system__os": "darwin"}, None),
    ],
)
def test_a_disk_that_is_nearly_full(changes, severity):
    finding = found("disk-full", changed(H, **changes))
    assert (finding and finding.severity) == severity
    assert finding is None or (
        finding.evidence[0].path == "system.disks.1.free_bytes" and "pip's cache" in finding.message
    )
    assert found("disk-full", changed(with_flash_attn(H), **changes)) is None


@pytest.mark.parametrize(
    ("disks", "folder"),
    [
        ((disk("tmp", "/tmp", 400 * GIB), disk("cache", "/data/pip", 400 * GIB)), "/data"),
        ((disk("cache", "/pip", 400 * GIB),), "/"),
        ((disk("tmp", "/tmp", 400 * GIB),), None),
        ((disk("cache", "/data/pip", 1 * GIB),), None),
        ((disk("cache", "/data/pip", UNKNOWN),), None),
        (UNKNOWN, None),
    ],
)
def test_temporary_files_go_where_there_is_room(disks, folder):
    first = find("disk-full").fixes(changed(H, system__disks=disks), NOTHING)[0].steps[0]
    assert variable(first) == (("TMPDIR", folder) if folder else None)


def test_a_build_that_takes_hours_is_told_before_it_begins():
    slow = changed(COMPILES, system__cores=2, system__available_bytes=8 * GIB)
    finding = found("build-timeout-hang", slow)
    assert (finding.severity, finding.confidence) == (Severity.WARNING, Confidence.MEDIUM)
    assert finding.evidence[0].path == "system.cores"
    assert found("build-timeout-hang", changed(WHEEL_FITS, system__cores=2)) is None
    assert found("build-timeout-hang", changed(slow, toolchain__cuda_home_by=None)) is None
