"""`attn-doctor explain`: describe a failure mode, its causes and its cure, or find it by words or by a line of a log."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attn_doctor.cli.options import add_outputs

if TYPE_CHECKING:
    from attn_doctor.failure_modes.mode import Module

_CODE = re.compile(r"[A-Za-z]{1,3}\d+")


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "explain",
        help="explain a failure mode, or find it by words or by a line of a log",
        description="Explains a failure mode: what it is, why it happens, what to do. Other words than a code or a slug are searched for: "
        "`attn-doctor explain undefined symbol` lists the failure modes that have to do with them, the best first. A line of a log works too.",
        formatter_class=formatter,
    )
    parser.add_argument(
        "name",
        nargs="+",
        metavar="CODE|SLUG|WORDS",
        help="code or slug of a failure mode, such as AD311 or numpy-abi; or words, or a line of a log in quotes",
    )
    add_outputs(parser, "the page", only=("markdown",), redacted=False)
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    from attn_doctor.cli.output import check_outputs, on_terminal, show_blocks, write
    from attn_doctor.report import pages
    from attn_doctor.report.formats import Answer

    check_outputs(arguments)
    words = " ".join(arguments.name)
    found = _found(words)
    if len(found) == 1:
        module = found[0]
        write(arguments, lambda _: Answer(None, page=lambda: pages.markdown(module)))
        blocks = pages.blocks(module)
    else:
        blocks = pages.found(found)
        write(arguments, lambda _: Answer(None, lambda: blocks))
    if on_terminal(arguments):
        show_blocks(blocks, arguments)
    return 0


def _found(words: str) -> Sequence[Module]:
    """Return the failure mode with this name, or those that fit the words. Raises UnknownName if none does."""
    from attn_doctor.failure_modes import UnknownName, find
    from attn_doctor.judging.lookup import search

    try:
        return (find(words),)
    except UnknownName as unknown:
        if _CODE.fullmatch(words) or (unknown.near and "-" in words and " " not in words):
            raise  # a name that is not quite right
        found = search(words)
        if not found:
            raise UnknownName(f"no failure mode has to do with {words!r}; `attn-doctor list` shows all") from unknown
        return found
