"""Installers: whose environment it is, the command of each tool for each kind of step, and what no tool is asked for."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from installer_steps_here import CU128, HERE, INSTALL, PY, TORCH, UPGRADE
from little_steps import WORDS, install, uninstall
from whole_machines import RTX_4090, changed

from attn_doctor import commands
from attn_doctor.commands.installers import INSTALLERS, Context, context, in_order, installer
from attn_doctor.model.steps import RunByHand

WHEEL = "https://x.org/flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp311-cp311-linux_x86_64.whl"
GIT = "flash-attn @ git+https://github.com/Dao-AILab/flash-attention.git"


def line(name: str, *steps, **more) -> list[str]:
    """The commands for these steps, one line each."""
    locks = (f"{name}.lock",) if name in ("poetry", "pdm", "pixi", "uv-project") else ()
    here = {**HERE, "locks": ("uv.lock",) if name == "uv-project" else locks, **more}
    made = in_order(Context(installer=name.removesuffix("-project"), **here), steps)
    return [" ".join(step.argv) for step in made]


REPAIR = install("numpy==2.2.6", reinstall=True, no_deps=True)
BUILD = install("flash-attn", no_build_isolation=True)
P = f"{PY} -m pip"
U = f"--python {PY}"


@pytest.mark.parametrize(
    ("name", "step", "said"),
    [
        ("pip", INSTALL, [f"{P} install numpy<2"]),
        ("pip", TORCH, [f"{P} install torch==2.8.0 torchvision==0.23.0 --index-url {CU128}"]),
        ("pip", install(GIT, no_build_isolation=True), [f"{P} install --no-build-isolation {GIT}"]),
        ("uv", INSTALL, [f"uv pip install {U} numpy<2"]),
        ("uv", uninstall("numpy"), [f"uv pip uninstall {U} numpy"]),
        ("uv", BUILD, [f"uv pip install {U} --no-build-isolation flash-attn"]),
        ("uv-project", INSTALL, ["uv add --project /project numpy<2"]),
        ("uv-project", UPGRADE, ["uv add --project /project --upgrade-package numpy numpy"]),
        ("uv-project", REPAIR, ["uv add --project /project --reinstall-package numpy numpy==2.2.6"]),
        (
            "uv-project",
            TORCH,
            [f"uv add --project /project torch==2.8.0 torchvision==0.23.0 --index pytorch-cu128={CU128}"],
        ),
        ("uv-project", BUILD, ["uv add --project /project --no-build-isolation-package flash-attn flash-attn"]),
        ("uv-project", install(WHEEL), [f"uv add --project /project flash-attn @ {WHEEL}"]),
        ("uv-project", install(GIT), [f"uv add --project /project {GIT}"]),
        ("uv-project", uninstall("numpy"), ["uv remove --project /project numpy"]),
        ("uv-project", uninstall("torch"), [f"uv pip uninstall {U} torch"]),  # no dependency of the project itself
        (
            "uv-project",
            install("torch", from_folder="wheels"),
            [f"uv pip install {U} --no-index --find-links wheels torch"],
        ),
        ("conda", INSTALL, ["conda install --prefix /venv --yes numpy<2"]),
        ("conda", UPGRADE, ["conda update --prefix /venv --yes numpy"]),
        ("micromamba", INSTALL, ["micromamba install --prefix /venv --yes numpy<2"]),
        ("mamba", uninstall("numpy"), ["mamba remove --prefix /venv --yes numpy"]),
        ("conda", install("torch==2.8.0"), [f"{P} install torch==2.8.0"]),  # pip put it there
        ("conda", REPAIR, [f"{P} install --force-reinstall --no-deps numpy==2.2.6"]),
        ("conda", install(WHEEL), [f"{P} install {WHEEL}"]),
        ("poetry", INSTALL, ["poetry --directory /project add numpy<2"]),
        ("poetry", UPGRADE, ["poetry --directory /project add numpy@latest"]),
        ("poetry", uninstall("numpy"), ["poetry --directory /project remove numpy"]),
        ("poetry", uninstall("torch"), [f"{P} uninstall -y torch"]),
        (
            "poetry",
            TORCH,
            [
                f"poetry --directory /project source add --priority explicit pytorch-cu128 {CU128}",
                "poetry --directory /project add --source pytorch-cu128 torch==2.8.0 torchvision==0.23.0",
            ],
        ),
        ("poetry", install(WHEEL), [f"poetry --directory /project add {WHEEL}"]),
        ("poetry", install(GIT), [f"poetry --directory /project add {GIT.partition(' @ ')[2]}"]),
        ("poetry", BUILD, [f"{P} install --no-build-isolation flash-attn"]),
        ("pdm", INSTALL, ["pdm add --project /project numpy<2"]),
        ("pdm", UPGRADE, ["pdm update --project /project --unconstrained numpy"]),
        ("pdm", install("timm", upgrade=True), ["pdm add --project /project timm"]),  # `update` knows only what is there
        ("pdm", BUILD, ["pdm add --project /project --no-isolation flash-attn"]),
        ("pdm", install(WHEEL), [f"pdm add --project /project flash-attn @ {WHEEL}"]),
        (
            "pdm",
            TORCH,
            [
                f"pdm config --project /project --local pypi.pytorch-cu128.url {CU128}",
                "pdm add --project /project torch==2.8.0+cu128 torchvision==0.23.0+cu128",
            ],
        ),
        ("pixi", INSTALL, ["pixi add --manifest-path /project --pypi numpy<2"]),
        ("pixi", UPGRADE, ["pixi upgrade --manifest-path /project numpy"]),
        ("pixi", uninstall("numpy"), ["pixi remove --manifest-path /project --pypi numpy"]),
        ("pixi", REPAIR, [f"{P} install --force-reinstall --no-deps numpy==2.2.6"]),
        ("pipx", INSTALL, ["pipx inject --force venv numpy<2"]),
        ("pipx", REPAIR, ["pipx runpip venv install --force-reinstall --no-deps numpy==2.2.6"]),
        ("pipx", uninstall("numpy"), ["pipx runpip venv uninstall -y numpy"]),
    ],
)  # fmt: skip
def test_each_installers_own_words(name, step, said):
    assert line(name, step, from_conda=frozenset({"numpy"})) == said


def why(name: str, step, **more) -> str:
    return installer(Context(installer=name, **{**HERE, **more})).rendered(step).why


def test_a_step_says_who_takes_it_and_what_takes_it_back():
    assert why("pip", REPAIR) == "why"
    assert why("conda", install("torch")) == "why; conda did not install this, so the environment's own pip does it"
    assert why("poetry", REPAIR) == (
        "why; poetry has no command for this, so the environment's own pip does it, and a later `poetry sync` puts back "
        "what poetry.lock says"
    )
    assert "a later `uv sync` puts back what uv.lock says" in why("uv", uninstall("torch"), locks=("uv.lock",))
    assert 'no-build-isolation-package = ["flash-attn"]' in why("uv", BUILD, locks=("uv.lock",))
    assert '[pypi-options] no-build-isolation = ["flash-attn"]' in why("pixi", BUILD)
    assert f'index = "{CU128}"' in why("pixi", TORCH)


# --- several steps


def test_what_is_removed_to_be_installed_again_stays_in_the_projects_files():
    again = (uninstall("numpy"), uninstall("numpy"), install("numpy==2.2.6", no_deps=True))
    assert line("uv-project", *again) == [
        f"uv pip uninstall {U} numpy",
        f"uv pip uninstall {U} numpy",
        "uv add --project /project numpy==2.2.6",
    ]
    assert line("pdm", *again, has_pip=False, has_uv=True)[0] == f"uv pip uninstall {U} numpy"


def test_uv_needs_one_command_where_pip_needs_two():
    steps = commands.reinstall("torch==2.8.0", index_url=CU128, **WORDS)
    assert line("uv-project", *steps) == [
        f"uv add --project /project --reinstall-package torch torch==2.8.0 --index pytorch-cu128={CU128}"
    ]
    assert len(line("pip", *steps)) == 2


def test_an_index_is_named_to_a_project_once():
    one, other = install("torch==2.8.0", index_url=CU128), install("torchvision==0.23.0", index_url=CU128)
    assert [text.split()[3] for text in line("poetry", one, other)] == ["source", "add", "add"]


@pytest.mark.parametrize(
    ("name", "more", "first"),
    [
        ("pip", {}, f"{PY} -m ensurepip --upgrade"),
        ("pdm", {}, f"{PY} -m ensurepip --upgrade"),
        ("conda", {}, "conda install --prefix /venv --yes pip"),
        ("pixi", {}, "pixi add --manifest-path /project pip"),
        ("pdm", {"has_uv": True}, f"uv pip install {U} --force-reinstall --no-deps numpy==2.2.6"),
    ],
)
def test_a_missing_pip_is_added_once_or_not_needed(name, more, first):
    lines = line(name, REPAIR, REPAIR, has_pip=False, **more)
    assert lines[0] == first
    assert sum("ensurepip" in text or text.endswith(" pip") for text in lines) == (not more)


# --- what is never asked for

TOOLS = sorted({*INSTALLERS, "uv-project"})
OPTIONS = ["upgrade", "reinstall", "no_deps", "no_build_isolation", "no_cache", "verbose", "index_url", "from_folder"]
VALUES = {"index_url": CU128, "from_folder": "wheels"}
any_change = st.builds(
    lambda texts, options: install(*texts, **{name: VALUES.get(name, True) for name in options}),
    st.lists(st.sampled_from(["numpy", "numpy<2", "torch==2.8.0", WHEEL, GIT]), min_size=1, max_size=3, unique=True),
    st.sets(st.sampled_from(OPTIONS)),
) | st.builds(lambda names: uninstall(*names), st.lists(st.sampled_from(["numpy", "torch"]), min_size=1, unique=True))
QUESTIONS = [
    RunByHand(argv=(PY, "-m", "pip", *words), **WORDS)
    for words in (("cache", "purge"), ("check",), ("index", "versions", "detectron2"), ("download", "torch"))
]
any_step = any_change | st.sampled_from(QUESTIONS)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(TOOLS), st.lists(any_step, min_size=1, max_size=4), st.booleans())
def test_no_pip_is_called_where_there_is_none(name, steps, has_uv):
    """In an environment of uv, or of PDM without pip, `python -m pip` cannot run; what needs it brings it first."""
    lines = line(name, *steps, has_pip=False, has_uv=has_uv)
    first = next((at for at, text in enumerate(lines) if text.startswith(P)), None)
    assert first is None or name == "pip" or not (has_uv or name.startswith("uv"))
    if first is not None:
        brings = [at for at, text in enumerate(lines) if "ensurepip" in text or text.endswith(" pip")]
        assert brings
        assert brings[0] < first
    assert all(lines)


def test_questions_to_pip_are_put_to_uv_where_there_is_no_pip():
    assert line("uv", *QUESTIONS, has_pip=False) == [
        "uv cache clean",
        f"uv pip check {U}",
        "uvx pip index versions detectron2",
        "uvx pip download torch",
    ]
    assert line("pip", *QUESTIONS)[1] == f"{P} check"


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed here")
@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["uv", "uv-project"]), any_change)
def test_uv_knows_every_option(name, step):
    for text in line(name, step, has_pip=False):
        words = text.split()
        verb = words[1 : 3 if words[1] == "pip" else 2]
        known = _options_of("uv", *verb)
        assert {word for word in words if word.startswith("-")} <= known, text


@functools.cache
def _options_of(*argv: str) -> set[str]:
    told = subprocess.run([*argv, "--help"], capture_output=True, text=True, check=True).stdout
    hidden = {"--force-reinstall", "--no-cache-dir"}  # pip's words, which uv takes and does not list
    return {*re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", told), *hidden}


# --- the operating system's own Python


def test_a_python_of_the_system_is_not_installed_into_without_a_word():
    made = installer(Context(installer="pip", of_system=True, **HERE)).rendered(INSTALL)
    assert made.argv == (PY, "-m", "pip", "install", "--break-system-packages", "numpy<2")
    assert "a virtual environment is safer" in made.why
    facts = changed(RTX_4090, interpreter__externally_managed=True, interpreter__kind="system")
    assert context(facts, "pip").of_system
    assert not context(changed(facts, interpreter__kind="venv"), "pip").of_system  # made of such a Python
