"""The environment that a log shows, and the command that reaches it from that person's prompt. Expectations by hand."""

from __future__ import annotations

import msgspec
import pytest
from environment_logs import BUILD, ENVIRONMENTS, MAMBA, PIP, STEP, at, facts_of, first_lines

from attn_doctor import commands
from attn_doctor.commands import system_tools
from attn_doctor.commands.environment_tools import Context
from attn_doctor.commands.installers import in_order
from attn_doctor.failure_modes.shared import package_cures
from attn_doctor.model.findings import Fix


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_first_command_reaches_the_environment_of_the_log(name):
    text, said = ENVIRONMENTS[name]
    assert first_lines(text) == said


# Folders of tools that build, and the tool's own environment: nobody works in them.
@pytest.mark.parametrize(
    "folder",
    [
        "/home/me/.local/share/pypoetry/venv/lib/python3.10/site-packages",
        "/tmp/tmpab12/.venv/lib/python3.10/site-packages",
        "/tmp/pip-build-env-ab12/overlay/lib/python3.10/site-packages",
        "/root/.cache/uv/builds-v0/.tmpab/lib/python3.10/site-packages",
    ],
)
def test_a_folder_of_a_tool_is_no_environment(folder):
    assert first_lines(f'  File "{folder}/setuptools/build_meta.py", line 3, in f\n{BUILD}')[0] in {
        'python -m pip install --no-deps "ninja<2"',
        'python3 -m pip install --no-deps "ninja<2"',
        'uv pip install --no-deps "ninja<2"',
        'poetry run python -m pip install --no-deps "ninja<2"',
    }


# How people fill in a form: none of these is a line of a tool.
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Operating System / 操作系统：Ubuntu20.04", ("ubuntu", "20.04")),
        ("- **OS:** Debian 12", ("debian", "12")),
        ("OS Platform and Distribution (e.g., Linux Ubuntu 16.04): Ubuntu 24.04.1", ("ubuntu", "24.04")),
        ("| OS | Ubuntu 22.04 |", ("ubuntu", "22.04")),
        ("Host OS: Fedora 41", ("fedora", "41")),
        ("ОС: Ubuntu 22.04", ("ubuntu", "22.04")),
        ("운영체제: Ubuntu 24.04", ("ubuntu", "24.04")),
        ("Sistema operativo: Debian 12", ("debian", "12")),
        ("Environment: ubuntu 22.04, CUDA 12.4", ("ubuntu", "22.04")),
        ("- OS: [e.g. Ubuntu 16.04]", None),
        ("The system: Ubuntu 22.04 is what our image has", None),
    ],
)
def test_a_form_says_the_distribution(line, said):
    system = facts_of(f"{line}\n{BUILD}").system
    assert said == (
        None if not isinstance(system.distribution, str) else (system.distribution, system.distribution_version)
    )


def test_a_log_does_not_say_what_conda_installed():
    facts = facts_of("(seg) me@box:~$ python t.py\n" + at("/home/me/miniconda3/envs/seg/lib/python3.10/site-packages"))
    (step,) = commands.prepared(facts, Fix(title="t", steps=(STEP,), verify=())).steps
    assert (
        step.why
        == "why; whether conda installed this is not known; the environment's own pip replaces it in both cases"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a frame alone", "attn-doctor check --target /home/me/p/venv/bin/python"),
        ("uv, a project", "attn-doctor check --target /home/me/p/.venv/bin/python"),
        ("Poetry, a frame alone", "poetry run attn-doctor check"),
        ("conda run was typed", "conda run -n seg attn-doctor check"),
        ("micromamba, Windows", f"micromamba run --prefix {MAMBA} attn-doctor check"),
        ("python3.11 was typed", "attn-doctor check --target python3.11"),
    ],
)
def test_the_verification_examines_that_environment(name, said):
    assert " ".join(commands.check(facts_of(ENVIRONMENTS[name][0]))) == f"{said} --no-trial"


