"""SDPA's kernels and distributions. Expectations by hand."""

import msgspec
import pytest

from attn_doctor.knowledge import distributions, sdpa
from attn_doctor.knowledge.sdpa import Call
from attn_doctor.model.facts import Unknown

YOLO12 = Call(capability="8.9", dtype="float16", head_dim=32, queries=400, keys=400)


def takes(kernel, **parts):
    answer = sdpa.takes(kernel, msgspec.structs.replace(YOLO12, **parts))
    return None if isinstance(answer, Unknown) else answer.yes


@pytest.mark.parametrize(
    ("kernel", "parts", "expected"),
    [
        ("sdpa-flash", {}, True),
        ("sdpa-flash", {"dtype": "float32"}, False),
        ("sdpa-flash", {"mask": True}, False),
        ("sdpa-flash", {"last_stride": 400}, False),  # YOLO12's q, k, v as they come
        ("sdpa-flash", {"value_head_dim": 64}, False),  # YOLO11 and YOLO26
        ("sdpa-flash", {"capability": "7.5"}, False),
        ("sdpa-flash", {"capability": "12.1"}, True),
        ("sdpa-flash", {"capability": "13.0"}, None),  # newer than the torch that was read
        ("sdpa-flash", {"head_dim": 288}, False),
        ("sdpa-flash", {"causal": True, "keys": 401}, False),
        ("sdpa-flash", {"os": "windows"}, None),
        ("sdpa-flash", {"head_dim": 224, "training": True}, False),
        ("sdpa-flash", {"head_dim": 256, "training": True}, True),
        ("sdpa-flash", {"head_dim": 256, "training": True, "dropout": True}, False),
        ("sdpa-flash", {"head_dim": 224, "training": True, "capability": "9.0"}, True),
        ("sdpa-flash", {"head_dim": 224, "training": True, "capability": "12.0"}, False),
        ("sdpa-efficient", {"dtype": "float32"}, True),
        ("sdpa-efficient", {"mask": True, "value_head_dim": 64}, True),
        ("sdpa-efficient", {"capability": "7.5"}, True),
        ("sdpa-efficient", {"capability": "7.5", "dtype": "bfloat16"}, False),
        ("sdpa-efficient", {"head_dim": 36}, False),
        ("sdpa-cudnn", {"value_head_dim": 64}, True),
        ("sdpa-cudnn", {"head_dim": 160}, False),
        ("sdpa-math", {"dtype": "float32", "mask": True, "last_stride": 400, "capability": "3.7"}, True),
        ("sdpa-triton", {}, None),
    ],
)
def test_kernels(kernel, parts, expected):
    assert takes(kernel, **parts) is expected


def test_all_reasons_are_given():
    answer = sdpa.takes("sdpa-flash", msgspec.structs.replace(YOLO12, mask=True, last_stride=400))
    assert "no mask" in answer.why
    assert "stride of 1, here 400" in answer.why


@pytest.mark.parametrize(
    ("name", "version", "has"),
    [
        ("ubuntu", "20.04", True),
        ("ubuntu", "22.04", True),
        ("ubuntu", "24.04", False),
        ("ubuntu", "26.04", False),
        ("debian", "11", True),
        ("debian", "12", True),  # installable there: no warning
        ("debian", "13", False),
        ("rhel", "9.4", None),
        ("arch", "", None),
    ],
)
def test_libtinfo5(name, version, has):
    answer = distributions.has_libtinfo5(name, version)
    assert (None if isinstance(answer, Unknown) else answer.yes) is has


@pytest.mark.parametrize(
    ("name", "version", "glibc"),
    [
        ("ubuntu", "20.04", "2.31"),
        ("ubuntu", "22.04", "2.35"),
        ("debian", "12", "2.36"),
        ("rhel", "8.10", "2.28"),
        ("rocky", "9.4", "2.34"),
    ],
)
def test_glibc(name, version, glibc):
    assert distributions.glibc(name, version) == glibc


def test_a_distribution_that_no_table_knows():
    assert isinstance(distributions.glibc("ubuntu", "30.04"), Unknown)
    assert isinstance(distributions.glibc("alpine", "3.20"), Unknown)
