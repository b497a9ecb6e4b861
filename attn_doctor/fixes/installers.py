"""A step's command read back into what it asks for, and put into the words of another installer. Pure.

Failure modes write commands for the target's own pip (or uv): `commands.install` and `commands.uninstall`. Which tool keeps the
books of an environment is this room's business.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from attn_doctor.model.facts import Facts, Record, Unknown
from attn_doctor.model.findings import Step

_CONDA_LIKE = ("conda", "mamba", "micromamba")
# Options of `pip install` that take a value in the next word.
_WITH_VALUE = frozenset(
    "--index-url -i --extra-index-url --find-links -f --constraint -c --requirement -r --upgrade-strategy --trusted-host".split()
)
# Distributions that conda channels know under another name.
_CONDA_NAMES = {"torch": "pytorch", "opencv-python": "opencv", "opencv-python-headless": "opencv"}


class Request(Record, frozen=True, kw_only=True):
    """What a pip or uv command asks for."""

    verb: str  # "install" | "uninstall"
    requirements: tuple[str, ...]
    options: tuple[str, ...] = ()  # a value stands beside its option

    def names(self) -> tuple[str, ...]:
        return tuple(name for text in self.requirements if (name := name_of(text)))

    def has(self, *options: str) -> bool:
        return any(option in self.options for option in options)


def parse(argv: Sequence[str]) -> Request | None:
    """What an installer's command asks for; None for any other command."""
    words = list(argv)
    if words[1:3] == ["-m", "pip"] and len(words) > 3:
        verb, rest = words[3], words[4:]
    elif words[:2] == ["uv", "pip"] and len(words) > 2:
        verb, rest = words[2], words[3:]
    else:
        return None
    if verb not in ("install", "uninstall"):
        return None
    options: list[str] = []
    requirements: list[str] = []
    while rest:
        word = rest.pop(0)
        if word in ("--python", "-p"):
            rest[:1] = []
        elif word in _WITH_VALUE and rest:
            options += [word, rest.pop(0)]
        elif word.startswith("-"):
            options.append(word)
        else:
            requirements.append(word)
    kept = tuple(o for o in options if o not in ("-y", "--yes"))
    return Request(verb=verb, requirements=tuple(requirements), options=kept)


def name_of(requirement: str) -> str | None:
    """The normal name of what a requirement, a wheel's address or a wheel's file asks for."""
    if requirement.endswith(".whl"):
        try:
            return parse_wheel_filename(requirement.rpartition("/")[2].replace("%2B", "+"))[0]
        except InvalidWheelFilename:
            return None
    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement:
        return None


def chosen(facts: Facts, wanted: str | None, locks: Sequence[str] = ()) -> tuple[str, str]:
    """The installer to speak to, and why. `locks`: names of lock files in the project whose environment the target is."""
    if wanted:
        return wanted, "asked for with --installer"
    for lock, name in (("poetry.lock", "poetry"), ("pdm.lock", "pdm"), ("pixi.lock", "pixi")):
        if lock in locks:
            return name, f"{lock} of this project says what is in this environment"
    kind = facts.interpreter.kind
    tools = facts.interpreter.installers
    names = [] if isinstance(tools, Unknown) else [tool.split()[0] for tool in tools]
    if kind == "pixi":
        return "pixi", "this is an environment of pixi"
    if kind == "conda":
        found = next((n for n in ("mamba", "micromamba", "conda") if n in names), "conda")
        return found, "this is an environment of conda"
    if "pip" not in names and ("uv" in names or kind == "uv"):
        return "uv", "this environment has no pip" if kind != "uv" else "uv made this environment, without pip"
    return "pip", "the pip of this very environment" if "pip" in names else "every Python can bring its own pip"


def locks_of(folder: str, prefix: str) -> tuple[str, ...]:
    """Lock files of a project, where the target is this project's environment. Looks at files."""
    place = Path(folder)
    inside = Path(prefix).is_relative_to(place) or any(p in Path(prefix).parts for p in ("pypoetry", "pdm"))
    names = ("poetry.lock", "pdm.lock", "pixi.lock", "uv.lock")
    return tuple(name for name in names if os.path.isfile(place / name)) if inside else ()


class Context(Record, frozen=True, kw_only=True):
    """What translating needs to know."""

    installer: str
    python: str
    prefix: str
    folder: str  # of the project
    from_conda: frozenset[str] = frozenset()  # distributions that conda installed
    declared: frozenset[str] = frozenset()  # distributions that the project itself asks for


