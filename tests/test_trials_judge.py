"""What the records of a trial process mean."""

from __future__ import annotations

import pytest

from attn_doctor.model.facts import Facts, Torch, Yolo
from attn_doctor.model.trials import TrialOptions
from attn_doctor.trials.backends import BY_NAME
from attn_doctor.trials.judge_rows import Judged, inaccurate, rows
from attn_doctor.trials.plan import plan
from attn_doctor.trials.served_by import other_kernel

FLASH = {
    "forward": ["aten::_scaled_dot_product_flash_attention_for_cpu"],
    "backward": ["aten::_scaled_dot_product_flash_attention_for_cpu_backward"],
}
EFFICIENT = {
    "forward": ["aten::_scaled_dot_product_efficient_attention"],
    "backward": ["aten::_scaled_dot_product_efficient_attention_backward"],
}
MATH = {"forward": ["aten::_safe_softmax"], "backward": ["aten::_softmax_backward_data"]}
BY_HAND = {"forward": ["aten::exp"], "backward": []}  # a softmax written out leaves no operator of its own going back
FORWARD_ONLY = {"forward": FLASH["forward"], "backward": []}


@pytest.mark.parametrize(
    ("backend", "calls"),
    [
        ("sdpa-flash", [FLASH] * 8),
        ("sdpa", [FLASH] * 8),
        ("sdpa", [EFFICIENT] * 8),
        ("sdpa-math", [MATH] * 8),
        ("eager", [MATH] * 8),
        ("eager", [BY_HAND] * 8),
    ],
)
def test_all_calls_served_as_asked(backend, calls):
    assert other_kernel(BY_NAME[backend], calls, ()) is None


@pytest.mark.parametrize(
    ("backend", "calls", "said"),
    [
        ("sdpa-flash", [FLASH] * 4 + [MATH] * 4, "4 of 8 calls fell back to math"),
        ("sdpa-flash", [MATH], "1 of 1 calls fell back to math"),
        ("sdpa-flash", [BY_HAND], "1 of 1 calls fell back to math"),
        ("sdpa-flash", [EFFICIENT] * 2, "calls were served by aten::_scaled_dot_product_efficient_attention"),
        ("sdpa-flash", [FLASH, FORWARD_ONLY], "1 of 2 calls were not seen both forward and backward"),
        ("sdpa", [MATH] * 8, "8 of 8 calls fell back to math"),
        ("sdpa-math", [FLASH] * 8, "8 of 8 calls were served by aten::_scaled_dot_product_flash_attention_for_cpu"),
        ("eager", [MATH, FLASH], "1 of 2 calls were served by aten::_scaled_dot_product_flash_attention_for_cpu"),
        ("eager", [], "no attention call was seen"),
    ],
)
def test_one_call_served_otherwise_is_another_kernel(backend, calls, said):
    assert other_kernel(BY_NAME[backend], calls, ()) == said


def test_a_package_that_the_dispatcher_does_not_see_is_proven_by_its_kernels():
    unseen = [{"forward": [], "backward": []}] * 8
    flash_attn = BY_NAME["flash-attn-2"]
    assert other_kernel(flash_attn, unseen, ["void flash::flash_fwd_kernel<Flash_fwd_kernel_traits<32>>"]) is None
    assert other_kernel(flash_attn, unseen, ["ampere_sgemm_128x64_tn"]) is not None


def test_an_operator_of_two_packages_is_proven_by_the_profile_too():
    """activate_flash_attention_impl leaves the operator's name as it is: only its kernels tell whose they are."""
    calls = [
        {
            "forward": ["aten::_scaled_dot_product_flash_attention"],
            "backward": ["aten::_scaled_dot_product_flash_attention_backward"],
        }
    ] * 8
    own = ["void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<32, 128>, false>(Flash_fwd_params)"]
    third = ["void cutlass::device_kernel<flash::enable_sm90_or_later<flash::FlashAttnFwdSm90<flash::Mainloop>>>"]
    fourth = ["kernel_cutlass_kernel_flash_attncuteflash_fwdFlashAttentionForwardSm90_object_at__0"]
    assert other_kernel(BY_NAME["sdpa-flash"], calls, own) is None
    assert other_kernel(BY_NAME["sdpa-flash-3"], calls, third) is None
    assert other_kernel(BY_NAME["sdpa-flash-4"], calls, fourth) is None
    for backend in ("sdpa-flash-3", "sdpa-flash-4"):
        assert "no kernel of this package was seen" in other_kernel(BY_NAME[backend], calls, own)


EPS = 2.0**-23


def test_an_error_of_twice_eagers_is_right_and_more_is_wrong():
    eager = [(1e-4, 1e-4)]
    assert inaccurate([(2e-4, 2e-4)], eager, EPS, 400) is None
    assert "output error 0.00022" in inaccurate([(2.2e-4, 1e-4)], eager, EPS, 400)
    assert "gradient error" in inaccurate([(1e-4, 2.2e-4)], eager, EPS, 400)


