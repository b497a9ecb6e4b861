"""`attn-doctor inspect`: what compiled extensions need, hold and lack, against the target, from files alone."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from attn_doctor.cli.options import add_target

if TYPE_CHECKING:
    from attn_doctor.facts import Binary
    from attn_doctor.knowledge.answers import Judgement


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "inspect",
        help="say from files alone whether compiled extensions or wheels would load here",
        description="Reads extension modules (.so) and wheels (.whl) without executing or installing them, and says "
        "whether the target could load each of them after `import torch`, and if not, why.",
        epilog="Exit codes: 0 nothing would fail; 1 something would; 2 wrong usage; 3 none of the files could be read; "
        "130 interrupted.",
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
        help="also say whether the GPU code inside runs on this compute capability, 8.9; repeat for more",
    )
    parser.add_argument("--json", metavar="FILE", help="write the answers as JSON; - for standard output")
    parser.set_defaults(execute=execute)


def capability(text: str) -> str:
    """A compute capability, "8.9", for argparse."""
    if not re.fullmatch(r"\d+\.\d", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no compute capability, such as 8.9")
    return text


def execute(arguments: argparse.Namespace) -> int:
    import sys

    import msgspec

    from attn_doctor.cli import FINDINGS, NOT_EXAMINED, OK
    from attn_doctor.facts import Unknown
    from attn_doctor.probes.binaries.inspection import ask, inspect
    from attn_doctor.probes.choose import choose
    from attn_doctor.report import files

    files.check(arguments.json)
    choice = choose(arguments.target)
    place = ask(choice.python, arguments.timeout)
    records = list(inspect(arguments.files, place))
    if arguments.json:
        content = {
            "target": {"python": choice.python, "why": choice.why, "torch": place.torch},
            "files": [as_json(record, arguments.gpu) for record in records],
        }
        files.write(arguments.json, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    if arguments.json != "-":
        sys.stdout.write(f"Against {choice.python} ({choice.why})\n")
        for record in records:
            sys.stdout.write("".join(f"{_shown(line)}\n" for line in lines(record, arguments.gpu)))
    if all(isinstance(record.verdict, Unknown) and isinstance(record.needs, Unknown) for record in records):
        return NOT_EXAMINED
    return FINDINGS if any(record.verdict == "fails" for record in records) else OK


def as_json(record: Binary, gpus: Sequence[str] = ()) -> dict[str, Any]:
    """One entry of `files`: the same whatever could be told, an unknown value as {"unknown": why}."""
    import msgspec

    from attn_doctor.facts import Unknown
    from attn_doctor.knowledge.demangle import demangle

    known = msgspec.to_builtins(record)
    needs = () if isinstance(record.needs, Unknown) else record.needs
    undefined = () if isinstance(record.undefined, Unknown) else record.undefined
    doubt = (record.verdict.why,) if isinstance(record.verdict, Unknown) else ()
    return {
        "path": record.path,
        "module": record.module,
        "verdict": record.verdict if isinstance(record.verdict, str) else "unknown",
        "cause": known["cause"],
        "because": [*doubt, *record.because],
        "missing": [{"library": n.name, "package": n.package} for n in needs if n.found is None],
        "undefined": [{"symbol": name, "name": demangle(name)} for name in undefined],
        "needs": known["needs"],
        "gpu_code": {
            "sm": known["sm"],
            "ptx": known["ptx"],
            "runs_on": {gpu: msgspec.to_builtins(runs_on(record, gpu)) for gpu in gpus},
        },
        "built_for_torch": known["built_for_torch"],
        "cxx11_abi": known["cxx11_abi"],
        "glibc": known["glibc"],
        "glibcxx": known["glibcxx"],
    }


def runs_on(record: Binary, gpu: str) -> Judgement:
    """Whether the GPU code of an extension runs on a compute capability. One without GPU code is no question."""
    from attn_doctor.facts import Unknown
    from attn_doctor.knowledge import gpu as question

    if isinstance(record.sm, Unknown) or isinstance(record.ptx, Unknown):
        return Unknown("its GPU code could not be read")
    names = [question.name(c) for c in record.sm] + [question.name(c, ptx=True) for c in record.ptx]
    return question.runs(names, gpu) if names else Unknown("it holds no GPU code")


def lines(record: Binary, gpus: Sequence[str] = ()) -> Iterator[str]:
    """The same for a person."""
    from attn_doctor.facts import Unknown

    verdict = record.verdict
    heads = {"loads": "would load", "fails": "would not load", None: "nothing to load"}
    yield ""
    yield record.path
    yield f"  {heads[verdict] if not isinstance(verdict, Unknown) else 'cannot be told: ' + verdict.why}"
    for reason in record.because:
        yield f"    {reason}"
    if not isinstance(record.needs, Unknown) and record.needs:
        yield "  needs"
        for need in record.needs:
            place = need.found or "nowhere" + (f" ({need.package})" if isinstance(need.package, str) else "")
            yield f"    {need.name} -> {place}"
    for title, value in (
        ("was compiled for", record.built_for_torch),
        ("needs glibc", record.glibc),
        ("needs GLIBCXX", record.glibcxx),
        ("machine code for", _joined("sm_", record.sm)),
        ("PTX for", _joined("compute_", record.ptx)),
    ):
        if isinstance(value, str):
            yield f"  {title} {value}"
    if gpus and record.sm == record.ptx == ():
        yield "  holds no GPU code"
        return
    for gpu in gpus:
        answer = runs_on(record, gpu)
        said = "cannot be told" if isinstance(answer, Unknown) else "yes" if answer.yes else "no"
        yield f"  on a GPU of compute capability {gpu}: {said}: {answer.why}"


def _shown(line: str) -> str:
    """A line without what would steer a terminal: names come from files that anybody may have written."""
    return "".join(c if c.isprintable() else "\ufffd" for c in line)


def _joined(prefix: str, capabilities: object) -> str | None:
    if not isinstance(capabilities, tuple) or not capabilities:
        return None
    return ", ".join(prefix + capability.replace(".", "") for capability in capabilities)
