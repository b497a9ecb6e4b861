"""Plans as pure functions of facts: which fixes go together, whose words they are in, which pins they break, what they change."""

from __future__ import annotations

from importlib import resources

import msgspec
import pytest
from ailing_machines import cpu_torch
from little_steps import WORDS, install, uninstall
from recorded_machines import MACHINES, read
from whole_machines import RTX_4090, changed, packages

from attn_doctor import commands
from attn_doctor.commands.installers import Context, context
from attn_doctor.fixes import pins, step_effects, step_safety
from attn_doctor.fixes.alternatives import _parts, drafts
from attn_doctor.fixes.plan import WITHOUT, WORK, Change, PlannedStep
from attn_doctor.fixes.plan_builder import make
from attn_doctor.fixes.plan_builder import planned as build_planned
from attn_doctor.fixes.resolve import Resolved, _from_report, _from_uv, by_hand
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Distribution, Import, Pin
from attn_doctor.model.findings import Goal
from attn_doctor.model.report import decode_facts
from attn_doctor.model.steps import AddPip, Install, Remove, Run, RunByHand, SetVariable, Uninstall
from attn_doctor.report.redact import redact
from attn_doctor.system.own_names import Own

PY = "/venv/bin/python"


def plan(facts, goal=Goal.TRAIN, **options):
    return make(facts, diagnose(facts, goal).findings, goal, **options)


def pip(*argv):
    return (PY, "-m", "pip", *argv)


HERE = {"python": PY, "prefix": "/venv", "folder": "/project"}
INSTALL, REMOVE = install("numpy<2"), uninstall("numpy")


# --- pins


def pinned(*requirements):
    return changed(
        RTX_4090,
        project__pins=tuple(Pin(file="requirements.txt", line=n, requirement=r) for n, r in enumerate(requirements, 1)),
    )


@pytest.mark.parametrize(
    ("pin", "changes", "step", "words"),
    [
        ("numpy>=2", (Change(package="numpy", before="2.2.6", after="1.26.4"),), INSTALL, "and this installs 1.26.4"),
        ("numpy<3", (Change(package="numpy", before="2.2.6", after="1.26.4"),), INSTALL, None),
        ("torch==2.8.0", (Change(package="torch", before="2.8.0", after="2.8.0+cu128"),), INSTALL, None),
        ("flash-attn==2.8.3", None, uninstall("flash-attn"), "and this removes it"),
        ("torch==2.8.0", None, install("torch==2.15.0"), "and this asks for torch==2.15.0"),
        ("torch>=2.9", None, install("torch==2.15.0"), None),
        ("pandas==1.0", None, INSTALL, None),
        ("numpy", (Change(package="numpy", before="2.2.6", after="1.26.4"),), INSTALL, None),
    ],
)
def test_what_goes_against_a_pin_is_said(pin, changes, step, words):
    said = pins.broken(pinned(pin), [(changes, step)])
    assert said == ((f"requirements.txt line 1 asks for {pin}, {words}",) if words else ())


def test_what_keeps_to_the_pins_comes_first():
    old = changed(
        RTX_4090,
        torch__version="2.2.2+cu121",
        torch__cuda="12.1",
        torch__numpy_bridge=False,
        torch__numpy_error="RuntimeError: Numpy is not available",
        packages__distributions=packages(
            torch="2.2.2", torchvision="0.17.2", numpy="2.2.6", ultralytics="8.4.190", pip="25.3"
        ),
    )
    assert plan(old).ways[0].title == "Install NumPy 1"
    ways = plan(
        changed(old, project__pins=(Pin(file="pyproject.toml", line=7, requirement="numpy>=2.1"),)), resolver=_numpy_1
    ).ways
    assert [(way.name, way.title, bool(way.breaks)) for way in ways] == [
        ("A", "Install a torch that was built for NumPy 2", False),
        ("B", "Install NumPy 1", True),
    ]


def _numpy_1(step, variables):
    if "numpy<2" in step.requirements:
        return Resolved((Change(package="numpy", before="2.2.6", after="1.26.4"),))
    return Resolved(None, "not asked")


