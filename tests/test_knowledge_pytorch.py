"""PyTorch's own releases. Expectations by hand, from its pages, its wheels and its code."""

import pytest

from attn_doctor.knowledge import pytorch
from attn_doctor.model.facts import Unknown


@pytest.mark.parametrize(
    ("torch", "cuda", "abi"),
    [
        ("2.2.2+cu121", None, False),
        ("2.5.1+cu124", None, False),
        ("2.6.0+cu118", None, False),
        ("2.6.0+cu124", None, False),  # what PyPI gives
        ("2.6.0+cu126", None, True),
        ("2.6.0", "12.4", False),  # dist-info has no local part
        ("2.6.0", "12.6", True),
        ("2.7.1+cu126", None, True),
        ("2.15.0+cu132", None, True),
        ("2.13.0+cpu", None, True),
    ],
)
def test_abi(torch, cuda, abi):
    assert pytorch.cxx11_abi(torch, cuda).yes is abi


def test_abi_where_the_table_is_silent():
    assert isinstance(pytorch.cxx11_abi("2.6.0+cpu"), Unknown)
    assert isinstance(pytorch.cxx11_abi("2.6.0"), Unknown)
    assert isinstance(pytorch.cxx11_abi("2.16.0+cu134"), Unknown)
    assert isinstance(pytorch.cxx11_abi("2.8.0+cu128", platform="win_amd64"), Unknown)
    assert pytorch.cxx11_abi("2.6.0", "12.6", "linux_aarch64").yes is True


@pytest.mark.parametrize(
    ("torch", "platform", "cuda"),
    [
        ("2.0.1", "linux_x86_64", "11.7"),
        ("2.4.1", "linux_x86_64", "12.1"),
        ("2.6.0", "linux_x86_64", "12.4"),
        ("2.7.1", "linux_x86_64", "12.6"),
        ("2.10.0", "linux_x86_64", "12.8"),
        ("2.11.0", "linux_x86_64", "13.0"),
        ("2.14.1", "linux_x86_64", "13.0"),
        ("2.15.0", "linux_x86_64", "13.2"),
        ("2.10.0", "linux_aarch64", None),
        ("2.11.0", "linux_aarch64", "13.0"),
        ("2.15.0", "win_amd64", None),
        ("2.15.0", "macosx_14_0_arm64", None),
    ],
)
def test_what_pypi_gives(torch, platform, cuda):
    assert pytorch.pypi_cuda(torch, platform) == cuda


def test_the_driver_that_a_plain_pip_install_needs():
    assert pytorch.driver_needed("2.15.0") == "580"
    assert pytorch.driver_needed("2.10.0") == "525.60.13"
    assert pytorch.driver_needed("2.10.0", "windows", "win_amd64") is None  # a CPU build
    assert isinstance(pytorch.driver_needed("2.16.0"), Unknown)


def test_gpu_code_of_the_wheels():
    assert pytorch.archs("2.15.0", "13.2") == ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")
    assert "sm_70" in pytorch.archs("2.8.0", "12.8")  # the release notes say otherwise
    assert "sm_70" not in pytorch.archs("2.11.0", "12.8")
    assert "compute_120" in pytorch.archs("2.7.1", "12.8")
    assert "sm_120" not in pytorch.archs("2.7.1", "12.6")
    assert isinstance(pytorch.archs("2.15.0", "13.4"), Unknown)  # announced, not seen
    assert isinstance(pytorch.archs("2.15.0", "13.2", "win_amd64"), Unknown)


@pytest.mark.parametrize(
    ("torch", "torchvision", "fits"),
    [
        ("2.2.2+cu118", "0.17.2", True),
        ("2.2.2", "0.17.1", True),  # patches of one minor
        ("2.2.2", "0.18.0", False),
        ("2.8.0+cu128", "0.23.0+cu128", True),
        ("2.13.0+cpu", "0.28.0", True),
        ("2.15.0", "0.28.0", False),
        ("2.15.0", "0.29.0", False),
        ("2.15.0", "0.29.2", True),
        ("2.14.0", "0.29.1", True),
        ("2.16.0", "0.29.2", True),  # from 0.29.1 on it demands >= 2.14.0 only
        ("2.12.0", "0.29.2", False),
    ],
)
def test_torchvision(torch, torchvision, fits):
    assert pytorch.torchvision_fits(torch, torchvision).yes is fits


def test_torchvision_pairs():
    assert (
        pytorch.torchvision_fits("2.15.0", "0.23.0").why
        == "torchvision 0.23.0 was built for torch 2.8.0, you have 2.15.0"
    )
    assert pytorch.torchvision_for("2.2.2") == "0.17.2"
    assert pytorch.torchvision_for("2.2.0") == "0.17.0"
    assert pytorch.torchvision_for("2.15.0") == "0.29.2"
    assert isinstance(pytorch.torchvision_for("2.16.0"), Unknown)
    assert isinstance(pytorch.torchvision_fits("2.15.0", "0.31.0"), Unknown)


@pytest.mark.parametrize(
    ("torch", "numpy", "os", "works"),
    [
        ("2.2.2", "2.2.6", "linux", False),
        ("2.2.2", "1.26.4", "linux", True),
        ("2.3.1", "2.0.0", "linux", True),
        ("2.3.1", "2.0.0", "windows", False),
        ("2.4.1", "2.1.0", "windows", False),
        ("2.15.0", "2.4.0", "linux", True),
        ("2.15.0", "2.4.0", "windows", True),
    ],
)
def test_numpy(torch, numpy, os, works):
    assert pytorch.numpy(torch, numpy, os).yes is works


def test_numpy_says_how_sure_it_is():
    assert pytorch.numpy("2.2.2", "2.2.6").verified
    assert not pytorch.numpy("2.4.1", "2.1.0", "windows").verified
    assert isinstance(pytorch.numpy("2.16.0", "2.4.0"), Unknown)
    assert pytorch.numpy("2.2.2", "2.2.6").why == "torch 2.2 was built for numpy 1, you have numpy 2.2.6"


def test_headers():
    assert pytorch.cxx_minimum("2.12.1") == 17
    assert pytorch.cxx_minimum("2.13.0") == 17
    assert pytorch.cxx_minimum("2.13.0", "msvc") == 20
    assert pytorch.cxx_minimum("2.14.1") == 20
    assert pytorch.cxx_minimum("2.15.0") == 20
    assert isinstance(pytorch.cxx_minimum("2.16.0"), Unknown)


def test_python():
    assert pytorch.supports_python("2.15.0", "3.10").yes is False
    assert pytorch.supports_python("2.15.0", "3.15").yes is True
    assert pytorch.supports_python("2.5.1", "3.8").yes is False  # requires_python says otherwise, there are no wheels
    assert pytorch.supports_python("2.2.2", "3.12").yes is True
    assert pytorch.supports_python("2.2.2", "3.13").yes is False
    assert isinstance(pytorch.supports_python("2.16.0", "3.12"), Unknown)


def test_triton():
    assert pytorch.triton_fits("2.9.0", "3.5.0").yes is True
    assert pytorch.triton_fits("2.15.0", "3.9.1").yes is True
    assert pytorch.triton_fits("2.15.0", "3.6.0").yes is False


@pytest.mark.parametrize(
    "version", ["2.16.0", "3.0.0", "2.16.0a0+git4c71eef", "2.6.0a0+df5bbc09d1.nv24.12", "1.13.1", "junk"]
)
def test_a_torch_that_the_table_does_not_know_is_not_called_unsupported(version):
    answer = pytorch.release(version)
    assert isinstance(answer, Unknown)
    assert "not known to this table of 20" in answer.why
