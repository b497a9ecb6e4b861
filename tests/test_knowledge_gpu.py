"""Which GPU code runs where, and what GPUs are called. Expectations by hand."""

import pytest

from attn_doctor.knowledge import gpu
from attn_doctor.model.facts import Unknown

YES, NO, OPEN = True, False, None


def said(answer):
    return None if isinstance(answer, Unknown) else answer.yes


@pytest.mark.parametrize(
    ("code", "device", "cuda", "expected"),
    [
        (["sm_86"], "8.9", None, YES),  # RTX 4060: sm_89 is in no torch wheel
        (["sm_80"], "8.6", None, YES),
        (["sm_80"], "8.9", None, YES),
        (["sm_89"], "8.6", None, NO),
        (["sm_120"], "12.1", None, YES),  # GB10
        (["sm_100"], "10.3", None, YES),  # B300
        (["sm_90"], "10.0", None, NO),
        (["sm_100"], "12.0", None, NO),  # both are Blackwell, and that does not help
        (["sm_80", "sm_90"], "12.0", None, NO),
        (["sm_75"], "7.0", None, NO),
        (["sm_70"], "7.5", None, YES),
        (["sm_60"], "6.1", None, YES),
        (["sm_80"], "8.7", "12.8", NO),  # Orin
        (["sm_86"], "8.7", "13.0", NO),
        (["sm_80"], "8.7", "13.2", YES),
        (["sm_80"], "8.7", None, OPEN),
        (["sm_87"], "8.9", None, NO),  # code of an integrated GPU runs there alone
        (["sm_87"], "8.7", None, YES),
        (["sm_70"], "7.2", "12.6", NO),  # Xavier
        (["sm_70"], "7.2", "13.2", YES),
        (["sm_60"], "6.2", "13.2", NO),  # TX2: never lifted
        (["sm_100"], "10.1", None, NO),
        (["sm_101"], "11.0", None, YES),  # Thor was renamed
        (["sm_110"], "10.1", None, YES),
        (["sm_90a"], "9.0", None, YES),
        (["sm_90a"], "9.1", None, NO),  # "a" is that very architecture
        (["sm_100a"], "10.3", None, NO),
        (["sm_100f"], "10.3", None, YES),  # "f" is its family
        (["sm_120f"], "12.1", None, YES),
        (["sm_120f"], "10.0", None, NO),
        (["gfx942"], "9.0", None, NO),
        ([], "8.0", None, NO),
    ],
)
def test_compiled_code(code, device, cuda, expected):
    assert said(gpu.runs(code, device, cuda=cuda)) is expected


@pytest.mark.parametrize(
    ("code", "device", "cuda", "driver_cuda", "expected"),
    [
        (["compute_90"], "12.0", "12.4", "12.8", YES),
        (["compute_90"], "12.0", "12.8", "12.8", YES),
        (["compute_90"], "12.0", "12.8", "12.4", NO),  # minor-version compatibility does not cover PTX
        (["compute_90"], "12.0", None, "12.8", OPEN),
        (["compute_90"], "12.0", "12.4", None, OPEN),
        (["compute_120"], "9.0", "12.8", "13.0", NO),
        (["compute_90a"], "10.0", "12.8", "13.0", NO),
        (["compute_100f"], "10.3", "12.9", "13.0", YES),
        (["compute_100f"], "12.0", "12.9", "13.0", NO),
        (["sm_80", "compute_90"], "8.6", None, None, YES),  # compiled code settles it
    ],
)
def test_ptx(code, device, cuda, driver_cuda, expected):
    assert said(gpu.runs(code, device, cuda=cuda, driver_cuda=driver_cuda)) is expected


def test_both_sides_are_named():
    assert gpu.runs(["sm_80", "sm_90"], "12.0").why == "holds sm_80 and sm_90, the GPU is 12.0"
    assert "13.2" in gpu.runs(["sm_80"], "8.7").why
    refused = gpu.runs(["sm_80", "compute_90"], "12.0", cuda="12.8", driver_cuda="12.4")
    assert "12.8" in refused.why
    assert "12.4" in refused.why


def test_names_of_a_fatbin_reader():
    assert gpu.name("9.0a") == "sm_90a"
    assert gpu.name("12.0", ptx=True) == "compute_120"


@pytest.mark.parametrize(
    ("reported", "capability"),
    [
        ("NVIDIA GeForce RTX 4060 Laptop GPU", "8.9"),
        ("NVIDIA GeForce RTX 3090", "8.6"),
        ("NVIDIA GeForce RTX 5090", "12.0"),
        ("NVIDIA GeForce GTX 1660 Ti", "7.5"),
        ("NVIDIA GeForce GTX 1060 6GB", "6.1"),
        ("Tesla T4", "7.5"),
        ("Tesla V100-SXM2-16GB", "7.0"),
        ("Tesla P100-PCIE-16GB", "6.0"),
        ("NVIDIA A100-SXM4-40GB", "8.0"),
        ("NVIDIA A10", "8.6"),
        ("NVIDIA A10G", "8.6"),
        ("NVIDIA H100 80GB HBM3", "9.0"),
        ("NVIDIA H100 PCIe", "9.0"),
        ("NVIDIA H200", "9.0"),
        ("NVIDIA B200", "10.0"),
        ("NVIDIA B300 SXM6 AC", "10.3"),
        ("NVIDIA L4", "8.9"),
        ("NVIDIA L40S", "8.9"),
        ("NVIDIA GB10", "12.1"),
        ("NVIDIA RTX 6000 Ada Generation", "8.9"),
        ("NVIDIA RTX A6000", "8.6"),
        ("Quadro RTX 6000", "7.5"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "12.0"),
        ("Orin", "8.7"),
        ("NVIDIA Thor", "11.0"),
    ],
)
def test_names_as_drivers_report_them(reported, capability):
    assert gpu.model(reported).capability == capability


@pytest.mark.parametrize("reported", ["NVIDIA GeForce RTX 6090", "AMD Radeon RX 7900 XTX", "", "NVIDIA"])
def test_a_gpu_that_the_table_does_not_know(reported):
    answer = gpu.model(reported)
    assert isinstance(answer, Unknown)
    assert "not known to this table of 20" in answer.why
