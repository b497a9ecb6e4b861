"""Whether a step that would be run holds nothing but what a step may hold. Names and paths come from files, logs and reports. Pure.

Steps are argv and never reach a shell, so what is left to fear is an option in the place of a name, an address in the place of an
index, and a path outside of the environment.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from attn_doctor import commands
from attn_doctor.fixes.installers import Request, parse
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Step

_SWITCHES = frozenset(
    "--upgrade -U --force-reinstall --no-deps --no-build-isolation --no-cache-dir --no-index --pre -v".split()
)
_INDEX = re.compile(r"https://download\.pytorch\.org/whl/(?:nightly/|test/)?(?:cpu|cu\d{2,3}|rocm[\d.]+|xpu)")
_WHEEL = re.compile(r"https://[\w.-]+/[\w./%+-]+\.whl")
_SOURCE = re.compile(r"git\+https://github\.com/Dao-AILab/flash-attention(?:\.git)?(?:@[\w.-]+)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def fault(step: Step, facts: Facts) -> str | None:
    """Why a step may not be offered; None where it may."""
    if any(_CONTROL.search(word) for word in step.argv):
        return "a control character stands in a command"
    if step.kind != "run" or not step.argv:
        return None
    request = parse(step.argv)
    if request is not None:
        return _in_request(request)
    python = commands.python(facts)
    if step.argv[:2] == (python, "-m") and step.argv[2:3] in (("pip",), ("ensurepip",), ("venv",)):
        return None
    if step.argv[0] in ("uv", "git"):
        return None
    if step.argv[:2] == ("rm", "-r"):
        return _in_removal(step.argv[2:], facts)
    return f"{step.argv[0]!r} is no program that a plan starts"


def _in_request(request: Request) -> str | None:
    for text in request.requirements:
        if not _is_requirement(text):
            return f"{text!r} is no name of a package"
    words = list(request.options)
    while words:
        option = words.pop(0)
        if option in _SWITCHES:
            continue
        value = words.pop(0) if words else ""
        allowed = option in ("--index-url", "--extra-index-url") and _INDEX.fullmatch(value)
        if not allowed and not (option == "--find-links" and value == "wheels"):
            return f"{option!r} {value!r} is no option that a plan gives"
    return None


def _is_requirement(text: str) -> bool:
    if text.endswith(".whl"):
        try:
            parse_wheel_filename(text.rpartition("/")[2].replace("%2B", "+"))
        except InvalidWheelFilename:
            return False
        return bool(_WHEEL.fullmatch(text))
    if _SOURCE.fullmatch(text):
        return True
    try:
        return Requirement(text).url is None
    except InvalidRequirement:
        return False


def _in_removal(paths: tuple[str, ...], facts: Facts) -> str | None:
    """Only what pip leaves when it is interrupted: its names begin with a tilde."""
    packages = facts.interpreter.site_packages
    for text in paths:
        path = PurePath(text)
        if not isinstance(packages, str) or path.parent != PurePath(packages) or not path.name.startswith("~"):
            return f"{text!r} is nothing that a plan removes"
    return None
