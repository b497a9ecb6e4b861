"""Ask the target for the folders into which an installer would write, and separate its own packages from those on PYTHONPATH."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from attn_doctor.errors import NoAnswer, Refused
from attn_doctor.model.facts import Distribution, Facts, Record, Unknown
from attn_doctor.model.foreign_text import text
from attn_doctor.probes import ask as asking
from attn_doctor.probes.ask import Layout

# Files that uv, poetry, PDM and pixi read or write in a project, beside the environment.
BOOKS = (
    "pyproject.toml",
    "poetry.lock",
    "pdm.lock",
    "pdm.toml",
    ".pdm-python",
    "pixi.toml",
    "pixi.lock",
    "uv.lock",
    "uv.toml",
)


class Cannot(Refused):
    """Report a request that cannot be carried out here. The text is one sentence for the user."""


class Root(Record, frozen=True, kw_only=True):
    """Describe a folder or file that an installer may change, except for the names in `skip`."""

    path: str
    skip: tuple[str, ...] = ()


# "conda": a whole prefix of its own · "bare": an interpreter that is installed somewhere
PlacesKind = Literal["conda", "venv", "bare"]


class Places(Layout, frozen=True, kw_only=True):
    """Hold the folders of the target that an installer writes into."""

    @property
    def kind(self) -> PlacesKind:
        """Return the kind of environment to which these folders belong."""
        if (Path(self.prefix) / "conda-meta").is_dir():
            return "conda"
        return "venv" if self.prefix != self.base_prefix else "bare"

    @property
    def home(self) -> Path:
        """Return the folder for backups: beside the packages, on their file system."""
        folder = Path(self.purelib).parent if self.kind == "bare" else Path(self.prefix)
        return folder / ".attn-doctor"

    def roots(self) -> tuple[Root, ...]:
        """Return all folders into which an installer writes. None of them is inside another; some may not exist yet."""
        if self.kind == "conda":
            return (Root(path=os.path.realpath(self.prefix), skip=_NOT_OF_CONDA),)
        listed = [self.purelib, self.platlib, self.scripts]
        if self.kind == "venv" or not self.prefix.startswith("/usr"):
            listed += [f"{self.data}/{name}" for name in ("include", "share", "etc", "man")]
        if self.kind == "venv":
            # `pipx_metadata.json` lists what pipx injected; only environments of pipx have it. `.lock` is the empty file that uv
            # leaves in an environment: https://github.com/astral-sh/uv/issues/11878
            listed += [f"{self.prefix}/{name}" for name in ("pipx_metadata.json", ".lock")]
        listed += self.user
        real = list(dict.fromkeys(os.path.realpath(path) for path in listed))
        return tuple(Root(path=path) for path in real if not any(path.startswith(f"{other}/") for other in real))


# Folders in conda's base that do not belong to the base: other environments, and the packages to which all environments link.
_NOT_OF_CONDA = (".attn-doctor", "conda-bld", "envs", "pkgs")


def ask(python: str, environ: Mapping[str, str], timeout: float = 60.0) -> Places:
    """Ask the target for its folders. Raises NoAnswer if it does not answer.

    PYTHONPATH is left out, because it is no part of the environment.
    """
    layout = asking.ask(python, ("layout",), environ, timeout, without=["PYTHONPATH"]).layout
    if isinstance(layout, Unknown):
        raise NoAnswer(text(python), f"does not say where its packages are: {layout.why}")
    return Places(**msgspec.structs.asdict(layout))


def own(facts: Facts) -> tuple[Distribution, ...]:
    """Return the distributions of the environment itself, without those that PYTHONPATH adds."""
    listed, variables, prefix = facts.packages.distributions, facts.environment, facts.interpreter.prefix
    if isinstance(listed, Unknown):
        return ()
    named = () if isinstance(variables, Unknown) else [v.value for v in variables if v.name == "PYTHONPATH"]
    beside = {os.path.realpath(folder) for value in named for folder in value.split(os.pathsep) if folder}
    inside = f"{os.path.realpath(prefix)}{os.sep}" if isinstance(prefix, str) else None

    def is_own(item: Distribution) -> bool:
        place = item.location
        return place not in beside or (inside is not None and isinstance(place, str) and place.startswith(inside))

    return tuple(item for item in listed if is_own(item))


def versions(distributions: Iterable[Distribution]) -> dict[str, str]:
    """Return normal name -> version of the installed packages; an empty text for a version that is not known.
    Of two packages with one name the first on sys.path counts, because Python imports it.
    """
    found: dict[str, str] = {}
    for item in distributions:
        found.setdefault(item.name, item.version if isinstance(item.version, str) else "")
    return found


def freeze(distributions: Iterable[Distribution]) -> str:
    """Return the installed packages, one line each, with their source."""
    lines = [
        f"{d.name}=={d.version}  # {d.location}" + (f"  {d.direct_url}" if isinstance(d.direct_url, str) else "")
        for d in distributions
    ]
    return "".join(f"{line}\n" for line in lines)
