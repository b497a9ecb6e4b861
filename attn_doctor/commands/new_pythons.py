"""Build the steps that make an environment with another Python, with the tools of the machine that wrote the log. Pure.

https://docs.python.org/3/library/venv.html (--clear), https://docs.astral.sh/uv/reference/cli/#uv-venv (--seed brings pip),
https://github.com/microsoft/winget-pkgs/tree/master/manifests/p/Python/Python,
https://python-poetry.org/docs/managing-environments/, https://pdm-project.org/latest/usage/venv/
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.commands.installers import chosen, own
from attn_doctor.commands.shells import shell_of
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step

# Programs that install into a virtual environment in their own folder when they start: logs/stated_facts/programs.py has their sources.
_OF_A_PROGRAM = re.compile(
    r"(?P<folder>.*(?:stable-diffusion-webui[\w.-]*|kohya_ss|OneTrainer|sdnext|[Ii]nvoke[Aa][Ii]|Packages[\\/][^\\/]+)[\\/]\.?venv)[\\/](?:Scripts|bin)[\\/]"
)
_STAYS = "a new environment; this one stays"


def folder_of_a_program(facts: Facts) -> str | None:
    """Return the folder of the virtual environment that a program made for itself; None for any other Python."""
    python = facts.interpreter.python
    found = _OF_A_PROGRAM.match(python) if isinstance(python, str) else None
    return found["folder"] if found else None


def another(facts: Facts, version: str, why: str) -> tuple[Step, ...]:
    """Return the steps that make an environment with Python `version` ("3.10"), by the tool of this machine.

    Python itself is installed too if it may be missing. `why`: the words of the main step; if no command can do it, the
    only step has no command. In a Dockerfile the step is a new FROM line.
    """
    windows, folder = facts.system.os == "windows", folder_of_a_program(facts)
    by_launcher = (
        commands.by_hand(
            ("winget", "install", "--id", f"Python.Python.{version}", "-e"),
            f"installs Python {version}; not needed if `py -{version} --version` prints a version",
            f"adds Python {version}; other Pythons are kept",
        ),
    )
    if folder is not None:
        made = commands.by_hand(
            ("py", f"-{version}", "-m", "venv", "--clear", folder) if windows else (f"python{version}", "-m", "venv", "--clear", folder),
            f"{why}; --clear empties the folder first, and the program installs all it needs into it at its next start",
            "all packages of this environment",
            "medium",
        )  # fmt: skip
        return (*by_launcher, made) if windows else (made,)
    tool = chosen(facts)[0]
    projects = {
        "poetry": ("poetry", "env", "use", version),
        "pdm": ("pdm", "use", version),
        "pixi": ("pixi", "add", f"python={version}.*"),
    }
    name = f"py{version.replace('.', '')}"
    if tool in projects:
        return (commands.by_hand(projects[tool], why, "the environment of this project", "medium"),)
    if tool in ("conda", "mamba", "micromamba"):
        make = commands.by_hand((tool, "create", "--yes", "--name", name, f"python={version}"), why, _STAYS, "none")
        go = commands.by_hand((tool, "activate", name), "repeat the installation in it", "this shell alone", "none")
        return make, go
    if own(facts) == "uv":
        return (commands.by_hand(("uv", "venv", "--python", version, ".venv"), why, _STAYS, "none"),)
    if places.container(facts) == places.BUILD:
        return (
            commands.by_hand(
                ("FROM", f"python:{version}"), f"the first line of the Dockerfile: {why}", "another image"
            ),
        )
    if shell_of(facts) == "notebook" or facts.system.os not in ("windows", "linux", "darwin"):
        return (commands.by_hand((), why, _STAYS, "none"),)
    if windows:
        made = commands.by_hand(("py", f"-{version}", "-m", "venv", f".venv{name[2:]}"), why, _STAYS, "none")
        start = commands.by_hand((f".venv{name[2:]}\\Scripts\\activate",), "repeat the installation in it", "this shell alone", "none")  # fmt: skip
        return *by_launcher, made, start
    bring = commands.by_hand(
        ("sh", "-c", "curl -LsSf https://astral.sh/uv/install.sh | sh"),
        f"uv installs Python {version} without root rights; then open a new shell",
        "adds uv to ~/.local/bin",
    )
    made = commands.by_hand(("uv", "venv", "--seed", "--python", version, f".venv{name[2:]}"), why, _STAYS, "none")
    start = commands.by_hand(("sh", "-c", f". .venv{name[2:]}/bin/activate"), "repeat the installation in it", "this shell alone", "none")  # fmt: skip
    return bring, made, start
