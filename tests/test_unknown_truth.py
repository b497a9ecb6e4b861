"""A fact that is not known is neither true nor false: no rule, cure or sentence may take it for one or the other."""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from recorded_logs import reader
from recorded_machines import MACHINES, read
from whole_machines import RTX_4090, changed, with_flash_attn

import attn_doctor
from attn_doctor import commands
from attn_doctor.commands import installers
from attn_doctor.failure_modes import ALL, find
from attn_doctor.failure_modes.mode import FromFacts, Hit, Unsure
from attn_doctor.fixes.alternatives import drafts
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.judging.recommend import recommend
from attn_doctor.model.facts import Facts, Record, System, Toolkit, Unknown
from attn_doctor.model.findings import Goal
from attn_doctor.model.machine import implied_goal
from attn_doctor.model.trials import Trials
from attn_doctor.report import machine_summary
from attn_doctor.report.outline import problems
from attn_doctor.wheels.answer import Wanted, answer

UNKNOWN = Unknown("for the test")
SKIPPED = Trials(skipped="for the test")
RICH = changed(
    with_flash_attn(RTX_4090, "2.8.3", error="ImportError: undefined symbol: _ZN3c104cuda9SetDeviceEa"),
    toolchain__toolkits=(Toolkit(root="/usr/local/cuda", found_by=("PATH",), nvcc="/usr/local/cuda/bin/nvcc"),),
)


@pytest.mark.parametrize(
    "use",
    [
        bool,
        lambda fact: not fact,
        lambda fact: fact and "yes",
        lambda fact: fact or "no",
        lambda fact: "yes" if fact else "no",
        lambda fact: [item for item in (1,) if fact],
        lambda fact: any([fact]),
    ],
)
def test_asking_whether_an_unknown_is_true_is_an_error_that_says_what_to_ask(use):
    with pytest.raises(TypeError, match=r"\(for the test\) is neither true nor false: ask known"):
        use(UNKNOWN)


def _forgetting(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """The same record over and over, each time with one thing in it unknown, however deep it lies."""
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            for inner, new in _forgetting(item, f"{path}.{index}"):
                yield inner, (*value[:index], new, *value[index + 1 :])
    if not isinstance(value, Record):
        return
    for field in msgspec.structs.fields(type(value)):
        held, here = getattr(value, field.name), f"{path}.{field.name}".lstrip(".")
        if isinstance(held, Unknown):
            continue
        if "Unknown" in str(field.type):
            yield here, msgspec.structs.replace(value, **{field.name: UNKNOWN})
        for inner, new in _forgetting(held, here):
            yield inner, msgspec.structs.replace(value, **{field.name: new})


def _asked(facts: Facts) -> Iterator[object]:
    """Everything that is asked of facts, short of what a rule needs to know."""
    for module in ALL:
        for question in (
            *([module.detect] if isinstance(module, FromFacts) else []),
            lambda facts, module=module: module.fixes(facts, Hit(message="", evidence=())),
            getattr(module, "usual", lambda _: ()),
        ):
            try:
                yield question(facts)
            except Unsure:
                continue


def _answered(facts: Facts, logs: tuple = ()) -> Iterator[object]:
    """What is made of an answer: plan, advice, and everything that is shown."""
    diagnosis = diagnose(facts, Goal.FLASH_ATTN, logs=logs)
    assert [u for u in diagnosis.undetermined if "the rule itself failed" in u.why] == []
    yield diagnosis
    yield problems(diagnosis.findings, facts)
    yield drafts(facts, diagnosis.findings, Goal.FLASH_ATTN)
    yield recommend(facts, diagnosis, SKIPPED)
    yield implied_goal(facts)
    yield machine_summary.at_a_glance(facts)
    yield installers.own(facts), commands.shell_of(facts)


def test_every_failure_mode_has_its_say_of_a_machine_of_which_nothing_is_known():
    said = repr([*_asked(Facts()), *_answered(Facts())])
    assert "Unknown(unknown=" not in said  # an f-string that shows the object


def test_wheels_of_a_machine_of_which_nothing_is_known():
    assert answer(Wanted(), Facts()).candidates


WINDOWS = "windows-11-gtx-1660-cpu-torch"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        # Each takes every second fact of a machine: together they take nearly every one that there is.
        ("rich", slice(0, None, 2)),
        (WINDOWS, slice(1, None, 2)),
        *(pytest.param(name, slice(None), marks=pytest.mark.heavy) for name in ("rich", *(f.name for f in MACHINES))),
    ],
)
def test_any_fact_of_a_machine_may_be_unknown(name, part):
    facts, logs = (RICH, ()) if name == "rich" else _machine(name)
    each = list(_forgetting(facts))
    assert len(each) > 60
    for path, forgotten in each[part]:
        assert isinstance(forgotten, Facts)
        said = repr([*_asked(forgotten), *_answered(forgotten, logs)])
        assert "Unknown(unknown=" not in said, path


def _machine(name: str) -> tuple[Facts, tuple]:
    folder = next(f for f in MACHINES if f.name == name)
    facts, _, logs = read(folder)
    return facts, logs


# -- the cure, where the machine is not known or half known


def _log(text: str) -> tuple:
    return (reader().read(io.BytesIO(text.encode()), "log"),)


