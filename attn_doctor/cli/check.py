"""`attn-doctor check`: examine, try backends, recommend, report."""

from __future__ import annotations

import argparse
from typing import Any

from attn_doctor.cli.acceptance import add_acceptance
from attn_doctor.cli.options import add_fail_on, add_form, add_gpu, add_outputs, add_target, examination, fail_on, whole


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "check",
        help="examine this machine, try the attention backends, and say what to do",
        description="Examines the target environment, runs a short YOLOv12 training under every attention backend that "
        "this machine can run, and says what is wrong, what to do and which backend to use.",
        epilog="Exit codes: 0 nothing found at or above --fail-on; 1 something found; 2 wrong usage; 3 something that "
        "was requested could not be examined, or a log has an unknown error; 70 attn-doctor itself failed; "
        "130 interrupted.",
        formatter_class=formatter,
    )
    add_target(parser)
    add_gpu(parser)
    parser.add_argument(
        "--goal",
        choices=("train", "flash-attn"),
        help="train with what is installed, or have flash-attn installed and working (default: flash-attn if it is installed and broken, if "
        "the project requires it, or if ultralytics is a fork that uses it; else train)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--static", action="store_true", help="read files only: import nothing of the target, run no trial"
    )
    how.add_argument("--no-trial", action="store_true", help="examine, but do not run the model")
    how.add_argument(
        "--trial",
        action="store_true",
        help="run the model even where an error that was found makes this senseless, for example where ultralytics does not import",
    )
    parser.add_argument(
        "--model",
        default="yolo12n.yaml",
        metavar="NAME",
        help="model of the trial (default: yolo12n.yaml); with a weights file (.pt), check too whether this ultralytics can load it",
    )
    parser.add_argument(
        "--imgsz", type=whole, default=640, metavar="N", help="image size, a multiple of 32 (default: 640)"
    )
    parser.add_argument("--batch", type=whole, default=2, metavar="N", help="images in a batch (default: 2)")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda:N or mps (default: auto)")
    parser.add_argument(
        "--backend",
        action="append",
        default=[],
        metavar="NAME",
        help="try this attention backend only; repeat for more",
    )
    parser.add_argument(
        "--log",
        action="append",
        default=[],
        metavar="FILE",
        help="also read this log of a build or a run; - for standard input",
    )
    parser.add_argument(
        "--facts", metavar="FILE", help="judge the facts in this file (or in a report) instead of this machine"
    )
    add_outputs(parser)
    add_form(parser)
    add_fail_on(parser)
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="CODE", help="leave a failure mode out, by code or slug"
    )
    add_acceptance(parser)
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    import sys

    from attn_doctor.cli.acceptance import settle
    from attn_doctor.cli.output import Progress, amount, check_outputs
    from attn_doctor.cli.streamed import Screen
    from attn_doctor.examination import examine
    from attn_doctor.failure_modes import check_names
    from attn_doctor.model.findings import Goal
    from attn_doctor.model.report import Stopped
    from attn_doctor.model.trials import TrialOptions
    from attn_doctor.trials.plan import check as check_trials

    check_outputs(arguments)
    check_names(arguments.ignore)
    settled = settle(arguments)
    options = examination(
        arguments,
        goal=Goal(arguments.goal) if arguments.goal else None,
        static=arguments.static,
        trial=not arguments.no_trial,
        forced=arguments.trial,
        trials=TrialOptions(
            model=arguments.model,
            imgsz=arguments.imgsz,
            batch=arguments.batch,
            device=arguments.device,
            backends=tuple(arguments.backend),
        ),
        logs=tuple(arguments.log),
        facts=arguments.facts,
        gpu=arguments.gpu,
        fail_on=fail_on(arguments),
        ignore=tuple(arguments.ignore),
        command=("attn-doctor", *sys.argv[1:]),
        expect_gpus=arguments.expect_gpus,
        configured=settled.configured,
        exceptions=settled.exceptions,
    )
    check_trials(options.trials)  # before anything is examined
    with Progress(quiet=amount(arguments) == "little") as progress:
        screen = Screen(arguments, progress, settled.baseline)
        try:
            report = examine(options, progress.say, screen.judged, progress.step)
        except Stopped as stop:
            progress.close()
            screen.end(stop.report)
            raise KeyboardInterrupt from stop  # all that `Stopped` carries is written and shown
    report = screen.end(report)
    return report.exit_code
