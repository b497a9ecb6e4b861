"""Check that a step contains only allowed words. Pure.

Names and paths come from files, logs and reports, so they are untrusted. Steps are argv lists and never reach a shell. Four
dangers are left: an option in the place of a name, an address in the place of an index, a path outside of the environment, and
another program.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from attn_doctor import commands
from attn_doctor.knowledge import built_packages
from attn_doctor.model.facts import Facts
from attn_doctor.model.requirements import read_requirement, read_wheel_name
from attn_doctor.model.steps import AddPip, Install, Remove, Run, SetVariable, Step, Uninstall

# PyTorch's own, and NVIDIA's for the Jetson.
_INDEX = re.compile(
    r"https://download\.pytorch\.org/whl/(?:nightly/|test/)?(?:cpu|cu\d{2,3}|rocm[\d.]+|xpu)"
    r"|https://pypi\.jetson-ai-lab\.io/[a-z\d]+/cu\d{3}"
)
_WHEEL = re.compile(r"https://[\w.-]+/[\w./%+-]+\.whl")
_SOURCE = re.compile(
    r"flash-attn @ git\+https://github\.com/Dao-AILab/flash-attention(?:\.git)?(?:@[\w.-]+)?"
    r"|ultralytics @ (?:git\+https://github\.com/sunsmarterjie/yolov12|https://github\.com/sunsmarterjie/yolov12/archive/refs/heads/main\.zip)"
    r"|torchvision @ git\+https://github\.com/pytorch/vision\.git@v\d+\.\d+\.\d+"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# The commands, other than installations, that fixes know; PYTHON is the target's own interpreter. The first ones act on a cache of the
# user, which all environments share.
_OF_A_CACHE = (
    ("PYTHON", "-m", "pip", "cache", "purge"),
    ("uv", "cache", "clean"),
    ("pixi", "clean", "cache"),
    *((tool, "clean", "--all", "--yes") for tool in ("conda", "mamba", "micromamba")),
)
_COMMANDS = (
    *_OF_A_CACHE,
    ("PYTHON", "-m", "pip", "index", "versions", "flash-attn"),
    ("PYTHON", "-m", "venv", ".venv"),
    ("git", "submodule", "update", "--init", "--recursive"),
)


def empties_a_cache(step: Step, python: str) -> bool:
    """Return whether a step empties a cache of the user. `python`: the interpreter in its command."""
    return isinstance(step, Run) and tuple("PYTHON" if word == python else word for word in step.argv) in _OF_A_CACHE


def fault(step: Step, facts: Facts) -> str | None:
    """Return the reason why a step must not be offered to the user; None if it is safe."""
    if any(_CONTROL.search(word) for word in _words(step)):
        return "a command contains a control character"
    if isinstance(step, Install | Uninstall):
        return _in_requirements(step) or (_in_options(step) if isinstance(step, Install) else None)
    if isinstance(step, Remove):
        return _in_removal(step.paths, facts)
    if isinstance(step, Run):
        python = commands.python(facts)
        if tuple("PYTHON" if word == python else word for word in step.argv) not in _COMMANDS:
            return f"`{commands.quoted(step.argv)}` is not a command that a plan may run"
    return None


def _words(step: Step) -> tuple[str, ...]:
    """Return all words of a step that end up in a command or in a line for a shell."""
    if isinstance(step, Install):
        return (*step.requirements, *(word for word in (step.index_url, step.from_folder, step.find_links) if word))
    if isinstance(step, Uninstall):
        return step.requirements
    if isinstance(step, Remove):
        return step.paths
    if isinstance(step, SetVariable):
        return (step.name, step.value or "")
    return () if isinstance(step, AddPip) else step.argv


def _in_requirements(step: Install | Uninstall) -> str | None:
    wrong = next((text for text in step.requirements if not _is_requirement(text)), None)
    return f"{wrong!r} is not the name of a package" if wrong is not None else None


def _in_options(step: Install) -> str | None:
    if step.index_url is not None and not _INDEX.fullmatch(step.index_url):
        return f"{step.index_url!r} is not an index that a plan may use"
    if step.find_links is not None and not built_packages.is_page(step.find_links):
        return f"{step.find_links!r} is not a page of wheels that a plan may use"
    if step.from_folder not in (None, "wheels"):
        return f"{step.from_folder!r} is not a folder of wheels that a plan may use"
    return None


def _is_requirement(text: str) -> bool:
    if text.endswith(".whl"):
        return read_wheel_name(text) is not None and bool(_WHEEL.fullmatch(text))
    if _SOURCE.fullmatch(text):
        return True
    asked = read_requirement(text)
    return asked is not None and asked.url is None


def _in_removal(paths: tuple[str, ...], facts: Facts) -> str | None:
    """Return a reason against removing these paths; None if all are remains of an interrupted pip, whose names begin with "~"."""
    packages = facts.interpreter.site_packages
    for text in paths:
        path = PurePath(text)
        if not isinstance(packages, str) or path.parent != PurePath(packages) or not path.name.startswith("~"):
            return f"{text!r} is not a path that a plan may remove"
    return None
