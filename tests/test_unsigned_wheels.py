"""A wheel that a stranger built: named last, fetched only for a builder whom the user trusts, proven, tried in a copy, imported without credentials."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import strangers
from internet import Internet
from little_plans import report
from patients import Patient
from snapshots import snapshot

from attn_doctor import commands
from attn_doctor.commands.installers import context
from attn_doctor.failure_modes.shared import wheel_fixes
from attn_doctor.fixes import finished_wheels, restore, unsigned, verify, workflow
from attn_doctor.fixes.plan import WORK, Draft, PlannedStep, Unsigned, Way
from attn_doctor.fixes.plan_builder import make, unsigned_in
from attn_doctor.fixes.target_paths import Cannot
from attn_doctor.fixes.throwaway_copy import Mirror
from attn_doctor.fixes.unsigned import Proving
from attn_doctor.fixes.verify import Trying
from attn_doctor.fixes.workflow import FixRequest, Suggested
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import Install
from attn_doctor.report import plan_outline
from attn_doctor.wheels.proof import MEANING

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("gcc") is None or shutil.which("openssl") is None,
    reason="the machines of the patients are Linux",
)
WHEEL = strangers.listed()
BUILDER = "mjun0812"
INFO = "flash_attn-2.8.3.dist-info"


@pytest.fixture(scope="module")
def net():
    with Internet() as made:
        yield made


def request_of(patient: Patient, *trusted: str) -> FixRequest:
    return FixRequest(
        environ=patient.whole_environ(),
        root=patient.environ["ATTN_DOCTOR_ROOT"],
        target=str(patient.python),
        goal=Goal.FLASH_ATTN,
        gpu="8.9",
        offline=True,
        timeout=60.0,
        trusted=trusted,
    )


class Asked(NamedTuple):
    """A patient that is only read, the plan for it, and the way with the stranger's wheel."""

    patient: Patient
    suggested: Suggested
    way: Way


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> Asked:
    patient = strangers.patient(tmp_path_factory.mktemp("read") / "p")
    suggested = workflow.suggest(request_of(patient), lambda _: None)
    (way,) = [way for way in suggested.plan.ways if way.unsigned]
    return Asked(patient, suggested, way)


@pytest.fixture
def proving(asked, net, monkeypatch, tmp_path) -> Proving:
    """What a proof in this process needs; the quarantine is empty."""
    for name, value in net.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    net.pages.clear()
    net.asked.clear()
    here = context(asked.suggested.facts, "pip")
    places = asked.suggested.places
    assert places is not None
    return Proving(asked.suggested.facts, places, here, asked.patient.whole_environ(), 60.0, lambda _: None, (BUILDER,))


# -- before anything is fetched


def test_the_file_is_named_after_another_way(asked):
    ways, way = asked.suggested.plan.ways, asked.way
    assert ways[0] is not way
    assert way.unsigned == Unsigned(builder=BUILDER, url=WHEEL.url)
    steps = [one.step for one in way.steps]
    assert [step.requirements for step in steps if isinstance(step, Install)] == [("einops",), (WHEEL.url,)]
    assert (steps[-1].no_deps, steps[-1].built_by) == (True, BUILDER)
    assert way.steps[-1].unresolved == f"nothing is fetched from {BUILDER} before you allow it"


def test_the_screen_says_what_a_proof_is_and_how_to_allow_it(asked):
    said = "\n".join(map(str, plan_outline.plan(asked.suggested.plan, "bash")))
    assert (
        f"{BUILDER} built this wheel and nobody signed it. A proof says that the file fits, never that it is harmless."
        in said
    )
    assert (
        f"attn-doctor fix --apply --goal flash-attn --way {asked.way.name} --allow-unsigned {BUILDER} --target {asked.patient.python} --gpu 8.9"
        in said
    )


@pytest.mark.parametrize(
    ("trusted", "why"),
    [
        ((), f"that {BUILDER} built and nobody signed: only --allow-unsigned {BUILDER} allows it, --yes does not"),
        (
            ("somebody",),
            f"nobody signed, and --allow-unsigned names somebody: only --allow-unsigned {BUILDER} allows it",
        ),
        (("somebody", BUILDER.upper()), None),
    ],
)
def test_whom_the_user_trusts(asked, proving, net, trusted, why):
    request = request_of(asked.patient, *trusted)
    if why is None:
        workflow.check_applicable(request, asked.suggested, asked.way)
        return
    with pytest.raises(Cannot, match=re.escape(why)):
        workflow.check_applicable(request, asked.suggested, asked.way)
    _, against = unsigned.proven(asked.way, proving._replace(trusted=trusted))
    assert against.startswith(f"not tried: way {asked.way.name} installs a wheel")
    assert net.asked == []


