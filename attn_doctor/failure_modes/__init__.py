"""Hold the failure modes, the ways in which an environment can be broken: each folder is an area, each module a failure mode.

ALL contains the modules in the order of their codes. It is made from the folders when it is first used: to add a failure mode, put a
module into a folder. docs/adding-a-failure-mode.md says how.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from attn_doctor.errors import Refused

if TYPE_CHECKING:
    from attn_doctor.failure_modes.mode import FailureMode, Module, Stops
    from attn_doctor.logs.reader import Pattern

    ALL: tuple[Module, ...]


def __getattr__(name: str) -> object:
    """Make ALL when it is first used: code that needs one module does not load them all."""
    if name != "ALL":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["ALL"] = made = _from_folders()
    return made


def _from_folders() -> tuple[Module, ...]:
    import pkgutil
    from importlib import import_module

    from attn_doctor.failure_modes.areas import AREAS

    names = (
        f"{folder.__name__}.{found.name}"
        for folder in (import_module(f"{__name__}.{area.folder}") for area in AREAS)
        for found in pkgutil.iter_modules(folder.__path__)
    )
    modules: list[Module] = [import_module(name) for name in names]
    return tuple(sorted(modules, key=lambda module: module.MODE.code))


class UnknownName(Refused):
    """Report that no failure mode has this code or slug. The text is one sentence for the user.

    `near`: the name that the user probably meant.
    """

    def __init__(self, text: str, near: str | None = None) -> None:
        super().__init__(text)
        self.near = near


def find(name: str) -> Module:
    """Return a failure mode by its code (upper or lower case) or slug. Raises UnknownName if there is none."""
    from attn_doctor.failure_modes import ALL

    for module in ALL:
        if name.upper() == module.MODE.code or name.lower() == module.MODE.slug:
            return module
    import difflib

    known = [m.MODE.slug for m in ALL] + [m.MODE.code for m in ALL]
    close = difflib.get_close_matches(name.lower(), known, 1) or difflib.get_close_matches(name.upper(), known, 1)
    hint = f"; did you mean {close[0]}?" if close else "; `attn-doctor list` shows all"
    raise UnknownName(f"no failure mode is called {name!r}{hint}", close[0] if close else None)


def check_names(names: Iterable[str]) -> None:
    """Check that each code or slug exists. Raises UnknownName for the first that does not."""
    for name in names:
        find(name)


def that_stop(what: Stops) -> tuple[str, ...]:
    """Return the slugs of all failure modes with this `stops`: "build" or "gpu"."""
    return _by_stops().get(what, ())


@functools.cache  # not on `that_stop`: mypy accepts any argument of a cached function
def _by_stops() -> dict[Stops, tuple[str, ...]]:
    from attn_doctor.failure_modes import ALL

    found: dict[Stops, tuple[str, ...]] = {}
    for module in ALL:
        found[module.MODE.stops] = (*found.get(module.MODE.stops, ()), module.MODE.slug)
    return found


@functools.cache
def no_build_here() -> tuple[str, ...]:
    """Return the slugs of the failure modes against which no build of flash-attn helps: the system or the GPU is not supported."""
    from attn_doctor.failure_modes import ALL

    return tuple(module.MODE.slug for module in ALL if module.MODE.explains_what_stops == "build")


def consequences(mode: FailureMode) -> tuple[str, ...]:
    """Return the slugs of the consequences of a failure mode: those in `explains`, and all whose `stops` is its `explains_what_stops`."""
    return mode.explains if mode.explains_what_stops is None else (*mode.explains, *that_stop(mode.explains_what_stops))


def patterns() -> list[Pattern]:
    """Return the signs of all failure modes, for a `Reader`."""
    from attn_doctor.failure_modes import ALL
    from attn_doctor.logs.reader import Pattern

    return [
        Pattern(m.MODE.slug, sign.literal.encode(), sign.pattern, sign.strength, sign.topic)
        for m in ALL
        for sign in m.MODE.signs
    ]
