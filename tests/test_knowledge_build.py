"""Source builds predicted. Expectations by hand, scaled from the one measurement: 3.25 CPU hours and 6.6 GB."""

import msgspec
import pytest

from attn_doctor.knowledge import build
from attn_doctor.knowledge.build import BuildKey, predict
from attn_doctor.model.facts import Unknown

GIB = 1024**3
SOUND = BuildKey(
    release="2.8.3.post2",
    torch="2.12.1+cu130",
    torch_cuda="13.0",
    nvcc="13.0",
    compiler_version="12.2.0",
    python="3.11",
    gpus=("8.9",),
    cores=8,
    available_bytes=32 * GIB,
)


def key(**parts):
    return msgspec.structs.replace(SOUND, **parts)


def test_a_sound_build():
    prediction = predict(SOUND)
    assert prediction.compiles.yes
    assert prediction.settings.variables() == {"MAX_JOBS": "4", "NVCC_THREADS": "1", "FLASH_ATTN_CUDA_ARCHS": "80"}
    assert prediction.cost.cpu_hours == pytest.approx(3.25, abs=0.1)
    assert prediction.cost.hours == pytest.approx(3.25 / 4, abs=0.1)
    assert prediction.cost.gigabytes_per_job == pytest.approx(6.6)
    assert prediction.fits_memory.yes
    assert prediction.cost.verified
    assert "TMPDIR" in prediction.tmpdir


def test_the_defaults_of_setup_py_want_four_times_as_much():
    default = predict(SOUND).default_cost
    assert default.archs == ("80", "90", "100", "120")
    assert default.cpu_hours == pytest.approx(13, abs=0.1)
    assert default.gigabytes_per_job == pytest.approx(26.4)
    assert default.gigabytes == pytest.approx(3 * 26.4)  # MAX_JOBS = min(8 / 2, 32 / 9): far more than is there


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"torch": "2.15.0+cu132", "torch_cuda": "13.2"}, "need C++20, flash-attn 2.8.3.post2 compiles with -std=c++17"),
        ({"torch": "2.14.1"}, "need C++20"),
        ({"header_cxx": 20}, "need C++20"),
        ({"torch": None, "torch_cuda": None}, "torch is not installed"),
        ({"torch_cuda": None}, "torch is built without CUDA"),
        ({"nvcc": None}, "there is no nvcc"),
        ({"nvcc": "12.8"}, "nvcc is 12.8, torch was built with CUDA 13.0: the majors differ"),
        ({"nvcc": "11.5", "torch_cuda": "11.8", "torch": "2.2.2"}, "needs nvcc 11.7 or newer, here 11.5"),
        ({"nvcc": "12.4", "torch_cuda": "12.4", "compiler_version": "14.1.0", "torch": "2.5.1"},
         "nvcc 12.4 accepts gcc up to 13, here 14.1.0"),
        ({"compiler_version": None}, "there is no gcc"),
        ({"python": "3.8"}, "needs Python >=3.9, here 3.8"),
        ({"gpus": ("7.5",)}, "needs compute capability 8.0"),
        ({"nvcc": "12.4", "torch_cuda": "12.4", "torch": "2.6.0", "gpus": ("12.0",)}, "too old to compile for 12.0"),
        ({"gpus": ("11.0",)}, "the GPU is 11.0"),
        ({"os": "darwin"}, "no CUDA on macOS"),
    ],
)  # fmt: skip
def test_why_it_will_not_compile(parts, reason):
    answer = predict(key(**parts)).compiles
    assert answer.yes is False
    assert reason in answer.why


@pytest.mark.parametrize(
    "parts",
    [
        {"torch": Unknown("not asked")},
        {"nvcc": Unknown("nvcc did not answer")},
        {"compiler_version": Unknown("gcc did not answer")},
        {"python": Unknown("not asked")},
        {"torch": "2.16.0"},
        {"nvcc": "13.4"},
    ],
)
def test_what_is_not_known_leaves_it_open(parts):
    assert isinstance(predict(key(**parts)).compiles, Unknown)


def test_a_known_obstacle_settles_it_whatever_else_is_unknown():
    assert predict(key(torch="2.15.0", nvcc=Unknown("nvcc did not answer"))).compiles.yes is False


@pytest.mark.parametrize(
    ("parts", "archs", "variables"),
    [
        ({"gpus": ("8.0", "8.9")}, ("80",), {"MAX_JOBS": "4", "NVCC_THREADS": "1", "FLASH_ATTN_CUDA_ARCHS": "80"}),
        ({"gpus": ("8.9", "12.0")}, ("80", "120"), {"MAX_JOBS": "4", "NVCC_THREADS": "1", "FLASH_ATTN_CUDA_ARCHS": "80;120"}),
        ({"gpus": ("12.1",), "cores": 2}, ("120",), {"MAX_JOBS": "2", "NVCC_THREADS": "1", "FLASH_ATTN_CUDA_ARCHS": "120"}),
        ({"available_bytes": 4 * GIB}, ("80",), {"MAX_JOBS": "1", "NVCC_THREADS": "1", "FLASH_ATTN_CUDA_ARCHS": "80"}),
        ({"release": "2.7.0.post2"}, ("80", "90"), {"MAX_JOBS": "4", "NVCC_THREADS": "1"}),
    ],
)  # fmt: skip
def test_settings(parts, archs, variables):
    prediction = predict(key(**parts))
    assert prediction.cost.archs == archs
    assert prediction.settings.variables() == variables


def test_memory_that_is_too_small_even_for_one_job():
    prediction = predict(key(available_bytes=4 * GIB))
    assert prediction.fits_memory.yes is False
    assert "6.6 GB" in prediction.fits_memory.why
    assert "4.0 GB" in prediction.fits_memory.why


def test_a_release_before_nvcc_threads_could_be_set():
    """Four architectures at once, whatever one asks for: here two, each up to 6.6 GB."""
    prediction = predict(key(release="2.5.6", torch="2.2.2", torch_cuda="12.1", nvcc="12.1", compiler_version="11.4.0"))
    assert prediction.cost.gigabytes_per_job == pytest.approx(13.2)
    assert prediction.settings.variables() == {"MAX_JOBS": "2"}
    assert not prediction.cost.verified


def test_costs_are_not_made_up():
    prediction = predict(key(cores=Unknown("not asked")))
    assert prediction.settings is None
    assert prediction.cost is None
    assert isinstance(prediction.fits_memory, Unknown)
    assert isinstance(predict(key(release="2.9.0")).compiles, Unknown)
    assert predict(key(gpus=("7.5",))).settings is None


def test_archs_without_a_gpu_to_ask():
    """A container build: all that this nvcc compiles."""
    assert predict(key(gpus=Unknown("no driver answered"))).cost.archs == ("80", "90", "100", "120")
    old = predict(key(gpus=(), nvcc="12.4", torch="2.6.0", torch_cuda="12.4"))
    assert old.cost.archs == ("80", "90")
    assert build.GIGABYTE == GIB