def test_a_way_is_made_only_where_the_authors_have_no_wheel(asked):
    facts = asked.suggested.facts
    older = msgspec.structs.replace(facts.torch, version="2.8.0+cu128", cuda="12.8")
    assert wheel_fixes.fitting(msgspec.structs.replace(facts, torch=older)) is not None
    made = [Draft(title="", intent=WORK, goal=Goal.FLASH_ATTN, cures=(), steps=(), verify=())]
    assert finished_wheels.with_others(msgspec.structs.replace(facts, torch=older), [], made) == made
    build = msgspec.structs.replace(made[0], steps=(commands.install("flash-attn", why="", changes=""),))
    strange = finished_wheels.with_others(facts, [], [*made, build])
    assert [unsigned_in(draft.steps) is not None for draft in strange] == [False, True, False]
    assert [unsigned_in(draft.steps) is not None for draft in finished_wheels.with_others(facts, [], [build])] == [
        False,
        True,
    ]
    assert [unsigned_in(draft.steps) is not None for draft in finished_wheels.with_others(facts, [], [])] == [True]


def test_two_wheels_of_strangers_in_one_way_are_not_tried(asked, proving, net):
    other = commands.install(
        "https://h/flash_attn_3-3.0.0-cp39-abi3-linux_x86_64.whl", why="", changes="", built_by="x"
    )
    way = msgspec.structs.replace(asked.way, steps=(*asked.way.steps, PlannedStep(step=other)))
    assert unsigned.proven(way, proving) == (way, "not tried: it installs more than one wheel that nobody signed")
    assert net.asked == []


def test_the_files_of_a_project_do_not_name_it(asked):
    facts = asked.suggested.facts
    project = msgspec.structs.replace(facts.project, locks=("uv.lock",), folder="/project", environment_of="/project")
    facts = msgspec.structs.replace(facts, project=project)
    plan = make(facts, asked.suggested.findings, Goal.FLASH_ATTN)
    (way,) = [way for way in plan.ways if way.unsigned]
    assert plan.installer == "uv"
    assert ["add" in one.step.argv for one in way.steps] == [False, False]
    assert "The file is not written into the project: a later run of uv may remove it." in way.notes


def test_the_next_steps_of_another_way_are_never_a_strangers(asked, monkeypatch):
    """Nobody has proven the file that they name."""
    trying = Trying(asked.suggested.places, Goal.FLASH_ATTN, context(asked.suggested.facts, "pip"), 1.0, print, {})
    mirror = Mirror(python="/copy/bin/python", prefix="/copy", scripts="/copy/bin", moved=())
    for built_by, expected in ((BUILDER, []), (None, [("x.whl",)])):
        step = commands.install("x.whl", why="", changes="", built_by=built_by)
        draft = Draft(title="", intent=WORK, goal=Goal.FLASH_ATTN, cures=(), steps=(step,), verify=())
        monkeypatch.setattr(verify, "drafts", lambda *_, draft=draft: ((draft,), ()))
        found = verify._further(asked.way, report(), mirror, trying)
        assert [one.step.requirements for one in found] == expected


# -- its digest


def test_the_file_is_compared_with_its_digest_at_each_use(asked, proving, net):
    good = strangers.wheel()
    net.pages[WHEEL.url] = good
    way, against = unsigned.proven(asked.way, proving)
    assert (against, unsigned.altered(way)) == (None, None)
    kept = Path(way.unsigned.file)
    assert [one.step.requirements for one in way.steps] == [("einops",), (str(kept),)]
    assert way.steps[-1].step.argv[-1] == str(kept)
    assert "--no-deps" in way.steps[-1].step.argv
    shown = "\n".join(map(str, plan_outline.plan(plan_outline.with_way(asked.suggested.plan, way), "bash")))
    assert MEANING in shown
    assert f"the file was fetched from {WHEEL.url}; its SHA-256 is {hashlib.sha256(good).hexdigest()}" in shown
    assert unsigned.proven(asked.way, proving)[1] is None
    assert net.asked == [WHEEL.url]  # the kept file serves again

    kept.write_bytes(good + b"changed")
    assert (
        f"{kept} is not the file that was proven: its SHA-256 was {hashlib.sha256(good).hexdigest()}"
        in unsigned.altered(way)
    )
    assert unsigned.proven(asked.way, proving)[1] is None
    assert (net.asked, kept.read_bytes()) == ([WHEEL.url] * 2, good)
    kept.unlink()
    assert "and is not readable" in unsigned.altered(way)
    assert "was not proven" in unsigned.altered(asked.way)

    net.pages[WHEEL.url] = strangers.wheel({"flash_attn/more.py": b""})
    refused, against = unsigned.proven(asked.way, proving)
    assert "its address gave another file before: SHA-256 " + hashlib.sha256(good).hexdigest() in against
    assert refused.steps == asked.way.steps


def test_the_journal_of_an_environment_remembers_it_too(asked, proving, net):
    """Whoever empties the cache folder does not get another file into the environment."""
    net.pages[WHEEL.url] = strangers.wheel()
    folder = asked.suggested.places.home / "undo" / "20261129T200000Z"
    folder.mkdir(parents=True)
    restore.write_event(str(folder), at="wheel", url=WHEEL.url, sha256="ab")
    try:
        _, against = unsigned.proven(asked.way, proving)
    finally:
        shutil.rmtree(asked.suggested.places.home)
    assert "an earlier plan installed another file from its address: SHA-256 ab, now " in against
    assert unsigned.proven(asked.way, proving)[1] is None


