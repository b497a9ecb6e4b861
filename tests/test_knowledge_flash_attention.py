"""What the FlashAttention packages check and refuse. Expectations by hand, from their setup.py and C++."""

import pytest

from attn_doctor.knowledge import flash_attention
from attn_doctor.model.facts import Unknown

AMPERE_WHEEL = ("sm_80", "sm_90")


@pytest.mark.parametrize(
    ("release", "device", "code", "runs"),
    [
        ("2.8.3", "8.0", None, True),
        ("2.8.3", "8.9", None, True),
        ("2.8.3", "9.0", None, True),
        ("2.8.3", "12.0", None, True),
        ("2.8.3", "12.1", None, True),  # GB10
        ("2.8.3", "10.3", None, True),
        ("2.8.3", "7.5", None, False),  # T4: flash-attn 2 has refused Turing from the start
        ("2.8.3", "7.0", None, False),
        ("2.8.3", "11.0", None, False),  # Thor: main alone compiles for it
        ("2.8.4.dev0", "11.0", None, True),
        ("2.7.4.post1", "12.0", None, True),  # a build of one's own
        ("2.7.4.post1", "12.0", AMPERE_WHEEL, False),  # the official wheel
        ("2.7.4.post1", "8.9", AMPERE_WHEEL, True),
        ("2.7.2.post1", "12.0", ("sm_120",), False),  # its check lets 8.x and 9.0 through and nothing newer
        ("2.6.3", "10.0", None, False),
        ("2.7.3", "10.0", None, True),
    ],
)
def test_gpus(release, device, code, runs):
    assert flash_attention.runs_on(release, device, code=code).yes is runs


def test_orin_and_8_0_code():
    assert isinstance(flash_attention.runs_on("2.8.3", "8.7"), Unknown)
    assert flash_attention.runs_on("2.8.3", "8.7", cuda="12.9").yes is False
    assert flash_attention.runs_on("2.8.3", "8.7", cuda="13.2").yes is True
    assert flash_attention.runs_on("2.8.3", "8.7", code=("sm_87",), cuda="12.6").yes is True


@pytest.mark.parametrize(
    ("release", "device", "head_dim", "dropout", "runs"),
    [
        ("2.8.3", "8.9", 256, True, True),
        ("2.8.3", "8.9", 257, False, False),
        ("2.5.4", "8.9", 224, False, False),
        ("2.5.4", "8.0", 224, False, True),
        ("2.5.4", "8.9", 192, True, True),
        ("2.5.9.post1", "8.6", 224, False, False),
        ("2.5.9.post1", "8.6", 256, False, True),
        ("2.5.9.post1", "8.6", 256, True, False),
        ("2.6.3", "8.6", 224, False, True),
        ("2.7.2.post1", "8.6", 224, True, False),
        ("2.7.3", "8.6", 224, True, True),
    ],
)
def test_training_large_heads(release, device, head_dim, dropout, runs):
    answer = flash_attention.runs_on(release, device, backward=True, head_dim=head_dim, dropout=dropout)
    assert answer.yes is runs


def test_the_forward_pass_has_no_such_limit():
    assert flash_attention.runs_on("2.5.4", "8.9", head_dim=256).yes is True


@pytest.mark.parametrize(
    ("package", "device", "backward", "runs"),
    [
        ("flash-attn-3", "9.0", True, True),
        ("flash-attn-3", "10.0", False, None),  # newer than what it names
        ("flash-attn-3", "8.9", False, None),  # let through, not documented
        ("flash-attn-3", "7.5", False, False),
        ("flash-attn-4", "9.0", True, True),
        ("flash-attn-4", "10.0", True, True),
        ("flash-attn-4", "12.0", True, True),
        ("flash-attn-4", "8.9", False, True),
        ("flash-attn-4", "8.9", True, False),
        ("flash-attn-4", "7.5", False, False),
        ("flash-attn-4", "13.0", False, None),
    ],
)
def test_the_other_packages(package, device, backward, runs):
    answer = flash_attention.package_runs_on(package, device, backward=backward)
    assert (None if isinstance(answer, Unknown) else answer.yes) is runs


def test_torch_lets_fewer_gpus_run_flash_attn_4():
    assert flash_attention.package_runs_on("flash-attn-4", "10.0", through_torch=True).yes is True
    assert flash_attention.package_runs_on("flash-attn-4", "12.0", through_torch=True).yes is False


@pytest.mark.parametrize(
    ("release", "torch", "compiles"),
    [
        ("2.8.3.post2", "2.12.1", True),
        ("2.8.3.post2", "2.13.0", True),
        ("2.8.3.post2", "2.14.1", False),
        ("2.8.3.post2", "2.15.0+cu132", False),
        ("2.7.4.post1", "2.15.0", False),
        ("2.8.4.dev0", "2.15.0", True),
    ],
)
def test_the_c_standard(release, torch, compiles):
    assert flash_attention.source_compiles(release, torch).yes is compiles


def test_headers_that_were_read_go_before_the_table():
    assert flash_attention.source_compiles("2.8.3", "2.17.0", header_cxx=20).yes is False
    assert flash_attention.source_compiles("2.8.3", "2.17.0", header_cxx=17).yes is True
    assert isinstance(flash_attention.source_compiles("2.8.3", "2.17.0"), Unknown)
    assert flash_attention.source_compiles("2.8.3.post2", "2.13.0", compiler="msvc").yes is False
    assert not flash_attention.source_compiles("2.8.4.dev0", "2.15.0").verified


def test_releases():
    assert flash_attention.latest().release == "2.8.3.post2"
    assert flash_attention.release("2.8.3+cu12torch2.8cxx11abiTRUE").release == "2.8.3"
    assert len(flash_attention.releases()) == 30
    assert isinstance(flash_attention.release("2.9.0"), Unknown)
    assert isinstance(flash_attention.release("2.3.5"), Unknown)


def test_python():
    assert flash_attention.supports_python("2.8.3", "3.8").yes is False
    assert flash_attention.supports_python("2.6.3", "3.8").yes is True
    assert flash_attention.supports_python("2.8.3", "3.14").yes is True  # from source; there is no wheel


def test_nvcc_and_threads():
    rows = {release: flash_attention.release(release) for release in ("2.5.6", "2.7.0.post2", "2.7.1.post4", "2.8.3")}
    assert {release: row.min_nvcc for release, row in rows.items()} == {
        "2.5.6": "11.6",
        "2.7.0.post2": "11.7",
        "2.7.1.post4": "11.7",
        "2.8.3": "11.7",
    }
    assert [row.nvcc_threads for row in rows.values()] == [4, 4, 2, 4]
    assert [row.nvcc_threads_variable for row in rows.values()] == [False, True, True, True]
    assert [row.archs_variable for row in rows.values()] == [False, False, False, True]
    assert rows["2.8.3"].archs == {"80": "11.7", "90": "11.8", "100": "12.8", "120": "12.8"}


def test_variables():
    assert flash_attention.variable("FLASH_ATTENTION_FORCE_BUILD").exactly_true
    assert not flash_attention.variable("MAX_JOBS").exactly_true
    assert flash_attention.variable("FLASH_ATTN_CUDA_ARCHS").since == "2.7.3"
    assert flash_attention.variable("FLASH_ATTENTION_FORCE_CXX17") is None
