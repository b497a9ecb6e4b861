"""Run a reproduction: prepare, run, judge its output or its environment, and delete everything."""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from attn_doctor.failure_modes import patterns
from attn_doctor.failure_modes import recipe as of
from attn_doctor.failure_modes.mode import FailureMode
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs import stated_facts
from attn_doctor.logs.reader import Log, Reader
from attn_doctor.model.findings import Diagnosis, Severity
from attn_doctor.model.report import Report, decode_facts
from attn_doctor.reproduction import conditions
from attn_doctor.reproduction.ingredients import Bench, CannotReproduce
from attn_doctor.reproduction.plan import ReproductionPlan, needs_pip
from attn_doctor.reproduction.throwaway import Throwaway

Say = Callable[[str], None]
_CHECKING = 300.0  # seconds for `attn-doctor check` of a throw-away environment


class Reproduction(NamedTuple):
    """Hold the outcome of a reproduction.

    `why_not`: why the failure did not occur, although it was tried. A simulated machine was then judged in its place, if there is
    one. None if the failure occurred, or if the plan was to judge a simulated machine.
    """

    slug: str  # of the failure mode
    reproduced: bool  # the failure occurred, or a simulated machine was judged
    simulated: bool
    named: bool  # the doctor named the failure mode
    diagnosis: Diagnosis
    log: bytes
    why_not: str | None = None
    kept: str | None = None  # the folder, with --keep
    seconds: float = 0.0


def reproduce(
    plan: ReproductionPlan, *, say: Say = lambda _: None, torch: str | None = None, kept: bool = False
) -> Reproduction:
    """Reproduce the failure as planned and judge it. Everything is deleted afterwards, unless `kept`. `torch`: as for `plan`."""
    started = time.monotonic()
    if plan.simulated:
        done = _judge_machine(plan)
    elif plan.obstacles:
        done = _not_here(plan, plan.obstacles[0])
    else:
        with Throwaway(kept=kept) as throwaway:
            done = _run(plan, throwaway, say, torch)
            if kept:
                done = done._replace(kept=str(throwaway.folder))
        if not done.reproduced and plan.machine is not None:
            done = _judge_machine(plan)._replace(why_not=done.why_not, kept=done.kept)
    return done._replace(seconds=time.monotonic() - started)


def _run(plan: ReproductionPlan, throwaway: Throwaway, say: Say, torch: str | None) -> Reproduction:
    log = b""
    try:
        assert plan.lender is not None
        bench = Bench(throwaway, plan.lender, say, plan.environ, torch)
        bench.environment(pip=needs_pip(plan.recipe, plan, torch))
        for ingredient in plan.recipe.of:
            prepare(bench, ingredient, plan, torch)
        conditions.unneeded(bench)
        for command in plan.recipe.run:
            say(f"running {' '.join(Path(bench.filled(command[0])).name.split() + list(command[1:3]))} ...")
            _, text = bench.run(command, plan.recipe.deadline)
            log += text
        happened = re.search(plan.recipe.shows, log.decode("utf-8", "replace"), re.MULTILINE)
        if not happened:
            why = f"it ran without the expected failure: no line of its output matches {plan.recipe.shows!r}"
            return _not_here(plan, why)._replace(log=log)
        if plan.recipe.examine is None:
            diagnosis = judge_log(log, plan)
        else:
            say("examining the throw-away environment")
            diagnosis, text = _examine(bench, plan)
            log += text
    except CannotReproduce as error:
        return _not_here(plan, str(error))._replace(log=log)
    return Reproduction(
        plan.mode.slug, True, False, named(plan.mode, diagnosis, of_log=plan.recipe.examine is None), diagnosis, log
    )


