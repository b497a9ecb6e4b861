"""Run the command `fix` in order: examine, plan, verify; apply; undo. Asks the user nothing and shows nothing."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from attn_doctor.commands.installers import InstallerName, context, keeps_books
from attn_doctor.examination import Options, examine
from attn_doctor.examination.inputs import read_file
from attn_doctor.fixes import apply as applying
from attn_doctor.fixes import restore, unsigned
from attn_doctor.fixes.apply import Applied, Work
from attn_doctor.fixes.plan import Plan, Way
from attn_doctor.fixes.plan_builder import Resolver, make, pip_version, unresolved
from attn_doctor.fixes.resolve import Resolved, resolve
from attn_doctor.fixes.target_paths import Cannot, Places, ask, own, versions
from attn_doctor.fixes.verify import Trying, attempt, verify
from attn_doctor.model import foreign_text
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Finding, Goal
from attn_doctor.model.report import Report, decode_report
from attn_doctor.model.steps import Install, Uninstall
from attn_doctor.probes import ask as asking
from attn_doctor.probes.ask import QUIET
from attn_doctor.probes.choose import choose
from attn_doctor.probes.packages import distributions_of
from attn_doctor.system import machine, platforms
from attn_doctor.system.own_names import restore as restored

Say = Callable[[str], None]
_PLACEHOLDER = re.compile(r"<[a-z]+(?:-\d+)?>")


class FixRequest(NamedTuple):
    """Hold the options of the command `fix`."""

    environ: Mapping[str, str]  # the user's
    root: str = "/"
    target: str | None = None
    goal: Goal | None = None
    report: str | None = None  # path of a saved report, from which the plan is made
    facts: str | None = None  # path of recorded facts of another machine
    gpu: str | None = None  # judge for this GPU, which is in another machine
    installer: InstallerName | None = None
    verify: bool = False
    offline: bool = False  # do not ask the installer, which asks its index
    online: bool = False  # let the installer download to answer, and ask servers for sizes
    timeout: float = 120.0  # seconds for one import, one trial or one answer of the installer
    system_python: bool = False
    command: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()  # builders whose unsigned wheels the user allows


class Suggested(NamedTuple):
    """Hold a plan, and the report and folders from which it was made."""

    plan: Plan
    facts: Facts
    findings: tuple[Finding, ...]
    places: Places | None  # None: the report comes from another machine
    here: bool  # the plan is for this machine


class Undone(NamedTuple):
    """Hold the outcome of `fix --undo`: what was undone, and which files still differ."""

    plan: str  # its title
    wrong: tuple[str, ...]  # paths that could not be restored
    kept: str | None = None  # folder of the later changes that undoing took away


def suggest(request: FixRequest, say: Say) -> Suggested:
    """Make a plan; with `request.verify`, also try its ways in throw-away copies.

    Raises NoAnswer if the target does not answer, Unreadable for a bad report, Cannot for a report with another goal, or if no copy of
    the environment can be made.
    """
    report, here = _report(request, say)
    places = ask(report.target.python, request.environ, request.timeout) if here else None
    resolver = unresolved if places is None else _resolver(report.facts, request, say)
    plan = make(report.facts, report.findings, report.goal, installer=request.installer, resolver=resolver)
    if not here:
        note = f"This plan is for the machine {'of these facts' if request.facts else 'that wrote the report'}" + (
            ", and is not tried here." if request.verify else "."
        )
        plan = msgspec.structs.replace(plan, elsewhere=True, notes=(*plan.notes, note))
    if request.verify and places is not None:
        _check_name(places)
        plan = verify(plan, _trying(request, report.facts, plan, places, say))
    return Suggested(plan, report.facts, report.findings, places, here)


def _trying(request: FixRequest, facts: Facts, plan: Plan, places: Places, say: Say) -> Trying:
    return Trying(
        places,
        plan.goal,
        context(facts, plan.installer),
        request.timeout,
        say,
        request.environ,
        request.root,
        request.gpu,
        facts,
        request.trusted,
    )


def _check_name(places: Places) -> None:
    """Raise Cannot if a folder name is not UTF-8.

    A plan contains such names in escaped form, so a step might not find the folder.
    """
    for name in (places.python, places.prefix, places.purelib):
        if foreign_text.text(name) != name:
            why = "its name is not UTF-8, and attn-doctor changes nothing at such a place"
            raise Cannot(f"{foreign_text.text(name)} can be examined only: {why}")


def _report(request: FixRequest, say: Say) -> tuple[Report, bool]:
    """Return the report for the plan, and whether it is about this machine."""
    if request.report is None:
        options = Options(
            target=request.target,
            goal=request.goal,
            facts=request.facts,
            gpu=request.gpu,
            trial=False,
            timeout=request.timeout,
            command=request.command,
            environ={**request.environ, **QUIET},
            root=request.root,
        )
        return examine(options, say), request.facts is None
    report = decode_report(read_file(request.report), request.report)
    if request.goal not in (None, report.goal):
        raise Cannot(f"{request.report} was made with --goal {report.goal.value}: make a report with the other goal")
    plain = _put_back(report)
    if not _is_of_this_machine(plain):
        return report, False
    return plain, True


def _put_back(report: Report) -> Report:
    """Return the report in which the placeholders are replaced by this machine's home folder, user and host."""

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return restored(value)
        if isinstance(value, dict):
            return {key: walk(item) for key, item in value.items()}
        return [walk(item) for item in value] if isinstance(value, (list, tuple)) else value

    return msgspec.convert(walk(msgspec.to_builtins(report)), Report)


