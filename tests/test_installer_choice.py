"""The choice of an installer: whose environment it is, by files, and by a log alone."""

from __future__ import annotations

import base64
import hashlib
import io

import pytest
from installer_steps_here import HERE, INSTALL, TORCH
from little_steps import install
from whole_machines import RTX_4090, changed

from attn_doctor import commands
from attn_doctor.commands.installers import Context, chosen, context, in_order, kept_by_project
from attn_doctor.examination.inputs import log_reader
from attn_doctor.fixes import pins
from attn_doctor.logs.stated_facts import as_facts, stated_facts
from attn_doctor.model.facts import Facts, Interpreter, Pin, Project, Subject
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import bare
from attn_doctor.probes import environments

# --- whose environment it is


@pytest.mark.parametrize(
    ("change", "locks", "name"),
    [
        ({}, (), "pip"),
        ({"interpreter__installers": ("uv 0.9.0",)}, (), "uv"),
        ({"interpreter__installers": (), "interpreter__kind": "uv"}, (), "uv"),
        ({"interpreter__kind": "conda", "interpreter__installers": ("pip 25.3", "conda 25.9")}, (), "conda"),
        (
            {"interpreter__kind": "conda", "interpreter__installers": ("pip 25.3", "conda 25.9", "mamba 2.3")},
            (),
            "mamba",
        ),
        ({"interpreter__kind": "pixi"}, (), "pixi"),
        ({}, ("poetry.lock",), "poetry"),
        ({}, ("pdm.lock",), "pdm"),
        ({}, ("uv.lock",), "uv"),
        ({}, ("poetry.lock", "uv.lock"), "poetry"),
        ({"interpreter__kind": "uv"}, ("poetry.lock", "uv.lock"), "uv"),
        ({"interpreter__kind": "pipx"}, (), "pipx"),
    ],
)
def test_whose_environment_it_is(change, locks, name):
    facts = changed(RTX_4090, project__locks=locks, **change)
    assert chosen(facts)[0] == name
    assert chosen(facts, "uv") == ("uv", "asked for with --installer")


@pytest.mark.parametrize(
    ("lock", "prefix", "environ", "counts"),
    [
        ("poetry.lock", "{p}/.venv", {}, True),
        ("poetry.lock", "/home/me/.cache/pypoetry/virtualenvs/{poetry}-py3.11", {}, True),
        ("poetry.lock", "/home/me/.cache/pypoetry/virtualenvs/other-abcdefgh-py3.11", {}, False),
        ("uv.lock", "{p}/.venv", {}, True),
        ("uv.lock", "{p}/venv", {}, False),  # uv would work on another one
        ("uv.lock", "/envs/mine", {"UV_PROJECT_ENVIRONMENT": "/envs/mine"}, True),
        ("pdm.lock", "{p}/.venv", {}, True),
        ("pdm.lock", "/venvs/of-pdm", {}, True),  # .pdm-python names it
        ("pdm.lock", "/venvs/another", {}, False),
        ("pixi.lock", "{p}/.pixi/envs/default", {}, True),
        ("pixi.lock", "{p}/.venv", {}, False),
        ("uv.lock", "/opt/other", {}, False),
    ],
)
def test_a_lock_file_counts_for_the_environment_of_its_own_project(tmp_path, lock, prefix, environ, counts):
    project = tmp_path.resolve() / "it"
    project.mkdir()
    (project / lock).touch()
    (project / ".pdm-python").write_text("/venvs/of-pdm/bin/python")
    named = base64.urlsafe_b64encode(hashlib.sha256(str(project).encode()).digest()).decode()[:8]
    place = prefix.format(p=project, poetry=f"it-{named}")
    assert environments.owner(project, place, environ) == ((project, (lock,)) if counts else (None, ()))


def test_findings_and_plans_speak_to_the_same_installer():
    facts = changed(
        RTX_4090,
        project__locks=("uv.lock",),
        project__environment_of="/it",
        interpreter__kind="uv",
        interpreter__installers=(),
    )
    fix = commands.prepared(facts, Fix(title="", steps=(INSTALL,), verify=()))
    assert [step.argv for step in fix.steps] == [("uv", "add", "--project", "/it", "numpy<2")]


