"""`attn-doctor inspect`: read compiled extensions and say whether the target environment can load them."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from attn_doctor.cli.options import add_outputs, add_target, examination

if TYPE_CHECKING:
    from attn_doctor.report.blocks import Block
    from attn_doctor.report.gate import Gate


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "inspect",
        help="say whether compiled extensions or wheels would load here, by reading files only",
        description="Reads extension modules (.so, .pyd) and wheels (.whl) without executing or installing them, and says "
        "whether the target could load each of them after `import torch`, and if not, why. A wheel gets one verdict, that of its main "
        "extension; what is said of each extension comes after it.",
        epilog="Exit codes: 0 nothing would fail (of a wheel: its main extension); 1 something would; 2 wrong usage, or there is no such file; 3 none of "
        "the files could be read; 130 interrupted.",
        formatter_class=formatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="an extension module or a wheel")
    add_target(parser)
    parser.add_argument(
        "--gpu",
        action="append",
        default=[],
        type=capability,
        metavar="CC",
        help="also say whether the GPU code in the file runs on this compute capability, such as 8.9; repeat for more",
    )
    parser.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="FOLDER",
        help="for files of Windows (.pyd, .dll, a wheel for win_amd64) and macOS (.dylib, .so, a wheel for macosx): judge them by the rules of "
        "that system, as if the libraries of this folder were there, such as torch/lib of an unpacked torch; repeat for more",
    )
    add_outputs(parser, "the answers", only=("json", "markdown"))
    parser.set_defaults(execute=execute)


def capability(text: str) -> str:
    """Check that a text is a compute capability such as "8.9", and return it unchanged. argparse shows its ArgumentTypeError."""
    if not re.fullmatch(r"\d+\.\d", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no compute capability, such as 8.9")
    return text


def execute(arguments: argparse.Namespace) -> int:
    from attn_doctor.cli import FINDINGS, NOT_EXAMINED, OK
    from attn_doctor.cli.output import check_outputs, on_terminal, show_blocks, write
    from attn_doctor.examination.inputs import check_there
    from attn_doctor.model.facts import Binary, ChosenPython, Unknown
    from attn_doctor.probes.binaries.inspection import inspect, place_of
    from attn_doctor.probes.choose import choose
    from attn_doctor.report.formats import Answer
    from attn_doctor.report.inspection import as_data
    from attn_doctor.report.inspection_outline import outline
    from attn_doctor.wheels.whole import whole

    check_outputs(arguments)
    for path in arguments.files:
        check_there(path)
    options = examination(arguments)
    choice = choose(options.target, options.surroundings)
    place = place_of(choice.python, options.surroundings, options.timeout)
    by_file = [(path, list(inspect([path], place, options.surroundings, arguments.beside))) for path in arguments.files]
    wheels = [whole(path, found) for path, found in by_file if path.endswith(".whl")]
    records = [record for _, found in by_file for record in found]

    def answer(gate: Gate) -> Answer:
        def blocks() -> list[Block]:
            kind = tuple[tuple[str, tuple[Binary, ...]], ...]
            chosen, read = gate.typed((choice, ChosenPython), (by_file, kind))
            return outline(chosen, read, arguments.gpu)

        return Answer(gate.records(as_data(choice, place.torch, records, arguments.gpu, wheels)), blocks)

    write(arguments, answer)
    if on_terminal(arguments):
        show_blocks(outline(choice, by_file, arguments.gpu), arguments)
    if all(isinstance(record.verdict, Unknown) and isinstance(record.needs, Unknown) for record in records):
        return NOT_EXAMINED
    single = [record.verdict for path, found in by_file if not path.endswith(".whl") for record in found]
    return FINDINGS if "fails" in [*single, *(wheel.verdict for wheel in wheels)] else OK
