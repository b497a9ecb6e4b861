"""A cure is judged as if it had been carried out: what it leaves is no cure, and what it breaks is put right in the same go."""

from __future__ import annotations

import msgspec
import pytest
from little_steps import WORDS, install
from recorded_machines import MACHINES, read
from whole_machines import RTX_4090, changed, packages

from attn_doctor import commands
from attn_doctor.fixes.build_forecast import build_in
from attn_doctor.fixes.plan import WORK, Draft, Plan
from attn_doctor.fixes.plan_builder import make
from attn_doctor.judging import foresight
from attn_doctor.judging.after_steps import after
from attn_doctor.judging.diagnose import diagnose, implied
from attn_doctor.model.facts import Conflict, Facts, Fault, Unknown, Variable
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import Install, RunByHand, SetVariable

TORCH_2_2 = {
    "torch__version": "2.2.2+cu121",
    "torch__cuda": "12.1",
    "packages__distributions": packages(torch="2.2.2", torchvision="0.17.2", numpy="1.26.4", pip="25.3"),
}


def versions(facts: Facts) -> dict[str, object]:
    listed = facts.packages.distributions
    assert isinstance(listed, tuple)
    return {d.name: None if isinstance(d.version, Unknown) else d.version for d in listed}


def told(facts: Facts, goal: Goal = Goal.TRAIN) -> dict[str, list[str]]:
    """Root causes, each with the titles of its fixes."""
    return {f.slug: [fix.title for fix in f.fixes] for f in diagnose(facts, goal).findings if f.root_cause}


# --- facts after steps


@pytest.mark.parametrize(
    ("steps", "ends"),
    [
        ([install("numpy==2.0.0")], {"numpy": "2.0.0"}),
        ([install("numpy<2")], {"numpy": "1.26.4"}),  # it is there already
        ([install("numpy<1.25")], {"numpy": None}),  # the index decides
        ([install("numpy", upgrade=True)], {"numpy": "2.0.2"}),  # this one or a newer
        ([install("numpy>=1.30,<=2.1.1")], {"numpy": "2.1.1"}),
        ([commands.uninstall("numpy", why="w")], {}),
        ([commands.uninstall("numpy", why="w"), install("numpy==2.1.0")], {"numpy": "2.1.0"}),
        ([install("torch==2.8.0", index_url="https://download.pytorch.org/whl/cu128")], {"torch": "2.8.0+cu128"}),
        ([install("torch==2.8.0", "torchvision")], {"torchvision": "0.23.0"}),  # the one that belongs to it
        ([install("https://x.org/timm-1.0.9-py3-none-any.whl")], {"timm": "1.0.9"}),
    ],
)
def test_the_versions_after_steps(steps, ends):
    now = changed(RTX_4090, **TORCH_2_2)
    there = versions(after(now, steps).facts)
    assert {name: there.get(name) for name in ends} == ends
    if not ends:
        assert "numpy" not in there


def test_what_the_installer_said_counts_more_than_a_guess():
    then = after(changed(RTX_4090, **TORCH_2_2), [install("numpy<1.25")], {0: {"numpy": "1.24.4"}}).facts
    assert versions(then)["numpy"] == "1.24.4"


def test_the_torch_after_a_step_is_known_by_its_version_alone():
    then = after(RTX_4090, [install("torch==2.8.0", index_url="https://download.pytorch.org/whl/cu128")]).facts
    assert (then.torch.version, then.torch.cuda, then.torch.hip) == ("2.8.0+cu128", "12.8", None)
    assert isinstance(then.torch.importable, Unknown)
    cpu = after(changed(RTX_4090, system__os="windows", interpreter__platform="win-amd64"), [install("torch==2.8.0")])
    assert cpu.facts.torch.cuda is None  # the registry's build for Windows
    own_index = changed(RTX_4090, environment=(Variable(name="PIP_INDEX_URL", value="https://x/simple"),))
    assert isinstance(after(own_index, [install("torch==2.8.0")]).facts.torch.cuda, Unknown)


