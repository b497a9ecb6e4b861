"""Whole machines: recorded or simulated facts, each with what must be said of it, written by hand.

fixtures/machines/<name>/facts.json (partial facts are fine: what is not recorded is unknown), expect.toml, origin.toml. The
format is in fixtures/README.md.
"""

from __future__ import annotations

import contextlib
import json

import msgspec
import pytest
from plan_reading import fixed_twice
from recorded_machines import MACHINES, expected, read

from attn_doctor.failure_modes import ALL, find
from attn_doctor.failure_modes.mode import FromFacts, Unsure
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.judging.recommend import recommend
from attn_doctor.model.facts import Facts, Unknown, walk
from attn_doctor.model.findings import Goal, Severity
from attn_doctor.model.machine import implied_goal
from attn_doctor.model.steps import SetVariable

_BUILT = {"flash-attn-2", "flash-attn-3"}
_FLASH = {*_BUILT, "flash-attn-4"}
_GPU = {"sdpa-efficient", "sdpa-cudnn", "sdpa-flash-3", "sdpa-flash-4", "xformers", "flex"} | _FLASH
# Backends, by the word that stands for them in `blocks` of an expect.toml.
GROUPS = {
    "all": {"eager", "sdpa", "sdpa-math", "sdpa-flash", "compile"} | _GPU,
    "gpu": _GPU,  # sdpa-flash has a kernel for the CPU too
    "ampere": {"sdpa-flash", "sdpa-cudnn"} | _FLASH,  # kernels that need compute capability 8.0
    "mac": _GPU,
    "build": _BUILT,
    "flash-attn-2": {"flash-attn-2"},
}

CASES = [
    pytest.param(folder, goal, id=f"{folder.name}-{goal}")
    for folder in MACHINES
    for goal in expected(folder)
    if goal in ("train", "flash-attn")
]


@pytest.mark.parametrize(("folder", "goal"), CASES)
def test_exactly_what_is_expected(folder, goal):
    facts, trials, logs = read(folder)
    table = expected(folder)
    diagnosis = diagnose(facts, Goal(goal), logs=logs, trials=trials if trials.rows else None)
    wanted = table[goal]
    said = {f.slug for f in diagnosis.findings if f.severity is not Severity.INFO}
    assert not fixed_twice(diagnosis)
    assert said == set(wanted["findings"])
    roots = [f.slug for f in diagnosis.findings if f.root_cause]
    assert (roots[0] if roots else "") == wanted["root"]
    assert roots == wanted.get("roots", [wanted["root"]] if wanted["root"] else [])
    infos = {f.slug for f in diagnosis.findings if f.severity is Severity.INFO}
    assert set(wanted.get("info", [])) <= infos
    assert set(wanted.get("undetermined", [])) <= {u.slug for u in diagnosis.undetermined}
    assert not set(wanted.get("absent", [])) & (said | infos)
    assert not [u for u in diagnosis.undetermined if "please report" in u.why]
    advice = recommend(facts, diagnosis, trials)
    assert (advice.backend or "") == wanted["backend"]
    assert advice.install_flash_attn == wanted["install_flash_attn"]
    if "goal" in table:
        assert implied_goal(facts)[0].value == table["goal"]


@pytest.mark.parametrize(("folder", "goal"), CASES)
def test_each_finding_blocks_what_it_does_and_the_root_cause_has_its_cure(folder, goal):
    facts, trials, logs = read(folder)
    wanted = expected(folder)[goal]
    diagnosis = diagnose(facts, Goal(goal), logs=logs, trials=trials if trials.rows else None)
    said = [f for f in diagnosis.findings if f.severity is not Severity.INFO]
    assert {f.slug: set(f.blocks) for f in said if f.blocks} == {
        slug: GROUPS[group] for slug, group in wanted["blocks"].items()
    }
    assert {f.slug: f.message for f in diagnosis.findings if f.slug in wanted.get("says", ())} == wanted.get("says", {})
    ways = {f.slug: [fix.title for fix in f.fixes] for f in diagnosis.findings if f.slug in wanted.get("ways", ())}
    assert ways == wanted.get("ways", {})
    cures = next((f.fixes for f in said if f.root_cause), ())
    assert ([_shown(step, cures[0].title) for step in cures[0].steps] if cures else []) == wanted["fixes"]


def _shown(step, title) -> str:
    if isinstance(step, SetVariable):
        return f"unset {step.name}" if step.value is None else f"{step.name}={step.value}"
    return " ".join(step.argv) or title


@pytest.mark.parametrize("folder", MACHINES, ids=lambda f: f.name)
def test_not_knowing_a_fact_never_makes_a_finding(folder):
    """Each fact in turn turned into Unknown: a finding may go or become undetermined, none may come."""
    data = json.loads((folder / "facts.json").read_text())
    facts = msgspec.convert(data, Facts)
    before = _met(facts)
    for path in _leaves(data):
        came = _met(msgspec.convert(_without(data, path), Facts)) - before
        assert not came, f"without {'.'.join(map(str, path))}"


def _met(facts):
    """What is found, without the ways out, which take longer to work out."""
    found = set()
    for module in ALL:
        with contextlib.suppress(Unsure):
            if isinstance(module, FromFacts) and module.detect(facts) is not None:
                found.add(module.MODE.slug)
    return found


def _leaves(value, path=()):
    if isinstance(value, dict) and set(value) != {"unknown"}:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif path and path[0] not in ("schema_version", "grade", "sources", "probes") and _may_be_unknown(path):
        yield path


_UNKNOWABLE = {path for path, value in walk(Facts()) if isinstance(value, Unknown)}


def _may_be_unknown(path) -> bool:
    return ".".join(map(str, path)) in _UNKNOWABLE


def _without(data, path):
    copy = json.loads(json.dumps(data))
    place = copy
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = {"unknown": "for the test"}
    return copy


def test_expectations_name_failure_modes_that_exist():
    for folder in MACHINES:
        table = expected(folder)
        for goal in {"train", "flash-attn"} & set(table):
            wanted = table[goal]
            assert {"install_flash_attn", "blocks", "fixes"} <= set(wanted), f"{folder.name}, {goal}: a key is missing"
            assert set(wanted["blocks"]) <= set(wanted["findings"]), f"{folder.name}, {goal}: blocks"
            for key in ("findings", "info", "undetermined", "absent"):
                for slug in wanted.get(key, []):
                    find(slug)
        assert (folder / "origin.toml").exists(), f"{folder.name} does not say where it comes from"
