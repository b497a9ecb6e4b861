"""Try failed imports again, each time without one setting that can hide the environment's own files.

PYTHONPATH, the user site, LD_LIBRARY_PATH and LD_PRELOAD put code and libraries before those of the environment. If a
module imports without one of them, that setting kept the module from importing.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from attn_doctor import child
from attn_doctor.system import threads

LEAST_SECONDS = 20.0  # a second import gets so many seconds if no successful import shows how long an import takes
TIMES_AS_LONG = 3.0  # a second import gets this many times the duration of a successful import
_LIBRARY_VARIABLES = ("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES")


class Way(NamedTuple):
    """Describe one way to import again: the name of the setting that is left out, and the changes to the variables that leave it out."""

    without: str  # "PYTHONPATH", "user site"
    environment: Mapping[str, str | None]  # {"PYTHONPATH": None}: None removes the variable


def ways(environ: Mapping[str, str], *, user_site: bool) -> tuple[Way, ...]:
    """Return the ways that differ from the first import. If there are several, the last way leaves out all settings.

    Example: PYTHONPATH and LD_LIBRARY_PATH are set. The ways are: without the first, without the second, without both.
    """
    found = [Way(name, {name: None}) for name in ("PYTHONPATH", *_LIBRARY_VARIABLES) if environ.get(name)]
    if user_site:
        found.append(Way("user site", {"PYTHONNOUSERSITE": "1"}))
    if len(found) > 1:
        both = {name: value for way in found for name, value in way.environment.items()}
        found.append(Way(" and ".join(way.without for way in found), both))
    return tuple(found)


def look_again(
    modules: Sequence[str],
    those: Sequence[Way],
    importing: Callable[[Mapping[str, str | None], Sequence[str], float, threading.Event], child.Outcome],
    *,
    good_seconds: float | None = None,
) -> dict[str, str | None]:
    """Return, for each module, the setting without which it imports; None if leaving out a setting does not help.

    `those`: the ways of `ways`. All are tried at the same time, and ended as soon as one of them makes all modules import, unless that
    is the last one, which leaves out more than necessary. `importing(environment, modules, deadline, stop)` imports the modules in a
    child. `good_seconds`: the seconds that a successful import took on this machine; None if there was none.
    """
    if not modules or not those:
        return dict.fromkeys(modules)
    deadline = max(LEAST_SECONDS, TIMES_AS_LONG * (good_seconds or 0.0))
    until = time.monotonic() + deadline
    stop = threading.Event()
    works: dict[str, set[str]] = {way.without: set() for way in those}

    def attempt(way: Way) -> None:
        left = until - time.monotonic()
        if stop.is_set() or left <= 0:
            return
        works[way.without] = imported(importing(way.environment, modules, left, stop))
        if works[way.without] >= set(modules) and way is not those[-1]:
            stop.set()  # the last way leaves out all settings, more than necessary: so wait for the other ways

    for task in [threads.start(functools.partial(attempt, way)) for way in those]:
        task.result()
    return {name: next((w.without for w in those if name in works[w.without]), None) for name in modules}


def imported(outcome: child.Outcome) -> set[str]:
    """Return the names of the modules that imported in this child."""
    names = {
        message.data["module"]
        for message in outcome.messages
        if message.at == "fact"
        and isinstance(message.data, dict)
        and message.data.get("ok") is True
        and isinstance(message.data.get("module"), str)
    }
    says_version = any(isinstance(data, dict) and "version" in data for data in outcome.facts("torch"))
    return names | ({"torch"} if says_version and outcome.raised("torch") is None else set())
