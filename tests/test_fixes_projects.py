"""Plans in real projects of uv, PDM and Poetry: the lock file keeps the cure, and undoing brings lock and environment back.

The tools are taken from PATH. PDM 2.29 needs hishel<2 beside it. conda, mamba and pixi are tested as text alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from project_patients import SYNC, TOOLS, ProjectPatient, index
from snapshots import snapshot

from attn_doctor import commands
from attn_doctor.commands.installers import Context, in_order
from attn_doctor.model.steps import Step

pytestmark = pytest.mark.heavy

COMMANDS = {
    "uv": 'uv add --project {project} "numpy<2"',
    "pdm": 'pdm add --project {project} "numpy<2"',
    "poetry": 'poetry --directory {project} add "numpy<2"',
}


@pytest.fixture
def patient(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ProjectPatient]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed here")
    with index(tmp_path / "index") as url:
        yield ProjectPatient(request.param, tmp_path, url)


@pytest.mark.parametrize("patient", TOOLS, indirect=True)
def test_the_lock_keeps_the_cure_and_undoing_brings_everything_back(patient):
    assert not patient.well()
    environment, books = snapshot(patient.prefix), patient.books()

    suggested = patient.doctor("fix", "--suggest", "--verify", "--json", "-")
    plan = json.loads(suggested.stdout)["plan"]
    way = plan["ways"][0]
    assert way["attempt"]["verified"] is True, way["attempt"]
    assert plan["installer"] == patient.tool
    assert [step["step"]["argv"] for step in way["steps"]] == [
        [word.strip('"') for word in COMMANDS[patient.tool].format(project=patient.project).split()]
    ]
    assert (snapshot(patient.prefix), patient.books()) == (environment, books)  # trying it leaves no trace

    applied = patient.doctor("fix", "--apply", "--yes", "--json", "-")
    assert json.loads(applied.stdout)["applied"]["outcome"] == "applied", applied.stdout + applied.stderr
    assert patient.well()
    assert 'name = "numpy"\nversion = "1.26.4"' in patient.lock()
    patient.run(*SYNC[patient.tool])
    assert patient.well()  # what the tool makes of its lock file is the cure

    undone = patient.doctor("fix", "--undo", "--yes")
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert patient.books() == books
    assert snapshot(patient.prefix) == environment
    assert not patient.well()


WORDS = {"why": "why", "changes": "something"}


def installed(patient: ProjectPatient, name: str) -> str | None:
    code = f"import importlib.metadata as m; print(*[d.version for d in m.distributions() if d.name == {name!r}])"
    return patient.run(str(patient.python), "-c", code).strip() or None


def carry_out(patient: ProjectPatient, *steps: Step) -> list[str]:
    """Run the commands for these steps as a user would, in the folder of the project; returns the programs."""
    here = Context(
        installer=patient.tool,
        python=str(patient.python),
        prefix=str(patient.prefix),
        folder=str(patient.project),
        locks=(f"{patient.tool}.lock",),
        declared=frozenset({"torch", "numpy"}),
        has_pip=patient.tool == "poetry",
        has_uv=True,
    )
    made = in_order(here, steps)
    for step in made:
        patient.run(*step.argv)
    return [" ".join(step.argv[:2]) for step in made]


@pytest.mark.parametrize("patient", TOOLS, indirect=True)
def test_every_kind_of_command_runs(patient):
    cuda = commands.install("torch==2.2.2", index_url=patient.url.replace("/simple", "/cu121"), **WORDS)
    carry_out(patient, cuda)
    assert installed(patient, "torch") == "2.2.2+cu121"
    assert "2.2.2+cu121" in patient.lock()
    patient.run(*SYNC[patient.tool])
    assert installed(patient, "torch") == "2.2.2+cu121"  # the lock keeps the index

    carry_out(patient, commands.install("numpy<2", **WORDS))
    (patient.site() / "numpy" / "__init__.py").unlink()
    carry_out(patient, *commands.reinstall("numpy==1.26.4", **WORDS))
    assert patient.well()

    carry_out(patient, commands.install("timm", upgrade=True, **WORDS))
    assert installed(patient, "timm") == "99.0"
    build = commands.install("flash-attn", no_build_isolation=True, **WORDS)
    carry_out(patient, commands.install("setuptools", "wheel", **WORDS), build)
    assert installed(patient, "flash-attn") == "2.8.3"  # its setup.py imports torch
    assert ("flash-attn" in patient.lock()) == (patient.tool != "poetry")
    carry_out(patient, commands.uninstall("flash-attn", why="why"))
    assert installed(patient, "flash-attn") is None


@pytest.mark.parametrize("patient", TOOLS, indirect=True)
def test_the_project_is_found_from_another_folder(patient, tmp_path):
    """The environment says whose it is. Poetry's lies in a cache, and its name holds a hash of the folder."""
    elsewhere = patient.project / "src" if patient.tool == "poetry" else tmp_path / "elsewhere"
    elsewhere.mkdir()
    told = patient.doctor("fix", "--suggest", "--offline", "--json", "-", cwd=elsewhere)
    plan = json.loads(told.stdout)["plan"]
    assert plan["installer"] == patient.tool
    assert str(patient.project) in plan["ways"][0]["steps"][0]["step"]["argv"]
