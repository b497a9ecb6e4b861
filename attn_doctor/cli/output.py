"""Writes the answers of commands: the report on the terminal, its files, and progress on standard error."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from attn_doctor.report.formats import FORMATS, Answer

if TYPE_CHECKING:
    from rich.status import Status

    from attn_doctor.model.report import Report
    from attn_doctor.report.blocks import Block


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

            self._status.update(Text(text))
        else:
            sys.stderr.write(f"attn-doctor: {text}\n")
            sys.stderr.flush()

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
    sys.stderr.write(f"{question} [y/N] ")
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


def write(arguments: argparse.Namespace, answer: Callable[[], Answer]) -> None:
    """Write the answer in each format that a file was named for. The answer is made only if a file was named. Raises Unwritable."""
    from attn_doctor.report import files

    asked = [(getattr(arguments, made.option, None), made) for made in FORMATS]
    wanted = [(path, made) for path, made in asked if path]
    if not wanted:
        return
    made_once = answer()
    for path, made in wanted:
        files.write(path, made.render(made_once))


def write_records(arguments: argparse.Namespace, records: Any) -> None:
    """Write records of other kinds than a report, redacted. Raises Unwritable."""
    write(arguments, lambda: Answer(_redacted(records)))


def _redacted(records: Any) -> Any:
    import msgspec

    from attn_doctor.model import foreign_text
    from attn_doctor.report import redact

    return redact.redact(foreign_text.plain(msgspec.to_builtins({"data": records})))["data"]


def show(report: Report, arguments: argparse.Namespace) -> None:
    """Write the files first; then show the terminal's report, unless a file went to standard output."""
    from attn_doctor.report.outline import outline

    write_report(report, arguments)
    if on_terminal(arguments):
        show_blocks(outline(report))


def write_report(report: Report, arguments: argparse.Namespace) -> None:
    """Write a report, redacted, in each format that a file was named for. Raises Unwritable."""

    def answer() -> Answer:
        import msgspec

        from attn_doctor.model.report import Report as ReportType
        from attn_doctor.report import redact
        from attn_doctor.report.outline import outline

        clean = report
        if not report.redacted:
            clean = msgspec.convert(redact.redact(msgspec.to_builtins(report)), ReportType)
        return Answer(clean, lambda: outline(clean))

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