def test_what_the_resolver_rules_out_comes_last_and_says_so():
    def no_solution(step, variables):
        if "numpy<2" in step.requirements:
            return Resolved(None, "pip says: ERROR: No matching distribution found for numpy<2", impossible=True)
        return Resolved((Change(package="torch", before="2.2.2", after="2.15.0"),))

    old = changed(
        RTX_4090,
        torch__version="2.2.2+cu121",
        torch__cuda="12.1",
        torch__numpy_bridge=False,
        packages__distributions=packages(torch="2.2.2", numpy="2.2.6", pip="25.3"),
    )
    ways = plan(old, resolver=no_solution).ways
    assert ways[-1].title == "Install NumPy 1"
    assert "No matching distribution" in ways[-1].impossible()
    assert ways[0].impossible() is None


# --- what goes together

HOLLOW = changed(
    RTX_4090,
    torch__version="2.8.0+cu128",
    torch__cuda="12.8",
    torch__cxx11_abi=True,
    flash_attention__version="2.8.3",
    flash_attention__modules=(),
    imports=(Import(module="flash_attn_2_cuda", ok=False, path=None),),
    packages__distributions=packages(
        torch="2.8.0", torchvision="0.23.0", numpy="2.2.6", ultralytics="8.4.190", flash_attn="2.8.3", pip="25.3"
    ),
)


def test_making_it_work_and_doing_without_stand_side_by_side():
    ways = plan(HOLLOW, Goal.FLASH_ATTN).ways
    assert [way.intent for way in ways] == [WORK, WITHOUT]
    work, without = ways
    assert [type(s.step) for s in work.steps] == [Uninstall, Install]
    assert work.steps[-1].step.requirements[0].endswith("cxx11abiTRUE-cp312-cp312-linux_x86_64.whl")
    assert [s.step.argv for s in without.steps] == [pip("uninstall", "-y", "flash-attn")]


def test_a_broken_flash_attn_without_a_wheel_is_built_again_where_that_can_succeed():
    built = changed(HOLLOW, torch__version="2.11.0+cu130", torch__cuda="13.0", toolchain__cuda_home="/usr/local/cuda")
    ways = [way for way in plan(built, Goal.FLASH_ATTN).ways if way.intent == WORK]
    assert ways
    for way in ways:
        compiling = [i for i, s in enumerate(way.steps) if getattr(s.step, "no_build_isolation", False)]
        assert compiling in ([], [len(way.steps) - 1])  # once, and last
    elsewhere = changed(built, graphics__gpus=(), graphics__pci=())  # it can be made ready without a GPU
    prepared = plan(elsewhere, Goal.FLASH_ATTN)
    assert any(way.intent == WORK for way in prepared.ways)
    assert any("runs only on a machine that has a GPU" in note for note in prepared.notes)


def test_a_cpu_torch_is_replaced_whole_and_then_completed():
    way = plan(cpu_torch(RTX_4090)).ways[0]
    again, needs = (planned.step for planned in way.steps)
    assert (again.reinstall, again.no_deps, needs.options()) == (True, True, frozenset())
    assert again.requirements == needs.requirements
    assert {name for text in again.requirements for name in text.split("==")[:1]} == {"torch", "torchvision"}


def test_without_a_pip_one_is_brought_first():
    ill = changed(
        RTX_4090,
        interpreter__installers=(),
        torch__version="2.2.2+cu121",
        torch__cuda="12.1",
        torch__numpy_bridge=False,
        packages__distributions=packages(torch="2.2.2", numpy="2.2.6"),
    )
    for way in plan(ill).ways:
        assert [isinstance(s.step, AddPip) for s in way.steps] == [True] + [False] * (len(way.steps) - 1)


def test_each_of_two_records_has_its_removal():
    twice = changed(RTX_4090, packages__duplicates=("torch 2.7.1 and 2.8.0",))
    made, _ = drafts(twice, diagnose(twice, Goal.TRAIN).findings, Goal.TRAIN)
    assert [type(s) for s in made[0].steps] == [Uninstall, Uninstall, Install]


# --- what steps change


PIP = Context(installer="pip", **HERE)


def planned(*steps, said=None):
    return [PlannedStep(step=step, changes=(said or {}).get(n, ())) for n, step in enumerate(steps)]


