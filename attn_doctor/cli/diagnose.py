"""`attn-doctor diagnose`: judge the log of a build or a run, with or without facts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from attn_doctor.cli.options import add_fail_on, add_gpu, add_outputs, add_target, examination, fail_on

if TYPE_CHECKING:
    from attn_doctor.report.gate import Gate


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "diagnose",
        help="read build or run logs and name the root cause",
        description="Reads logs of pip, uv, conda, poetry, compilers, Python, docker or Slurm, of any size and in any encoding, and "
        "names the root cause first, its consequences beneath it, and the lines that show it. It also judges a description of an "
        "environment (pip list, conda list, collect_env, yolo checks, nvidia-smi), and what a project file would install "
        "(requirements.txt, pyproject.toml, environment.yml, a lock file, a Dockerfile).",
        epilog="Exit codes: 0 nothing found at or above --fail-on; 1 something was; 2 wrong usage, or there is no such file; 3 an error is "
        "not recognised, or a file is no log or cannot be read.",
        formatter_class=formatter,
    )
    parser.add_argument(
        "log",
        nargs="+",
        metavar="FILE",
        help="a log, a description of an environment or a project file; - for standard input",
    )
    parser.add_argument(
        "--follow",
        action="store_true",
        help="with - : copy standard input to standard error as it comes, and diagnose it at its end "
        "(pip install flash-attn 2>&1 | attn-doctor diagnose --follow -)",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--here",
        action="store_true",
        help="the logs come from this machine: examine the machine too, and say where log and machine differ",
    )
    where.add_argument("--facts", metavar="FILE", help="facts (or a report) of the machine that the logs come from")
    add_target(parser)
    add_gpu(parser)
    parser.add_argument(
        "--goal",
        choices=("train", "flash-attn"),
        help="what the user wanted (default: flash-attn if the log names it or builds an extension, else train)",
    )
    add_outputs(parser, "findings", only=("json", "markdown"))
    add_fail_on(parser)
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    import msgspec

    from attn_doctor import project_files
    from attn_doctor.cli.output import Progress, check_outputs, on_terminal, show_blocks, write
    from attn_doctor.errors import NotExamined
    from attn_doctor.examination import exit_code, facts_of, with_pages
    from attn_doctor.examination.inputs import check_there, read_texts
    from attn_doctor.judging.diagnose import diagnose
    from attn_doctor.judging.goals import implied_by
    from attn_doctor.logs.reader import Log
    from attn_doctor.logs.stated_facts import as_facts, stated_facts
    from attn_doctor.logs.stated_facts.summary import evidence
    from attn_doctor.model.facts import Facts
    from attn_doctor.model.findings import Diagnosis, Goal
    from attn_doctor.model.project_file import ProjectFile
    from attn_doctor.model.report import Unreadable
    from attn_doctor.report.formats import Answer
    from attn_doctor.report.log_outline import of_diagnosis
    from attn_doctor.system import platforms

    if arguments.follow and "-" not in arguments.log:
        from attn_doctor.errors import Refused

        raise Refused("--follow copies standard input: give - in place of a file, or leave --follow out")
    check_outputs(arguments)
    for path in (*arguments.log, arguments.facts or "-"):
        if path != "-":
            check_there(path)
    try:
        logs, files = read_texts(arguments.log, follow=arguments.follow)
    except Unreadable as error:
        raise NotExamined(str(error)) from error
    with Progress() as progress:
        options = examination(arguments, facts=arguments.facts, gpu=arguments.gpu)
        own = facts_of(options, progress.say) if arguments.here or arguments.facts else None
    stated = stated_facts(logs)
    base = own or Facts(grade="stated")
    facts = as_facts(stated, project_files.as_facts(files, base) if files else base).facts
    wished = Goal.FLASH_ATTN if project_files.asks_for_flash_attn(files) else implied_by(logs)
    diagnosis = diagnose(facts, Goal(arguments.goal) if arguments.goal else wished, logs=logs)
    diagnosis = with_pages(project_files.in_files(diagnosis, files) if files else diagnosis)

    def answer(gate: Gate) -> Answer:
        from attn_doctor import __version__
        from attn_doctor.report.reply import reply

        found = msgspec.structs.replace(diagnosis, stated=() if own else evidence(stated))
        return Answer(gate.records(found), paste=lambda: reply(*gate.typed(*said), version=__version__))

    said = ((diagnosis, Diagnosis), (facts, Facts), (logs, tuple[Log, ...]), (files, tuple[ProjectFile, ...]))
    write(arguments, answer)
    if on_terminal(arguments):
        elsewhere = isinstance(facts.system.os, str) and facts.system.os != platforms.name()
        show_blocks(of_diagnosis(diagnosis, facts, logs, files), arguments, elsewhere=elsewhere)
    return exit_code(diagnosis, fail_on(arguments))