def _is_of_this_machine(report: Report) -> bool:
    """Return whether a report is about this machine: the interpreter, the packages, and the kernel or the memory are the same."""
    paths = (report.target.python, report.facts.interpreter.site_packages)
    if not re.match(r"(?i)(?:python|pypy)[\d.]*(?:\.exe)?$", Path(report.target.python).name):
        return False  # a report is untrusted: the file that it names is started, so its name must be a Python's
    if any(not isinstance(path, str) or _PLACEHOLDER.search(path) or not os.path.exists(path) for path in paths):
        return False
    system = report.facts.system
    return system.kernel == platform.release() or system.memory_bytes == machine.memory_bytes()


def _installed(facts: Facts, request: FixRequest) -> dict[str, str]:
    """Return normal name -> version of the installed packages: from facts that are new, else by asking the target again."""
    if request.report is None:
        return versions(own(facts))
    python = str(facts.interpreter.python)
    told = asking.ask(
        python, ("distributions",), request.environ, request.timeout, without=["PYTHONPATH"]
    ).distributions
    return {} if isinstance(told, Unknown) else versions(distributions_of(told))


def _resolver(facts: Facts, request: FixRequest, say: Say) -> Resolver:
    have, pip = _installed(facts, request), pip_version(facts)
    seen: dict[tuple[str, ...], Resolved] = {}

    def ask_installer(step: Install | Uninstall, variables: Mapping[str, str | None]) -> Resolved:
        key = (*step.argv, *sorted(variables))
        if key not in seen:
            say("asking the installer what it would change")
            seen[key] = resolve(
                step,
                have,
                pip=pip,
                deadline=request.timeout,
                environment={**request.environ, **{name: value or "" for name, value in variables.items()}},
                downloads=request.online,
            )
        return seen[key]

    def silent(step: Install | Uninstall, variables: Mapping[str, str | None]) -> Resolved:
        if isinstance(step, Install):
            return unresolved(step, variables)
        return resolve(step, have, pip=None, deadline=1.0, environment={})

    return silent if request.offline else ask_installer


def check_system() -> None:
    """Raise Cannot on Windows, where attn-doctor copies, changes and restores no environment.

    Called before anything starts.
    """
    if platforms.WINDOWS:
        raise Cannot(
            "--verify, --apply and --undo were never run on Windows, so attn-doctor changes and copies no environment there: "
            "`attn-doctor fix --suggest` shows the commands, and a new environment (`py -m venv NAME`) is a safe place to try them"
        )


def check_applicable(request: FixRequest, suggested: Suggested, way: Way) -> None:
    """Raise Cannot if this way must not be applied. Called before the user is asked."""
    assert suggested.places is not None
    _check_name(suggested.places)
    reason = unsigned.distrusted(way, request.trusted)
    reason = reason or applying.refusal(suggested.facts, suggested.places, way, system_python=request.system_python)
    reason = reason or way.impossible()
    if reason:
        raise Cannot(reason)


def ready(request: FixRequest, suggested: Suggested, way: Way, say: Say) -> Way:
    """Check and try the unsigned wheel of a way in a throw-away copy, and return the way with the outcome in `attempt`.

    The caller applies the way only if `attempt.verified` is True. Returned unchanged: a way without an unsigned wheel, and a way that
    was verified before. `say` gets the progress.
    """
    if way.unsigned is None or (way.attempt is not None and way.attempt.verified):
        return way
    assert suggested.places is not None
    say("reading and trying the wheel in a copy first")
    return attempt(way, _trying(request, suggested.facts, suggested.plan, suggested.places, say))


def carry_out(request: FixRequest, suggested: Suggested, way: Way, say: Say) -> Applied:
    """Apply the way. Raises Cannot if nothing was done, for example because another process is changing the environment."""
    assert suggested.places is not None
    here = context(suggested.facts, suggested.plan.installer)
    books = here.folder if here.folder and keeps_books(here) and way.unsigned is None else None
    work = Work(
        suggested.places,
        suggested.findings,
        request.timeout,
        say,
        request.environ,
        suggested.facts,
        request.root,
        request.system_python,
        books,
        request.gpu,
    )
    try:
        return applying.apply(way, work)
    except restore.Busy as busy:
        raise Cannot(f"nothing was done: {busy}") from busy


def to_undo(request: FixRequest) -> tuple[Places, Path, list[str]]:
    """Return (folders of the target, folder of its newest backup, paths that were changed since). Raises Cannot if there is no backup."""
    places = ask(choose(request.target, request.environ).python, request.environ, request.timeout)
    folder = applying.latest(places)
    if folder is None:
        raise Cannot(f"there is nothing to undo for {places.python}")
    return places, folder, restore.changed_since(str(folder), restore.events(str(folder)))


def take_back(places: Places, folder: Path, changed: Sequence[str], say: Say) -> Undone:
    """Undo the last plan.

    `changed`: the paths that were changed after the plan; if there are any, the files that undoing takes away stay in
    the folder `taken` of the backup. Raises Cannot if another process is changing the environment.
    """
    journal = restore.events(str(folder))
    title = next((event["plan"] for event in journal if event["at"] == "begin"), "nothing had been begun")
    try:
        wrong = restore.undo(str(places.home), str(folder), keep=bool(changed), say=say)
    except restore.Busy as busy:
        raise Cannot(f"nothing was done: {busy}") from busy
    taken = folder / "taken"
    return Undone(title, tuple(wrong), str(taken) if taken.is_dir() else None)
