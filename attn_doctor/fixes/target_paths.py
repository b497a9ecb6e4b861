"""Where an installer would put things in the target, and what is installed there now: asked of the target itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

import msgspec

from attn_doctor import child
from attn_doctor.errors import Refused
from attn_doctor.model.facts import Record
from attn_doctor.model.foreign_text import text
from attn_doctor.probes.answer import NoAnswer, introduce

# Run without PYTHONPATH, and in an empty folder (child.command): neither it nor the current one is part of the environment.
# Python 3.8 grammar.
_ASK = """
import sys
if sys.path and sys.path[0] in ("", "."):
    del sys.path[0]
import json, os, site, sysconfig
from importlib import metadata
paths = sysconfig.get_paths()
found = []
for d in metadata.distributions(path=[p for p in sys.path if os.path.isdir(p)]):
    try:
        name = d.metadata["Name"]
        found.append({"name": name, "version": d.version, "place": str(d.locate_file("")), "url": d.read_text("direct_url.json")})
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        pass  # a folder without readable metadata is no distribution
base = getattr(sys, "_base_executable", None) or sys.executable
print(json.dumps({
    "python": sys.executable, "version": "%d.%d" % sys.version_info[:2], "base": base, "prefix": sys.prefix,
    "base_prefix": sys.base_prefix, "purelib": paths["purelib"], "platlib": paths["platlib"], "scripts": paths["scripts"],
    "data": paths["data"], "path": sys.path,
    "user": [site.getusersitepackages(), site.getuserbase() + "/bin"] if site.ENABLE_USER_SITE else [],
    "distributions": [f for f in found if f["name"]],
}))
"""


class Cannot(Refused):
    """What was asked for cannot be done here. The text is one sentence for the user."""


class Installed(Record, frozen=True, kw_only=True):
    name: str
    version: str | None
    place: str
    url: str | None = None  # direct_url.json


class Root(Record, frozen=True, kw_only=True):
    """A folder or file that an installer may change, but for these names in it."""

    path: str
    skip: tuple[str, ...] = ()


# "conda": a whole prefix of its own · "bare": an interpreter that is installed somewhere
PlacesKind = Literal["conda", "venv", "bare"]


class Places(Record, frozen=True, kw_only=True):
    """Folders of the target, and its distributions, the one that is imported first."""

    python: str
    version: str  # "3.11"
    base: str  # the interpreter that a virtual environment was made from
    prefix: str
    base_prefix: str
    purelib: str
    platlib: str
    scripts: str
    data: str
    path: tuple[str, ...] = ()
    user: tuple[str, ...] = ()  # folders of the user site, where it is on
    distributions: tuple[Installed, ...] = ()

    @property
    def kind(self) -> PlacesKind:
        """Return the kind of these folders."""
        if (Path(self.prefix) / "conda-meta").is_dir():
            return "conda"
        return "venv" if self.prefix != self.base_prefix else "bare"

    @property
    def home(self) -> Path:
        """Where attn-doctor keeps what undoing needs: beside the packages, on their file system."""
        folder = Path(self.purelib).parent if self.kind == "bare" else Path(self.prefix)
        return folder / ".attn-doctor"

    def roots(self) -> tuple[Root, ...]:
        """All that an installer writes into, none inside another. Some may not be there yet."""
        if self.kind == "conda":
            return (Root(path=os.path.realpath(self.prefix), skip=_NOT_OF_CONDA),)
        listed = [self.purelib, self.platlib, self.scripts]
        if self.kind == "venv" or not self.prefix.startswith("/usr"):
            listed += [f"{self.data}/{name}" for name in ("include", "share", "etc", "man")]
        listed += self.user
        real = list(dict.fromkeys(os.path.realpath(path) for path in listed))
        return tuple(Root(path=path) for path in real if not any(path.startswith(f"{other}/") for other in real))

    def versions(self) -> dict[str, str]:
        """Normal name -> version of what is imported."""
        from packaging.utils import canonicalize_name

        found: dict[str, str] = {}
        for item in self.distributions:
            found.setdefault(canonicalize_name(item.name), item.version or "")
        return found

    def freeze(self) -> str:
        """What is installed, a line each, with where it came from."""
        lines = [f"{d.name}=={d.version}  # {d.place}{'  ' + d.url if d.url else ''}" for d in self.distributions]
        return "".join(f"{line}\n" for line in lines)


# Of a base installation of conda: other environments, and the packages that all of them are linked from.
_NOT_OF_CONDA = (".attn-doctor", "conda-bld", "envs", "pkgs")


def ask(python: str, timeout: float = 60.0) -> Places:
    """Raises NoTarget, NoAnswer where the interpreter gives no answer."""
    answer = child.command([python, "-c", _ASK], deadline=timeout, environment={**QUIET, "PYTHONPATH": ""})
    try:
        # The last line: a sitecustomize may have printed others.
        return msgspec.convert(json.loads(answer.stdout.splitlines()[-1]), Places)
    except (ValueError, IndexError) as error:  # msgspec's own errors are ValueErrors too
        introduce(python, timeout)
        said = answer.stderr.strip().splitlines()[-1:] or [str(error)]
        raise NoAnswer(f"{text(python)} does not say where its packages are: {said[0]}") from error


# Looking at an environment must not write bytecode into it.
QUIET = {"PYTHONDONTWRITEBYTECODE": "1"}