def test_changes_are_those_of_the_moment_at_which_a_step_is_taken():
    twice = {"numpy": ["1.26.4", "2.2.6"]}
    steps = step_effects.changes_in_order(
        planned(REMOVE, REMOVE, REMOVE, install("numpy==2.2.6", no_deps=True)), twice, PIP
    )
    assert [[str(c) for c in s.changes] for s in steps] == [
        ["removes numpy 1.26.4"],
        ["removes numpy 2.2.6"],
        [],
        ["adds numpy 2.2.6"],
    ]
    assert all(s.undo == () for s in steps)  # no command brings two records back


def test_what_an_earlier_step_brought_is_not_told_twice():
    torch = Change(package="torch", before="2.8.0+cpu", after="2.15.0")
    steps = planned(
        install("torch==2.15.0", reinstall=True, no_deps=True),
        install("torch==2.15.0"),
        said={0: (torch,), 1: (torch, Change(package="sympy", before=None, after="1.14.0"))},
    )
    first, second = step_effects.changes_in_order(steps, {"torch": ["2.8.0+cpu"]}, PIP)
    assert [str(c) for c in first.changes] == ["torch 2.8.0+cpu → 2.15.0"]
    assert [str(c) for c in second.changes] == ["adds sympy 1.14.0"]
    assert first.undo == (
        pip(
            "install",
            "--force-reinstall",
            "--no-deps",
            "torch==2.8.0+cpu",
            "--index-url",
            "https://download.pytorch.org/whl/cpu",
        ),
    )
    assert second.undo == (pip("uninstall", "-y", "sympy"),)


def test_pips_report_and_uvs_list_are_read():
    report = {
        "install": [
            {
                "metadata": {"name": "Sympy", "version": "1.14.0"},
                "download_info": {"url": "https://files.pythonhosted.org/s.whl"},
            },
            {
                "metadata": {"name": "numpy", "version": "1.26.4"},
                "download_info": {"url": "https://files.pythonhosted.org/n.whl"},
            },
        ]
    }
    resolved = _from_report(report, {"numpy": "2.2.6"})
    assert [str(c) for c in resolved.changes] == ["adds sympy 1.14.0", "numpy 2.2.6 → 1.26.4"]
    assert resolved.download_bytes is None
    text = "Would download 1 package\nWould uninstall 2 packages\n - numpy==2.2.6\n + numpy==1.26.4\n - old==1.0\n ~ same==3.0\n"
    assert [str(c) for c in _from_uv(text, {})] == ["numpy 2.2.6 → 1.26.4", "same 3.0 again", "removes old 1.0"]


def test_taking_back_by_hand():
    changes = (
        Change(package="numpy", before="2.2.6", after="1.26.4"),
        Change(package="sympy", before=None, after="1.14.0"),
    )
    assert by_hand(changes, PIP) == (
        pip("install", "--force-reinstall", "--no-deps", "numpy==2.2.6"),
        pip("uninstall", "-y", "sympy"),
    )


def test_what_uv_did_uv_takes_back():
    steps = planned(
        INSTALL,
        said={0: (Change(package="numpy", before="2.2.6", after="1.26.4"),)},
    )
    (one,) = step_effects.changes_in_order(steps, {"numpy": ["2.2.6"]}, Context(installer="uv", **HERE))
    assert one.undo == (("uv", "pip", "install", "--python", PY, "--force-reinstall", "--no-deps", "numpy==2.2.6"),)


# --- nothing but what a step may hold