def prepare(bench: Bench, made: of.Ingredient, plan: ReproductionPlan, torch: str | None) -> None:
    """Prepare one ingredient (`made`) of a recipe on the bench.

    `torch`: as for `plan`. Raises CannotReproduce if that fails.
    """
    match made:
        case of.Torch():
            borrowed = None if torch else plan.borrowed(made)
            if torch or borrowed or not made.if_there:
                bench.torch(made, borrowed)
        case of.Packages():
            bench.install(made.requirements, made.options)
        case of.Source():
            bench.source(made)
        case of.File():
            bench.file(made)
        case of.Wheel():
            bench.wheel(made)
        case of.StubToolkit():
            bench.toolkit(made)
        case of.Library():
            bench.library(made)
        case of.Extension():
            bench.extension(made)
        case of.StubDriver():
            bench.driver(made)
        case of.PlayedMachine():
            bench.machine(made)
        case of.Gone():
            bench.gone.append(bench.path(made.path))
        case of.Variable():
            bench.variables[made.name] = None if made.value is None else bench.filled(made.value)
        case of.Nvcc():
            conditions.nvcc(bench)
        case of.Without():
            conditions.without(bench, made)
        case of.Hidden():
            conditions.hidden(bench, made)
        case of.SmallDisk():
            conditions.disk(bench, made)
        case of.ReadOnly():
            conditions.read_only(bench, made)
        case of.Network():
            conditions.network(bench, made)
        case of.Memory():
            conditions.memory(bench, made)
        case of.Apt():
            conditions.apt(bench, made)


def _not_here(plan: ReproductionPlan, why: str) -> Reproduction:
    return Reproduction(plan.mode.slug, False, plan.simulated, False, Diagnosis(), b"", why)


def judge_log(log: bytes, plan: ReproductionPlan) -> Diagnosis:
    """Return the diagnosis from the log alone, without facts of a machine."""
    logs = [read(log, f"{plan.mode.slug}.log")]
    return diagnose(stated_facts.facts_of_logs(logs), plan.recipe.goal, logs=logs)


def read(log: bytes, name: str) -> Log:
    return Reader([*patterns(), *stated_facts.PATTERNS]).read(io.BytesIO(log), name)


def _judge_machine(plan: ReproductionPlan) -> Reproduction:
    assert plan.machine is not None
    diagnosis = diagnose(decode_facts(plan.machine, f"{plan.mode.slug}.json"), plan.recipe.goal)
    return Reproduction(plan.mode.slug, True, True, named(plan.mode, diagnosis, of_log=False), diagnosis, b"")


def _examine(bench: Bench, plan: ReproductionPlan) -> tuple[Diagnosis, bytes]:
    """Run `attn-doctor check` on the throw-away environment, as a user would do it, under the conditions of the recipe."""
    report = bench.folder / "report.json"
    start = f"import sys; sys.path.insert(0, {bench.words['doctor']}); from attn_doctor.__main__ import main; main()"
    options = ["--target", str(bench.python), "--goal", plan.recipe.goal.value, "--json", str(report)]
    command = [sys.executable, "-c", start, "check", *options, *(plan.recipe.examine or ())]
    ended, _ = bench.run(command, _CHECKING)
    if not report.exists():
        raise CannotReproduce(f"the throw-away environment could not be examined: {ended.output.decode()[-300:]}")
    found = msgspec.json.decode(report.read_bytes(), type=Report)
    shown = " ".join(["$ attn-doctor check", *options[:4], *(plan.recipe.examine or ())])
    log = shown.encode() + b"\n" + ended.output + f"[exit code: {ended.returncode}]\n".encode()
    return Diagnosis(findings=found.findings, undetermined=found.undetermined), log


def named(mode: FailureMode, diagnosis: Diagnosis, *, of_log: bool) -> bool:
    """Return whether the doctor names the failure mode: as a root cause, or as a note if its severity is never above a note.

    A log shows one failure, so for a log a note does not count if there is another root cause.
    """
    ours = [finding for finding in diagnosis.findings if finding.slug == mode.slug]
    other_cause = of_log and any(finding.root_cause for finding in diagnosis.findings)
    return any(f.root_cause or (f.severity is Severity.INFO and not other_cause) for f in ours)
