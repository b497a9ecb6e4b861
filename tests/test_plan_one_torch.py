"""The torch of a plan: one for each way, with a wheel of flash-attn for it, and no build that cannot run here."""

from __future__ import annotations

import re
from urllib.parse import unquote

import msgspec
import pytest
from plan_reading import installs, variable
from recorded_machines import MACHINES, read
from whole_machines import changed

from attn_doctor.fixes.plan import Plan, Way
from attn_doctor.fixes.plan_builder import make
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import Install


def plan_of(name: str, **values: object) -> Plan:
    facts = changed(read(next(folder for folder in MACHINES if folder.name == name))[0], **values)
    return make(facts, diagnose(facts, Goal.FLASH_ATTN).findings, Goal.FLASH_ATTN)


def requirements(way: Way) -> list[str]:
    return [unquote(text) for one in way.steps if isinstance(one.step, Install) for text in one.step.requirements]


# Two GPUs whose torch lacks code for one of them; a driver that is too old for torch; a Windows GPU that is newer than torch.
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("rtx-3090-and-titan-v", {}),
        ("windows-11-rtx-4070", {"graphics__driver": "551.86", "graphics__driver_cuda": "12.4"}),
        ("rtx-5090-torch-2.5", {}),
        ("rtx-3060-cpu-torchvision", {"torch__version": "2.12.0+cpu", "torch__cuda": None}),
        *((folder.name, {}) for folder in MACHINES),
    ],
)
def test_a_way_has_one_torch_and_the_wheel_for_it(name, values):
    for way in plan_of(name, **values).ways:
        asked = requirements(way)
        torches = {text.partition("==")[2] for text in asked if text.startswith("torch==")}
        assert len(torches) <= 1, f"{way.title}: {asked}"
        wheels = [m[1] for text in asked if (m := re.search(r"flash_attn-.*?torch(\d+\.\d+)", text))]
        for torch in torches:
            assert all(torch.startswith(f"{minor}.") for minor in wheels), f"{way.title}: {asked}"


def test_a_cpu_torch_is_replaced_by_one_that_has_a_wheel():
    """The newest torch has no wheel, and its headers are too new for a build: a way that ends there brings no flash-attn."""
    made = plan_of("rtx-3060-cpu-torchvision", torch__version="2.12.0+cpu", torch__cuda=None)
    first = requirements(made.ways[0])
    assert first[0] == "torch==2.8.0"
    assert first[-1].endswith("cu12torch2.8cxx11abiTRUE-cp310-cp310-linux_x86_64.whl")


def test_no_build_for_a_board_whose_gpu_the_code_does_not_run_on():
    """Code for 8.0 runs on an Orin (8.7) only if CUDA 13.2 or newer compiled it: https://github.com/Dao-AILab/flash-attention/issues/1146."""
    made = plan_of("jetson-orin-cpu-torch")
    assert not any("flash-attn" in installs(one) for way in made.ways for one in way.steps)
    told = " ".join(made.notes)
    assert "the GPU is 8.7" in told
    assert "https://pypi.jetson-ai-lab.io/jp6/cu126" in told


@pytest.mark.parametrize(
    ("glibc", "free_threaded", "forced"), [("2.31", False, True), ("2.35", False, False), ("2.39", True, True)]
)
def test_a_build_does_not_download_a_wheel_that_cannot_be_loaded(glibc, free_threaded, forced):
    """setup.py would take the finished wheel, whatever the glibc is; it needs glibc 2.32."""
    made = plan_of(
        "rtx-3060-cpu-torchvision",
        system__glibc=glibc,
        interpreter__free_threaded=free_threaded,
        torch__version="2.8.0+cu128",
        torch__cuda="12.8",
    )
    builds = [way for way in made.ways if any(text.startswith("flash-attn") for text in requirements(way))]
    assert builds
    for way in builds:
        set_here = dict(v for one in way.steps if (v := variable(one)))
        assert (set_here.get("FLASH_ATTENTION_FORCE_BUILD") == "TRUE") is forced, way.title


def test_the_forced_installation_of_the_same_torch_keeps_its_two_steps():
    """pip keeps "2.14.1+cpu" for "torch==2.14.1": the first step forces the build, the second brings what it needs."""
    made = plan_of("windows-11-gtx-1660-cpu-torch")
    steps = [one.step for one in made.ways[0].steps if isinstance(one.step, Install)]
    assert [step.reinstall for step in steps] == [True, False]
    assert msgspec.structs.replace(steps[0], reinstall=False).names() == steps[1].names()