def test_what_a_hand_or_a_variable_does_is_not_known():
    by_hand = RunByHand(argv=("sudo", "reboot"), **WORDS)
    assert after(RTX_4090, [by_hand]).vague
    assert after(RTX_4090, [SetVariable(name="CUDA_HOME", value="/usr/local/cuda", **WORDS)]).vague
    unset = after(RTX_4090, [SetVariable(name="LD_LIBRARY_PATH", **WORDS)])
    assert (unset.vague, unset.facts) == (False, RTX_4090)  # it is not set


# --- cures of findings


def test_unsetting_a_variable_that_is_not_set_cures_nothing():
    said = "/venv/lib/libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4, version libnvJitLink.so.12"
    ill = changed(
        RTX_4090,
        torch__importable=False,
        torch__fault=Fault(kind="raised", type="ImportError", message=said),
        imports=(),
        toolchain__library_path=(),
    )
    step = SetVariable(name="LD_LIBRARY_PATH", **WORDS)
    (cause,) = [f for f in implied(ill, Goal.TRAIN) if f.severity.rank == 2]
    now = foresight.Now(facts=ill, findings=(cause,), diagnose=lambda then: implied(then, Goal.TRAIN))
    assert foresight.foreseen(now, [step], [cause.slug]).against == f"{cause.slug} would still be there"
    assert not any("LD_LIBRARY_PATH" in title for titles in told(ill).values() for title in titles)


def test_a_small_broken_package_is_installed_afresh_and_torch_is_not():
    said = Fault(
        kind="raised",
        type="SyntaxError",
        message="invalid syntax",
        where="/venv/lib/python3.12/site-packages/sympy/core.py:30 in <module>",
    )
    ill = changed(
        RTX_4090,
        torch__importable=False,
        torch__fault=said,
        imports=(),
        packages__distributions=packages(torch="2.15.0", numpy="2.2.6", sympy="1.14.0", pip="25.3"),
    )
    assert told(ill)["torch-install-broken"] == ["Install sympy afresh"]


def test_the_newest_numpy_is_no_cure_for_a_torch_of_before_numpy_2():
    without = changed(
        RTX_4090,
        **TORCH_2_2 | {"packages__distributions": packages(torch="2.2.2", torchvision="0.17.2", pip="25.3")},
        torch__numpy_bridge=False,
        imports=(),
        yolo__version="8.4.190",
    )
    found = next(f for f in diagnose(without, Goal.TRAIN).findings if f.slug == "numpy-missing-or-old")
    (fix,) = found.fixes
    (step,) = [one for one in fix.steps if isinstance(one, Install)]
    assert step.requirements == ("numpy<2",)


def test_ranges_for_one_package_are_joined_and_two_versions_are_not():
    (step,) = foresight.joined([install("numpy<=2.1.1,>=1.23.0")], [install("numpy<2")])
    assert step.requirements == ("numpy<2,<=2.1.1,>=1.23.0",)
    (step,) = foresight.joined([install("a>=8.3.78", upgrade=True)], [install("a>=8.3.162", upgrade=True)])
    assert step.requirements == ("a>=8.3.162",)
    assert foresight.joined([install("torch==2.8.0")], [install("torch==2.15.0")]) is None
    assert foresight.joined([install("timm")], [install("timm")]) == (install("timm"),)


def test_an_unmet_requirement_is_met_by_the_version_that_it_asks_for():
    ill = changed(
        RTX_4090,
        packages__conflicts=(Conflict(package="ultralytics 8.4.190", requires="numpy<2,>=1.23", found="2.2.6"),),
    )
    then = after(ill, [install("numpy==1.26.4")]).facts
    assert then.packages.conflicts == ()
    wrong = after(ill, [install("numpy==2.1.0")]).facts
    assert [c.found for c in wrong.packages.conflicts] == ["2.1.0"]


# --- whole plans, of recorded machines


def notes_and_lines(name: str, goal: Goal) -> tuple[str, str]:
    facts = read(next(folder for folder in MACHINES if folder.name == name))[0]
    made = make(facts, diagnose(facts, goal).findings, goal)
    lines = [" ".join(one.step.argv) for way in made.ways for one in way.steps]
    return "\n".join(made.notes), "\n".join(lines)


