"""`attn-doctor fix`: suggest a plan, try it in a copy, apply it, undo it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from attn_doctor.cli.options import add_gpu, add_outputs, add_target, examination

if TYPE_CHECKING:
    from attn_doctor.cli.output import Progress
    from attn_doctor.fixes.apply import Applied
    from attn_doctor.fixes.plan import Way
    from attn_doctor.fixes.workflow import FixRequest, Suggested
    from attn_doctor.report.blocks import Block
    from attn_doctor.report.gate import Gate


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "fix",
        help="suggest a plan that fixes this machine, try it in a throw-away copy, apply it, undo it",
        description="Makes a plan for the root causes: ordered steps, what each changes, and what the alternatives are. "
        "Your environment is changed only with --apply; --undo restores it.",
        epilog="Exit codes: 0 nothing is wrong, or there is a plan (with --verify: and it was verified; with --apply: and it was applied "
        "and verified; with --undo: all is restored); 1 there is no plan, or the plan did not work and was undone; 2 wrong usage, or "
        "not allowed here; 3 the target did not answer at all; 130 interrupted.",
        formatter_class=formatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--suggest", action="store_true", help="show a plan; with --verify, show a plan that was tried")
    what.add_argument("--apply", action="store_true", help="carry the plan out, after asking")
    what.add_argument("--undo", action="store_true", help="undo the last --apply, file by file")
    add_target(parser)
    add_gpu(parser)
    parser.add_argument(
        "--goal",
        choices=("train", "flash-attn"),
        help="train with what is installed, or have flash-attn installed and working (default: flash-attn if it is installed and broken, if "
        "the project requires it, or if ultralytics is a fork that uses it; else train)",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--report", metavar="FILE", help="make the plan from a saved JSON report; - for standard input")
    source.add_argument(
        "--facts",
        metavar="FILE",
        help="with --suggest: make the plan from recorded facts (or a report) of another machine",
    )
    parser.add_argument(
        "--installer",
        choices=("pip", "uv", "conda", "mamba", "micromamba", "pixi", "poetry", "pdm", "pipx"),
        help="use this installer (default: the installer that manages this environment)",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="try the ways of the plan in throw-away copies of the environment until one works",
    )
    parser.add_argument("--way", metavar="NAME", help="apply this way of the plan, for example B, instead of the first")
    parser.add_argument(
        "--allow-unsigned",
        action="append",
        default=[],
        metavar="OWNER",
        help="allow a way that installs a wheel which OWNER built and nobody signed: it is fetched aside, read and tried in a copy first; "
        "that shows that it fits, never that it is harmless",
    )
    parser.add_argument(
        "--yes", action="store_true", help="apply or undo without asking; does not stand for --allow-unsigned"
    )
    parser.add_argument(
        "--system-python",
        action="store_true",
        help="apply even to a Python that belongs to the operating system (PEP 668)",
    )
    network = parser.add_mutually_exclusive_group()
    network.add_argument(
        "--offline",
        action="store_true",
        help="do not ask the installer what it would change (to answer, it asks its index)",
    )
    network.add_argument(
        "--online",
        action="store_true",
        help="ask servers for the size of downloads, and let an old pip download packages to say what it would change",
    )
    add_outputs(parser, "the answer", only=("json", "markdown"))
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    import sys

    from attn_doctor.cli.output import Progress, check_outputs
    from attn_doctor.fixes.target_paths import Cannot
    from attn_doctor.fixes.workflow import FixRequest, check_system
    from attn_doctor.model.findings import Goal

    check_outputs(arguments)
    if arguments.apply and arguments.report:
        raise Cannot("--apply examines the machine itself: --report is for --suggest")
    if arguments.facts and not arguments.suggest:
        raise Cannot("--facts describes another machine: it is for --suggest")
    if arguments.facts and arguments.verify:
        raise Cannot("--verify tries a plan on its own machine: --facts describes another machine")
    if arguments.gpu and arguments.report:
        raise Cannot("a report is judged already: give --gpu to the `attn-doctor check` that makes the report")
    if arguments.apply and not arguments.yes and not sys.stdin.isatty():
        raise Cannot("there is no terminal for the question before the change: add --yes")
    if arguments.apply or arguments.undo or arguments.verify:
        check_system()
    options = examination(arguments)
    request = FixRequest(
        options.surroundings,
        root=options.root,
        target=options.target,
        goal=Goal(arguments.goal) if arguments.goal else None,
        report=arguments.report,
        facts=arguments.facts,
        gpu=arguments.gpu,
        installer=arguments.installer,
        verify=arguments.verify,
        offline=arguments.offline,
        online=arguments.online,
        timeout=options.timeout,
        system_python=arguments.system_python,
        command=("attn-doctor", *sys.argv[1:]),
        trusted=tuple(arguments.allow_unsigned),
    )
    with Progress() as progress:
        return (_undo if arguments.undo else _suggest)(arguments, request, progress)


def _suggest(arguments: argparse.Namespace, request: FixRequest, progress: Progress) -> int:
    from attn_doctor import commands
    from attn_doctor.cli import FINDINGS, OK
    from attn_doctor.cli.output import on_terminal, show_blocks
    from attn_doctor.fixes.workflow import suggest
    from attn_doctor.report import plan_outline

    suggested = suggest(request, progress.say)
    plan = suggested.plan
    progress.close()
    way = _chosen(arguments, suggested)
    shell = commands.shell_of(suggested.facts)
    applies = arguments.apply and way is not None
    if on_terminal(arguments):
        show_blocks(
            plan_outline.chosen(plan, way, shell) if applies and way else plan_outline.plan(plan, shell), arguments
        )
    if applies and way is not None:
        return _apply(arguments, request, suggested, way)
    _write(arguments, suggested)
    if not plan.causes and not plan.ways:
        return OK
    if arguments.verify:
        return OK if any(w.attempt and w.attempt.verified for w in plan.ways) else FINDINGS
    return OK if plan.ways else FINDINGS


def _write(
    arguments: argparse.Namespace, suggested: Suggested, way: Way | None = None, result: Applied | None = None
) -> None:
    """Write the plan, and with `result` the outcome of applying `way`. Raises Unwritable if a file cannot be written."""
    from attn_doctor import commands
    from attn_doctor.cli.output import write
    from attn_doctor.fixes.apply import Applied as Outcome
    from attn_doctor.fixes.plan import Plan
    from attn_doctor.fixes.plan import Way as PlannedWay
    from attn_doctor.report import plan_outline
    from attn_doctor.report.formats import Answer
    from attn_doctor.report.issue_outline import for_an_issue

    shell = commands.shell_of(suggested.facts)

    def blocks(gate: Gate) -> tuple[Block, ...]:
        plan, chosen, done = gate.typed((suggested.plan, Plan), (way, PlannedWay | None), (result, Outcome | None))
        if done is None:
            return plan_outline.plan(plan, shell)
        return (*plan_outline.applied(done, chosen, plan, shell), plan_outline.way(chosen, shell))

    records = {"plan": suggested.plan} if result is None else {"plan": suggested.plan, "applied": result}
    write(arguments, lambda gate: Answer(gate.records(records), paste=lambda: for_an_issue(blocks(gate))))


def _chosen(arguments: argparse.Namespace, suggested: Suggested) -> Way | None:
    from attn_doctor.fixes.target_paths import Cannot

    ways = suggested.plan.ways
    if arguments.way:
        names = [way.name for way in ways]
        if arguments.way.upper() not in names:
            raise Cannot(f"there is no way {arguments.way}: this plan has {', '.join(names) or 'none'}")
        return ways[names.index(arguments.way.upper())]
    return ways[0] if ways else None


def _apply(arguments: argparse.Namespace, request: FixRequest, suggested: Suggested, way: Way) -> int:
    import sys

    from attn_doctor import commands
    from attn_doctor.cli import FINDINGS, OK
    from attn_doctor.cli.output import Progress, on_terminal, show_blocks
    from attn_doctor.fixes.apply import Applied
    from attn_doctor.fixes.workflow import carry_out, check_applicable, ready
    from attn_doctor.report import plan_outline

    check_applicable(request, suggested, way)
    if way.unsigned is not None:
        with Progress() as progress:
            way = ready(request, suggested, way, progress.say)
        plan = plan_outline.with_way(suggested.plan, way)
        suggested = suggested._replace(plan=plan)
        if on_terminal(arguments):
            show_blocks(plan_outline.proven(way), arguments)
        if way.attempt is None or not way.attempt.verified:
            result = Applied(outcome="refused", summary=way.attempt.summary if way.attempt else "it was not tried")
            if on_terminal(arguments):
                show_blocks(plan_outline.applied(result, way, plan, commands.shell_of(suggested.facts)), arguments)
            _write(arguments, suggested, way, result)
            return FINDINGS
    if not arguments.yes and not _agreed(f"Apply {way.name} ({way.title})?"):
        sys.stderr.write("attn-doctor: nothing was done\n")
        return FINDINGS
    with Progress() as progress:
        result = carry_out(request, suggested, way, progress.say)
    if on_terminal(arguments):
        show_blocks(plan_outline.applied(result, way, suggested.plan, commands.shell_of(suggested.facts)), arguments)
    _write(arguments, suggested, way, result)
    return OK if result.outcome == "applied" else FINDINGS


def _undo(arguments: argparse.Namespace, request: FixRequest, progress: Progress) -> int:
    import sys

    from attn_doctor.cli import FINDINGS, OK
    from attn_doctor.cli.output import on_terminal, show_blocks, write
    from attn_doctor.fixes.workflow import take_back, to_undo
    from attn_doctor.report import plan_outline
    from attn_doctor.report.formats import Answer

    places, folder, changed = to_undo(request)
    if changed and not arguments.yes:
        progress.close()
        show_blocks(plan_outline.changed_since(changed), arguments)
        if not _agreed("Undo anyway?"):
            sys.stderr.write("attn-doctor: nothing was done\n")
            return FINDINGS
    undone = take_back(places, folder, changed, progress.say)
    progress.close()
    if on_terminal(arguments):
        show_blocks(plan_outline.undone(undone.plan, undone.wrong, undone.kept), arguments)

    def answer(gate: Gate) -> Answer:
        title, wrong, kept = gate.typed(*zip(undone, (str, tuple[str, ...], str | None), strict=True))
        return Answer(gate.records(undone), lambda: plan_outline.undone(title, wrong, kept))

    write(arguments, answer)
    return FINDINGS if undone.wrong else OK


def _agreed(question: str) -> bool:
    """Return whether the user agrees on the terminal. Raises Cannot if there is no terminal."""
    import sys

    from attn_doctor.cli.output import agreed
    from attn_doctor.fixes.target_paths import Cannot

    if not sys.stdin.isatty():
        raise Cannot(f"{question} There is no terminal for an answer: add --yes")
    return agreed(question)
