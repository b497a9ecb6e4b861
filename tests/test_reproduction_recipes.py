"""Recipes as data: each says what it does, what shows that it happened, and simulated machines are judged as what they are."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from attn_doctor.failure_modes import ALL, find
from attn_doctor.failure_modes import recipe as of
from attn_doctor.failure_modes.page import page
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.findings import Diagnosis, Severity
from attn_doctor.model.report import decode_facts
from attn_doctor.reproduction.plan import ReproductionPlan, plan, simulated_machine
from attn_doctor.reproduction.reproduce import named, reproduce

WITH_RECIPE = [m for m in ALL if m.MODE.recipe is not None]
MACHINES = sorted(
    f.name.removesuffix(".json") for f in (resources.files("attn_doctor.reproduction") / "machines").iterdir()
)
SLUGS = [m.MODE.slug for m in WITH_RECIPE]
DOCUMENTED = (
    "numpy-abi cuda-home-unset nvcc-missing libtinfo5-unavailable abi-mismatch-torch-version abi-mismatch-cxx11 "
    "python-version-syntax environment-pollution wheel-download-failed wsl2-driver-stub"
).split()


def never() -> str:
    raise AssertionError("a simulated machine asks no Python")


@pytest.mark.parametrize("module", WITH_RECIPE, ids=SLUGS)
def test_a_recipe_runs_something_and_says_how_that_shows_or_is_a_simulated_machine(module):
    recipe = module.MODE.recipe
    assert recipe.does[0].islower()
    assert not recipe.does.endswith(".")
    if recipe.run:
        assert recipe.shows
        re.compile(recipe.shows)
    else:
        assert not recipe.of
        assert simulated_machine(module.MODE.slug) is not None


@pytest.mark.parametrize("module", WITH_RECIPE, ids=SLUGS)
def test_the_page_says_the_command(module):
    assert f"`attn-doctor reproduce {module.MODE.slug}`" in " ".join(page(module).sections["How to reproduce"])


def test_every_word_in_braces_is_one_that_is_filled_in():
    known = {"folder", "python", "site", "toolkit", "source", "nvcc", "torch", "gcc", "g++", "flash-attn"}
    for module in WITH_RECIPE:
        words = [word for command in module.MODE.recipe.run for word in command if "\n" not in word]
        words += [i.value for i in module.MODE.recipe.of if isinstance(i, of.Variable)]
        words += [i.path for i in module.MODE.recipe.of if isinstance(i, of.ReadOnly | of.SmallDisk | of.File)]
        found = {name for word in words if word for name in re.findall(r"\{([\w+-]+)\}", word)}
        assert found <= known, module.MODE.slug


def test_the_documented_failures_have_recipes():
    assert set(DOCUMENTED) <= set(SLUGS)


@pytest.mark.parametrize("slug", MACHINES)
def test_a_simulated_machine_is_judged_as_what_it_is(slug):
    mode = find(slug).MODE
    data = simulated_machine(slug)
    assert data is not None
    diagnosis = diagnose(decode_facts(data, slug), mode.recipe.goal)
    assert named(mode, diagnosis, of_log=False), [(f.slug, f.root_cause) for f in diagnosis.findings]
    met = next(f for f in diagnosis.findings if f.slug == slug)
    assert met.root_cause or met.severity is Severity.INFO


@pytest.mark.parametrize("slug", [s for s in SLUGS if not find(s).MODE.recipe.run])
def test_a_simulated_reproduction_says_that_it_is_one(slug):
    planned = plan(find(slug).MODE, never, {}, 1.0)
    assert planned.simulated
    assert not planned.needs_confirmation
    done = reproduce(planned)
    assert (done.reproduced, done.simulated, done.named, done.log) == (True, True, True, b"")


def test_a_note_beside_a_root_cause_is_not_the_name_of_a_failure():
    mode = find("torch-built-without-flash").MODE
    diagnosis = diagnose(decode_facts(simulated_machine(mode.slug), mode.slug), mode.recipe.goal)
    note = next(f for f in diagnosis.findings if f.slug == mode.slug)
    other = next(f for f in diagnosis.findings if f.root_cause)
    assert note.severity is Severity.INFO
    assert named(mode, Diagnosis(findings=(note,)), of_log=True)
    assert not named(mode, Diagnosis(findings=(other, note)), of_log=True)
    assert not named(find("numpy-abi").MODE, Diagnosis(findings=(other, note)), of_log=True)


def test_what_has_no_recipe_cannot_be_reproduced_and_says_where_to_read():
    mode = next(m.MODE for m in ALL if m.MODE.recipe is None)
    planned = plan(mode, never, {}, 1.0)
    assert isinstance(planned, ReproductionPlan)
    done = reproduce(planned)
    assert (done.reproduced, done.named) == (False, False)
    assert f"attn-doctor explain {mode.slug}" in done.why_not


SAID_IN_OTHER_WORDS = ("yolo12-weights-of-the-other-code", "ultralytics-older-than-weights")
SOURCE_MB, APT_MB = 10, 25  # of flash-attn's source, and of an Ubuntu package index


def test_the_pages_say_which_failures_can_be_made_to_happen():
    for module in ALL:
        said = f"attn-doctor reproduce {module.MODE.slug}`" in " ".join(page(module).sections["How to reproduce"])
        assert said is (module.MODE.recipe is not None), module.MODE.slug


@pytest.mark.parametrize("module", WITH_RECIPE, ids=SLUGS)
def test_the_page_says_what_is_not_real_and_how_much_is_downloaded(module):
    text, recipe = " ".join(page(module).sections["How to reproduce"]), module.MODE.recipe
    if module.MODE.slug not in SAID_IN_OTHER_WORDS:
        assert [words for words in recipe.stands_in if words not in text] == []
        assert ("Stand-in" in text) is bool(recipe.run and recipe.stands_in)
    downloads = recipe.downloads
    for part in recipe.of:
        if isinstance(part, of.Packages):
            downloads += part.megabytes
        downloads += SOURCE_MB * isinstance(part, of.Source) + APT_MB * isinstance(part, of.Apt)
    said = re.search(r"downloads (\d+) ?MB", text)
    assert abs((int(said[1]) if said else 0) - downloads) <= 1
