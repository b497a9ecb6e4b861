"""Find the folder of the user's own sources from which the package that failed was built, so that a cure builds that folder again. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from attn_doctor import commands
from attn_doctor.failure_modes.shared import subject
from attn_doctor.knowledge import built_packages
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Install, Step

# A folder as pip and uv read it: ".", "./src/x", "../x[extra]", "/home/me/x", "~/x", "D:\\x", "file:///home/me/x", "submodules/x".
_FOLDER = re.compile(
    r"(?:file://)?(?P<path>(?:\.{1,2}|~|/|[A-Za-z]:[\\/]|[\w.-]+[\\/])[^\s\[\]@:;,]*)(?P<extra>\[[\w,-]+\])?"
)
_ARCHIVE = re.compile(r"\.(?:whl|zip|tar\.\w+|tgz|txt|toml)$")
# Endings of the names of checkouts and forks: "vllm-main", "detectron2-0.6", "apex_23.05".
_ENDING = re.compile(r"[-_.](?:main|master|src|fork|dev|repo|v?\d[\w.+-]*)$")
# Packages whose repository has another name than the package, beside those of the table.
_REPOSITORIES = {"flash-attn": ("flash-attention",), "torchvision": ("vision",), "xformers": ("xformers",)}


class Checkout(NamedTuple):
    """Hold a folder of sources."""

    folder: str  # as the user typed it, or the whole path
    editable: bool  # it was installed with -e


def of(facts: Facts) -> Checkout | None:
    """Return the folder of sources from which the log built the package that failed; None if the log shows none.

    A typed folder counts if it has the name of the package. `pip install -e .` may also fail at a package that these sources
    require: then "." is not the package that failed.
    """
    if facts.grade != "stated":
        return None
    name, folder = subject.package(facts), facts.subject.folder
    typed = _typed(facts)
    known = folder if isinstance(folder, str) else None
    if typed is not None:
        base = known if typed.folder.rstrip("/\\").endswith(".") else typed.folder
        if name is None and known is None:
            return typed
        if name is not None and base is not None and _is_of(base, name):
            return typed
    if name is not None and known is not None and _is_of(known, name):
        command = facts.subject.command
        return Checkout(known, isinstance(command, str) and _EDITABLE.search(command) is not None)
    return None


_EDITABLE = re.compile(r"(?:^|\s)(?:-e|--editable|develop)(?:\s|=|$)")


_SCRIPT = re.compile(
    r"(?:sudo |time )?(?:[A-Z_]+=\S+ ){0,6}(?P<command>\S*python[\d.]*(?:\.exe)? (?:\S*[\\/])?setup\w*\.py [\w\s.=/-]{3,200})$"
)


def script(facts: Facts) -> tuple[str, ...] | None:
    """Return the command of a user who ran the setup.py of their own sources, "python setup.py build develop", as argv; None for other commands.

    No index has these sources: a package of the same name there may be another one, or a build that does not fit the board.
    """
    command = facts.subject.command
    found = _SCRIPT.match(command.strip()) if facts.grade == "stated" and isinstance(command, str) else None
    return tuple(found["command"].split()) if found else None


def _typed(facts: Facts) -> Checkout | None:
    """Return the one folder that the typed command installs; None if it installs several things, or a package of an index."""
    words = subject.installed_by_command(facts)
    if len(words) != 1:
        return None
    found = _FOLDER.fullmatch(words[0])
    if found is None or _ARCHIVE.search(found["path"]) or words[0].startswith("git+"):
        return None
    return Checkout(words[0], _EDITABLE.search(str(facts.subject.command)) is not None)


def _is_of(folder: str, name: str) -> bool:
    """Return whether a folder has the name of this package, or of its repository."""
    base = re.split(r"[\\/]", folder.partition("[")[0].rstrip("\\/"))[-1]
    row = built_packages.row_of(name)
    address = (row.get or "").partition("#")[0].partition("@v")[0] if row else ""
    repository = re.sub(r"(?:\.git)?(?:@[\w.]+)?/?$", "", address).rpartition("/")[2]
    names = {name, row.module if row else name, repository, *_REPOSITORIES.get(name, ())}
    plain = {_plain(text) for text in names if text}
    return bool({_plain(base), _plain(_ENDING.sub("", base))} & plain)


def _plain(text: str) -> str:
    return re.sub(r"[-_.]", "", text).lower()


def install(facts: Facts, where: Checkout, why: str, takes: str | None, *, verbose: bool = False) -> Step:
    """Return the step that builds the package in a folder of sources and installs it, with the environment's own pip or uv, without isolation.

    `where`: the folder; if it was installed with -e, the step has -e too. `why`: the text of the step. `takes`: the time
    and the download in words, "minutes"; None: not known. `verbose`: the installer prints the output of the build.
    """
    step = Install(requirements=(where.folder,), why="", changes="", no_build_isolation=True, verbose=verbose)
    *before, path = commands.by_own_tool(facts, step).argv
    kept = ("-e",) if where.editable else ()
    return commands.by_hand((*before, *kept, path), why, "adds the package", takes=takes)
