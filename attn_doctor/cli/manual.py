r"""Write the manual page attn-doctor(1) from the parser, in the macros of man(7): https://man7.org/linux/man-pages/man7/man.7.html.

roff changes some texts: a backslash begins an escape, a line that begins with a point or an apostrophe is a request, and "-" may
become a hyphen that cannot be copied into a shell. `escaped` prevents all three.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator

from attn_doctor import __version__
from attn_doctor.cli.usage import Parser

_EXIT = (
    ("0", "nothing was found at or above --fail-on; the request was met"),
    ("1", "something was found"),
    ("2", "wrong usage"),
    ("3", "something that was asked for could not be examined"),
    ("70", "attn-doctor itself failed"),
    ("130", "interrupted"),
)
_VARIABLES = (
    ("NO_COLOR", "no colours on the terminal"),
    ("ATTN_DOCTOR_DEBUG", "1 shows the traceback if attn-doctor itself fails"),
)


def page(parser: Parser) -> str:
    """Return the complete manual page in roff. Pure: the same parser gives the same text."""
    return "\n".join(_lines(parser)) + "\n"


def escaped(text: str) -> str:
    """Return a text in roff's syntax, so that roff shows it unchanged. Text between backquotes becomes bold."""
    made = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    made = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", made)
    made = made.replace("·", r"\(bu").replace("…", "...")
    return rf"\&{made}" if made.startswith(".") else made


def _lines(parser: Parser) -> Iterator[str]:
    yield rf'.TH ATTN\-DOCTOR 1 "" "attn\-doctor {escaped(__version__)}" "User Commands"'
    yield from (".SH NAME", r"attn\-doctor \- an environment doctor for FlashAttention, PyTorch and YOLOv12")
    yield from (".SH SYNOPSIS", r".B attn\-doctor", r"\fICOMMAND\fR [\fIOPTIONS\fR]")
    yield from (".SH DESCRIPTION", escaped(parser.description or ""))
    yield from (".PP", escaped("`attn-doctor` alone says where to begin."))
    yield ".SH COMMANDS"
    for command in parser.siblings.values():
        yield from _command(command)
    yield ".SH EXIT STATUS"
    yield from _entries((rf"\fB{code}\fR", what) for code, what in _EXIT)
    yield ".SH ENVIRONMENT"
    yield from _entries((rf"\fB{name}\fR", what) for name, what in _VARIABLES)


def _command(command: Parser) -> Iterator[str]:
    yield f".SS {escaped(command.prog)}"
    yield escaped(command.description or "")
    entries = [
        (_name(action), _help(action, command))
        for action in command._actions  # noqa: SLF001 - argparse has no other list of them
        if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)  # noqa: SLF001
    ]
    yield from _entries(entries)
    if command.epilog:
        yield from (".PP", escaped(command.epilog))


def _entries(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, what in entries:
        yield from (".TP", name, escaped(what))


def _name(action: argparse.Action) -> str:
    value = escaped(action.metavar if isinstance(action.metavar, str) else "")
    if not value and action.choices is not None:
        value = escaped("|".join(map(str, action.choices)))
    if not action.option_strings:
        return rf"\fI{value or escaped(action.dest)}\fR"
    names = ", ".join(rf"\fB{escaped(option)}\fR" for option in action.option_strings)
    return names if action.nargs == 0 else rf"{names} \fI{value or escaped(action.dest.upper())}\fR"


def _help(action: argparse.Action, command: Parser) -> str:
    return (action.help or "") % {**vars(action), "prog": command.prog}
