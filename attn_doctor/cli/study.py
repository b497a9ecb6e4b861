"""`attn-doctor study`: train the same model with several attentions and seeds, and compare the results."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attn_doctor.cli.options import add_outputs, positive, whole

if TYPE_CHECKING:
    from attn_doctor.model.study import Design, Study
    from attn_doctor.report.gate import Gate
    from attn_doctor.study.conduct import Places

# What --demo trains, and what a study trains if nothing else is asked for.
# Ultralytics collects the gradients of 64 images (nbs) for a step: 200 images would make three steps an epoch.
_DEMO = {
    "arms": ["eager", "sdpa-flash"],
    "epochs": 8,
    "imgsz": 160,
    "batch": 8,
    "margin": 0.05,
    "set": [("nbs", 8)],
}
_USUAL = {"arms": ["eager", "sdpa"], "epochs": 100, "imgsz": 640, "batch": 16, "margin": 0.01, "set": []}


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "study",
        help="train with several attentions and seeds, and compare accuracy and cost",
        description="Trains the same model with each attention and each seed, by ultralytics' own trainer, and proves in each training "
        "which kernels ran. Then compares the attentions, paired over the seeds: is the accuracy the same within the margin, and what "
        "do time and memory cost? A study that was stopped or killed goes on with the same command. `attn-doctor study FOLDER` shows "
        "what a study has so far.",
        epilog="Exit codes: 0 all trainings ended well; 1 a training failed; 2 wrong usage; 3 no training could begin, or the budget ended "
        "first; 130 interrupted.",
        formatter_class=formatter,
    )
    parser.add_argument("shown", nargs="?", metavar="FOLDER", help="show the study of this folder; nothing is trained")
    what = parser.add_argument_group("what is trained")
    what.add_argument("--demo", action="store_true", help="a small study of coloured shapes, which are generated")
    what.add_argument("--model", default="yolo12n.yaml", metavar="NAME", help="model (default: yolo12n.yaml)")
    what.add_argument("--data", metavar="DATA.yaml", help="the data set, as for `yolo train`; nothing is downloaded")
    what.add_argument(
        "--attention",
        dest="arms",
        nargs="+",
        metavar="NAME",
        help="attentions; the first is what the others are compared with. eager and as-shipped: as it is installed, and eager must be "
        "hand-written attention (default: eager sdpa; with --demo eager sdpa-flash)",
    )
    what.add_argument("--seeds", type=_seed, nargs="+", default=[0, 1, 2], metavar="N", help="default: 0 1 2")
    what.add_argument("--epochs", type=whole, metavar="N", help="of each training (default: 100; with --demo 8)")
    what.add_argument("--imgsz", type=whole, metavar="N", help="image size (default: 640; with --demo 160)")
    what.add_argument("--batch", type=whole, metavar="N", help="images in a batch (default: 16; with --demo 8)")
    what.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda:N (default: auto)")
    what.add_argument(
        "--margin",
        type=positive,
        metavar="M",
        help="a difference of mAP50-95 below this counts as none; it is stored before the first training (default: 0.01; with --demo 0.05)",
    )
    what.add_argument(
        "--set",
        type=_setting,
        nargs="+",
        metavar="NAME=VALUE",
        help="more arguments of `yolo train`, such as optimizer=SGD lr0=0.01 (default: as `yolo train` has them; with --demo nbs=8)",
    )
    how = parser.add_argument_group("how")
    how.add_argument(
        "--folder", default="study", metavar="FOLDER", help="journal, weights and data of --demo (default: study)"
    )
    how.add_argument(
        "--budget", type=positive, metavar="SECONDS", help="stop between two epochs before so many seconds are over"
    )
    how.add_argument("--threads", type=whole, metavar="N", help="threads of PyTorch (default: as `yolo train` sets)")
    how.add_argument("--retry", action="store_true", help="train again what failed")
    how.add_argument(
        "--watch",
        action="store_true",
        help="show the live table also where the screen is no terminal; on a terminal it is always shown",
    )
    how.add_argument(
        "--on",
        metavar="ray[:ADDRESS]",
        help="train on a Ray cluster, many trainings at once; --folder must be a folder that all its machines share",
    )
    how.add_argument(
        "--target",
        metavar="PYTHON",
        help="the Python to train with (default: the active environment, then `python` on PATH)",
    )
    how.add_argument(
        "--timeout",
        type=positive,
        default=600.0,
        metavar="S",
        help="seconds without a sign of life, after which a training counts as hanging (default: 600)",
    )
    add_outputs(parser, "the answer", only=("json", "markdown", "html"))
    parser.add_argument("--csv", metavar="FOLDER", help="write a CSV file for each training, in ultralytics' columns")
    parser.set_defaults(execute=execute)


def _seed(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _setting(text: str) -> tuple[str, str | int | float | bool]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            pass
    return name, value


def execute(arguments: argparse.Namespace) -> int:
    from attn_doctor.cli.output import check_outputs
    from attn_doctor.errors import Refused
    from attn_doctor.study.journal import is_held, read
    from attn_doctor.study.state import study_of

    check_outputs(arguments)
    if arguments.shown is not None:
        folder = Path(arguments.shown)
        events = read(folder)
        if not events:
            raise Refused(f"{arguments.shown} has no study: a study's folder has the file journal.jsonl")
        study = study_of(events, runs=is_held(folder))
    else:
        study = _trained(arguments)
    _answer(arguments, study)
    return _exit_code(study)


def _exit_code(study: Study) -> int:
    from attn_doctor.errors import FINDINGS, NOT_EXAMINED, OK

    states = {cell.state for cell in study.cells}
    if "failed" in states:
        return FINDINGS
    return OK if states <= {"done"} else NOT_EXAMINED


def _trained(arguments: argparse.Namespace) -> Study:
    import os

    from attn_doctor.cli.study_screen import Screen
    from attn_doctor.errors import Refused
    from attn_doctor.probes.choose import choose
    from attn_doctor.study.conduct import Wanted, conduct
    from attn_doctor.study.looking import look
    from attn_doctor.study.training import check_arms, check_settings

    if arguments.demo == (arguments.data is not None):
        raise Refused("name either a data set by --data DATA.yaml, or --demo, which generates one")
    for name, value in (_DEMO if arguments.demo else _USUAL).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    check_arms(tuple(arguments.arms))
    check_settings(dict(arguments.set))
    for name in ("data", "model"):
        path = Path(getattr(arguments, name) or ".")
        if path.parent != Path() and not path.is_file():  # a name without a folder may be one of ultralytics' own
            raise Refused(f"--{name} {path}: there is no such file")
    if "," in arguments.device:
        raise Refused("--device: a training of a study runs on one device")
    places = _places(arguments)
    environ = dict(os.environ)
    python = (choose(arguments.target, environ).python,)
    folder = Path(arguments.folder)
    with Screen(watch=arguments.watch) as screen:
        screen.say("looking at the model and the data")
        looked = look(
            python,
            arguments.model,
            arguments.data,
            imgsz=arguments.imgsz,
            device=arguments.device,
            shapes=(folder / "data").resolve() if arguments.demo else None,
            environ=environ,
            silence=arguments.timeout,
        )
        design = _design(arguments, looked.versions, looked.hashes, looked.device)
        wanted = Wanted(
            python=python,
            environ=environ,
            folder=folder,
            budget=arguments.budget,
            silence=arguments.timeout,
            retry=arguments.retry,
        )
        return conduct(design, looked, wanted, screen, places)


def _places(arguments: argparse.Namespace) -> Places | None:
    from attn_doctor.errors import Refused

    if arguments.on is None:
        return None
    engine, _, address = arguments.on.partition(":")
    if engine != "ray":
        raise Refused(f"--on {arguments.on}: a study runs on this machine, or on ray[:ADDRESS]")
    from attn_doctor.study.on_ray import OnRay

    return OnRay(address or None, arguments.budget)


def _design(arguments: argparse.Namespace, versions: dict[str, str], hashes: dict[str, str], device: str) -> Design:
    import sys

    from attn_doctor.model.foreign_text import text
    from attn_doctor.model.study import Design

    return Design(
        model=arguments.model,
        data="coloured shapes" if arguments.demo else arguments.data,
        arms=tuple(arguments.arms),
        seeds=tuple(dict.fromkeys(arguments.seeds)),
        epochs=arguments.epochs,
        imgsz=arguments.imgsz,
        batch=arguments.batch,
        device=device,
        margin=arguments.margin,
        threads=arguments.threads,
        settings=dict(arguments.set),
        command=("attn-doctor", *(text(word) for word in sys.argv[1:])),
        versions=versions,
        hashes=hashes,
    )


def _answer(arguments: argparse.Namespace, study: Study) -> None:
    """Write the files, and show the answer unless a file went to standard output. Raises Unwritable."""
    from attn_doctor.cli.output import on_terminal, show_blocks, write
    from attn_doctor.model.study import Comparison
    from attn_doctor.model.study import Study as Records
    from attn_doctor.report.formats import Answer
    from attn_doctor.report.study_outline import outline, pictures
    from attn_doctor.study.comparisons import compared

    found = compared(study)

    def answer(gate: Gate) -> Answer:
        clean, rows = gate.typed((study, Records), (found, tuple[Comparison, ...]))
        return Answer(
            gate.records({"study": study, "comparisons": found}),
            lambda: outline(clean, rows),
            title="attn-doctor study",
            pictures=lambda: pictures(clean, rows),
        )

    write(arguments, answer)
    if arguments.csv is not None:
        _write_csv(Path(arguments.csv), study)
    if on_terminal(arguments):
        show_blocks(outline(study, found), arguments)


def _write_csv(folder: Path, study: Study) -> None:
    from attn_doctor.report import files
    from attn_doctor.report.gate import Gate
    from attn_doctor.report.study_csv import folder_of_csv

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.Unwritable(f"the folder {folder} cannot be made: {error.strerror or error}") from error
    gate = Gate()
    for name, content in folder_of_csv(study).items():
        path = str(folder / name)
        files.write(path, gate.finished(content, path))