def test_no_cuda_torch_is_planned_on_an_amd_machine():
    notes, lines = notes_and_lines("mi300x-rocm", Goal.FLASH_ATTN)
    assert "torch==" not in lines
    assert "FLASH_ATTN_CUDA_ARCHS" not in lines
    assert "There is no GPU here" not in notes


def test_a_healthy_machine_has_nothing_to_foresee():
    assert told(RTX_4090) == {}


EMPTY = changed(
    RTX_4090,
    torch__version=None,
    torch__cuda=None,
    torch__importable=False,
    torch__fault=Fault(kind="raised", type="ModuleNotFoundError", message="No module named 'torch'"),
    packages__distributions=packages(pip="25.3"),
    imports=(),
    binaries=(),
    yolo__version=None,
)


def test_a_build_is_judged_by_the_torch_that_will_be_there_by_then():
    """The newest torch has C++20 headers: no release of flash-attn compiles under it, and that is known beforehand."""
    made = make(EMPTY, diagnose(EMPTY, Goal.FLASH_ATTN).findings, Goal.FLASH_ATTN)
    assert not any("--no-build-isolation" in one.step.argv for way in made.ways for one in way.steps)
    assert any("need C++20" in note for note in made.notes)
    assert made.ways[0].steps[-1].step.requirements[0].endswith(".whl")


def test_a_build_brings_the_packages_that_its_setup_imports():
    """This machine has none of them, and its plan had only the build."""
    facts = read(next(folder for folder in MACHINES if folder.name == "mi300x-rocm"))[0]
    made = make(facts, diagnose(facts, Goal.FLASH_ATTN).findings, Goal.FLASH_ATTN)
    builds = [way for way in made.ways if any("--no-build-isolation" in one.step.argv for one in way.steps)]
    assert builds
    for way in builds:
        names = {name for one in way.steps if isinstance(one.step, Install) for name in one.step.names()}
        assert {"setuptools", "wheel", "packaging", "psutil", "ninja"} <= names


def plan_of(name: str, goal: Goal, **values: object) -> Plan:
    facts = changed(read(next(folder for folder in MACHINES if folder.name == name))[0], **values)
    return make(facts, diagnose(facts, goal).findings, goal)


def titles(made: Plan) -> list[str]:
    return [f"{way.intent}: {way.title}" for way in made.ways]


def test_a_wheel_by_others_takes_the_place_of_the_build_that_cures_the_same_cause():
    """The wheel is for glibc 2.28, which this machine has: nothing is compiled in that way."""
    made = plan_of(
        "a100-rhel-8-glibc",
        Goal.FLASH_ATTN,
        system__glibc="2.28",
        torch__version="2.7.1+cu126",
        torch__cuda="12.6",
    )
    assert [way.title for way in made.ways][:2] == [
        "Build flash-attn here",
        "Remove the installed flash-attn; Install the unsigned wheel that mjun0812 built",
    ]
    removal, wheel = made.ways[1].steps
    assert removal.shown["bash"].endswith("-m pip uninstall -y flash-attn")
    assert isinstance(wheel.step, Install)
    assert wheel.step.requirements[0].endswith("manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl")


def test_nothing_is_installed_after_a_way_that_leads_elsewhere():
    """A wheel by others and WSL2 are ways by themselves: pip in Windows' Python would compile after both."""
    made = plan_of("windows-11-rtx-4070", Goal.FLASH_ATTN)
    assert [way.title for way in made.ways] == ["Use WSL2", "Install the unsigned wheel that mjun0812 built"]
    assert {way.intent for way in made.ways} == {WORK}
    assert not any(isinstance(one.step, Install) for one in made.ways[0].steps)
    installed = [one.step.requirements for one in made.ways[1].steps if isinstance(one.step, Install)]
    assert installed[0] == ("einops",)
    assert [text.rpartition("/")[2] for text in installed[1]] == [
        "flash_attn-2.8.3%2Bcu126torch2.6-cp311-cp311-win_amd64.whl"
    ]
    assert len(installed) == 2


