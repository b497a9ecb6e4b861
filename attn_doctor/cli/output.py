"""What commands put out: the report on the terminal, its files, and progress on standard error."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.status import Status

    from attn_doctor.model.report import Report
    from attn_doctor.report.blocks import Block


class Progress:
    """What is going on, on standard error: a spinner on a terminal, a line for each text elsewhere."""

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


OUTPUTS = ("json", "markdown", "html")


def check_outputs(arguments: argparse.Namespace, *names: str) -> None:
    """Raises Unwritable before any work is done. `names` are the options of the command that name an output."""
    from attn_doctor.report import files

    files.check_all(getattr(arguments, name, None) for name in names or OUTPUTS)


def on_terminal(arguments: argparse.Namespace, *names: str) -> bool:
    """Return whether the text for a person is to be shown: no output went to standard output."""
    from attn_doctor.report import files

    return not any(files.goes_to_stdout(getattr(arguments, name, None)) for name in names or OUTPUTS)


def show(report: Report, arguments: argparse.Namespace) -> None:
    """Files first; then the terminal, unless a file went to standard output."""
    from attn_doctor.report.outline import outline

    write_outputs(report, arguments)
    if on_terminal(arguments):
        show_blocks(outline(report))


def write_outputs(report: Report, arguments: argparse.Namespace) -> None:
    """Write the files of --json, --markdown and --html, redacted. Raises Unwritable."""
    import msgspec

    from attn_doctor.model.report import Report as ReportType
    from attn_doctor.model.report import encode
    from attn_doctor.report import files, markdown, redact
    from attn_doctor.report.outline import outline

    if not any((arguments.json, arguments.markdown, arguments.html)):
        return
    clean = msgspec.convert(redact.redact(msgspec.to_builtins(report)), ReportType) if not report.redacted else report
    if arguments.json:
        files.write(arguments.json, encode(clean))
    if arguments.markdown:
        files.write(arguments.markdown, markdown.render(outline(clean)))
    if arguments.html:
        from attn_doctor.report import html

        files.write(arguments.html, html.render(outline(clean), "attn-doctor report"))


def show_blocks(blocks: Iterable[Block]) -> None:
    """Blocks on standard output, as a terminal or a file wants them."""
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


def write_json(path: str, data: Any, *, is_clean: bool = False) -> None:
    """Records as JSON, redacted unless all of it comes from what was redacted before."""
    import msgspec

    from attn_doctor.model import foreign_text
    from attn_doctor.report import files, redact

    plain = foreign_text.plain(msgspec.to_builtins({"data": data}))
    clean = plain["data"] if is_clean else redact.redact(plain)["data"]
    files.write(path, msgspec.json.format(msgspec.json.encode(clean), indent=2) + b"\n")
