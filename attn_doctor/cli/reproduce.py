"""`attn-doctor reproduce`: cause a failure in a throw-away environment, and check that the doctor names it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from attn_doctor.cli.options import add_outputs, add_target, examination
from attn_doctor.system.streams import tell

if TYPE_CHECKING:
    from attn_doctor.report.gate import Gate


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "reproduce",
        help="make a failure happen in a throw-away environment and name it",
        description="Makes a failure happen for real in a throw-away environment, shows what it prints, and checks that "
        "the doctor names it. Says first what it downloads. The target is only read; nothing is left behind.",
        epilog="Exit codes: 0 reproduced, and named as the root cause; 1 reproduced, not named; 2 wrong usage; 3 cannot be "
        "reproduced here; 130 interrupted.",
        formatter_class=formatter,
    )
    parser.add_argument("name", metavar="SLUG|CODE", help="for example numpy-abi or AD311; `attn-doctor list` has all")
    parser.add_argument("--yes", action="store_true", help="download without asking")
    add_target(parser)
    parser.add_argument(
        "--torch", metavar="REQUIREMENT", help="download this torch instead of borrowing the target's: torch==2.8.0"
    )
    add_outputs(parser, "the outcome", only=("json", "markdown"))
    parser.add_argument("--log", metavar="FILE", help="write what was printed to a file; - for standard output")
    parser.add_argument("--keep", action="store_true", help="leave the throw-away folder behind, and say where it is")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    import sys

    from attn_doctor.cli import FINDINGS, NOT_EXAMINED, OK
    from attn_doctor.cli.output import (
        Progress,
        agreed,
        check_outputs,
        on_terminal,
        show_blocks,
        write,
        write_log,
    )
    from attn_doctor.failure_modes import find
    from attn_doctor.probes.choose import choose
    from attn_doctor.report import reproduction_outline
    from attn_doctor.report.formats import Answer
    from attn_doctor.report.reproduction_outline import without_private_data
    from attn_doctor.reproduction.plan import NotConfirmed, plan
    from attn_doctor.reproduction.reproduce import reproduce

    check_outputs(arguments, "log")
    mode = find(arguments.name).MODE
    options = examination(arguments)
    environ = options.surroundings
    planned = plan(mode, lambda: choose(options.target, environ).python, environ, options.timeout, arguments.torch)
    tell("\n".join(reproduction_outline.intention(planned)))
    if planned.needs_confirmation and not arguments.yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise NotConfirmed(f"{mode.slug} is reproduced with downloads: add --yes")
        if not agreed("Go on?"):
            sys.stderr.write("attn-doctor: nothing was done\n")
            return NOT_EXAMINED
    with Progress() as progress:
        done = reproduce(planned, say=progress.say, torch=arguments.torch, kept=arguments.keep)
    if arguments.log:
        write_log(arguments.log, done.log)

    def answer(gate: Gate) -> Answer:
        data = gate.records(reproduction_outline.as_data(planned, done))
        return Answer(data, paste=lambda: reproduction_outline.to_paste(planned, without_private_data(done, gate)))

    write(arguments, answer)
    if on_terminal(arguments, "log"):
        show_blocks(reproduction_outline.outcome(planned, done))
    if not done.reproduced:
        return NOT_EXAMINED
    return OK if done.named else FINDINGS