LOGS = {
    "driver-library-mismatch": "Failed to initialize NVML: Driver/library version mismatch\n",
    "cuda-init-error": "RuntimeError: CUDA unknown error - this may be due to an incorrectly set up environment\n",
    "nvcc-missing": "/bin/sh: 1: nvcc: not found\n",
    "driver-too-old": "RuntimeError: The NVIDIA driver on your system is too old (found version 11040).\n",
}
OF_CONTAINERS = ("image", "container")


def _cure(slug: str, system: System | None) -> str:
    facts = Facts() if system is None else Facts(system=system)
    found = [f for f in diagnose(facts, Goal.FLASH_ATTN, logs=_log(LOGS[slug])).findings if f.slug == slug]
    fixes = found[0].fixes
    assert fixes
    return " ".join([f.title for f in fixes] + [s.why for f in fixes for s in f.steps]).lower()


@pytest.mark.parametrize("system", [None, System(), System(os="linux"), System(os="linux", container=None, wsl=None)])
@pytest.mark.parametrize("slug", ["driver-library-mismatch", "cuda-init-error", "nvcc-missing"])
def test_nobody_is_told_to_change_an_image_who_is_not_known_to_have_one(slug, system):
    cure = _cure(slug, system)
    assert not any(word in cure for word in OF_CONTAINERS)


@pytest.mark.parametrize("slug", ["driver-library-mismatch", "cuda-init-error", "nvcc-missing"])
def test_in_a_container_the_cure_is_of_containers(slug):
    assert any(word in _cure(slug, System(os="linux", container="docker", wsl=None)) for word in OF_CONTAINERS)


def test_the_driver_is_that_of_windows_only_where_windows_is_known():
    assert "windows driver" in _cure("cuda-init-error", System(os="windows"))
    assert "windows driver" in _cure("cuda-init-error", System(os="linux", wsl=2, container=None))
    assert "nvidia-uvm" in _cure("cuda-init-error", System(os="linux", wsl=None, container=None))
    assert "in windows: http" in _cure("driver-too-old", System(os="windows"))
    assert "under wsl, in windows" in _cure("driver-too-old", None)
    assert "windows" not in _cure("driver-too-old", System(os="linux", wsl=None))


@pytest.mark.parametrize("slug", ["cuda-init-error", "driver-library-mismatch"])
def test_whether_this_is_wsl_decides_and_is_missed_where_it_is_not_known(slug):
    ailing = {
        "cuda-init-error": {"torch__available": False, "graphics__cuda_error": "999 unknown error"},
        "driver-library-mismatch": {"torch__available": False, "graphics__nvml_code": 18, "graphics__nvml_error": "18"},
    }[slug]
    here = changed(RTX_4090, **ailing)
    detect = find(slug).detect
    assert detect(here) is not None
    assert detect(changed(here, system__wsl=2)) is None
    with pytest.raises(Unsure):
        detect(changed(here, system__wsl=UNKNOWN))


# -- code that no machine of the tests comes to

SECTIONS = {
    field.name: {f.name for f in msgspec.structs.fields(field.type) if "Unknown" in str(f.type)}
    for field in msgspec.structs.fields(Facts)
    if isinstance(field.type, type) and issubclass(field.type, Record)
}
# These run in a Python of their own, where `torch` is torch.
FOREIGN = ("target", "changes", "exchange", "prescription")


def _in_boolean_place(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
            yield node.test
        elif isinstance(node, ast.BoolOp):
            yield from node.values
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node.operand
        elif isinstance(node, ast.comprehension):
            yield from node.ifs
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "bool":
            yield from node.args


def _facts_for_truth(source: str) -> list[str]:
    """Facts in the place of a truth value, where their function does not tell Unknown apart first."""
    found = set()
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for scope in [*functions, ast.Module([n for n in tree.body if not isinstance(n, ast.FunctionDef)], [])]:
        text = ast.unparse(scope)
        for place in _in_boolean_place(scope):
            if not isinstance(place, ast.Attribute):
                continue
            owner = place.value.attr if isinstance(place.value, ast.Attribute) else getattr(place.value, "id", "")
            named = ast.unparse(place)
            told_apart = f"isinstance({named}," in text or f"{named} in (True, False)" in text
            if place.attr in SECTIONS.get(owner, ()) and not told_apart:
                found.add((place.lineno, named))
    return [f"{line}: {named}" for line, named in sorted(found)]


def test_no_line_of_code_takes_a_fact_for_a_truth_value():
    root = Path(attn_doctor.__file__).parent
    found = {
        str(path.relative_to(root)): lines
        for path in sorted(root.rglob("*.py"))
        if path.relative_to(root).parts[0] not in FOREIGN and (lines := _facts_for_truth(path.read_text("utf-8")))
    }
    assert found == {}


def test_the_search_for_such_lines_finds_them():
    source = "if facts.system.container: pass\nx = system.wsl or 2\ndef f():\n  return [1 for _ in y if not torch.version]\nif a.b: 1"
    assert _facts_for_truth(source) == ["1: facts.system.container", "2: system.wsl", "4: torch.version"]
    assert _facts_for_truth("def f():\n  return isinstance(torch.version, str) and torch.version") == []
