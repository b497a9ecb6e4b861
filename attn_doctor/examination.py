"""The one function that knows the order of the stages: collect, judge, prove, advise. It shows nothing."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from attn_doctor import __version__, claims, goals, log_marks
from attn_doctor.diagnose import diagnose
from attn_doctor.errors import FINDINGS, NOT_EXAMINED, OK
from attn_doctor.facts import Facts, Unknown
from attn_doctor.failure_modes import ALL, patterns
from attn_doctor.findings import Diagnosis, Goal, Severity
from attn_doctor.knowledge.tables import knowledge_date
from attn_doctor.logs import Log, Reader, read_bytes
from attn_doctor.not_a_log import checked
from attn_doctor.probes.choose import choose
from attn_doctor.probes.gather import Request, gather
from attn_doctor.recommend import recommend
from attn_doctor.report.model import Report, Target, Tool, Unreadable, decode_facts
from attn_doctor.trials.plan import TrialOptions
from attn_doctor.trials.rows import Trials, refused

Say = Callable[[str], None]


class Options(NamedTuple):
    """What one examination is asked for."""

    target: str | None = None
    goal: Goal | None = None
    static: bool = False
    trial: bool = True
    trials: TrialOptions = TrialOptions()
    logs: tuple[str, ...] = ()  # paths, "-" for standard input
    facts: str | None = None  # a facts file or a report instead of this machine
    timeout: float = 120.0
    fail_on: Severity | None = Severity.ERROR
    ignore: tuple[str, ...] = ()  # codes or slugs
    command: tuple[str, ...] = ("attn-doctor", "check")
    root: str = "/"  # a folder that stands for a machine: for tests


DEFAULTS = Options()


def examine(options: Options = DEFAULTS, say: Say = lambda _: None) -> Report:
    """Examine a target and report.

    Raises NoTarget, BadRequest, Unreadable (all ValueError: the request cannot be met) and NoAnswer (the target did not
    say anything at all). Everything else that goes wrong is in the report.
    """
    modules = tuple(m for m in ALL if not {m.MODE.code, m.MODE.slug} & set(options.ignore))
    logs = read_logs(options.logs)
    facts = facts_of(options, say)
    goal = options.goal or (goals.implied_by(logs) if logs else goals.implied(facts)[0])  # a log is of what was wanted
    diagnosis = diagnose(facts, goal, logs=logs, modules=modules)
    trials = _prove(facts, options, say)
    if trials.rows:
        diagnosis = diagnose(facts, goal, logs=(*logs, *_said_in_trials(trials)), trials=trials, modules=modules)
    return Report(
        tool=Tool(version=__version__, knowledge_date=knowledge_date()),
        created=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        command=options.command,
        goal=goal,
        target=_target(facts),
        exit_code=exit_code(diagnosis, options.fail_on),
        facts=facts,
        findings=diagnosis.findings,
        undetermined=diagnosis.undetermined,
        unrecognised=diagnosis.unrecognised,
        trials=trials.rows,
        trial_run=trials.run if trials.rows else None,
        trials_skipped=trials.skipped,
        recommendation=recommend(facts, diagnosis, trials),
    )


def facts_of(options: Options, say: Say = lambda _: None) -> Facts:
    """The facts that options ask for: of a file, or of a target. Raises as `examine` does."""
    if options.facts:
        return decode_facts(read_file(options.facts), options.facts)
    choice = choose(options.target)
    say("examining " + choice.python)
    return gather(
        Request(choice, static=options.static, timeout=options.timeout, on_slow=_slow(say), root=Path(options.root))
    )


def _prove(facts: Facts, options: Options, say: Say) -> Trials:
    if options.facts:
        return Trials(skipped="the facts come from a file: nothing can be run on that machine from here")
    if options.static:
        return Trials(skipped="--static imports nothing of the target")
    if not options.trial:
        return Trials(skipped="left out by --no-trial")
    from attn_doctor.trials.plan import plan
    from attn_doctor.trials.run import run

    assert isinstance(facts.interpreter.python, str)
    return run(plan(facts, options.trials), [facts.interpreter.python], timeout=options.timeout, on_progress=say)


def _said_in_trials(trials: Trials) -> tuple[Log, ...]:
    """What a GPU said that refuses everything, as a log: the failure modes know such lines."""
    row = refused(trials.rows)
    return (read_bytes((row.reason or "").encode(), "trial", [*patterns()]),) if row else ()


def read_logs(paths: Iterable[str]) -> tuple[Log, ...]:
    """Each log, searched for every failure mode's signs and for errors. Raises Unreadable, and NoLog for what is none."""
    paths = tuple(paths)
    if not paths:
        return ()
    reader = log_reader()
    return tuple(_read_log(reader, path) for path in paths)


def log_reader() -> Reader:
    """Make the reader that searches for everything: signs, what a log says of its machine, what was wanted, how it ended."""
    return Reader([*patterns(), *claims.PATTERNS, *goals.PATTERNS, *log_marks.PATTERNS], keeps_end=True)


def _read_log(reader: Reader, path: str) -> Log:
    if path == "-":
        return reader.read(checked(sys.stdin.buffer, "standard input"), "standard input")
    try:
        stream: BinaryIO
        with Path(path).open("rb") as stream:
            return reader.read(checked(stream, path), path)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror or error}") from error


def read_file(path: str) -> bytes:
    """A whole file, or standard input for "-". Raises Unreadable."""
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror or error}") from error


def exit_code(diagnosis: Diagnosis, fail_on: Severity | None) -> int:
    """0, 1 when a finding is at or above `fail_on` (None: never), or else 3 when a log holds an error that nobody knows."""
    worst = diagnosis.worst()
    if fail_on is not None and worst is not None and worst.rank >= fail_on.rank:
        return FINDINGS
    return NOT_EXAMINED if diagnosis.unrecognised else OK


def _target(facts: Facts) -> Target:
    def text(value: str | Unknown | None) -> str | None:
        return value if isinstance(value, str) else None

    interpreter = facts.interpreter
    return Target(
        python=text(interpreter.python) or "unknown",
        why=text(interpreter.why) or "as recorded",
        version=text(interpreter.version),
    )


def _slow(say: Say) -> Callable[[str], None]:
    def tell(section: str) -> None:
        say(
            f"still waiting for the target{f' (importing {section})' if section else ''}: a cold disk is slow, not hung"
        )

    return tell