def test_under_windows_another_torch_comes_before_a_wheel_for_it_and_not_before_wsl():
    made = plan_of("windows-11-rtx-4070", Goal.FLASH_ATTN, torch__version="2.6.0+cpu", torch__cuda=None)
    wheel = next(way for way in made.ways if "Look for a wheel" in way.title)
    assert [one.step.argv[:2] for one in wheel.steps][-1] == ("attn-doctor", "wheels")
    assert any(isinstance(one.step, Install) and "torch" in one.step.names() for one in wheel.steps)
    (leave,) = next(way for way in made.ways if way.title == "Use WSL2").steps
    assert leave.step.argv == ("wsl.exe", "--install")
    assert not any("source build" in note for note in made.notes)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mac-m1", "flash-attn cannot be made to work here"),
        ("rx-7900-cuda-torch", "#amd-rocm-support"),
        ("laptop-old-ultralytics-torch-2.6", "is a CPU build"),
    ],
)
def test_no_build_is_planned_where_none_can_succeed(name, says):
    made = plan_of(name, Goal.FLASH_ATTN)
    assert [way.title for way in made.ways if way.intent == WORK] == []
    assert any(says in note for note in made.notes)


def test_a_build_is_left_out_while_something_that_stops_it_has_no_fix_in_the_way():
    """Another torch brings no compiler: nvcc is still missing when the way comes to the build."""
    steps = (install("flash-attn", no_build_isolation=True),)
    draft = Draft(title="t", intent=WORK, goal=Goal.FLASH_ATTN, cures=(), steps=steps, verify=())
    bare = changed(RTX_4090, **TORCH_2_2, torch__header_cxx=17)
    assert "CUDA toolkit" in str(build_in(bare, draft))
    toolkit = next(
        fix.steps for f in diagnose(bare, Goal.FLASH_ATTN).findings if f.slug == "cuda-home-unset" for fix in f.fixes
    )
    whole = msgspec.structs.replace(draft, steps=(*toolkit, *steps))
    assert isinstance(build_in(bare, whole), Draft)


def test_a_cure_for_the_old_torch_does_not_follow_another_torch():
    """Triton 2.2 is for the torch 2.2 that is there, and breaks the one that conda brings in its place."""
    listed = packages(torch="2.2.2", torchvision="0.17.2", numpy="2.1.2", triton="3.2.0", pip="25.3")
    ill = changed(
        RTX_4090,
        **TORCH_2_2 | {"packages__distributions": tuple(msgspec.structs.replace(d, installer="conda") for d in listed)},
        interpreter__kind="conda",
        interpreter__prefix="/home/user/miniconda3/envs/yolo",
        torch__numpy_bridge=False,
    )
    made = make(ill, diagnose(ill, Goal.TRAIN).findings, Goal.TRAIN)
    lines = {way.title: [" ".join(one.step.argv) for one in way.steps] for way in made.ways}
    other = next(steps for steps in lines.values() if "pytorch-gpu" in steps[0])
    assert not any("triton" in line for line in other)
    assert any("triton" in line for steps in lines.values() if steps is not other for line in steps)


def test_a_package_that_is_installed_again_is_that_of_its_index():
    """`--force-reinstall torch` from a Jetson's index brings that index's torch, not the CPU build that is there."""
    again = commands.reinstall("torch", "torchvision", index_url="https://pypi.jetson-ai-lab.io/jp6/cu126", **WORDS)
    then = after(changed(RTX_4090, torch__version="2.7.1+cpu", torch__cuda=None), again).facts
    assert isinstance(then.torch.version, Unknown)
    assert isinstance(then.torch.cuda, Unknown)


def test_another_ultralytics_may_have_the_classes_that_weights_name():
    (fixes,) = [
        f.fixes
        for f in diagnose(
            read(next(folder for folder in MACHINES if folder.name == "wsl2-ultralytics-before-yolo12"))[0], Goal.TRAIN
        ).findings
        if f.slug == "ultralytics-older-than-weights"
    ]
    assert [fix.title for fix in fixes] == ["Install ultralytics 8.3.156 or newer"]