# --- facts from a log alone: nothing is known of paths


def stated(*installers: str, locks: tuple[str, ...] | None = None, **known) -> Facts:
    project = Project() if locks is None else Project(locks=locks)
    return Facts(
        grade="stated", interpreter=Interpreter(installers=installers, **known), project=project, subject=Subject()
    )


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (stated("pip"), ["python -m pip install numpy<2"]),
        (stated("uv"), ["uv pip install numpy<2"]),
        (stated("uv", locks=("uv.lock",)), ["uv add numpy<2"]),
        (stated("poetry", locks=("poetry.lock",)), ["poetry add numpy<2"]),
        (stated("pdm", locks=("pdm.lock",)), ["pdm add numpy<2"]),
        (stated("conda", kind="conda", prefix="/envs/x"), ["python -m pip install numpy<2"]),
        (stated("pip", kind="conda"), ["python -m pip install numpy<2"]),
        (stated("uv", kind="conda"), ["uv pip install numpy<2"]),
        (stated(), ["python -m pip install numpy<2"]),
    ],
)
def test_the_tool_that_a_log_states_is_spoken_to(facts, said):
    fix = commands.prepared(facts, Fix(title="", steps=(INSTALL,), verify=()))
    assert [" ".join(step.argv) for step in fix.steps] == said


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ("$ uv add flash-attn", "uv add numpy<2"),
        ("$ uv sync", "uv add numpy<2"),
        ("$ uv pip install flash-attn", "uv pip install numpy<2"),
        ("$ poetry add flash-attn", "poetry add numpy<2"),
        ("$ pdm add flash-attn", "pdm add numpy<2"),
        ("$ pip install flash-attn", "python -m pip install numpy<2"),
        ("(yolo) $ conda install pytorch", "python -m pip install numpy<2"),
    ],
)
def test_the_tool_that_was_typed_before_an_error_is_spoken_to(typed, command):
    """Of `uv sync` and `uv add` there is a lock file; of `uv pip` nobody knows one."""
    text = f"{typed}\nModuleNotFoundError: No module named 'torch'\n"
    log = log_reader().read(io.BytesIO(text.encode()), "log")
    facts = as_facts(stated_facts([log]), Facts(grade="stated")).facts
    fix = commands.prepared(facts, Fix(title="", steps=(INSTALL,), verify=()))
    assert [" ".join(step.argv) for step in fix.steps] == [command]


PINNED = {
    "interpreter__kind": "uv",
    "interpreter__installers": ("uv 0.9.0",),
    "interpreter__prefix": "/project/.venv",
    "interpreter__python": "/project/.venv/bin/python",
    "project__folder": "/project",
    "project__pins": (Pin(file="pyproject.toml", line=9, requirement="torch==2.5.1"),),
}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "uv add --project /project"),
        ({"project__locks": ()}, "uv add --project /project"),
        ({"interpreter__prefix": "/envs/other"}, "uv pip install"),  # another project's environment
        ({"project__pins": (Pin(file="requirements.txt", line=1, requirement="torch==2.5.1"),)}, "uv pip install"),
    ],
)
def test_a_package_that_pyproject_asks_for_is_changed_there(more, said):
    """`uv pip install` beside `torch==2.5.1` in pyproject.toml lasts until the next sync, and `uv add` syncs.

    So what `uv add torch` stands beside is added too, though pyproject.toml does not name it.
    """
    facts = changed(RTX_4090, **PINNED | more)
    torch, beside = commands.prepared(facts, Fix(title="t", steps=(TORCH, install("ninja")), verify=())).steps
    assert " ".join(torch.argv).startswith(said)
    assert " ".join(beside.argv).startswith(said)
    here = context(facts, "uv")
    against = pins.broken(facts, [(None, TORCH)], kept_by_project(here, TORCH))
    assert bool(against) is (said == "uv pip install")


def test_what_an_installer_says_of_a_step_stands_once():
    """The fix of a finding was rendered before its plan is."""
    here = Context(installer="conda", from_conda=frozenset({"numpy"}), **HERE)
    (once,) = in_order(here, [install("triton==2.2.0")])
    (twice,) = in_order(here, [bare(once)])
    assert twice.why == once.why
    assert once.why.count("conda did not install this") == 1
