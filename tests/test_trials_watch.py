"""The GPU watched beside a trial: NVML by its stand-in, which plays a card that works; no GPU is needed."""

from __future__ import annotations

import os
import sys
import time

import msgspec
import pytest
from kit import Gpu, stub_drivers

from attn_doctor.model import facts
from attn_doctor.model.facts import Facts, Graphics, Torch, Unknown, Yolo
from attn_doctor.model.trials import GpuWatch, Range, TrialOptions, TrialRun
from attn_doctor.report.blocks import Notes
from attn_doctor.report.machine_summary import watched
from attn_doctor.report.trial_outline import outline
from attn_doctor.trials import run as runner
from attn_doctor.trials.long_trial import Study
from attn_doctor.trials.plan import plan
from attn_doctor.trials.watch import ProcessorLoad, Watching, Window, gpu_to_watch, summary

UUID = "GPU-11111111-0000-4000-8000-000000000000"
CARD = Gpu("NVIDIA GeForce RTX 4060 Laptop GPU", "8.9", 8188, free_mib=7000, uuid=UUID)
GIB = 2**30


def state(at: float, **more) -> dict:
    told = {"millijoules": None, "megahertz": None, "celsius": None, "reasons": None, "used_bytes": None}
    return {"at": at, **told, **more}


def window(begin: float, end: float, images: int) -> Window:
    made = Window(begin)
    made.end, made.images = end, images
    return made


def look(environ: dict[str, str], least: int = 3) -> list[dict]:
    """Watch until there must be that many states, however slow this machine is."""
    watching = Watching(UUID, environ)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and watching.seen() < least:
        time.sleep(0.05)
    return watching.stop()


def test_a_card_that_works_is_seen(tmp_path):
    environ = stub_drivers(tmp_path, [CARD], working=(80_000, 1200, 1980, 83, 0x44))
    states = look(environ)
    assert len(states) >= 3
    assert {s["megahertz"] for s in states} == {1200, 1980}
    assert {(s["celsius"], s["reasons"], s["used_bytes"]) for s in states} == {(83, 0x44, 1188 * 2**20)}
    first, last = states[0], states[-1]
    watts = (last["millijoules"] - first["millijoules"]) / 1e3 / (last["at"] - first["at"])
    assert 40 < watts < 160  # 80, by two clocks that are read a moment apart


def test_a_card_that_tells_nothing_is_no_failure(tmp_path):
    states = look(stub_drivers(tmp_path, [CARD]))
    found = summary(states, [window(states[0]["at"], states[-1]["at"], 4)])
    assert (found.joules_an_image, found.sm_megahertz, found.celsius, found.slowed_by) == (None, None, None, ())
    assert found.most_used_bytes == 1188 * 2**20


@pytest.mark.parametrize("trouble", [{"nvml_error": 999}, {"crash": "nvml"}, {"nvml": False}])
def test_an_nvml_in_trouble_has_seen_nothing(tmp_path, trouble):
    watching = Watching(UUID, stub_drivers(tmp_path, [CARD], **trouble))
    assert watching.ended(60)
    assert watching.stop() == []
    assert summary([], [window(0, 10, 4)]) is None


def test_only_the_measured_rounds_count():
    states = [
        state(0.0, millijoules=0, megahertz=300, celsius=40, reasons=0x40, used_bytes=9 * GIB),
        state(10.0, millijoules=1_000_000, megahertz=1500, celsius=60, reasons=0x04, used_bytes=2 * GIB),
        state(12.0, millijoules=1_200_000, megahertz=1980, celsius=70, reasons=0x01, used_bytes=3 * GIB),
        state(20.0, millijoules=9_000_000, megahertz=2500, celsius=90, reasons=0x08, used_bytes=4 * GIB),
    ]
    found = summary(states, [window(9.5, 13.5, 80)])
    assert found == GpuWatch(
        joules_an_image=pytest.approx(100.0 * 4.0 / 80),  # 100 W for the four seconds of the window
        watts=pytest.approx(100.0),
        sm_megahertz=Range(low=1500, high=1980),
        celsius=Range(low=60, high=70),
        slowed_by=("power cap",),
        most_used_bytes=3 * GIB,
        n=2,
    )


@pytest.mark.parametrize(
    ("states", "images"),
    [
        ([state(1.0, millijoules=0), state(1.5, millijoules=50)], 8),  # too short for the counter
        ([state(1.0, millijoules=0), state(3.0)], 8),  # one answer alone
        ([state(1.0, millijoules=0), state(3.0, millijoules=50)], 0),  # no images: attention alone
    ],
)
def test_energy_that_cannot_be_known_is_not_told(states, images):
    assert summary(states, [window(0.5, 3.5, images)]).joules_an_image is None


