"""Write the answers of commands: the report on the terminal, its files, and progress on standard error."""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from attn_doctor.errors import Refused
from attn_doctor.report.formats import FORMATS, Answer
from attn_doctor.system.printable import printable
from attn_doctor.system.streams import tell

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from attn_doctor.cli.bar import Bar
    from attn_doctor.model.report import Report
    from attn_doctor.report.amount import Amount
    from attn_doctor.report.blocks import Block
    from attn_doctor.report.gate import Gate
    from attn_doctor.trials.stages import Doing


class Progress:
    """Show progress on standard error.

    On a terminal: a spinner, and a bar for the steps of a trial. In a file: a line for each text, without the steps of a trial,
    because there are dozens of them. `quiet`: show nothing in a file.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._status: Status | None = None
        self._bar: Bar | None = None

    def __enter__(self) -> Progress:
        self._console = console_for(sys.stderr)
        self._moves = self._console.is_terminal and not self._console.is_dumb_terminal
        if self._moves:
            self._spin("starting")
        return self

    def say(self, text: str) -> None:
        """Show a text: above the bar, beside the spinner, or as a line of a file."""
        if self._bar:
            self._bar.note(text)
        elif self._moves:
            self._spin(text)
        elif not self._quiet:
            tell(f"attn-doctor: {text}")

    def step(self, doing: Doing) -> None:
        """Show a step of a trial: its work, the next step, and about how long the trial still takes."""
        if not self._moves:
            return
        if self._bar is None:
            from attn_doctor.cli.bar import Bar

            self.close()
            self._bar = Bar(self._console)
        self._bar.step(doing)

    def close(self) -> None:
        """Clear the line. The next text or step shows it again."""
        if self._status:
            self._status.stop()
            self._status = None
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _spin(self, text: str) -> None:
        from rich.text import Text

        shown = Text(printable(text))
        if self._status:
            self._status.update(shown)
            return
        # The dots of the usual spinner are Braille.
        spinner = "dots" if "utf" in self._console.encoding.lower() else "line"
        self._status = self._console.status(shown, spinner=spinner)
        self._status.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def agreed(question: str) -> bool:
    """Ask a person on the terminal, and return whether the answer is yes."""
    sys.stderr.write(f"{printable(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _files(arguments: argparse.Namespace, more: tuple[str, ...]) -> list[str | None]:
    return [getattr(arguments, name, None) for name in (*(made.option for made in FORMATS), *more)]


def check_outputs(arguments: argparse.Namespace, *more: str) -> None:
    """Check the output options before any work: raise Unwritable if an output cannot be written.

    Raises Refused for --for without --markdown. `more`: further options that name an output, such as "log".
    """
    from attn_doctor.report import files

    if getattr(arguments, "form", None) and not arguments.markdown:
        raise Refused("--for arranges the Markdown for the issue form of a project: name its file with --markdown FILE")
    files.check_all(_files(arguments, more))


def written(arguments: argparse.Namespace) -> list[str]:
    """Return the names of the outputs that the user named; "-" is standard output."""
    return [path for path in _files(arguments, ()) if path]


def on_terminal(arguments: argparse.Namespace, *more: str) -> bool:
    """Return whether the text for a person is shown on the terminal: it is, unless an output goes to standard output.

    `more`: as for `check_outputs`.
    """
    from attn_doctor.report import files

    return not any(files.goes_to_stdout(path) for path in _files(arguments, more))


def write(arguments: argparse.Namespace, answer: Callable[[Gate], Answer]) -> None:
    """Write the answer in each format for which the user named a file. Raises Unwritable if a file cannot be written.

    The answer is made only if a file was named. `answer` gets the Gate that removes private data.
    """
    from attn_doctor.report import files

    asked = [(getattr(arguments, made.option, None), made) for made in FORMATS]
    wanted = [(path, made) for path, made in asked if path]
    if not wanted:
        return
    from attn_doctor.report.gate import Gate

    gate = Gate()
    made_once = answer(gate)
    for path, made in wanted:
        files.write(path, gate.finished(made.render(made_once), path))


def write_log(path: str, log: bytes) -> None:
    """Write the output of programs, redacted, to a file ("-": standard output). Raises Unwritable if that fails."""
    from attn_doctor.report import files
    from attn_doctor.report.gate import Gate

    gate = Gate()
    files.write(path, gate.finished(gate.text(log.decode("utf-8", "replace")), path))


def write_records(arguments: argparse.Namespace, records: Any) -> None:
    """Write records that are no report, redacted. Raises Unwritable if a file cannot be written."""
    write(arguments, lambda gate: Answer(gate.records(records)))


def show(report: Report, arguments: argparse.Namespace, saved: str | None = None) -> None:
    """Write the files, and then show the report on the terminal, unless a file went to standard output.

    `saved`: the name of the file from which the report was read.
    """
    from attn_doctor.report.outline import outline

    write_report(report, arguments, saved)
    if on_terminal(arguments):
        show_blocks(outline(report, saved), arguments, elsewhere=saved is not None)


def write_report(report: Report, arguments: argparse.Namespace, saved: str | None = None) -> None:
    """Write a report, redacted, in each format for which the user named a file. `saved`: as for `show`.

    Raises Unwritable if a file cannot be written.
    """
    form = getattr(arguments, "form", None)

    def answer(gate: Gate) -> Answer:
        from attn_doctor.report.folded_facts import folded
        from attn_doctor.report.outline import outline

        clean = gate.report(report)
        name = None if saved is None else gate.text(saved)
        blocks = functools.cache(lambda: outline(clean, name))
        return Answer(
            clean,
            blocks,
            folded=lambda: folded(clean),
            paste=lambda: _to_paste(clean, blocks(), form),
            saved=saved is not None,
        )

    write(arguments, answer)


def _to_paste(report: Report, blocks: Iterable[Block], form: str | None) -> list[Block]:
    """Return the blocks of the page for an issue; in the order of a project's form if `form` names one."""
    from attn_doctor.report.folded_facts import folded
    from attn_doctor.report.issue_outline import for_an_issue

    arranged = for_an_issue(blocks)
    if form is None:
        return [*arranged, *folded(report)]
    from attn_doctor.report.forms import FORMS, filled

    return filled(FORMS[form], report, arranged)


