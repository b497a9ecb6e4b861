"""What `attn-doctor trial` makes of its rows: growth, the most that could be gained, settings for training."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

from attn_doctor.model.facts import Facts, System, Torch
from attn_doctor.model.trials import Gain, Interval, KernelShare, Trial, TrialOptions
from attn_doctor.report.blocks import Fields, Notes, Table
from attn_doctor.report.kernel_notes import short
from attn_doctor.report.trial_outline import outline
from attn_doctor.trials.long_trial import Study, StudyRequest, check_request, grid
from attn_doctor.trials.plan import BadRequest
from attn_doctor.trials.process import load, waiting_policy
from attn_doctor.trials.scaling import ceilings, exponent, growth, line
from attn_doctor.trials.tuning.loader_settings import (
    Measured,
    Point,
    arguments,
    measure,
    room_on_cpu,
    settings_for,
    usable_cores,
)

GIB = 2**30


def row(backend: str, imgsz: int, step: float, share: float | None = None, **more) -> Trial:
    took = Interval(median=step, low=step, high=step, n=9)
    more = {"status": "ok", "dtype": "float32", "peak_bytes": 1000 * imgsz**2, **more}
    return Trial(backend=backend, imgsz=imgsz, step_ms=took, forward_ms=took, attention_share=share, **more)


def machine(**system) -> Facts:
    system = {"cores": 16, "cores_allowed": 16, "cgroup_cpus": None, "cgroup_memory_bytes": None, **system}
    return Facts(system=System(**{"available_bytes": 10 * GIB, **system}), torch=Torch())


def points(backend: str, *batches: int, each: float = 0.5 * GIB, fixed: float = GIB) -> tuple[Point, ...]:
    return tuple(Point(backend=backend, batch=b, bytes=int(fixed + b * each), ms=100.0 * b) for b in batches)


def settings(facts: Facts, measured: Measured, backend: str = "eager", **more) -> dict[str, tuple[str, str]]:
    loader = settings_for(facts, measured, backend=backend, **{"amp": False, **more})
    return {s.name: (s.value, s.why) for s in loader.settings}


def test_the_exponent_of_a_power_is_found():
    assert exponent([(x, 3 * x**2.5) for x in (320, 640, 1280)]) == pytest.approx(2.5)
    assert line([(1, 5), (2, 7), (4, 11)]) == pytest.approx((2, 3))
    with pytest.raises(ValueError, match="two different points"):
        exponent([(640, 1.0), (640, 2.0)])


def test_growth_needs_two_sizes_and_a_row_that_is_right():
    rows = [
        row("eager", 320, 10),
        row("eager", 640, 160),
        row("sdpa", 640, 80),
        row("sdpa-math", 320, 1, status="failed"),
    ]
    found = growth(rows)
    assert [(g.backend, g.cost, round(g.exponent, 2)) for g in found] == [
        ("eager", "forward", 4.0),
        ("eager", "step", 4.0),
        ("eager", "memory", 2.0),
    ]


def test_the_ceiling_is_amdahls():
    found = ceilings([row("eager", 640, 10, share=0.25), row("sdpa", 640, 9, share=0.1)])
    assert [(c.imgsz, c.share, c.most) for c in found] == [(640, 0.25, pytest.approx(4 / 3))]


def test_memory_holds_what_a_line_through_the_points_says():
    loader = settings_for(
        machine(), Measured(device="cpu", imgsz=640, points=points("eager", 1, 2, 4)), backend="eager", amp=False
    )
    fit = loader.growth[0]
    assert (fit.fixed_bytes, fit.bytes_an_image) == pytest.approx((GIB, 0.5 * GIB))
    assert fit.largest_batch == 14  # 8 GiB of the 10 that are free: 1 + 14 halves
    assert loader.settings[0].value == "8"
    assert not loader.verified


def test_a_control_group_counts_and_so_does_the_affinity_mask():
    facts = machine(cgroup_memory_bytes=5 * GIB, cgroup_cpus=3.5, cores_allowed=12)
    assert room_on_cpu(facts) == 5 * GIB
    assert usable_cores(facts) == 3
    found = settings(facts, Measured(device="cpu", imgsz=640, points=points("eager", 1, 2, 4)))
    assert found["batch"][0] == "4"
    assert found["workers"][0] == "1"


def test_with_memory_to_spare_ultralytics_own_batch_is_kept():
    found = settings(
        machine(available_bytes=100 * GIB), Measured(device="cpu", imgsz=640, points=points("eager", 1, 2, 4))
    )
    assert found["batch"][0] == "16"
    assert "memory has room for 158" in found["batch"][1]
    assert found["amp"] == ("False", "on this device ultralytics always trains in float32")
    assert found["workers"][0] == "4"


def test_a_gpu_is_filled_by_its_own_memory():
    measured = Measured(
        device="cuda:1", imgsz=640, points=points("sdpa-flash", 1, 2, 4, 8, each=GIB), memory_bytes=24 * GIB
    )
    found = settings(machine(), measured, "sdpa-flash", amp=True)
    assert found["batch"][0] == "16"
    assert found["workers"][0] == "8"
    assert found["amp"][0] == "True"
    loader = settings_for(machine(), measured, backend="sdpa-flash", amp=True)
    assert arguments(loader)[:2] == ["batch=16", "workers=8"]


def test_a_small_shared_memory_allows_no_loading_processes():
    measured = Measured(
        device="cuda:0", imgsz=640, points=points("eager", 1, 2), memory_bytes=80 * GIB, shared_bytes=64 * 2**20
    )
    value, why = settings(machine(), measured)["workers"]
    assert value == "0"
    assert why.startswith("shared memory has 64 MiB free")


@pytest.mark.parametrize(("images", "value"), [(None, "False"), (1000, "ram"), (10_000_000, "False")])
def test_the_cache_is_decided_by_the_number_of_images(images, value):
    measured = Measured(device="cpu", imgsz=640, points=points("eager", 1, 2, 4))
    got, why = settings(machine(), measured, images=images)["cache"]
    assert got == value
    assert ("up to" in why) == (images is None)


@pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None, reason="needs ultralytics (extra: yolo)")
def test_without_time_only_the_advised_backend_is_measured_and_that_is_said():
    measured = measure(
        [sys.executable],
        model="yolo12n.yaml",
        imgsz=64,
        device="cpu",
        dtype="float32",
        backends=("sdpa", "eager"),
        room=None,
        seconds=0.0,
        timeout=120,
        say=lambda _: None,
    )
    assert isinstance(measured, Measured)
    assert [(p.backend, p.batch) for p in measured.points] == [("sdpa", 1), ("sdpa", 2)]
    assert measured.stopped == "no time was left for batch 4 with sdpa"


def test_without_known_memory_only_what_ran_is_advised():
    unmeasured = tuple(Point(backend="eager", batch=b, bytes=None, ms=1.0) for b in (1, 2, 4))
    loader = settings_for(Facts(), Measured(device="cpu", imgsz=640, points=unmeasured), backend="eager", amp=False)
    assert loader.growth == ()
    assert (loader.settings[0].value, loader.verified) == ("4", True)


def test_a_grid_is_every_combination():
    assert [str(s) for s in grid([1, 4], [8], [64, 512], [32])] == [
        "1x8x64x32",
        "1x8x512x32",
        "4x8x64x32",
        "4x8x512x32",
    ]


def test_requests_that_cannot_be_met():
    with pytest.raises(BadRequest, match="650 is not a multiple of 32"):
        check_request(StudyRequest(sizes=(640, 650)))
    with pytest.raises(BadRequest, match="leave --attention-only out"):
        check_request(StudyRequest(trial=TrialOptions(shapes=grid([1], [1], [1], [1])), tune=True))


def test_the_outline_says_what_was_found():
    gain = Gain(ratio=2.0, low=1.9, high=2.1, n=9, p=0.01, verdict="faster")
    rows = (
        row("eager", 640, 100, share=0.6),
        row("sdpa-flash", 640, 50, step_gain=gain),
        row("flex", 640, 1, status="ruled-out", reason="no"),
    )
    measured = Measured(device="cpu", imgsz=640, points=points("sdpa-flash", 1, 2, 4))
    found = Study(
        trials=rows,
        ceilings=ceilings(rows),
        best="sdpa-flash",
        loader=settings_for(machine(), measured, backend="sdpa-flash", amp=False),
    )
    blocks = outline(found)
    table = next(b for b in blocks if isinstance(b, Table))
    assert [cells[0].text for cells in table.rows] == ["eager", "sdpa-flash"]
    assert "2.00× (1.90–2.10) faster" in [c.text for c in table.rows[1]]
    brackets = "in brackets: a confidence interval of the median (95 %); n: measured rounds"
    assert table.notes == (brackets, "not run: flex: no")
    assert any("2.50 times as fast" in item for b in blocks if isinstance(b, Notes) for item in b.items)
    fields = [f.label for b in blocks if isinstance(b, Fields) for f in b.items]
    assert fields == ["batch=8", "workers=4", "cache=False", "amp=False"]


def test_the_kernels_that_ran_are_named_with_their_share_and_bits_that_differ_are_noted():
    forward = (
        "void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<32, 128, 128, 4>, false, true>(Flash_fwd_params)"
    )
    another = forward.replace("false", "true")
    backward = "void pytorch_flash::flash_bwd_dq_dk_dv_loop_seqk_parallel_kernel<Flash_bwd_kernel_traits<32, 128>, fal"
    shares = ((forward, 0.02), (another, 0.01), (backward, 0.05))
    flash = row(
        "sdpa-flash",
        640,
        50,
        dtype="float16",
        device="cuda:0",
        kernel_shares=tuple(KernelShare(name=name, share=share) for name, share in shares),
        deterministic=False,
    )
    blocks = outline(Study(trials=(row("eager", 640, 100, device="cuda:0", deterministic=True), flash)))
    notes = {b.title: b.items for b in blocks if isinstance(b, Notes)}
    assert notes["Attention's GPU kernels, and their share of a training step (torch.profiler)"] == (
        (
            "sdpa-flash (float16): pytorch_flash::flash_bwd_dq_dk_dv_loop_seqk_parallel_kernel 5.0%,"
            " pytorch_flash::flash_fwd_kernel 3.0%"
        ),
    )
    table = next(b for b in blocks if isinstance(b, Table))
    assert (
        table.notes[0]
        == "results that differ in their last bits between two runs on the same numbers: sdpa-flash (float16)"
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (
            "void cutlass::device_kernel<flash::enable_sm90_or_later<flash::FlashAttnFwdSm90<flash::CollectiveMainloopFwdSm90<2> > > >(P)",
            "cutlass::device_kernel<FlashAttnFwdSm90>",
        ),
        (
            "void at::native::(anonymous namespace)::cunn_SoftMaxForward<4, float, float>(float*, float const*, int)",
            "at::native::cunn_SoftMaxForward",
        ),
        (
            "fmha_cutlassF_f32_aligned_64x64_rf_sm80(PyTorchMemEffAttention::AttentionKernel<float>::Params)",
            "fmha_cutlassF_f32_aligned_64x64_rf_sm80",
        ),
        (
            "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_3_64x64x64",
            "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_3_64x64x64",
        ),
        ("aten::_softmax", "aten::_softmax"),
    ],
)
def test_a_kernels_name_is_what_is_left_without_its_arguments(name, shown):
    assert short(name) == shown


@pytest.mark.parametrize(
    ("environ", "busy", "set_", "told"),
    [
        ({}, 0.3, False, False),
        ({}, 4.0, True, True),
        ({"GOMP_SPINCOUNT": "1"}, 4.0, False, True),
        ({"OMP_WAIT_POLICY": "active"}, 0.3, False, False),
        ({}, None, False, False),
    ],
)
def test_on_a_busy_machine_threads_sleep_while_they_wait(environ, busy, set_, told):
    given, notes = waiting_policy(environ, busy, 2)
    assert (given == {"OMP_WAIT_POLICY": "passive"}) is set_
    assert bool(notes) is told


def test_how_busy_the_machine_is_now_not_what_it_was_a_minute_ago():
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        assert load(1.0) > (os.cpu_count() or 1) / 2
    finally:
        for process in spinning:
            process.kill()
            process.wait()