def test_where_eager_was_lucky_rounding_is_allowed_for():
    assert inaccurate([(6e-6, 6e-6)], [(0.0, 0.0)], EPS, 400) is None
    assert inaccurate([(7e-6, 0.0)], [(0.0, 0.0)], EPS, 400) is not None


def test_in_16_bits_half_a_unit_in_the_last_place_is_allowed_for():
    half = 2.0**-10
    assert inaccurate([(4.8e-4, 0.0)], [(0.0, 0.0)], half, 400) is None
    assert inaccurate([(6e-4, 0.0)], [(0.0, 0.0)], half, 400) is not None


def test_what_is_not_a_number_is_wrong():
    assert inaccurate([(float("inf"), 0.0)], [(float("inf"), 0.0)], EPS, 400) is None  # eager is no better
    assert inaccurate([(float("nan"), 0.0)], [(1e-7, 0.0)], EPS, 400) is not None


def _rows(records, backends=("sdpa-flash",)):
    facts = Facts(torch=Torch(version="2.9.0+cpu", cuda=None, available=False, mps=False), yolo=Yolo(version="8.4.190"))
    planned = plan(facts, TrialOptions(backends=backends))
    seen = Judged()
    for section, data in records:
        seen.take(section, data)
    found = rows(planned, seen, scope="model", model="yolo12n.yaml", threads=2, ended="it ended before")
    return {row.backend: row for row in found}


def _proof(cell, calls, **others):
    well = {"cell": cell, "calls": calls, "errors": [[1e-7, 1e-7]] * 8, "eps": EPS, "tokens": 400, "core_ms": 40.0}
    return "proof", well | others


CELLS = ["eager float32", "sdpa float32", "sdpa-flash float32"]
EAGER_ERRORS = ("eager-errors", {"cells": CELLS, "errors": [[1e-7, 1e-7]] * 8})


def _samples(cell, forward, step, rounds=9):
    taken = {"forward": forward, "step": step}
    return [
        ("sample", {"cell": cell, "round": i, "what": what, "ms": ms})
        for what, ms in taken.items()
        for i in range(rounds)
    ]


def test_rows_of_a_trial_that_went_well():
    found = _rows(
        [
            EAGER_ERRORS,
            _proof("eager float32", [MATH] * 8),
            _proof("sdpa-flash float32", [FLASH] * 8, model_output_error=1e-6),
            ("peaks", {"eager float32": None, "sdpa-flash float32": 1000}),
            *_samples("eager float32", 100.0, 400.0),
            *_samples("sdpa-flash float32", 80.0, 200.0),
        ]
    )
    eager, flash = found["eager"], found["sdpa-flash"]
    assert (eager.status, flash.status) == ("ok", "ok")
    assert (eager.attention_calls.eager, eager.attention_calls.math, eager.attention_calls.fused) == (8, 0, 0)
    assert (flash.attention_calls.eager, flash.attention_calls.math, flash.attention_calls.fused) == (0, 0, 8)
    assert flash.kernels == (FLASH["forward"][0], FLASH["backward"][0])
    assert (flash.forward_ms.median, flash.step_ms.median, flash.step_ms.n) == (80.0, 200.0, 9)
    assert (eager.attention_share, flash.attention_share) == (0.1, 0.2)
    assert (flash.forward_gain.ratio, flash.step_gain.ratio, flash.step_gain.verdict) == (1.25, 2.0, "faster")
    assert eager.step_gain is None
    assert (flash.peak_bytes, flash.model_output_error) == (1000, 1e-6)


def test_pytorchs_own_words_are_the_reason():
    said = "All fused kernels require the last dimension of the input to have stride 1."
    row = _rows([EAGER_ERRORS, _proof("sdpa-flash float32", [MATH] * 8, reasons=[said])])["sdpa-flash"]
    assert row.status == "other-kernel"
    assert row.reason == f"8 of 8 calls fell back to math. PyTorch says: {said}"
    assert row.attention_calls.math == 8


def test_wrong_numbers_fail_whatever_the_kernel():
    wrong = [[1e-7, 1e-7]] * 7 + [[1e-7, 1e-2]]
    row = _rows([EAGER_ERRORS, _proof("sdpa-flash float32", [FLASH] * 8, errors=wrong)])["sdpa-flash"]
    assert (row.status, row.wrong_by) == ("wrong", 1e-2)
    assert "gradient error 0.01 at attention call 7" in row.reason


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ({"kind": "signal", "signal": "SIGSEGV", "where": "x.py:3 in f"}, "failed", "died of SIGSEGV in x.py:3 in f"),
        ({"kind": "signal", "signal": "SIGKILL"}, "out-of-memory", "SIGKILL"),
        ({"kind": "timeout", "seconds": 120.0}, "timeout", "no answer for 120 s"),
        ({"kind": "out-of-memory", "text": "CUDA out of memory. Tried to allocate 2 GiB"}, "out-of-memory", "2 GiB"),
        ({"kind": "raised", "type": "RuntimeError", "text": "RuntimeError: no"}, "failed", "RuntimeError: no"),
        ({"kind": "raised", "type": "Unavailable", "message": "flash_attn: no"}, "ruled-out", "flash_attn: no"),
        ({"kind": "exited", "exit_code": 3}, "failed", "exited with code 3"),
    ],
)
def test_what_became_of_a_backend_that_did_not_last(fault, status, said):
    row = _rows([EAGER_ERRORS, ("fault", {"cell": "sdpa-flash float32", **fault})])["sdpa-flash"]
    assert row.status == status
    assert said in row.reason


