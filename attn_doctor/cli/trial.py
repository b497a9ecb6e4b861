"""`attn-doctor trial`: measure the attention backends with more rounds, and find settings for training."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from attn_doctor.cli.options import add_outputs, add_target, examination, positive, whole
from attn_doctor.prescription.changes.table import CHANGES

if TYPE_CHECKING:
    from attn_doctor.model.facts import Facts
    from attn_doctor.report.blocks import Block
    from attn_doctor.report.gate import Gate
    from attn_doctor.trials.long_trial import Study


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "trial",
        help="measure the attention backends thoroughly, and find settings for training",
        description="Runs the attention backends in a YOLO model, or alone on shapes of your choice, with more rounds than "
        "`check` does. Each is checked first: which kernel served every call, and whether its numbers are right.",
        epilog="Exit codes: 0 measured; 2 wrong usage; 3 nothing could be measured; 130 interrupted.",
        formatter_class=formatter,
    )
    parser.add_argument("--model", default="yolo12n.yaml", metavar="NAME", help="model (default: yolo12n.yaml)")
    parser.add_argument(
        "--imgsz",
        type=whole,
        nargs="+",
        default=[640],
        metavar="N",
        help="image sizes; with several sizes, the answer shows how each backend's time grows",
    )
    parser.add_argument(
        "--batch", type=whole, nargs="+", default=[2], metavar="N", help="images in a batch (default: 2)"
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda:N or mps (default: auto)")
    parser.add_argument(
        "--backend", action="append", default=[], metavar="NAME", help="measure this backend only; repeat for more"
    )
    parser.add_argument(
        "--dtype",
        action="append",
        default=[],
        choices=("float32", "float16", "bfloat16"),
        help="measure this dtype; repeat for more (default: float32, on a GPU all three)",
    )
    parser.add_argument(
        "--repeats",
        type=whole,
        metavar="N",
        help="rounds (default: 15 on a CPU, 50 on a GPU, at most one minute for each dtype)",
    )
    parser.add_argument(
        "--memory",
        action="store_true",
        help="split the peak memory of a training step into weights, activations, gradients, optimiser and the rest, for each backend",
    )
    alone = parser.add_argument_group("attention alone, without a model: every combination is tried")
    alone.add_argument("--attention-only", action="store_true", help="shapes instead of a model")
    alone.add_argument("--heads", type=whole, nargs="+", default=[8], metavar="N", help="default: 8")
    alone.add_argument("--seq-len", type=whole, nargs="+", default=[256], metavar="N", help="tokens (default: 256)")
    alone.add_argument(
        "--head-dim", type=whole, nargs="+", default=[64], metavar="N", help="width of a head (default: 64)"
    )
    tune = parser.add_argument_group("the fastest right way to train and to predict here")
    tune.add_argument(
        "--tune",
        action="store_true",
        help="measure threads, allocator, layout, 16 bits and memory too, and print at the end the commands to copy: `yolo train ...` "
        "and `yolo predict ...` with the settings that help",
    )
    tune.add_argument(
        "--allow",
        choices=("same", "rounding", "precision"),
        default="rounding",
        help="how much the prescribed settings may change the computed numbers. same: not at all; rounding (default): float32 sums in "
        "another order, checked against float64; precision: also fewer bits for a number, such as bf16",
    )
    tune.add_argument(
        "--seconds",
        type=positive,
        default=60.0,
        metavar="S",
        help="seconds for the search among settings other than attention (default: 60)",
    )
    tune.add_argument(
        "--try",
        dest="asked",
        action="append",
        default=[],
        choices=tuple(name for name, change in CHANGES.items() if change.slow),
        help="also try this slow change, which needs minutes before it helps; without this option it is not tried",
    )
    tune.add_argument(
        "--runtimes",
        action="store_true",
        help="export the model for predicting, and measure the exported model too; also done without this option if ONNX Runtime, OpenVINO, "
        "TensorRT or Core ML is installed. Nothing is installed, and the exported files are deleted",
    )
    tune.add_argument(
        "--prescription",
        metavar="FILE",
        help="write the settings that were found into FILE (default: a file in your cache folder, which `attn-doctor run --prescribed` reads)",
    )
    tune.add_argument(
        "--images",
        type=whole,
        metavar="N",
        help="number of images in your training set; attn-doctor uses it to choose cache=",
    )
    add_target(parser)
    add_outputs(parser, "everything", only=("json", "markdown", "html"))
    parser.set_defaults(execute=execute)


def _refuse_unfit(facts: Facts, model: str) -> None:
    """Raise BadRequest for weights that the installed ultralytics cannot run, because every backend would fail with the same error."""
    from attn_doctor.failure_modes import find
    from attn_doctor.judging.diagnose import diagnose
    from attn_doctor.model.findings import Goal, Severity
    from attn_doctor.trials.plan import BadRequest

    if not model.endswith(".pt"):
        return
    modules = [find(slug) for slug in ("yolo12-weights-of-the-other-code", "ultralytics-older-than-weights")]
    for finding in diagnose(facts, Goal.TRAIN, modules=modules).findings:
        if finding.severity is Severity.ERROR:
            said = finding.message.rstrip(".")
            raise BadRequest(f"{said} (`attn-doctor check --model {model}` says what to do)")


def _prescribe(found: Study, file: str | None) -> None:
    """Write the prescription, if `--tune` measured training or predicting. Raises Unwritable if the file cannot be written."""
    from datetime import datetime, timezone
    from pathlib import Path

    from attn_doctor.prescription import prescription_file
    from attn_doctor.report.files import Unwritable
    from attn_doctor.trials.tuning.advice import prescription

    if found.tuning is None or (found.tuning.training is None and found.tuning.predicting is None):
        return
    content = prescription(found.tuning, datetime.now(timezone.utc).isoformat(timespec="seconds"))
    try:
        prescription_file.write(content, Path(file) if file else None)
    except OSError as error:
        raise Unwritable(f"the prescription cannot be written: {error.strerror or error}") from error


def execute(arguments: argparse.Namespace) -> int:
    import msgspec

    from attn_doctor.cli import NOT_EXAMINED, OK
    from attn_doctor.cli.output import Progress, check_outputs, on_terminal, show_blocks, write
    from attn_doctor.examination import facts_of
    from attn_doctor.model.facts import Facts
    from attn_doctor.model.trials import Shape, TrialOptions
    from attn_doctor.report.charts import charts, memory_charts
    from attn_doctor.report.formats import Answer
    from attn_doctor.report.trial_outline import outline
    from attn_doctor.trials.long_trial import Study, StudyRequest, check_request, grid, study
    from attn_doctor.trials.plan import BadRequest

    check_outputs(arguments, "prescription")
    shapes: tuple[Shape, ...] = ()
    if arguments.attention_only:
        shapes = grid(arguments.batch, arguments.heads, arguments.seq_len, arguments.head_dim)
    elif len(arguments.batch) > 1:
        raise BadRequest("several batches need --attention-only; for a model give one batch, or --tune")
    wanted = StudyRequest(
        trial=TrialOptions(
            model=arguments.model,
            batch=arguments.batch[0],
            device=arguments.device,
            backends=tuple(arguments.backend),
            dtypes=tuple(arguments.dtype),
            shapes=shapes,
            rounds=arguments.repeats,
        ),
        sizes=tuple(dict.fromkeys(arguments.imgsz)),
        tune=arguments.tune,
        memory=arguments.memory,
        images=arguments.images,
        allowed=arguments.allow,
        asked=tuple(arguments.asked),
        seconds=arguments.seconds,
        runtimes=arguments.runtimes,
    )
    check_request(wanted)
    with Progress() as progress:
        options = examination(arguments, trials=wanted.trial)
        facts = facts_of(options, progress.say)
        _refuse_unfit(facts, arguments.model)
        python = str(facts.interpreter.python)
        wanted = msgspec.structs.replace(wanted, root=options.root)
        found = study(facts, [python], wanted, timeout=options.timeout, say=progress.say, environ=options.surroundings)
    _prescribe(found, arguments.prescription)

    def answer(gate: Gate) -> Answer:
        clean, about = gate.typed((found, Study), (facts, Facts))

        def blocks() -> list[Block]:
            file = arguments.prescription
            return outline(clean, about, None if file is None else gate.text(file))

        return Answer(
            gate.records(found),
            blocks,
            title="attn-doctor trial",
            pictures=lambda: (*charts(clean.trials), *memory_charts(clean.memory)),
        )

    write(arguments, answer)
    if on_terminal(arguments):
        show_blocks(outline(found, facts, arguments.prescription), arguments)
    return OK if any(row.step_ms for row in found.trials) else NOT_EXAMINED
