"""`attn-doctor run`: run a program with another attention backend, and explain its failure. Not named run.py, which would hide `cli.run`."""

from __future__ import annotations

import argparse
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attn_doctor.prescription.launch import Start

NOT_EXECUTABLE, NOT_FOUND = 126, 127  # as in shells and env(1)


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "run",
        help="run a program with a faster attention in its YOLO models",
        description="Runs a program with another backend in the attention of its YOLO models. The program is not edited: "
        "environment variables tell every Python that it starts, also the processes of multi-GPU training, to exchange the attention "
        "when ultralytics is imported. The backend is checked on the device where it is first used: if its numbers are wrong, the "
        "installed attention stays, and a line says so. A passed check is stored in your cache folder (--forget removes "
        "it), so that the next program does not check again. If the program fails, the cause and its cure follow its own last lines, as far as "
        "attn-doctor knows them. A program that installs or builds (pip, uv, conda, poetry, make, nvcc) gets no other attention: only its "
        "failure is explained. On a terminal the program has a terminal of its own, so colours, progress bars, prompts and Ctrl-Z work "
        "as always.",
        epilog="Examples: attn-doctor run --attention auto -- yolo detect train model=yolo12n.yaml data=coco8.yaml; attn-doctor run -- "
        "pip install flash-attn. Exit codes: those of the program; 2 wrong usage; 126 it cannot be executed; 127 there is no such program.",
        formatter_class=formatter,
    )
    parser.add_argument(
        "--attention",
        metavar="NAME",
        help="auto (the fastest whose numbers are right), or a backend such as sdpa-flash (default: auto)",
    )
    parser.add_argument(
        "--prescribed",
        action="store_true",
        help="apply all settings that the last `attn-doctor trial --tune` found for this machine: attention, threads, allocator and others",
    )
    parser.add_argument(
        "--prescription",
        metavar="FILE",
        help="like --prescribed, but with the prescription in FILE, which `attn-doctor trial --tune --prescription FILE` wrote",
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="CHANGE",
        help="do not apply this change of the prescription, such as heap; repeat the option for more changes",
    )
    parser.add_argument(
        "--forget",
        action="store_true",
        help="delete the stored checks of backends and the stored prescription; if a program is given, delete them before it starts",
    )
    parser.add_argument(
        "--no-capture",
        action="store_true",
        help="do not read what the program prints: attn-doctor becomes the program, and explains no failure",
    )
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the program and its arguments")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    import sys

    from attn_doctor.cli import OK
    from attn_doctor.prescription.launch import NothingToRun
    from attn_doctor.system import processes
    from attn_doctor.system.streams import tell

    if arguments.forget:
        _forget()
    argv = arguments.program[1:] if arguments.program[:1] == ["--"] else arguments.program
    if not argv and arguments.forget:
        return OK
    if not argv:
        raise NothingToRun(
            "name a program to run. For example: attn-doctor run -- yolo detect train model=yolo12n.yaml data=coco8.yaml"
        )
    start = _start(arguments, argv)
    if start.cores and not processes.keep_to_cores(start.cores):
        sys.stderr.write(
            "attn-doctor: the program is not pinned to cores: this process may not use the cores that the prescription names\n"
        )
    try:
        return processes.become(argv, start.environ) if arguments.no_capture else _explained(argv, start.environ)
    except FileNotFoundError:
        tell(f"attn-doctor: there is no program {argv[0]}")
        return NOT_FOUND
    except OSError as error:
        tell(f"attn-doctor: {argv[0]} cannot be executed: {error.strerror or error}")
        return NOT_EXECUTABLE


def _start(arguments: argparse.Namespace, argv: list[str]) -> Start:
    """Return how to start the program. An installer or a build tool starts as it would without attn-doctor."""
    import os
    from pathlib import Path

    from attn_doctor.prescription.launch import NothingToRun, Start, environment, prescribed
    from attn_doctor.prescription.programs import builder
    from attn_doctor.system.streams import tell

    if arguments.without and not (arguments.prescribed or arguments.prescription):
        raise NothingToRun("--without switches off a change of a prescription: add --prescribed")
    tool = builder(argv)
    if tool is not None:
        if arguments.attention or arguments.prescribed or arguments.prescription:
            tell(f"attn-doctor: {tool} installs or builds: it is started as it is, without another attention")
        return Start(dict(os.environ), ())
    if arguments.prescribed or arguments.prescription:
        path = Path(arguments.prescription) if arguments.prescription else None
        return prescribed(argv, os.environ, path, arguments.without)
    return Start(environment(arguments.attention or "auto", os.environ), ())


def _explained(argv: list[str], environ: dict[str, str]) -> int:
    """Run the program, and explain its failure.

    Returns its exit code, or ends this process by the signal that ended the program.
    """
    import os

    from attn_doctor.system import processes, relay

    oom_kills = processes.oom_kills()
    try:
        ended = relay.run(argv, environ)
    except relay.CannotKeep:
        return processes.become(argv, environ)
    if not ended.well:
        from attn_doctor.cli.failed_program import explain

        with contextlib.suppress(KeyboardInterrupt):  # the diagnosis was interrupted; the program has ended
            explain(ended, argv, os.environ, oom_kills)
    if ended.signal is None:
        return ended.code or 0
    from attn_doctor.system import leftovers

    leftovers.sweep()
    return processes.die_of(ended.signal, whole_group=ended.typed)


def _forget() -> None:
    import sys

    from attn_doctor.errors import Refused
    from attn_doctor.prescription import prescription_file, proof_files

    place = proof_files.place().parent
    try:
        count = proof_files.forget() + prescription_file.forget()
    except OSError as error:
        raise Refused(f"{place} cannot be removed: {error.strerror or error}") from error
    sys.stderr.write(
        f"attn-doctor: {count} file(s) of proofs and prescriptions removed from {place}\n"
        if count
        else f"attn-doctor: no proofs and no prescription are kept in {place}\n"
    )