def test_a_backend_that_failed_while_measured_keeps_what_was_proven():
    row = _rows(
        [
            EAGER_ERRORS,
            _proof("sdpa-flash float32", [FLASH] * 8),
            ("fault", {"cell": "sdpa-flash float32", "kind": "raised", "text": "late"}),
        ]
    )["sdpa-flash"]
    assert row.status == "failed"
    assert row.attention_calls.fused == 8


def test_cells_that_do_the_same_share_their_samples():
    found = _rows(
        [
            EAGER_ERRORS,
            _proof("eager float32", [MATH] * 8),
            _proof("sdpa float32", [FLASH] * 8),
            _proof("sdpa-flash float32", [FLASH] * 8),
            ("together", {"cell": "sdpa-flash float32", "with": "sdpa float32"}),
            *_samples("eager float32", 100.0, 400.0),
            *_samples("sdpa float32", 80.0, 200.0),
        ],
        backends=("sdpa", "sdpa-flash"),
    )
    assert found["sdpa-flash"].step_ms == found["sdpa"].step_ms


def test_a_cell_is_measured_itself_where_the_one_whose_times_it_shares_is_gone():
    seen = Judged()
    seen.take("together", {"cell": "sdpa-flash float32", "with": "sdpa float32"})
    for name, data in _samples("eager float32", 1.0, 2.0):
        seen.take(name, data)
    assert seen.start_again(["eager float32", "sdpa float32"]) == []
    assert not seen.samples
    assert seen.start_again(["eager float32"]) == ["sdpa-flash float32"]
    assert not seen.together


def test_a_cell_that_was_never_reached_says_so():
    row = _rows([])["sdpa-flash"]
    assert (row.status, row.reason) == ("failed", "it ended before")


@pytest.mark.parametrize(
    ("errors", "wrong"),
    [
        ({"eager": 0.99, "sdpa": 2e-5, "sdpa-flash": 2e-5}, ["eager"]),
        ({"eager": 2e-5, "sdpa": 0.99, "sdpa-flash": 2e-5}, ["sdpa"]),
        ({"eager": 1e-6, "sdpa": 0.99, "sdpa-flash": 0.99}, []),  # the reference is computed as eager is: no witness
        ({"eager": 0.3, "sdpa": 0.2, "sdpa-flash": 0.3}, []),  # a model in which rounding grows
        ({"eager": 9e-2, "sdpa": 1e-5, "sdpa-flash": 1e-5}, []),
    ],
)
def test_a_model_that_is_far_off_with_one_backend_alone_is_that_backends_fault(errors, wrong):
    records = [EAGER_ERRORS]
    for name, error in errors.items():
        calls = [MATH if name == "eager" else FLASH] * 8
        records.append(_proof(f"{name} float32", calls, model_gradient_error=error))
    found = _rows(records, backends=tuple(errors))
    assert [name for name, row in found.items() if row.status == "wrong"] == wrong


def test_what_finite_differences_refute_is_wrong_and_still_compared():
    off = {"module": "BatchNorm2d", "error": 1.37, "note": "a gradient of shape (1, 8)"}
    found = _rows(
        [
            EAGER_ERRORS,
            _proof("eager float32", [MATH] * 8, refuted=off),
            _proof("sdpa-flash float32", [FLASH] * 8, refuted=None),
            *_samples("eager float32", 100.0, 400.0),
            *_samples("sdpa-flash float32", 80.0, 200.0),
        ]
    )
    eager, flash = found["eager"], found["sdpa-flash"]
    assert (eager.status, eager.wrong_module, eager.wrong_by) == ("wrong", "BatchNorm2d", 1.37)
    assert (flash.status, flash.step_gain.ratio) == ("ok", 2.0)


@pytest.mark.parametrize(("slope", "status"), [(1e-6, "ok"), (0.5, "wrong"), (None, "failed")])
def test_where_textbook_attention_is_wrong_each_is_judged_by_its_own_slopes(slope, status):
    far = [[0.5, 0.5]] * 8  # off the reference, which is wrong itself
    row = _rows([EAGER_ERRORS, _proof("sdpa-flash float32", [FLASH] * 8, errors=far, slope_error=slope)])["sdpa-flash"]
    assert row.status == status
