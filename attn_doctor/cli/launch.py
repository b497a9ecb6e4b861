"""`attn-doctor run`: run a program with another attention backend. Not named run.py, which would hide `cli.run`."""

from __future__ import annotations

import argparse
from typing import Any

NOT_EXECUTABLE, NOT_FOUND = 126, 127  # as in shells and env(1)


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "run",
        help="run a program with a faster attention in its YOLO models",
        description="Runs a program with another backend in the attention of its YOLO models. The program is not edited: "
        "environment variables tell every Python that it starts, also the processes of multi-GPU training, to exchange the attention "
        "when ultralytics is imported. The backend is checked on the device where it is first used: if its numbers are wrong, the "
        "installed attention stays, and a line says so. A passed check is kept as a proof in your cache folder (--forget removes "
        "it), so that the next program does not check again.",
        epilog="Example: attn-doctor run --attention auto -- yolo detect train model=yolo12n.yaml data=coco8.yaml. Exit codes: "
        "those of the program; 2 wrong usage; 126 it cannot be executed; 127 there is no such program.",
        formatter_class=formatter,
    )
    parser.add_argument(
        "--attention",
        default="auto",
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
        help="delete the saved checks of backends (proofs) and the saved prescription; if a program is given, delete them before it starts",
    )
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the program and its arguments")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    import os
    import sys
    from pathlib import Path

    from attn_doctor.cli import OK
    from attn_doctor.prescription.launch import NothingToRun, Start, environment, prescribed
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
    if arguments.prescribed or arguments.prescription:
        start = prescribed(
            argv, os.environ, Path(arguments.prescription) if arguments.prescription else None, arguments.without
        )
    elif arguments.without:
        raise NothingToRun("--without switches off a change of a prescription: add --prescribed")
    else:
        start = Start(environment(arguments.attention, os.environ), ())
    if start.cores and not processes.keep_to_cores(start.cores):
        sys.stderr.write(
            "attn-doctor: the program is not pinned to cores: this process may not use the cores that the prescription names\n"
        )
    try:
        return processes.become(argv, start.environ)
    except FileNotFoundError:
        tell(f"attn-doctor: there is no program {argv[0]}")
        return NOT_FOUND
    except OSError as error:
        tell(f"attn-doctor: {argv[0]} cannot be executed: {error.strerror or error}")
        return NOT_EXECUTABLE


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
