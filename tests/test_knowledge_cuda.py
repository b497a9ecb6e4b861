"""Drivers, toolkits and host compilers. Expectations by hand, from NVIDIA's pages."""

import pytest

from attn_doctor.knowledge import cuda
from attn_doctor.model.facts import Unknown


@pytest.mark.parametrize(
    ("driver", "version", "os", "covers"),
    [
        ("580.65.06", "13.0", "linux", True),
        ("580.65.06", "13.2", "linux", True),  # a healthy pair: same major, only its PTX would not do
        ("580.65.06", "12.8", "linux", True),
        ("580.65.06", "11.8", "linux", True),
        ("610.43.02", "11.8", "linux", True),
        ("575.57.08", "13.0", "linux", False),
        ("570.26", "12.9", "linux", True),
        ("550.54.14", "13.2", "linux", False),
        ("550.54.14", "12.8", "linux", True),
        ("535.104.05", "12.6", "linux", True),
        ("525.60.13", "12.8", "linux", True),
        ("525.60.11", "12.1", "linux", False),
        ("470.57.02", "11.8", "linux", True),
        ("470.57.02", "12.1", "linux", False),
        ("450.80.02", "11.8", "linux", True),
        ("440.33", "11.8", "linux", False),
        ("527.41", "12.8", "windows", True),
        ("526.98", "12.1", "windows", False),
        ("581.15", "13.0", "windows", True),
        ("572.61", "13.0", "windows", False),
        ("452.39", "11.8", "windows", True),
    ],
)
def test_the_floor_is_that_of_the_major(driver, version, os, covers):
    assert cuda.driver_covers(driver, version, os).yes is covers


def test_minor_version_compatibility_does_not_compile_ptx():
    older = cuda.driver_covers("525.60.13", "12.8")
    assert (older.yes, older.compiles_ptx, older.needs, older.paired) == (True, False, "525.60.13", "570.26")
    assert "PTX" in older.why
    assert cuda.driver_covers("570.26", "12.8").compiles_ptx is True
    assert (
        cuda.driver_covers("581.15", "13.0", "windows").compiles_ptx is None
    )  # NVIDIA pairs no Windows driver with it


def test_a_refusal_names_both_sides():
    assert cuda.driver_covers("550.54.14", "13.2").why == "CUDA 13.2 needs driver 580 or newer, here 550.54.14"


def test_a_cuda_newer_than_the_table():
    assert cuda.driver_covers("610.43.02", "13.9").yes is True  # the floor is that of the major
    answer = cuda.driver_covers("700.10", "14.0")
    assert isinstance(answer, Unknown)
    assert "not known to this table of 20" in answer.why
    assert isinstance(cuda.driver_needed("14.0"), Unknown)


def test_what_the_driver_says_of_itself():
    assert cuda.driver_cuda_covers("12.2", "12.8").yes is True
    assert cuda.driver_cuda_covers("13.0", "11.8").yes is True
    assert cuda.driver_cuda_covers("12.9", "13.0").yes is False
    assert isinstance(cuda.driver_cuda_covers("N/A", "13.0"), Unknown)


@pytest.mark.parametrize(
    ("nvcc", "torch_cuda", "allowed"),
    [("13.0", "13.2", True), ("12.4", "12.8", True), ("12.9", "13.0", False), ("11.8", "12.1", False)],
)
def test_nvcc_and_torch_need_the_same_major_only(nvcc, torch_cuda, allowed):
    assert cuda.nvcc_for_torch(nvcc, torch_cuda).yes is allowed


def test_an_inferred_row_says_so():
    answer = cuda.host_compiler("13.1", "gcc", "14.2.0")
    assert answer.yes
    assert not answer.verified
    assert answer.why.endswith("(not verified)")


@pytest.mark.parametrize(
    ("nvcc", "compiler", "version", "taken"),
    [
        ("11.8", "gcc", "11.4.0", True),
        ("11.8", "gcc", "12.2.0", False),
        ("12.1", "gcc", "12.3.0", True),
        ("12.1", "gcc", "13.2.0", False),
        ("12.4", "g++", "13.2.0", True),
        ("12.6", "gcc", "14.1.0", False),
        ("12.8", "gcc", "14.2.0", True),
        ("13.0", "gcc", "15.1.0", True),
        ("13.2", "gcc", "16.1.0", False),
        ("12.4", "clang++", "17.0.6", True),
        ("12.4", "clang", "18.1.0", False),
    ],
)
def test_host_compilers(nvcc, compiler, version, taken):
    assert cuda.host_compiler(nvcc, compiler, version).yes is taken


def test_what_no_table_says():
    assert isinstance(cuda.host_compiler("13.4", "gcc", "12.2.0"), Unknown)
    assert isinstance(cuda.host_compiler("13.1", "clang", "20.1"), Unknown)  # its clang bound was not read
    assert isinstance(cuda.host_compiler("13.0", "cl", "19.40"), Unknown)
