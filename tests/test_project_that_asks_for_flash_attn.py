"""Projects of Poetry and uv that ask for flash-attn: each of their commands would build it in isolation, without torch."""

from __future__ import annotations

import pytest
from recorded_machines import MACHINES, read
from whole_machines import RTX_4090, changed, with_flash_attn

from attn_doctor.commands.installers import Context, in_order
from attn_doctor.fixes.plan import WITHOUT, WORK
from attn_doctor.fixes.plan_builder import make
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts, Pin, Project
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import Install

UNDEFINED = "ImportError: flash_attn_2_cuda.so: undefined symbol: _ZN3c105ErrorC2ENS_14SourceLocationESs"
REMOVE = "poetry --directory /home/user/detector remove flash-attn"


def project(facts: Facts, requirement: str, tool: str, lock: str) -> Facts:
    return changed(
        facts,
        project=Project(
            folder="/home/user/detector",
            environment_of="/home/user/detector",
            locks=(lock,),
            pins=(Pin(file="pyproject.toml", line=14, requirement=requirement, project_tool=tool),),
            source_checkout=None,
            cutlass_missing=None,
        ),
    )


def broken() -> Facts:
    """torch 2.8 with a flash-attn for torch 2.6, whose import fails."""
    facts = changed(RTX_4090, torch__version="2.8.0+cu128", torch__cuda="12.8", torch__header_cxx=17)
    return with_flash_attn(facts, "2.7.4.post1", error=UNDEFINED, wheel_torch="2.6", wheel_cuda="12", wheel_abi=False)


@pytest.mark.parametrize("pinned", ["flash-attn==2.7.4.post1", "flash-attn>=2.7"])
def test_a_line_of_poetry_goes_before_anything_is_added(pinned):
    facts = project(broken(), pinned, "Poetry", "poetry.lock")
    plan = make(facts, diagnose(facts, Goal.FLASH_ATTN).findings, Goal.FLASH_ATTN)
    working = [way for way in plan.ways if way.intent == WORK]
    assert working
    for way in working:
        lines = [str(one.shown.get("bash")) for one in way.steps]
        assert lines[0] == REMOVE
        assert lines.count(REMOVE) == 1
    assert not [note for note in plan.notes if "torch-missing-at-build would still be there" in note]


def test_what_removes_flash_attn_does_not_put_it_back():
    facts = project(broken(), "flash-attn==2.7.4.post1", "Poetry", "poetry.lock")
    plan = make(facts, diagnose(facts, Goal.FLASH_ATTN).findings, Goal.FLASH_ATTN)
    without = next(way for way in plan.ways if way.intent == WITHOUT)
    assert [one.shown.get("bash") for one in without.steps] == [REMOVE]


def test_a_finished_wheel_in_the_file_is_no_build():
    url = "flash-attn @ https://github.com/Dao-AILab/flash-attention/releases/download/v2.8.3/flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"
    facts = project(broken(), url, "Poetry", "poetry.lock")
    plan = make(facts, diagnose(facts, Goal.FLASH_ATTN).findings, Goal.FLASH_ATTN)
    assert REMOVE not in [str(one.shown.get("bash")) for way in plan.ways if way.intent == WORK for one in way.steps]


def added(here: Context, *requirements: str, **options: bool) -> tuple[str, ...]:
    return in_order(here, (Install(argv=(), why="", changes="", requirements=requirements, **options),))[0].argv


def test_uv_adds_the_build_tools_without_the_package_that_it_would_build_in_isolation():
    """Run with uv 0.13.9: without the option `uv add setuptools` builds the pinned flash-attn, and fails for lack of torch."""
    recorded = next(m for m in MACHINES if m.name == "rtx-4080-uv-without-wheel")
    facts = read(recorded)[0]
    plan = make(facts, diagnose(facts, Goal.FLASH_ATTN).findings, Goal.FLASH_ATTN)
    lines = [str(one.shown.get("bash")) for way in plan.ways for one in way.steps]
    tools = [line for line in lines if "setuptools" in line]
    assert tools
    assert all(
        line.startswith("uv add --project /home/user/project --no-install-package flash-attn ") for line in tools
    )
    assert not [line for line in lines if "--no-install-package" in line and "--no-build-isolation-package" in line]


def test_only_what_the_step_does_not_name_is_left_out():
    here = Context(
        installer="uv", python="/p/.venv/bin/python", locks=("uv.lock",), built_alone=frozenset({"flash-attn"})
    )
    assert added(here, "ninja") == ("uv", "add", "--no-install-package", "flash-attn", "ninja")
    assert "--no-install-package" not in added(here, "flash-attn", no_build_isolation=True)
    assert "--no-install-package" not in added(Context(installer="uv", python="python", locks=("uv.lock",)), "ninja")
