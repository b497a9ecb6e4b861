"""Apply a way to the target: make a backup, write a journal, run the steps, examine the result.

If the environment does not work afterwards, everything is restored. The order makes this safe: no step runs before the backup is
complete and the journal contains that. Each step is written to the journal before it begins. docs/fixes.md has the reasons and
the measurements.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from attn_doctor.errors import NoAnswer
from attn_doctor.fixes import after_fix_verdict, first_import, restore, step_runner, unsigned
from attn_doctor.fixes.after_fix_verdict import Say
from attn_doctor.fixes.hardlink_copy import NoRoom, copy_tree
from attn_doctor.fixes.plan import Way
from attn_doctor.fixes.target_paths import BOOKS, Cannot, Places, Root, freeze, own
from attn_doctor.fixes.verify import STEP_DEADLINE
from attn_doctor.model.facts import Facts, Record
from attn_doctor.model.findings import Finding
from attn_doctor.model.report import Report
from attn_doctor.model.steps import Step

# "not undone": `wrong` has what could not be put back. "refused": a wheel was refused before anything was changed.
ApplyOutcome = Literal["applied", "rolled back", "not undone", "refused"]


class Applied(Record, frozen=True, kw_only=True):
    """Hold the outcome of applying a way."""

    outcome: ApplyOutcome
    summary: str
    undo: tuple[str, ...] = ()  # the command that undoes the plan; empty if nothing was changed
    kept: str | None = None  # the folder of the backup
    wrong: tuple[str, ...] = ()  # paths that could not be restored
    left: tuple[str, ...] = ()  # findings that remain afterwards: "AD311 numpy-abi: ..."
    by_hand: tuple[str, ...] = ()  # steps that only the user can do


class Work(NamedTuple):
    """Hold the inputs of `apply`, except the way."""

    places: Places
    findings: Sequence[Finding]  # before any change
    timeout: float  # seconds for one import of the examination afterwards
    say: Say
    environ: Mapping[str, str]  # the user's environment variables
    facts: Facts  # of the target, before any change
    root: str = "/"
    system_python: bool = False
    books: str | None = None  # folder of a project whose lock file the installer writes
    gpu: str | None = None  # judge for this GPU, which is in another machine


def refusal(facts: Facts, places: Places, way: Way, *, system_python: bool) -> str | None:
    """Return the reason why the way must not be applied here; None if there is none."""
    of_system = facts.interpreter.externally_managed is True or (places.kind == "bare" and places.prefix == "/usr")
    if of_system and not system_python:
        return (
            f"{places.python} belongs to the operating system (PEP 668), whose own programs need its packages: make a virtual "
            "environment instead, or add --system-python if you really want this"
        )
    if not os.access(places.purelib, os.W_OK):
        return f"{places.purelib} is not writable for you"
    if not way.runnable():
        return "this plan has no step that attn-doctor can run: all its steps are for you to do"
    missing = [s.step.argv[0] for s in way.runnable() if shutil.which(s.step.argv[0]) is None]
    if missing:
        return f"{missing[0]} is not installed here"
    linked = next((path for path in (places.home, places.home / "undo") if path.is_symlink()), None)
    if linked:  # whoever can write to the environment could let the backup overwrite files elsewhere
        return f"{linked} is a link: the backup would be written to {os.path.realpath(linked)}. Remove the link"
    waiting = unfinished(places)
    if waiting:
        return f"an earlier plan was interrupted here: first run `attn-doctor fix --undo --target {places.python}`"
    return None


def unfinished(places: Places) -> Path | None:
    """Return the newest backup folder if its plan was begun, and neither applied to its end nor undone; else None."""
    folder = latest(places)
    journal = restore.events(str(folder)) if folder else []
    return folder if restore.has(journal, "kept") and not restore.has(journal, "applied") else None


def latest(places: Places) -> Path | None:
    """Return the newest backup that is not completely undone; it may be an empty folder. None if there is no backup."""
    home = places.home / "undo"
    for folder in sorted(home.iterdir(), reverse=True) if home.is_dir() else ():
        if not any(event["at"] == "undone" and event["keep"] for event in restore.events(str(folder))):
            return folder
    return None


def apply(way: Way, work: Work) -> Applied:
    """Apply the way and return the outcome.

    Raises Cannot if that is not possible, restore.Busy if another process is changing this environment. In both cases nothing was
    changed.
    """
    home = work.places.home
    (home / "undo").mkdir(parents=True, exist_ok=True)
    lock = restore.take_lock(str(home))
    folder = home / "undo" / f"{dt.datetime.now(dt.timezone.utc):%Y%m%dT%H%M%S%fZ}"
    folder.mkdir(mode=0o700)
    try:
        _keep(folder, way, work)
        failed, left = _carry_out(folder, way, work, lock)
        if failed is None:
            _finish(folder)
    except BaseException:
        os.close(lock)
        lock = -1
        work.say("putting everything back")
        restore.undo(str(home), str(folder))
        raise
    finally:
        if lock >= 0:
            os.close(lock)
    if failed is not None:
        work.say("putting everything back")
        return _rolled_back(home, folder, failed, left)
    return Applied(
        outcome="applied",
        summary="applied and verified" if not left else f"applied and verified; findings that remain: {len(left)}",
        undo=("attn-doctor", "fix", "--undo", "--target", work.places.python),
        kept=str(folder),
        left=left,
        by_hand=tuple(planned.step.why for planned in way.by_hand()),
    )


def _rolled_back(home: Path, folder: Path, failed: str, left: tuple[str, ...]) -> Applied:
    wrong = tuple(restore.undo(str(home), str(folder)))
    if wrong:
        return Applied(outcome="not undone", summary=failed, kept=str(folder), wrong=wrong, left=left)
    return Applied(outcome="rolled back", summary=failed, left=left)


def _keep(folder: Path, way: Way, work: Work) -> None:
    """Back up everything that the steps may change. No step runs before the journal contains "kept"."""
    roots = [*work.places.roots(), *_books(work)]
    restore.write_event(
        str(folder),
        at="begin",
        doctor=[os.getpid(), restore.started(os.getpid())],
        python=work.places.python,
        plan=way.title,
        steps=[list(planned.step.argv) for planned in way.runnable()],
        roots=[{"path": root.path, "skip": list(root.skip)} for root in roots],
        created=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
    )
    if way.unsigned is not None:
        wheel = way.unsigned
        restore.write_event(
            str(folder), at="wheel", builder=wheel.builder, url=wheel.url, file=wheel.file, sha256=wheel.sha256
        )
    shutil.copyfile(restore.__file__, folder / "undo.py")
    (folder / "freeze.txt").write_text(freeze(own(work.facts)) + _conda_revision(work.places))
    (folder / "kept").mkdir()
    work.say(f"making a backup in {folder}")
    before: dict[str, dict[str, restore.Entry]] = {}
    for number, root in enumerate(roots):
        before[root.path] = restore.manifest(root.path, root.skip)
        if os.path.lexists(root.path):
            try:
                copy_tree(Path(root.path), folder / "kept" / str(number), root.skip)
            except NoRoom as error:
                raise Cannot(f"nothing was done: {error}") from error
            except OSError as error:
                raise Cannot(f"nothing was done: {root.path} cannot be backed up: {error}") from error
    _write(folder / restore.MANIFEST, before)
    restore.write_event(str(folder), at="kept")


def _books(work: Work) -> list[Root]:
    if work.books is None:
        return []
    return [Root(path=str(Path(work.books).resolve() / name)) for name in BOOKS]


def _conda_revision(places: Places) -> str:
    history = Path(places.prefix) / "conda-meta" / "history"
    if not history.is_file():
        return ""
    revisions = sum(line.startswith("==>") for line in history.read_text("utf-8", "replace").splitlines())
    return f"# conda revision {revisions - 1}\n"


def _write(path: Path, value: Any) -> None:
    with path.open("w", encoding="ascii") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())


def _carry_out(folder: Path, way: Way, work: Work, lock: int) -> tuple[str | None, tuple[str, ...]]:
    """Run the steps and examine the result. Return the reason of a failure (None: none), and the findings that are left."""
    environ = _environ(way, work)
    changed = unsigned.altered(way)
    if changed is not None:
        return changed, ()
    for number, planned in enumerate(way.runnable(), 1):
        work.say(f"step {number} of {len(way.runnable())}: {planned.words}")
        done = _run(_Journalled(folder, number, planned.step), environ, work, lock)
        if not done.ok:
            log = folder / f"step-{number}.log"
            return f"step {number} fails ({planned.words}): {after_fix_verdict.explain(log, way.goal)}", ()
    work.say("examining the result")
    try:
        report = _examined(way, work, environ)
    except NoAnswer as error:
        return f"after this plan the environment does not answer: {error}", ()
    why = after_fix_verdict.verdict(way, work.findings, report)
    left = tuple(f"{f.code} {f.slug}: {f.message}" for f in after_fix_verdict.remaining(report))
    return (f"after this plan {why}" if why else None), left


def _examined(way: Way, work: Work, environ: Mapping[str, str]) -> Report:
    """Examine the environment after the steps.

    A wheel that nobody signed is imported without credentials, in an empty home folder.
    """
    with tempfile.TemporaryDirectory(prefix="attn-doctor-home-") as home:
        if way.unsigned is not None:
            environ = first_import.cleared(environ, Path(home), work.places.user)
        return after_fix_verdict.examine(
            work.places.python, way.goal, environ, work.timeout, gpu=work.gpu, root=work.root
        )


def _environ(way: Way, work: Work) -> dict[str, str]:
    variables: dict[str, str | None] = dict(way.variables())
    if work.system_python:
        variables["PIP_BREAK_SYSTEM_PACKAGES"] = "1"
    places = work.places
    if places.kind == "bare":
        made = step_runner.changed(work.environ, {**variables, "PIP_NO_INPUT": "1"})
        return {**made, "PATH": os.pathsep.join([places.scripts, made.get("PATH", os.defpath)])}
    return step_runner.environment(work.environ, places.prefix, places.scripts, variables, conda=places.kind == "conda")


class _Journalled(NamedTuple):
    folder: Path
    number: int
    step: Step


def _run(this: _Journalled, environ: Mapping[str, str], work: Work, lock: int) -> step_runner.Ran:
    folder, number, step = this
    journal = str(folder)
    restore.write_event(journal, at="step", number=number, argv=list(step.argv))

    def started(pid: int) -> None:
        restore.write_event(journal, at="running", number=number, pid=pid, started=restore.started(pid))

    done = step_runner.run(
        step.argv,
        environ,
        folder / f"step-{number}.log",
        deadline=STEP_DEADLINE,
        lock=lock,
        cwd=work.books,
        on_start=started,
        on_line=work.say,
    )
    restore.write_event(journal, at="ended", number=number, code=done.code)
    return done


def _finish(folder: Path) -> None:
    """Mark the plan as applied, and record the state of the environment, so that a later undo can compare."""
    journal = restore.events(str(folder))
    after = {root["path"]: restore.manifest(root["path"], root["skip"]) for root in restore.roots(journal)}
    _write(folder / restore.AFTER, after)
    restore.write_event(str(folder), at="applied")
