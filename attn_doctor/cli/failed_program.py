"""Explain why the program of `attn-doctor run` failed, from its output.

The explanation is written to standard error, after the program's own lines.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attn_doctor.model.facts import Facts
    from attn_doctor.model.findings import Diagnosis, Finding
    from attn_doctor.system.relay import Ended

_MOST = 20.0  # seconds for each part of the diagnosis; without the facts of the machine the output alone is judged
_TOOL = 8.0  # seconds for one probe
_CONTROL_C = 0xC000013A  # the exit code of a program of Windows that Ctrl-C ended: STATUS_CONTROL_C_EXIT
_OUTPUT = "output"  # how the output is called where its lines are quoted


# The lines that `attn-doctor run` writes about a failure, and all lines of an explanation behind the first one.
_EXPLAINED = re.compile(
    rb"^attn-doctor: (?:why [^\n]{1,300} failed \(the lines are those of its output\):|knows no cause for this failure of |the kernel ended )[^\n]*\n?",
    re.MULTILINE,
)
_ITS_LINES = re.compile(rb"(?:(?:\x1b\[[0-9;]*m)*(?:[ \t\r!?\x80-\xff][^\n]*)?(?:\n|$))*")

# Signals by which the system ends a program that has crashed. A shell writes a line about it, and the output has none.
_CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE")


def explain(ended: Ended, argv: Sequence[str], environ: Mapping[str, str], oom_kills: int | None = None) -> None:
    """Write the cause of a failure and its fix, or one line if the cause is not known; nothing if the output shows no error.

    Nothing is written either if the program was requested to end: by a signal, from the keyboard, or because the reader of its
    output has ended. `oom_kills`: the number of processes that the kernel had ended for lack of memory when the program started.
    Raises no Exception.
    """
    if _was_asked_to_end(ended):
        return
    from attn_doctor.cli.output import own_name
    from attn_doctor.system import failure
    from attn_doctor.system.streams import tell

    later = after_an_explanation(ended.printed)
    printed = _with_crash(ended) if later is None else later
    try:
        if later is None and _memory_ran_out(ended, oom_kills):
            tell(
                f"attn-doctor: the kernel ended {_name(argv)} with SIGKILL because memory ran out (its counter oom_kill rose): use fewer "
                f"workers, a smaller batch or cache=False; {own_name() if sys.stderr.isatty() else 'attn-doctor'} explain out-of-memory-host"
            )
        elif printed:
            _explain(printed, argv, environ, only_known=later is not None)
    except TimeoutError:
        tell(f"attn-doctor: the output of {_name(argv)} was not diagnosed within {_MOST:.0f} s")
    except Exception as error:  # noqa: BLE001 - the program has ended as it has ended, and its exit code counts
        tell(f"attn-doctor: the output could not be diagnosed: {failure.summary(error)}")


def after_an_explanation(printed: Sequence[bytes]) -> tuple[bytes, ...] | None:
    """Return what a program printed after the last explanation of an `attn-doctor run` that it had started itself.

    None if its output has no such explanation. Empty lines take the place of the lines before, so that line numbers
    stay right.
    """
    for text in printed:
        if said := list(_EXPLAINED.finditer(text)):
            found = said[-1]
            # The explanation goes on in lines that begin with a space, a frame or a mark, with colours or without.
            its = _ITS_LINES.match(text, found.end())
            end = its.end() if its else found.end()
            return (b"\n" * text.count(b"\n", 0, end) + text[end:],)
    return None


def _with_crash(ended: Ended) -> tuple[bytes, ...]:
    """Return the output. After a crash its last line is the one that a shell would write, such as "Segmentation fault"."""
    import signal

    if ended.signal not in {getattr(signal, name, None) for name in _CRASHES}:
        return ended.printed
    text = b"".join(ended.printed[:1])
    line = (signal.strsignal(ended.signal or 0) or "").encode()
    return (text + (b"" if text.endswith(b"\n") or not text else b"\n") + line + b"\n", *ended.printed[1:])


def _memory_ran_out(ended: Ended, before: int | None) -> bool:
    import signal

    if before is None or ended.signal != getattr(signal, "SIGKILL", None):
        return False
    from attn_doctor.system import processes

    now = processes.oom_kills()
    return now is not None and now > before


def _was_asked_to_end(ended: Ended) -> bool:
    import signal

    asks = {
        int(getattr(signal, name))
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGPIPE")
        if hasattr(signal, name)
    }
    if ended.passed & asks or ended.signal in ended.passed | asks:
        return True
    if ended.code in {_CONTROL_C, *(128 + number for number in asks)}:
        return True
    return any(b"KeyboardInterrupt" in text[-2000:].rstrip().rpartition(b"\n")[2] for text in ended.printed)


def _explain(printed: Sequence[bytes], argv: Sequence[str], environ: Mapping[str, str], *, only_known: bool) -> None:
    """Explain a failure. `only_known`: an error that attn-doctor does not know is not worth a line."""
    import io

    from attn_doctor.examination.inputs import log_reader
    from attn_doctor.judging.diagnose import diagnose
    from attn_doctor.judging.goals import implied_by
    from attn_doctor.logs.stated_facts import as_facts, stated_facts
    from attn_doctor.model.facts import Facts
    from attn_doctor.system import threads

    reader = log_reader()
    names = [_OUTPUT] if len(printed) == 1 else [f"{_OUTPUT} {at + 1}" for at in range(len(printed))]
    texts = list(zip(printed, names, strict=True))
    logs = threads.within(_MOST, lambda: tuple(reader.read(io.BytesIO(text), name) for text, name in texts))
    goal, stated = implied_by(logs), stated_facts(logs)

    def judged(own: Facts | None) -> tuple[Diagnosis, Facts]:
        facts = as_facts(stated, own or Facts(grade="stated")).facts
        return diagnose(facts, goal, logs=logs), facts

    diagnosis, facts = threads.within(
        _MOST, lambda: judged(None)
    )  # of the output alone: the machine is examined only if there is a cause to cure
    if not _causes(diagnosis):
        if not only_known:
            _tell_unknown(diagnosis, argv)
        return
    own = _facts(argv, environ)
    if own is not None:
        better, known = judged(own)
        diagnosis, facts = (better, known) if _causes(better) else (diagnosis, facts)
    _show(diagnosis, facts, argv)


def _causes(diagnosis: Diagnosis) -> list[Finding]:
    """Return the root causes that appear in the output: a line shows the cause itself or one of its consequences.

    Warnings count only if there is no error.
    """
    from attn_doctor.model.findings import Severity

    shown = {f.explained_by or f.code for f in diagnosis.findings if any(e.kind == "log" for e in f.evidence)}
    roots = [f for f in diagnosis.findings if f.root_cause and f.code in shown and f.severity is not Severity.INFO]
    errors = [f for f in roots if f.severity is Severity.ERROR]
    return errors or ([] if diagnosis.unrecognised else roots)


def _tell_unknown(diagnosis: Diagnosis, argv: Sequence[str]) -> None:
    from attn_doctor.system.streams import tell

    if diagnosis.unrecognised:
        last = diagnosis.unrecognised[-1]
        tell(
            f"attn-doctor: knows no cause for this failure of {_name(argv)}; the last error, line {last.line}: {last.text}"
        )


def _name(argv: Sequence[str]) -> str:
    import os

    return os.path.basename(argv[0]) or argv[0]  # noqa: PTH119


def _facts(argv: Sequence[str], environ: Mapping[str, str]) -> Facts | None:
    """Return facts of the machine and of the program's Python; None if they could not be read in time.

    Packages are not imported again.
    """
    import os

    from attn_doctor.errors import AttnDoctorError
    from attn_doctor.examination import Options, facts_of
    from attn_doctor.prescription.programs import interpreter
    from attn_doctor.system import threads

    root = os.environ.get("ATTN_DOCTOR_ROOT", "/")
    target = interpreter(argv, environ)
    options = Options(target=target, static=True, tools=True, timeout=_TOOL, environ=dict(environ), root=root)
    try:
        return threads.within(_MOST, lambda: facts_of(options))
    except (TimeoutError, AttnDoctorError):
        return None


def _show(diagnosis: Diagnosis, facts: Facts, argv: Sequence[str]) -> None:
    from attn_doctor.cli.output import show_blocks
    from attn_doctor.report.outline import problems
    from attn_doctor.system.streams import tell

    causes = {f.code for f in _causes(diagnosis)}
    told = [f for f in diagnosis.findings if f.code in causes or f.explained_by in causes]
    tell(f"\nattn-doctor: why {_name(argv)} failed (the lines are those of its output):\n")
    show_blocks(problems(told, facts), stream=sys.stderr)
