"""`attn-doctor matrix`: show the saved reports of several machines in one table, and the attention to use at each size."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from attn_doctor.cli.options import add_outputs


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "matrix",
        help="lay saved reports of several machines side by side",
        description="Reads JSON reports of `check` and `trial`, of one machine or of several. Gives one table over all of them (images a "
        "second, the stages of predicting, memory, watts, temperature, load), and for each kind of machine a decision matrix: which "
        "attention to use for a number of tokens, a batch and a dtype. Nothing is measured or guessed: what no report decides stays empty, "
        "with the reason.",
        epilog="Exit codes: 0 shown; 2 wrong usage, or a file that is no report; 3 no report has a measurement.",
        formatter_class=formatter,
    )
    parser.add_argument(
        "reports",
        nargs="+",
        metavar="REPORT",
        help="a JSON report of `check` or `trial`; - for standard input",
    )
    add_outputs(parser, "both tables", only=("json", "markdown", "html"))
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    from attn_doctor.cli import NOT_EXAMINED, OK
    from attn_doctor.cli.output import check_outputs, on_terminal, show_blocks, write
    from attn_doctor.examination.inputs import read_file
    from attn_doctor.model.matrix import Matrix
    from attn_doctor.model.report import Unreadable
    from attn_doctor.report.formats import Answer
    from attn_doctor.report.gate import Gate
    from attn_doctor.report.matrix_outline import charts, outline
    from attn_doctor.trials.decision_matrix import matrix
    from attn_doctor.trials.saved_trials import saved_trial

    check_outputs(arguments)
    if arguments.reports.count("-") > 1:
        raise Unreadable("only one of the reports can come from standard input")
    saved = [saved_trial(read_file(name), name) for name in arguments.reports]
    shown = _names(arguments.reports)
    found = matrix([one._replace(name=name) for one, name in zip(saved, shown, strict=True)])

    def answer(gate: Gate) -> Answer:
        (clean,) = gate.typed((found, Matrix))
        return Answer(
            gate.records(found), lambda: outline(clean), title="attn-doctor matrix", pictures=lambda: charts(clean)
        )

    write(arguments, answer)
    if on_terminal(arguments):
        show_blocks(outline(found), arguments)
    return OK if found.measured else NOT_EXAMINED


def _names(paths: list[str]) -> list[str]:
    """Return a name for each report: the name of its file; with the name of the folder if two files have the same name."""
    names = ["standard input" if path == "-" else Path(path).name for path in paths]
    return [
        f"{Path(path).resolve().parent.name}/{name}" if names.count(name) > 1 else name
        for path, name in zip(paths, names, strict=True)
    ]
