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

pytestmark = pytest.mark.heavy

COMMANDS = {
    "uv": "uv add --project {project} 'numpy<2'",
    "pdm": "pdm add --project {project} 'numpy<2'",
    "poetry": "poetry --directory {project} add 'numpy<2'",
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
        [word.strip("'") for word in COMMANDS[patient.tool].format(project=patient.project).split()]
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


@pytest.mark.parametrize("patient", TOOLS, indirect=True)
def test_the_project_is_found_from_another_folder(patient, tmp_path):
    """The environment says whose it is. Poetry's lies in a cache, and its name holds a hash of the folder."""
    elsewhere = patient.project / "src" if patient.tool == "poetry" else tmp_path / "elsewhere"
    elsewhere.mkdir()
    told = patient.doctor("fix", "--suggest", "--offline", "--json", "-", cwd=elsewhere)
    plan = json.loads(told.stdout)["plan"]
    assert plan["installer"] == patient.tool
    assert str(patient.project) in plan["ways"][0]["steps"][0]["step"]["argv"]
