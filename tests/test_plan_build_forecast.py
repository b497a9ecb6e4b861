"""The forecast of a build in a plan: its room, its cost in words, and whether it can succeed."""

from __future__ import annotations

import msgspec
import pytest
from little_plans import fix
from plan_makers import WHEEL, H, cause, draft, install, said, uninstall, variable
from recorded_machines import MACHINES, read
from whole_machines import changed, packages, with_flash_attn

from attn_doctor.fixes import build_forecast
from attn_doctor.fixes.plan import Draft
from attn_doctor.knowledge.build import GIGABYTE, Cost
from attn_doctor.model.facts import Disk, Unknown
from attn_doctor.model.findings import Severity
from attn_doctor.model.steps import Step

BUILDS = read(next(folder for folder in MACHINES if folder.name == "gb10-dgx-spark"))[0]


# -- the forecast of a build


@pytest.mark.parametrize(
    ("purpose", "free", "words"),
    [
        ("tmp", 2 * GIGABYTE, None),
        ("tmp", 2 * GIGABYTE - 1, "/t has 2.0 GB left"),
        ("tmp", GIGABYTE // 2, "/t has 0.5 GB left"),
        ("tmp", Unknown("x"), None),
        ("packages", 1, None),
    ],
)
def test_the_folder_for_temporary_files_has_room_or_not(purpose, free, words):
    disks = (Disk(purpose="packages", path="/p", free_bytes=1), Disk(purpose=purpose, path="/t", free_bytes=free))
    told = build_forecast.disk(changed(H, system__disks=disks))
    assert (told and told[: len(words or "")]) == words
    assert build_forecast.disk(changed(H, system__disks=Unknown("x"))) is None


@pytest.mark.parametrize(
    ("archs", "verified", "words"),
    [
        (("80",), True, "about 30 minutes (2.5 CPU hours for 1 architecture) and 13.2 GB of memory"),
        (
            ("80", "90"),
            False,
            "about 30 minutes (2.5 CPU hours for 2 architectures) and 13.2 GB of memory (measured on another release)",
        ),
    ],
)
def test_the_cost_in_words(archs, verified, words):
    cost = Cost(archs=archs, cpu_hours=2.5, hours=0.5, gigabytes_per_job=6.6, gigabytes=13.2, likely_gigabytes=9.0, verified=verified)  # fmt: skip
    assert build_forecast.cost_text(cost) == words
    assert build_forecast.cost_text(None) is None


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (0.01, "5 minutes"),
        (0.43, "25 minutes"),
        (1.4, "85 minutes"),
        (1.5, "1.5 hours"),
        (2.96, "3.0 hours"),
        (12.8, "13 hours"),
    ],
)
def test_the_time_of_a_build_in_words(hours, words):
    cost = Cost(archs=("80",), cpu_hours=hours, hours=hours, gigabytes_per_job=6.6, gigabytes=13.2, likely_gigabytes=9.0, verified=True)  # fmt: skip
    assert cost.duration == words


GIT = "flash-attn @ git+https://github.com/Dao-AILab/flash-attention"


@pytest.mark.parametrize(
    ("step", "compiles", "unreleased"),
    [
        (install("flash-attn"), True, False),
        (install("numpy", GIT), True, True),
        (install(GIT, "numpy"), True, True),
        (install(WHEEL), False, False),
        (install("numpy"), False, False),
        (uninstall("flash-attn"), False, False),
        (variable("X"), False, False),
    ],
)
def test_what_a_step_compiles(step, compiles, unreleased):
    assert (build_forecast.compiles(step), build_forecast.is_unreleased(step)) == (compiles, unreleased)


@pytest.mark.parametrize(
    ("version", "step", "same"),
    [
        ("2.8.3", install("flash-attn==2.8.3"), True),
        ("2.8.3+cu12torch2.8", install("flash-attn==2.8.3"), True),
        ("2.8.3", install("numpy", "flash-attn==2.8.3", reinstall=True), True),
        ("2.8.2", install("flash-attn==2.8.3"), False),
        ("2.8.3", install("flash-attn==2.8.3", no_cache=True), False),
        ("2.8.3", install("flash-attn"), False),
        ("2.8.3", uninstall("flash-attn==2.8.3"), False),
        (None, install("flash-attn==2.8.3"), False),
        (Unknown("x"), install("flash-attn==2.8.3"), False),
    ],
)
def test_the_release_that_is_there_is_installed_again(version, step, same):
    facts = changed(with_flash_attn(H), flash_attention__version=version)
    assert build_forecast._same_again(facts, step) is same


