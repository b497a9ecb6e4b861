"""Writes the answers of commands: the report on the terminal, its files, and progress on standard error."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from attn_doctor.report.formats import FORMATS, Answer
from attn_doctor.system.printable import printable
from attn_doctor.system.streams import tell

if TYPE_CHECKING:
    from rich.status import Status

    from attn_doctor.model.report import Report
    from attn_doctor.report.blocks import Block
    from attn_doctor.report.gate import Gate


class Progress:
    """Show progress on standard error: a spinner on a terminal, a line for each text elsewhere."""

    def __enter__(self) -> Progress:
        self._status: Status | None = None
        if sys.stderr.isatty():
            from rich.console import Console

            console = Console(stderr=True)
            # The dots of the usual spinner are Braille.
            self._status = console.status("starting", spinner="dots" if "utf" in console.encoding.lower() else "line")
            self._status.start()
        return self

    def say(self, text: str) -> None:
        if self._status:
            from rich.text import Text

            self._status.update(Text(printable(text)))
        else:
            tell(f"attn-doctor: {text}")

    def close(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None

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
    """Raise Unwritable before any work if an output cannot be written. `more`: further options that name an output, such as --log."""
    from attn_doctor.report import files

    files.check_all(_files(arguments, more))


def on_terminal(arguments: argparse.Namespace, *more: str) -> bool:
    """Return whether the text for a person is to be shown: no output went to standard output."""
    from attn_doctor.report import files

    return not any(files.goes_to_stdout(path) for path in _files(arguments, more))


def write(arguments: argparse.Namespace, answer: Callable[[Gate], Answer]) -> None:
    """Write the answer in each format that a file was named for. Raises Unwritable.

    The answer is made only if a file was named, and takes private data out with the gate that it is given.
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
    """Write what programs printed, redacted. Raises Unwritable."""
    from attn_doctor.report import files
    from attn_doctor.report.gate import Gate

    gate = Gate()
    files.write(path, gate.finished(gate.text(log.decode("utf-8", "replace")), path))


def write_records(arguments: argparse.Namespace, records: Any) -> None:
    """Write records of other kinds than a report, redacted. Raises Unwritable."""
    write(arguments, lambda gate: Answer(gate.records(records)))


def show(report: Report, arguments: argparse.Namespace, saved: str | None = None) -> None:
    """Write the files first; then show the terminal's report, unless a file went to standard output.

    `saved`: the name of the file that the report was read from.
    """
    from attn_doctor.report.outline import outline

    write_report(report, arguments, saved)
    if on_terminal(arguments):
        show_blocks(outline(report, saved))


def write_report(report: Report, arguments: argparse.Namespace, saved: str | None = None) -> None:
    """Write a report, redacted, in each format that a file was named for. `saved`: as for `show`. Raises Unwritable."""

    def answer(gate: Gate) -> Answer:
        from attn_doctor.report.outline import outline

        clean = gate.report(report)
        return Answer(clean, functools.cache(lambda: outline(clean, None if saved is None else gate.text(saved))))

    write(arguments, answer)


def show_blocks(blocks: Iterable[Block]) -> None:
    """Write blocks on standard output, formatted for a terminal or for a file."""
    from rich.console import Console

    from attn_doctor.report.console import render

    console = Console(highlight=False)
    if console.is_terminal:
        render(blocks, console)
        return
    console.width = 120
    with console.capture() as captured:
        render(blocks, console)
    sys.stdout.write("".join(line.rstrip() + "\n" for line in captured.get().splitlines()))