def amount(arguments: argparse.Namespace | None) -> Amount:
    """Return how much the screen shows: "little" with -q, "all" with -v, else "usual"."""
    if getattr(arguments, "quiet", False):
        return "little"
    return "all" if getattr(arguments, "verbose", False) else "usual"


def console_for(stream: TextIO) -> Console:
    """Return a console of Rich that writes to `stream`.

    With NO_COLOR it has neither bold nor dim text; Rich would keep both (https://no-color.org).
    """
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR"))
    # rich gives COLUMNS to int(), which refuses 5,000 digits
    known = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES") or _is_size(value)}
    return Console(file=stream, highlight=False, color_system=None if plain else "auto", _environ=known)


def own_name() -> str:
    """Return the name of attn-doctor as it is typed in this shell, such as "attn-doctor" or "v/bin/attn-doctor"."""
    from attn_doctor import commands
    from attn_doctor.system import platforms
    from attn_doctor.system.own_program import typed

    return commands.quoted(typed(), "windows" if platforms.WINDOWS else "bash")


def show_blocks(
    blocks: Iterable[Block],
    arguments: argparse.Namespace | None = None,
    *,
    stream: TextIO | None = None,
    elsewhere: bool = False,
) -> None:
    """Write blocks on a stream (default: standard output), in the form for a terminal or for a file.

    `arguments` may have -q, -v or --facts. `elsewhere`: the commands are for another machine, as with --facts.
    """
    from attn_doctor.report.amount import as_much_as
    from attn_doctor.report.console import render
    from attn_doctor.report.own_calls import as_typed

    blocks = as_much_as(amount(arguments), blocks)
    stream = stream or sys.stdout
    console = console_for(stream)
    if console.is_terminal:
        elsewhere = elsewhere or bool(getattr(arguments, "facts", None))
        render(blocks if elsewhere else as_typed(blocks, own_name()), console)
        stream.flush()
        return
    console.width = _columns()
    with console.capture() as captured:
        render(blocks, console)
    stream.write("".join(line.rstrip() + "\n" for line in captured.get().splitlines()))
    stream.flush()


def _columns() -> int:
    """Return the width of text in a file: COLUMNS if it is set, as for many programs, else 120."""
    told = os.environ.get("COLUMNS", "")
    return max(40, int(told)) if _is_size(told) else 120


def _is_size(text: str) -> bool:
    """Return whether a text is a number of columns or lines, from 1 to 9999."""
    return re.fullmatch("[1-9][0-9]{0,3}", text, re.ASCII) is not None
