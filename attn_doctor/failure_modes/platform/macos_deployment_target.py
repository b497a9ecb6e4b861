"""A package is compiled on a Mac for a macOS that is older than the build allows.

What it is
    MACOSX_DEPLOYMENT_TARGET names the oldest macOS on which the compiled code has to run. It must not be older than the macOS for which Python
    was built, and than the first macOS that has the functions that the sources use.

How it shows
    "$MACOSX_DEPLOYMENT_TARGET mismatch: now "10.14" but "11.0" during configure", "error: 'path' is unavailable: introduced in macOS 10.15",
    "aligned allocation function ... is only available on macOS 10.13 or newer".

Why it happens
    Instructions that were written for Macs with Intel processors say MACOSX_DEPLOYMENT_TARGET=10.9 or 10.14. Python for Apple silicon is built for
    macOS 11.0 or newer. Or the variable is not set, and Python itself was built for an old macOS (the Pythons of conda for Intel).

What to do
    Set MACOSX_DEPLOYMENT_TARGET to the newer version that the message names, and build again.

How to reproduce
    There is no recipe: it takes a Mac. On one, `MACOSX_DEPLOYMENT_TARGET=10.2 python -m pip install --no-binary :all: pyyaml` shows the first message.

References
    https://github.com/python/cpython/pull/25827
    https://github.com/pypa/cibuildwheel/issues/2119
    https://github.com/RainerKuemmerle/g2o/issues/791
    https://github.com/libgit2/pygit2/issues/972
"""

from __future__ import annotations

import re
import shlex

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

_NAME = "MACOSX_DEPLOYMENT_TARGET"
_VERSION = r"\d{1,2}(?:\.\d{1,2}){0,2}"

MODE = FailureMode(
    code="AD565",
    slug="macos-deployment-target",
    title="The build is for a macOS that is too old",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED,),
    signs=(
        Sign(
            pattern=rf"{_NAME} mismatch: now ['\"](?P<now>{_VERSION})['\"] but ['\"](?P<needed>{_VERSION})['\"] during configure",
            literal=f"{_NAME} mismatch",
            sample=f'error: ${_NAME} mismatch: now "10.9" but "11.0" during configure',
        ),
        Sign(
            pattern=rf"error: '(?P<function>[^']{{1,80}})' is unavailable: introduced in macOS (?P<introduced>{_VERSION})",
            literal=" is unavailable: introduced in macOS ",
            sample="src/files.cpp:36:31: error: 'path' is unavailable: introduced in macOS 10.15",
        ),
        Sign(
            pattern=rf"error: .{{0,200}}is only available on macOS (?P<introduced>{_VERSION}) or newer",
            literal=" is only available on macOS ",
            sample="error: aligned allocation function of type 'void *(std::size_t, std::align_val_t)' is only available on macOS 10.13 or newer",
        ),
        Sign(
            pattern=rf"(?:deployment target|{_NAME})\b.{{0,80}}?(?P<now>{_VERSION}).{{0,40}} is too (?:low|old)",
            literal=" is too ",
            sample="CMake Error: macOS deployment target '10.11' is too low, use 10.15 or newer",
        ),
    ),
)
# There is no `detect`: no fact says which package will be compiled, and for which macOS its sources are.


class Target(Variant, frozen=True, kw_only=True):
    """Hold the deployment target of the build, and the oldest one that it allows: "10.14", "11.0". None: the log does not show it."""

    now: str | None
    needed: str | None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    now = seen.group("now")
    introduced = [found for m in seen.matches if (found := m.groups.get("introduced"))]
    needed = seen.group("needed") or max(introduced, key=lambda text: pair(text) or (int(text), 0), default=None)
    if seen.group("needed"):
        message = f"{_NAME} is {now}, and this Python was built for macOS {needed}: the build refuses an older deployment target."
    elif needed:
        message = f"The sources use functions that macOS has since {needed}, and the build is for an older macOS: its deployment target is too old."
    else:
        message = f"The deployment target of the build, macOS {now}, is too old for the sources."
    return Hit(message=message, evidence=evidence, variant=Target(now=now, needed=needed))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    target = hit.variant if isinstance(hit.variant, Target) else Target(now=None, needed=None)
    needed = target.needed or "11.0"
    if target.needed is not None:
        why = "the compiled code then runs on this macOS and newer ones"
    else:
        # macOS 11.0 is the first one for Apple silicon: https://github.com/python/cpython/pull/22855
        why = "the oldest macOS on Apple silicon; if the message names a newer one, write that"
    typed = _typed(facts, needed)
    if typed is not None:
        words = f"your command with the other deployment target: {why}"
        steps: tuple[Step, ...] = (commands.by_hand(typed, words, "the packages of that command"),)
    else:
        again = "repeat the command that failed, in this shell. A value in front of the command itself counts more: change that one"
        steps = (
            commands.variable(_NAME, needed, why),
            commands.by_hand((), again, "the packages of that command"),
        )
    built = Fix(title=f"Build for macOS {needed} and newer", steps=steps, verify=building.verify(facts))
    return (built, *building.without_compiling(facts))


def _typed(facts: Facts, needed: str) -> tuple[str, ...] | None:
    """Return the typed command with this deployment target, if it sets the variable itself; else None."""
    command = facts.subject.command
    if not isinstance(command, str) or f"{_NAME}=" not in command:
        return None
    try:
        words = shlex.split(re.sub(rf"{_NAME}=\S+", f"{_NAME}={needed}", command))
    except ValueError:
        return None
    return ("env", *words) if words and re.match(r"\w+=", words[0]) else tuple(words)