@pytest.mark.parametrize(
    ("values", "unreleased", "why"),
    [
        ({}, False, None),
        ({"torch__cuda": None, "torch__hip": None}, False, "is a CPU build"),
        ({"torch__cuda": None, "torch__hip": "6.4"}, False, None),
        ({"torch__cuda": None, "torch__hip": None, "torch__version": Unknown("x")}, False, None),
        ({"torch__header_cxx": 20}, False, "C++20"),
        ({"torch__header_cxx": 20}, True, None),
        ({"torch__header_cxx": Unknown("x"), "torch__version": "2.15.0"}, False, "C++20"),
        ({"torch__header_cxx": Unknown("x"), "torch__version": "2.15.0"}, True, None),
        ({"interpreter__version": "3.7.1"}, False, "3.7"),
        ({"interpreter__version": "3.7.1"}, True, None),
    ],
)
def test_a_build_that_cannot_succeed(values, unreleased, why):
    told = build_forecast._never(
        changed(H, **{"torch__version": "2.8.0", "torch__header_cxx": 17, **values}), "2.8.3", unreleased=unreleased
    )
    assert (told is None) if why is None else (told is not None and why in told), told


def test_a_gpu_that_is_too_old_for_flash_attn():
    then = changed(H, torch__version="2.8.0", torch__header_cxx=17)
    old = changed(then, graphics__gpus=(msgspec.structs.replace(H.graphics.gpus[0], compute_capability="7.5"),))
    assert "7.5" in str(build_forecast._never(old, "2.8.3"))
    assert "7.5" in str(build_forecast._never(old, "2.8.3", unreleased=True))
    unknown = changed(then, graphics__gpus=Unknown("x"))
    assert build_forecast._never(unknown, "2.8.3") is None


def test_a_cause_that_stops_the_build_is_met_by_a_step_of_the_way(monkeypatch):
    good, half = fix("g", install("ninja")), fix("h", install("ninja"), install("zork"))
    listed = []
    monkeypatch.setattr(build_forecast, "implied", lambda *_: listed)

    def stopped(*steps: Step) -> str | None:
        return build_forecast._stopped(H, draft(*steps))

    stops = "nvcc-missing"
    listed[:] = [cause("AD1", good, slug=stops)]
    assert stopped() == "AD1 is met"
    assert stopped(install("ninja")) is None
    listed[:] = [cause("AD1", half, slug=stops)]
    assert stopped(install("ninja")) == "AD1 is met"  # half a fix is none
    listed[:] = [cause("AD1", half, good, slug=stops)]
    assert stopped(install("ninja")) is None  # one of two fixes is enough
    listed[:] = [cause("AD1", slug="numpy-abi"), cause("AD2", slug="out-of-memory-build"), cause("AD3", slug=stops, severity=Severity.WARNING)]  # fmt: skip
    assert stopped() is None


def test_tools_that_setup_py_imports_are_installed_before_it(monkeypatch):
    step = install("flash-attn", no_build_isolation=True)
    empty = changed(H, packages__distributions=packages(), toolchain__ninja=None)
    made = build_forecast._with_tools(empty, draft(variable("A"), step), 1)
    assert said(made.steps)[0] == "A"
    assert set(said(made.steps)[1].split()) >= {"ninja", "packaging", "psutil", "wheel"}
    assert said(made.steps)[2] == "flash-attn"
    with_ninja = build_forecast._with_tools(changed(empty, toolchain__ninja="1.11"), draft(step), 0)
    assert "ninja" not in said(with_ninja.steps)[0].split()
    names = said(made.steps)[1].split()
    whole = changed(empty, packages__distributions=packages(**dict.fromkeys(names, "1.0")))
    for facts, one in (
        (whole, step),
        (empty, install("flash-attn")),
        (changed(empty, packages__distributions=Unknown("x")), step),
    ):
        given = draft(one)
        assert build_forecast._with_tools(facts, given, 0) is given


def test_a_build_gets_its_variables_its_cost_and_its_notes():
    facts = changed(BUILDS, system__disks=(Disk(purpose="tmp", path="/t", free_bytes=1),))
    given = draft(install("numpy"), install("flash-attn", takes="long"), variable("LAST"), notes=("first",))
    made = build_forecast.build_in(facts, given)
    assert isinstance(made, Draft)
    told = said(made.steps)
    assert told[0] == "numpy"
    assert told[1:-2] == ["MAX_JOBS", "NVCC_THREADS", "FLASH_ATTN_CUDA_ARCHS"]
    assert told[-2:] == ["flash-attn", "LAST"]
    assert made.steps[-2].takes.startswith("about ")
    assert made.notes[0] == "first"
    assert made.notes[-1].startswith("/t has 0.0 GB left")
    assert "TMPDIR" in made.notes[1]
    small = changed(facts, system__available_bytes=2 * GIGABYTE, system__cgroup_memory_bytes=2 * GIGABYTE)
    noted = build_forecast.build_in(small, given)
    assert len(noted.notes) == len(made.notes) + 1
    rocm = changed(facts, torch__hip="6.4", torch__cuda=None)
    assert said(build_forecast.build_in(rocm, given).steps) == ["numpy", "flash-attn", "LAST"]
    cpu = build_forecast.build_in(changed(facts, torch__cuda=None, torch__hip=None), given)
    assert str(cpu).startswith("a source build cannot succeed: torch ")
    assert not str(cpu).endswith(".")