def context(facts: Facts, installer: str) -> Context:
    listed = () if isinstance(facts.packages.distributions, Unknown) else facts.packages.distributions
    pins = () if isinstance(facts.project.pins, Unknown) else facts.project.pins
    return Context(
        installer=installer,
        python=facts.interpreter.python if isinstance(facts.interpreter.python, str) else "python",
        prefix=facts.interpreter.prefix if isinstance(facts.interpreter.prefix, str) else "",
        folder=facts.project.folder if isinstance(facts.project.folder, str) else ".",
        from_conda=frozenset(d.name for d in listed if d.installer == "conda"),
        declared=frozenset(name for pin in pins if (name := name_of(pin.requirement.split(" ")[0]))),
    )


def translated(step: Step, here: Context) -> Step:
    """The step for the chosen installer. What that one has no word for stays with the target's own pip, and says so."""
    request = parse(step.argv) if step.kind == "run" else None
    if request is None or not request.requirements:
        return step
    argv = _words(request, here)
    if argv is None:
        return _with_pip(step, request, here)
    return msgspec.structs.replace(step, argv=argv)


def as_pip(step: Step, here: Context) -> Step:
    """The step in pip's words: how it is tried in a copy of an environment whose books another tool keeps."""
    request = parse(step.argv)
    return step if request is None else msgspec.structs.replace(step, argv=pip(here.python, request))


def pip(python: str, request: Request) -> tuple[str, ...]:
    yes = ("-y",) if request.verb == "uninstall" else ()
    return (python, "-m", "pip", request.verb, *yes, *request.options, *request.requirements)


def uv(python: str, request: Request) -> tuple[str, ...]:
    return ("uv", "pip", request.verb, "--python", python, *request.options, *request.requirements)


def _with_pip(step: Step, request: Request, here: Context) -> Step:
    note = f"{step.why}; {here.installer} has no word for this, so the environment's own pip does it"
    return msgspec.structs.replace(step, argv=pip(here.python, request), why=note)


def _words(request: Request, here: Context) -> tuple[str, ...] | None:
    """None where the installer cannot say it."""
    if here.installer == "pip":
        return pip(here.python, request)
    if here.installer == "uv":
        return uv(here.python, request)
    # A repair puts the same versions there again: the books stay right, and only pip can do it file by file.
    if request.has("--force-reinstall", "--no-deps", "--no-build-isolation", "--pre"):
        return None
    if here.installer in _CONDA_LIKE:
        return _conda(request, here)
    if request.has("--index-url", "-i", "--extra-index-url", "--find-links", "-f"):
        return None
    if here.installer == "poetry":
        return _poetry(request, here)
    if here.installer == "pdm":
        return _pdm(request, here)
    return _pixi(request, here)


def _conda(request: Request, here: Context) -> tuple[str, ...] | None:
    """conda, for what conda installed itself. A wheel, or what pip put there, is pip's."""
    names = [name_of(text) for text in request.requirements]
    if request.options and not request.has("--upgrade", "-U"):
        return None
    if any(name is None or name not in here.from_conda for name in names):
        return None
    if any(text.endswith(".whl") or "@" in text for text in request.requirements):
        return None
    words = [_conda_name(text) for text in request.requirements]
    verb = "install" if request.verb == "install" else "remove"
    return (here.installer, verb, "--prefix", here.prefix, "--yes", *words)


def _conda_name(text: str) -> str:
    requirement = Requirement(text)
    name = canonicalize_name(requirement.name)
    return _CONDA_NAMES.get(name, name) + str(requirement.specifier)


def _poetry(request: Request, here: Context) -> tuple[str, ...] | None:
    head = ("poetry", "--directory", here.folder)
    if request.verb == "uninstall":
        return None if not here.declared.issuperset(request.names()) else (*head, "remove", *request.names())
    if request.has("--upgrade", "-U"):
        return (*head, "add", *(f"{text}@latest" if text == name_of(text) else text for text in request.requirements))
    return (*head, "add", *request.requirements)


def _pdm(request: Request, here: Context) -> tuple[str, ...] | None:
    where = ("--project", here.folder)
    if request.verb == "uninstall":
        return None if not here.declared.issuperset(request.names()) else ("pdm", "remove", *where, *request.names())
    if request.has("--upgrade", "-U") and request.names() == request.requirements:
        return ("pdm", "update", *where, "--unconstrained", *request.names())
    return ("pdm", "add", *where, *_addresses_named(request))


def _pixi(request: Request, here: Context) -> tuple[str, ...] | None:
    where = ("--manifest-path", here.folder)
    if request.verb == "uninstall":
        if not here.declared.issuperset(request.names()):
            return None
        return ("pixi", "remove", *where, "--pypi", *request.names())
    if request.has("--upgrade", "-U") and request.names() == request.requirements:
        return ("pixi", "upgrade", *where, *request.names())
    return ("pixi", "add", *where, "--pypi", *_addresses_named(request))


def _addresses_named(request: Request) -> tuple[str, ...]:
    """PEP 508: a wheel's address needs the name in front."""
    return tuple(
        f"{name_of(text)} @ {text}" if text.endswith(".whl") and name_of(text) else text
        for text in request.requirements
    )