def test_a_notebook_keeps_the_torch_that_it_brings():
    there = facts_of(f'  File "/content/x.py", line 1\n!pip install flash-attn\n{PIP}')
    gone = msgspec.structs.replace(there, torch=msgspec.structs.replace(there.torch, version=None))
    assert package_cures.torch_first(there, "flash-attn") == ()
    assert package_cures.torch_first(gone, "flash-attn")[0].names()[0] == "torch"


def test_a_step_that_uv_add_keeps_is_not_said_to_be_taken_out():
    here = Context(installer="uv", python="p", in_pyproject=frozenset({"torch"}), has_pip=False, has_uv=True)
    (alone,) = in_order(here, [STEP])
    torch = commands.install("torch==2.11.0", why="why", changes="something")
    assert [step.why for step in in_order(here, [torch, alone])] == ["why", "why"]
    assert "removes it again" in alone.why


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        (
            "D:\\Comfy\\python_embeded\\Lib\\site-packages",
            [
                "curl.exe -L -o python.zip https://www.nuget.org/api/v2/package/python/3.12.10",
                "tar.exe -xf python.zip -C D:\\Comfy\\python_embeded --strip-components 1 tools/include tools/libs",
            ],
        ),
        (f"{MAMBA}\\Lib\\site-packages", [f"micromamba install --prefix {MAMBA} --yes -c conda-forge python=3.12"]),
        ("D:\\p\\venv\\Lib\\site-packages", ["winget install --id Python.Python.3.12 -e"]),
    ],
)
def test_headers_come_from_where_that_python_came_from(folder, said):
    steps = system_tools.python_headers(facts_of(f"Python version: 3.12.10\n{at(folder)}"))
    assert [commands.shown(step, "powershell") for step in steps] == said


TOOLS = "setuptools wheel"
# name: what was typed, the package, and the commands; the project's own tool failed, so that `uv add` would fail too
PROJECTS = {
    "uv": (
        "$ uv sync --extra gpu --quiet\nResolved 9 packages in 3ms\n",
        [
            "uv sync --extra gpu --no-install-package flash-attn",
            f"uv pip install {TOOLS}",
            "uv sync --extra gpu --no-build-isolation-package flash-attn",
        ],
    ),
    "uv run": (
        "$ uv run t.py\n",
        [
            "uv sync --no-install-package flash-attn",
            f"uv pip install {TOOLS}",
            "uv sync --no-build-isolation-package flash-attn",
        ],
    ),
    "uv lock": (
        "$ uv lock\n",
        [
            f"uv pip install torch {TOOLS}",
            "uv lock --no-build-isolation-package flash-attn",
            "uv sync --no-install-package flash-attn",
            f"uv pip install {TOOLS}",
            "uv sync --no-build-isolation-package flash-attn",
        ],
    ),
    "poetry": (
        "$ poetry install\n  - Installing flash-attn (2.2.1): Failed\n",
        [
            f"poetry run python -m pip install torch {TOOLS}",
            "poetry run python -m pip install --no-build-isolation flash-attn==2.2.1",
        ],
    ),
    "pdm": (
        "$ pdm install\n✖ Install flash-attn 2.8.3 failed\n",
        [
            "pdm run python -m ensurepip --upgrade",
            f"pdm run python -m pip install torch {TOOLS}",
            "pdm install --no-isolation",
        ],
    ),
    "pixi": ("$ pixi install\n", ["", f"pixi add {TOOLS}"]),
    # Such a command adds to the project: nothing of it is in pyproject.toml when it fails.
    "uv add": ("$ uv add flash-attn\n", None),
    "uv pip": ("$ uv pip install flash-attn\n", None),
}


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_that_fails_at_its_own_package_gets_the_rest_first(name):
    typed, said = PROJECTS[name]
    facts = facts_of(f"{typed}{BUILD}")
    assert (commands.fails_itself(facts) is None) == (said is None)
    if said is not None:
        wanted = commands.ProjectBuild(
            name="flash-attn", tools=tuple(TOOLS.split()), torch=("torch",), why="why", takes=None
        )
        steps = commands.prepared(
            facts, Fix(title="t", steps=commands.build_of_project(facts, wanted), verify=())
        ).steps
        assert [" ".join(step.argv) for step in steps] == said