@pytest.mark.parametrize(
    "bad",
    [
        install("torch", index_url="https://evil.example/simple"),
        install("torch", index_url="https://download.pytorch.org.evil.example/whl/cu128"),
        install("torch", from_folder="/etc"),
        install("torch @ https://evil.example/torch.tar.gz"),
        install("https://evil.example/torch.tar.gz"),
        install("http://github.com/flash_attn-2.8.3-cp311-cp311-linux_x86_64.whl"),
        install("--target", "/etc", "torch"),
        install("--config-settings", "x"),
        install("-r", "/tmp/x"),
        install("../torch"),
        uninstall("torch; rm -rf ~"),
        uninstall("-r"),
        install("torch\nnumpy"),
        Remove(paths=("/venv/lib/python3.12/site-packages/torch",), **WORDS),
        Remove(paths=("/venv/lib/python3.12/site-packages/../~x",), **WORDS),
        Remove(paths=("/etc",), **WORDS),
        Run(argv=("rm", "-rf", "/venv/lib/python3.12/site-packages/~x"), **WORDS),
        Run(argv=("bash", "-c", "true"), **WORDS),
        Run(argv=("/tmp/python", "-m", "pip", "cache", "purge"), **WORDS),
        Run(argv=pip("install", "--target", "/etc", "torch"), **WORDS),
        Run(argv=("git", "-c", "core.pager=x", "log"), **WORDS),
        SetVariable(name="NAME", value="\x1b[2J", **WORDS),
        RunByHand(argv=("sudo", "\x1b[2J"), **WORDS),
    ],
)  # fmt: skip
def test_a_step_that_holds_something_else_is_refused(bad):
    facts = changed(RTX_4090, interpreter__site_packages="/venv/lib/python3.12/site-packages")
    assert step_safety.fault(bad, facts) is not None


def test_a_strange_name_in_the_facts_never_becomes_an_option():
    strange = changed(RTX_4090, packages__duplicates=("--target=/etc 1.0 and 2.0",))
    made, notes = drafts(strange, diagnose(strange, Goal.TRAIN).findings, Goal.TRAIN)
    assert not any(
        "--target=/etc" in word for draft in made for s in draft.steps for word in getattr(s, "requirements", ())
    )
    assert not any("--target" in draft.title for draft in made)
    assert not notes


def test_every_fix_that_is_known_is_sound():
    """On simulated machines of all kinds: what failure modes offer passes, so that nothing is left out by mistake."""
    machines = [
        f for f in (resources.files("attn_doctor.reproduction") / "machines").iterdir() if f.name.endswith(".json")
    ]
    seen = 0
    for machine in machines:
        facts = decode_facts(machine.read_bytes(), machine.name)
        for goal in Goal:
            for finding in diagnose(facts, goal).findings:
                for fix in finding.fixes:
                    for one in fix.steps:
                        seen += 1
                        assert step_safety.fault(one, facts) is None, (machine.name, finding.slug, one.argv)
    assert seen > 60


def test_the_distribution_of_conda_and_of_the_project_are_known():
    listed = (Distribution(name="numpy", version="2.2.6", location="/venv", installer="conda", files_missing=0),)
    facts = changed(pinned("torch>=2.8 ; python_version > '3.8'"), packages__distributions=listed)
    here = context(facts, "conda")
    assert (here.from_conda, here.declared) == (frozenset({"numpy"}), frozenset({"torch"}))


def test_a_build_from_the_main_branch_is_offered_where_no_release_compiles():
    """Its requirement has a name, so pip, uv and the plan know what it installs."""
    machine = next(folder for folder in MACHINES if folder.name == "rtx-4090-healthy-cu132")
    made = plan(read(machine)[0], Goal.FLASH_ATTN)
    main = next(way for way in made.ways if way.title == "Build from flash-attn's main branch")
    assert main.steps[-1].step.argv[-3:] == (
        "install",
        "--no-build-isolation",
        "flash-attn @ git+https://github.com/Dao-AILab/flash-attention.git",
    )
    assert any(name == "MAX_JOBS" for name in main.variables())


@pytest.mark.parametrize(
    ("titles", "told"),
    [
        (["A; B, then install flash-attn", "A, then install flash-attn", "C; B"], ("A", "B", "C")),
        (["Build flash-attn here"], ("Build flash-attn here",)),
    ],
)
def test_what_is_left_out_is_named_once(titles, told):
    assert _parts(titles) == told


def test_a_redacted_line_can_still_be_pasted_into_a_shell():
    step = commands.install("numpy<2", why="w", changes="c")
    step = msgspec.structs.replace(step, argv=("/home/somebody/.venv/bin/python", "-m", "pip", "install", "numpy<2"))
    own = Own(home="/home/somebody", user="somebody", host="box")
    (told,) = redact({"steps": [msgspec.to_builtins(build_planned(step, ()))]}, own)["steps"]
    assert told["shown"]["bash"] == '"<home>/.venv/bin/python" -m pip install "numpy<2"'