def test_a_file_that_changed_after_the_proof_is_not_installed(asked, proving, net):
    net.pages[WHEEL.url] = strangers.wheel()
    way, _ = unsigned.proven(asked.way, proving)
    Path(way.unsigned.file).write_bytes(b"other")
    before = snapshot(asked.patient.prefix)
    done = workflow.carry_out(request_of(asked.patient, BUILDER), asked.suggested, way, lambda _: None)
    assert (done.outcome, "is not the file that was proven" in done.summary) == ("rolled back", True)
    assert snapshot(asked.patient.prefix) == before


# -- planted ones: each is refused with the proof, and nothing of it was installed


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"asks": ("_ZN3c1010not_a_nameEv",)}, "c10::not_a_name()"),
        ({"files": {"evil.pth": b"import os"}}, "it brings code that runs whenever Python starts: evil.pth"),
        ({"tag": "cp39-cp39"}, f"its name says {strangers.TAG}-{strangers.TAG}, its WHEEL cp39-cp39"),
        ({"files": {"numpy/__init__.py": b""}}, "it would replace files of other packages: numpy/__init__.py"),
        ({"files": {"flash_attn-2.8.3.data/scripts/python": b""}}, "it would replace files of other packages: python"),
        ({"files": {"../evil.py": b""}}, "members leave the folder of the archive, or are links: ../evil.py"),
        (
            {"files": {f"{INFO}/entry_points.txt": b"[console_scripts]\npython = flash_attn:main\n"}},
            "it would replace files of other packages: python",
        ),
        (
            {"files": {"flash_attn-2.8.3.data/data/bin/python": b""}},
            "it would replace files of other packages: bin/python",
        ),
        (
            {"files": {f"flash_attn-2.8.3.data/data/lib/python{strangers.PYTHON}/site-packages/evil.pth": b""}},
            "it brings code that runs whenever Python starts: ",
        ),
        (
            {"files": {"sitecustomize/__init__.py": b""}},
            "it brings code that runs whenever Python starts: sitecustomize/__init__.py",
        ),
        ({"platform": "win_amd64"}, "its name says "),
        (
            {"altered": "flash_attn/__init__.py"},
            "its RECORD gives another digest or size for flash_attn/__init__.py: changed after it was built",
        ),
        (
            {"files": {"numpy-9.9.dist-info/METADATA": b"Name: numpy\nVersion: 9.9\n"}},
            "it has more than one .dist-info folder: ",
        ),
    ],
    ids=[
        "missing symbol",
        "pth",
        "wrong abi in its name",
        "over numpy",
        "over python",
        "outside",
        "entry point over python",
        "data over python",
        "pth as data",
        "sitecustomize package",
        "wrong platform",
        "altered",
        "second metadata",
    ],
)
def test_a_planted_file_is_refused_with_the_proof(asked, proving, net, content, why):
    net.pages[WHEEL.url] = strangers.wheel(**content)
    way, against = unsigned.proven(asked.way, proving)
    assert against.startswith("refused before anything of it was installed: ")
    assert why in against
    proof = way.unsigned.proof
    assert proof.verdict == "refused"
    assert any(why in reason for reason in proof.against)
    assert way.steps == asked.way.steps


@pytest.mark.parametrize(
    ("files", "notice"),
    [
        ({f"{INFO}/entry_points.txt": b"[torch.backends]\nx = flash_attn:go\n"}, "it registers code that other programs run by themselves: torch.backends: x = flash_attn:go"),
        ({f"{INFO}/entry_points.txt": b"[console_scripts]\nls = flash_attn:main\n"}, "its programs have the names of others on your PATH, and may hide them: "),
        ({"flash_attn-2.8.3.data/scripts/flash-bench": b"#!python"}, "it installs programs: flash_attn-2.8.3.data/scripts/flash-bench"),
        ({"flash_attn-2.8.3.data/data/etc/flash.conf": b""}, "it puts files outside of site-packages: flash_attn-2.8.3.data/data/etc/flash.conf"),
        ({"numpy/more.py": b""}, "it puts files into the folders of installed packages: numpy/more.py"),
        ({"hopper/__init__.py": b""}, "it installs more than its own package: hopper"),
    ],
    ids=["hook of torch", "program of another name", "script", "data", "among numpy", "more packages"],
)  # fmt: skip
def test_what_a_wheel_brings_beside_its_package_is_listed(asked, proving, net, files, notice):
    net.pages[WHEEL.url] = strangers.wheel(files)
    way, against = unsigned.proven(asked.way, proving)
    assert against is None
    assert [text for text in way.unsigned.proof.notices if text.startswith(notice)]


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (None, "it answered 404 Not Found"),
        ("http://127.0.0.1:9/x.whl", "refused"),
        (b"no archive", "is no readable wheel"),
    ],
)
def test_what_cannot_be_fetched_or_read(asked, proving, net, page, why):
    if page is not None:
        net.pages[WHEEL.url] = page
    _, against = unsigned.proven(asked.way, proving)
    assert against.startswith("refused before anything of it was installed: ")
    assert why in against
