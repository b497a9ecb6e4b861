"""`attn-doctor fleet`: find the node of a cluster that differs from the others, and the reason."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from attn_doctor.cli.options import add_fail_on, add_outputs, positive

if TYPE_CHECKING:
    from attn_doctor.fleet.compare import Compared
    from attn_doctor.fleet.engines import Asked
    from attn_doctor.model.fleet import NodeAnswer
    from attn_doctor.model.steps import Step
    from attn_doctor.report.gate import Gate

# The words of attn_doctor/fleet/engines/SPELLINGS, which is imported only if it is asked for.
_ENGINES = "ray[:ADDRESS], slurm[:PARTITION], kubernetes[:NAMESPACE][@IMAGE] or ssh:HOSTS"


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "fleet",
        help="say which node of a cluster is not like the others, and why",
        description="Compares the reports of many machines: a verdict for each node, the facts in which it differs from most nodes of its "
        "kind (those first that explain a finding), and each cure once with the nodes that it is for. The reports are JSON files of "
        "`attn-doctor check --json`, folders of them, or one stream with a report a line; or --on collects them now.",
        epilog="Exit codes: 0 nothing found at or above --fail-on; 1 a finding, or a node that gave no answer; 2 wrong usage; 3 no report "
        "could be read at all. The screen has the real names of the nodes; in the files they are node-1, node-2, in the order of their names.",
        formatter_class=formatter,
    )
    parser.add_argument(
        "reports",
        metavar="REPORT|FOLDER",
        nargs="*",
        help="JSON reports, .jsonl files with a report a line, or folders of these; - for standard input. A node is called as its file is, "
        "or as its folder where all files have one name",
    )
    parser.add_argument("--on", metavar="ENGINE", help=f"run the check on every node now, by {_ENGINES}")
    parser.add_argument(
        "--node", action="append", default=[], metavar="NAME", help="with --on: only this node; repeat for more"
    )
    parser.add_argument(
        "--target-from",
        metavar="LABEL",
        help="with --on: the label of a node that holds the path of the Python to examine there",
    )
    parser.add_argument(
        "--check-options",
        metavar="OPTIONS",
        help='with --on: options for `attn-doctor check` on each node (default: --no-trial), such as --check-options="--static --gpu 8.0"',
    )
    parser.add_argument(
        "--deadline",
        type=positive,
        metavar="S",
        help="with --on: seconds for one node (default: 300)",
    )
    parser.add_argument(
        "--manifest",
        action="store_true",
        help="with --on kubernetes:NAMESPACE@IMAGE: print the Jobs for `kubectl create -f`, and check nothing",
    )
    add_outputs(parser, "the answer", only=("json", "markdown", "html"))
    add_fail_on(parser, "a finding from this severity on, and for a node without an answer")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    from attn_doctor.cli.output import Progress, check_outputs, on_terminal, show_blocks, write
    from attn_doctor.errors import NotExamined
    from attn_doctor.fleet.compare import compare
    from attn_doctor.fleet.names import numbered
    from attn_doctor.model.fleet import Fleet
    from attn_doctor.report.fleet_outline import names_in_files, outline, picture
    from attn_doctor.report.formats import Answer

    check_outputs(arguments)
    if arguments.manifest:
        return _manifest(arguments)
    with Progress() as progress:
        answers = _collected(arguments, progress.say) if arguments.on else _read(arguments)
        compared = compare(answers, arguments.fail_on)
    if not compared.fleet.nodes:
        raise NotExamined("there is no node: no report was found, and no engine named a node")
    fleet = compared.fleet
    doubts = _doubts(compared)
    numbers = numbered(name for row in fleet.rows for name in row.nodes)

    def written(gate: Gate) -> Answer:
        from attn_doctor.report.fleet_names import anonymous

        (clean,) = gate.typed((anonymous(fleet, numbers), Fleet))
        return Answer(
            clean,
            lambda: outline(clean, doubts),
            title="attn-doctor fleet",
            pictures=lambda: picture(clean),
        )

    write(arguments, written)
    if on_terminal(arguments):
        show_blocks([*outline(fleet, doubts), names_in_files(numbers.items())], arguments, elsewhere=True)
    return fleet.exit_code


def _read(arguments: argparse.Namespace) -> Iterable[NodeAnswer]:
    import sys

    from attn_doctor.errors import Refused
    from attn_doctor.fleet.files import answers, places
    from attn_doctor.model.report import Unreadable
    from attn_doctor.system import streams

    _refuse_without_on(arguments)
    if not arguments.reports:
        raise Refused("name reports or a folder of them, or an engine with --on: attn-doctor fleet reports/")
    if "-" in arguments.reports and streams.was_closed("stdin"):
        raise Unreadable("standard input is closed: name a file")
    return answers(places(arguments.reports), sys.stdin.buffer if "-" in arguments.reports else None)


def _refuse_without_on(arguments: argparse.Namespace) -> None:
    from attn_doctor.errors import Refused

    for option in ("node", "target_from", "check_options", "deadline", "manifest"):
        if getattr(arguments, option):
            raise Refused(f"--{option.replace('_', '-')} says how nodes are examined: it needs --on ENGINE")


def _collected(arguments: argparse.Namespace, say: Callable[[str], None]) -> Iterable[NodeAnswer]:
    from attn_doctor.errors import Refused
    from attn_doctor.fleet import engines

    if arguments.reports:
        raise Refused("--on collects the reports itself: name either reports or --on ENGINE")
    return engines.answers(arguments.on, _asked(arguments), say)


def _asked(arguments: argparse.Namespace) -> Asked:
    import shlex

    from attn_doctor.errors import Refused
    from attn_doctor.fleet.engines import Asked

    try:
        check = tuple(shlex.split(arguments.check_options or "--no-trial"))
    except ValueError as error:
        raise Refused(f"--check-options cannot be taken apart: {error}") from error
    return Asked(
        check=check,
        target_from=arguments.target_from,
        deadline=arguments.deadline or 300.0,
        nodes=tuple(arguments.node),
    )


def _manifest(arguments: argparse.Namespace) -> int:
    """Print the manifest of the check on a Kubernetes cluster. Raises Refused for another engine."""
    import sys

    from attn_doctor.errors import OK, Refused
    from attn_doctor.fleet import engines

    engine, where = engines.named(arguments.on or "")
    if engine != "kubernetes" or arguments.reports:
        raise Refused(
            "--manifest is for a Kubernetes cluster: attn-doctor fleet --on kubernetes:NAMESPACE@IMAGE --manifest"
        )
    from attn_doctor.fleet.engines.kubernetes import manifest

    sys.stdout.write(manifest(where, _asked(arguments)))
    return OK


def _doubts(compared: Compared) -> Callable[[int, Step], str]:
    """Return a function of (number of the cure, step): it returns the reason against the command of the step, else an empty text.

    The first report with that cure decides.
    """
    import functools
    import zlib

    @functools.cache
    def of(place: int) -> Callable[[Step], str]:
        from attn_doctor.fixes.saved_commands import doubts  # with all rules: only if there is a cure
        from attn_doctor.model.report import decode_report

        data = zlib.decompress(compared.cures[compared.keys[place]].report)
        return doubts(decode_report(data, "the report"))

    return lambda place, step: of(place)(step)