def test_the_power_is_known_without_the_counter_of_energy():
    """GPUs before Volta have no such counter, and still tell their power: 60 and 80 W in the window, 200 W outside of it."""
    states = [state(1.0, milliwatts=60_000), state(2.0, milliwatts=80_000), state(9.0, milliwatts=200_000)]
    assert summary(states, [window(0.5, 3.5, 8)]).watts == 70.0
    both = [state(1.0, milliwatts=1, millijoules=0), state(3.0, milliwatts=1, millijoules=100_000)]
    assert summary(both, [window(0.5, 3.5, 8)]).watts == 50.0  # the counter misses nothing between two readings
    assert summary([state(1.0)], [window(0.5, 3.5, 8)]).watts is None


def test_the_load_of_the_cores_is_a_share():
    load = ProcessorLoad()
    assert load.share() is None
    load.look()
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        sum(range(1000))
    load.look()
    assert load.share() is None or 0 < load.share() <= 1
    assert (load.share() is None) == (sys.platform != "linux")


def test_which_gpu_is_watched():
    mine = facts.Gpu(index=0, uuid=UUID, mig=False, visible=True)
    hidden = msgspec.structs.replace(mine, index=1, uuid="GPU-2", visible=False)

    def chosen(*gpus):
        return gpu_to_watch(Facts(graphics=Graphics(gpus=gpus)))

    assert chosen(mine) == chosen(hidden, mine) == UUID
    assert chosen() is None
    assert chosen(mine, msgspec.structs.replace(hidden, visible=True)) is None
    assert chosen(msgspec.structs.replace(mine, mig=True)) is None
    assert chosen(msgspec.structs.replace(mine, visible=Unknown("nobody told"))) is None
    assert chosen(msgspec.structs.replace(mine, uuid=Unknown("nobody told"))) is None
    assert gpu_to_watch(Facts(graphics=Graphics(gpus=Unknown("nobody told")))) is None


def test_a_trial_on_a_cpu_watches_nothing_and_one_beside_a_gpu_does(monkeypatch, tmp_path):
    """The trial itself runs on the CPU both times: what is tried here is the watching beside it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    environ = stub_drivers(tmp_path, [CARD], libcuda=False, working=(80_000, 1200, 1980, 83, 0x04))
    monkeypatch.setenv(
        "LD_LIBRARY_PATH", environ["LD_LIBRARY_PATH"] + os.pathsep + os.environ.get("LD_LIBRARY_PATH", "")
    )
    torch = Torch(version="installed", cuda=None, hip=None, importable=True, available=False, mps=False)
    gpu = facts.Gpu(index=0, uuid=UUID, mig=False, visible=True)
    known = Facts(torch=torch, yolo=Yolo(version="installed"), graphics=Graphics(gpus=(gpu,)))
    planned = plan(
        known,
        TrialOptions(imgsz=64, rounds=12, seconds=600, device="cpu", backends=("eager",), reference=False),
    )
    assert planned.gpu is None
    trials = runner.run(msgspec.structs.replace(planned, gpu=UUID), [sys.executable], timeout=120.0)
    seen = trials.run.gpu
    assert seen.n >= 1
    assert 1200 <= seen.sm_megahertz.low <= seen.sm_megahertz.high <= 1980
    assert seen.celsius == Range(low=83, high=83)
    assert seen.slowed_by == ("power cap",)
    assert trials.run.gpu_name is None  # it ran on the CPU
    assert 0 < trials.run.processor_load <= 1
    assert (
        plan(msgspec.structs.replace(known, torch=msgspec.structs.replace(torch, available=True)), TrialOptions()).gpu
        == UUID
    )


def test_what_is_said_of_it():
    seen = GpuWatch(
        joules_an_image=5.25,
        sm_megahertz=Range(low=1200, high=1980),
        celsius=Range(low=83, high=83),
        slowed_by=("power cap", "thermal slowdown (hardware)"),
        most_used_bytes=3 * GIB,
        n=9,
    )
    assert watched(seen) == (
        "the GPU: clocks 1200–1980 MHz, 83 °C, 5.2 J for a training step of an image, all backends together,"
        " 3.0 GiB of its memory in use by all programs at most, power cap, thermal slowdown (hardware) seen:"
        " the times are not reliable"
    )
    capped = GpuWatch(celsius=Range(low=50, high=60), slowed_by=("power cap",), n=1)
    assert watched(capped) == "the GPU: 50–60 °C, power cap seen"
    (notes,) = [b for b in outline(Study(runs=(TrialRun(gpu=capped),)), "x") if isinstance(b, Notes)]
    assert notes.items == ("the GPU: 50–60 °C, power cap seen",)
