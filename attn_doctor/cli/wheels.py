"""`attn-doctor wheels`: name the flash-attn wheels that fit a machine, and say why the other wheels do not fit."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from attn_doctor.cli.options import add_outputs, add_target, examination

if TYPE_CHECKING:
    from attn_doctor.report.gate import Gate


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "wheels",
        help="say which finished flash-attn wheel fits, and why the others do not",
        description="Names the flash-attn wheels that fit, best first: wheels of its authors, then wheels that other people built. Gives a "
        "reason for each wheel that does not fit, the name that setup.py would ask for, the nearest torch that has a wheel, the cost "
        "of a source build, and other places. Torch, CUDA, Python, ABI and platform are read from the target's files; an option replaces one.",
        epilog='Exit codes: 0 a finished wheel fits ("official" in the JSON says whose); 1 none does; 2 wrong usage; 3 not '
        "known, or the target did not answer at all.",
        formatter_class=formatter,
    )
    add_target(parser)
    parser.add_argument("--torch", metavar="V", help="version of torch: 2.8.0, or 2.8.0+cu128 with its build")
    parser.add_argument("--cuda", metavar="V", help="of that torch: 12.8")
    parser.add_argument("--python", metavar="V", help="version of Python: 3.12; 3.13t is the free-threaded build")
    parser.add_argument("--abi", choices=("TRUE", "FALSE"), help="C++11 ABI of that torch")
    parser.add_argument("--platform", metavar="TAG", help="linux_x86_64, win_amd64, or a manylinux tag")
    parser.add_argument("--glibc", metavar="V", help="2.35")
    parser.add_argument(
        "--gpu",
        action="append",
        default=[],
        metavar="CC",
        help="compute capability (8.9) or name of the GPU; repeat for more",
    )
    parser.add_argument("--release", metavar="V", help="show only this flash-attn release, with all its wheels")
    parser.add_argument(
        "--online",
        action="store_true",
        help="ask the release page and PyPI, and the pages of other people who build wheels, for wheels newer than the tables of attn-doctor",
    )
    parser.add_argument(
        "--prove",
        metavar="URL|FILE",
        help="read this one wheel, before anything of it is installed or runs: whether its libraries load here, whether it keeps to its name, "
        "and what it brings beside its package. A URL is fetched into the cache folder",
    )
    add_outputs(parser, "the answer", only=("json", "markdown"))
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    from attn_doctor.cli import FINDINGS, NOT_EXAMINED, OK
    from attn_doctor.cli.output import Progress, check_outputs, on_terminal, show_blocks, write
    from attn_doctor.examination import facts_of
    from attn_doctor.model.facts import Facts
    from attn_doctor.report.formats import Answer
    from attn_doctor.report.issue_outline import for_an_issue
    from attn_doctor.report.wheels_outline import outline
    from attn_doctor.wheels.answer import Wanted, answer, key_for

    check_outputs(arguments)
    if arguments.prove:
        return _prove(arguments)
    wanted = Wanted(
        torch=arguments.torch,
        cuda=arguments.cuda,
        python=arguments.python,
        abi=None if arguments.abi is None else arguments.abi == "TRUE",
        platform=arguments.platform,
        glibc=arguments.glibc,
        gpus=tuple(arguments.gpu),
        release=arguments.release,
    )
    with Progress() as progress:
        facts = None
        if arguments.target or not wanted.whole:
            facts = facts_of(examination(arguments, static=True, tools=True), progress.say)
        key, _ = key_for(wanted, facts)
        if arguments.online:
            from attn_doctor.wheels.online import newer_wheels

            seen, notes = newer_wheels(key, progress.say)
            found = answer(wanted, facts, seen=seen, notes=notes)
        else:
            found = answer(wanted, facts)

    def written(gate: Gate) -> Answer:
        (about,) = gate.typed((facts, Facts | None))  # the commands are made of these
        return Answer(gate.records(found), paste=lambda: for_an_issue(gate.blocks(outline(found, about))))

    write(arguments, written)
    if on_terminal(arguments):
        show_blocks(outline(found, facts))
    return {True: OK, False: FINDINGS, None: NOT_EXAMINED}[found.fits]


def _prove(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from attn_doctor.cli import FINDINGS, NOT_EXAMINED, OK
    from attn_doctor.cli.output import Progress, on_terminal, show_blocks, write
    from attn_doctor.examination import facts_of
    from attn_doctor.model.facts import Facts
    from attn_doctor.report.formats import Answer
    from attn_doctor.report.wheel_proof_outline import outline
    from attn_doctor.wheels import quarantine
    from attn_doctor.wheels.answer import Wanted, key_for
    from attn_doctor.wheels.proof import Proof
    from attn_doctor.wheels.reading import proof_of

    wanted = Wanted(gpus=tuple(arguments.gpu))
    key_for(wanted, None)  # a GPU that is not known ends the command before anything is fetched
    with Progress() as progress:
        path, changed = Path(arguments.prove), None
        if "://" in arguments.prove:
            progress.say("fetching the wheel; nothing of it is unpacked")
            fetched = quarantine.fetch(arguments.prove, progress.say)
            path, changed = fetched.path, fetched.changed
        options = examination(arguments, static=True, tools=True)
        facts = facts_of(options, progress.say)
        gpus = key_for(wanted, facts)[0].gpus
        also = (changed,) if changed else ()
        proof = proof_of(path, facts, options.surroundings, options.timeout, gpus=gpus, also=also)

    def written(gate: Gate) -> Answer:
        clean, about = gate.typed((proof, Proof), (facts, Facts))
        return Answer(gate.records(proof), lambda: outline(clean, Path(gate.text(str(path))), about))

    write(arguments, written)
    if on_terminal(arguments):
        show_blocks(outline(proof, path, facts))
    return {"fits": OK, "refused": FINDINGS, "cannot be told": NOT_EXAMINED}[proof.verdict]
