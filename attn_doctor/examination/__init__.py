"""Run the stages in their order: collect, judge, try, advise. Nothing is shown."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from attn_doctor import __version__, failure_modes, project_files
from attn_doctor.errors import FINDINGS, NOT_EXAMINED, OK, AttnDoctorError
from attn_doctor.examination.acceptance import acceptance, judged, with_expectation
from attn_doctor.examination.inputs import read_file, read_logs
from attn_doctor.examination.trying import planned, prove
from attn_doctor.judging import goals, stated_gpu
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.judging.outcome import Asked, look
from attn_doctor.judging.recommend import recommend
from attn_doctor.knowledge.tables import knowledge_date
from attn_doctor.logs.last_words import last_words
from attn_doctor.logs.reader import Log, read_bytes
from attn_doctor.model import foreign_text
from attn_doctor.model.acceptance import Acceptance, Configured, Exempt
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Diagnosis, Finding, Goal, Severity, Undetermined
from attn_doctor.model.machine import implied_goal
from attn_doctor.model.recommendation import Recommendation
from attn_doctor.model.report import (
    STOPPED,
    Broken,
    LogExcerpt,
    Outcome,
    Report,
    Seen,
    Stopped,
    Target,
    Tool,
    decode_facts,
)
from attn_doctor.model.trials import TrialOptions, Trials, refused
from attn_doctor.probes.choose import choose
from attn_doctor.probes.gather import GatherRequest, gather
from attn_doctor.system import failure, leftovers, published, threads
from attn_doctor.trials.plan import check_model

if TYPE_CHECKING:
    from attn_doctor.trials.stages import Doing

Say = Callable[[str], None]


class Options(NamedTuple):
    """Hold the request for one examination."""

    target: str | None = None
    goal: Goal | None = None
    static: bool = False  # read files only
    tools: bool = False  # with `static`: run tools and ask the driver anyway
    trial: bool = True
    forced: bool = False  # run the trial although an error makes it senseless
    trials: TrialOptions = TrialOptions()
    logs: tuple[str, ...] = ()  # paths, "-" for standard input
    facts: str | None = None  # a facts file or a report instead of this machine
    gpu: str | None = None  # judge for this GPU of another machine: "8.9", "sm_89", "RTX 4090"
    timeout: float = 120.0  # seconds for one import or one trial
    fail_on: Severity | None = Severity.ERROR
    ignore: tuple[str, ...] = ()  # codes or slugs
    expect_gpus: int | None = None  # --expect-gpus
    configured: Configured | None = None  # the configuration that was used, for the report
    exceptions: tuple[Exempt, ...] = ()  # of the configuration
    command: tuple[str, ...] = ("attn-doctor", "check")
    environ: Mapping[str, str] | None = None  # the environment variables to examine; None: those of this process
    root: str = "/"  # a folder with a simulated machine: for tests

    @property
    def surroundings(self) -> Mapping[str, str]:
        """Return the environment variables of the examination. The target is started with them."""
        return os.environ if self.environ is None else self.environ


DEFAULTS = Options()


def examine(
    options: Options = DEFAULTS,
    say: Say = lambda _: None,
    on_judged: Callable[[Report], None] = lambda _: None,
    on_step: Callable[[Doing], None] | None = None,
) -> Report:
    """Examine a target and return the report.

    `on_judged` gets the findings before the trial, as a report without a trial: its `trials_skipped` is None if a trial follows.
    `on_step` gets each step of the trial; without it, `say` gets their texts.

    Raises Refused (a ValueError: the request cannot be met; also BadRequest and Unreadable), NoAnswer (a RuntimeError: the target did
    not answer, or is not a Python), and after the facts were collected Broken (the doctor itself failed) or Stopped (it was
    interrupted), which carry the report so far. Every other error is in the report.
    """
    so_far: dict[str, Any] = {}
    try:
        return foreign_text.record(_examine(options, say, on_judged, on_step, so_far))
    except AttnDoctorError:
        raise
    except KeyboardInterrupt as stop:
        if "facts" not in so_far:
            raise
        raise Stopped(_cut_short(options, STOPPED, NOT_EXAMINED, **so_far)) from stop
    except Exception as error:
        if "facts" not in so_far:
            raise
        why = f"attn-doctor itself failed: {failure.summary(error)}"
        raise Broken(_cut_short(options, why, failure.code(error), **so_far)) from error


def examine_for_a_program(options: Options) -> Report:
    """Examine as `examine` does, for a caller that runs on afterwards.

    Before the return, all processes and temporary folders of the examination are ended and removed.
    """
    with leftovers.scope():
        return examine(options)


def _examine(
    options: Options,
    say: Say,
    on_judged: Callable[[Report], None],
    on_step: Callable[[Doing], None] | None,
    so_far: dict[str, Any],
) -> Report:
    """Run the stages. Each result is also stored in `so_far`: if a later stage fails, a report is made of the earlier results."""
    # All failure modes are loaded while the target imports its packages: that takes a tenth of the time of a check.
    threads.start(lambda: failure_modes.ALL)
    logs = read_logs(options.logs)
    facts = with_expectation(facts_of(options, say), options.expect_gpus)
    if logs:
        from attn_doctor.logs.stated_facts import as_facts, stated_facts

        facts = as_facts(stated_facts(logs), facts).facts
    so_far["facts"] = facts
    modules = judged(options.ignore, options.exceptions)
    # A log can show the goal: what its program was for.
    goal = options.goal or (goals.implied_by(logs) if logs else implied_goal(facts)[0])
    diagnosis = with_pages(diagnose(facts, goal, logs=logs, modules=modules))
    project = _of_project(facts, goal, options)
    so_far.update(diagnosis=diagnosis, goal=goal, project=project)
    plan = planned(facts, diagnosis, options)
    imports = not (options.static or options.facts)
    asked = Asked(
        imports=imports, trial=imports and options.trial and not plan.senseless, elsewhere=options.gpu is not None
    )

    def report(diagnosis: Diagnosis, trials: Trials) -> Report:
        seeing = look(facts, goal, diagnosis, trials, asked)
        tried = trials if trials.attempted else None
        accepted = acceptance(
            options.fail_on,
            options.configured,
            options.exceptions,
            facts=facts,
            goal=goal,
            logs=(*logs, *_trial_errors_as_log(trials)) if tried else logs,
            trials=tried,
        )
        return _report(
            options,
            goal=goal,
            exit_code=exit_code(diagnosis, options.fail_on, seeing.unexamined),
            outcome="sick" if accepted.ignored_errors else seeing.outcome,
            seen=seeing.seen,
            unexamined=seeing.unexamined,
            facts=facts,
            diagnosis=diagnosis,
            project=project,
            trials=trials,
            log_ends=last_words(logs) if logs else (),
            accepted=accepted,
        )

    on_judged(foreign_text.record(report(diagnosis, Trials(skipped=plan.skipped))))
    trials = prove(plan, facts, options, say, on_step)
    if trials.attempted:
        told = (*logs, *_trial_errors_as_log(trials))
        diagnosis = with_pages(diagnose(facts, goal, logs=told, trials=trials, modules=modules))
    return report(diagnosis, trials)


def _report(
    options: Options,
    *,
    goal: Goal,
    exit_code: int,
    unexamined: tuple[str, ...],
    facts: Facts,
    diagnosis: Diagnosis,
    project: tuple[Finding, ...],
    trials: Trials,
    outcome: Outcome,
    seen: tuple[Seen, ...] = (),
    log_ends: tuple[LogExcerpt, ...] = (),
    accepted: Acceptance | None = None,
    recommendation: Recommendation | None = None,
) -> Report:
    return Report(
        tool=Tool(version=__version__, knowledge_date=knowledge_date()),
        created=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        command=options.command,
        goal=goal,
        target=_target(facts),
        exit_code=exit_code,
        outcome=outcome,
        seen=seen,
        unexamined=unexamined,
        facts=facts,
        findings=diagnosis.findings,
        undetermined=diagnosis.undetermined,
        unrecognised=diagnosis.unrecognised,
        log_ends=log_ends,
        project=project,
        trials=trials.rows,
        trial_run=trials.run if trials.attempted else None,
        trials_skipped=trials.skipped,
        recommendation=recommendation or recommend(facts, diagnosis, trials),
        acceptance=accepted,
    )


def with_pages(diagnosis: Diagnosis) -> Diagnosis:
    """Return the diagnosis, in which `docs` of each finding is the web address of the page about its failure mode.

    Returned unchanged if the metadata of attn-doctor contain no address of its documentation.
    """
    if not published.page(""):
        return diagnosis
    found = tuple(msgspec.structs.replace(f, docs=published.page(f.slug)) for f in diagnosis.findings)
    return msgspec.structs.replace(diagnosis, findings=found)


def _of_project(facts: Facts, goal: Goal, options: Options) -> tuple[Finding, ...]:
    """Return the errors that the project files of the current folder would cause on this machine.

    Each file is judged alone, because files such as requirements-cpu.txt and requirements-gpu.txt exclude each other. A Dockerfile is
    judged for its own image, all other files for the system, the GPU, the driver and the toolkit of `facts`. Returns nothing for facts of
    another machine, which have no current folder.
    """
    folder = facts.project.folder
    if options.facts or not isinstance(folder, str):
        return ()
    from attn_doctor.project_files.folder import files_in

    found: list[Finding] = []
    for file in files_in(Path(folder)):
        base = Facts(grade="stated") if file.kind == "dockerfile" else facts
        judged = project_files.in_files(diagnose(project_files.as_facts([file], base), goal), [file])
        found += [
            finding
            for finding in judged.findings
            if finding.severity is Severity.ERROR
            and any(e.file == file.file and e.line in file.lines() for e in finding.evidence)
        ]
    return tuple(found)


def _cut_short(
    options: Options,
    why: str,
    code: int,
    *,
    facts: Facts,
    diagnosis: Diagnosis | None = None,
    goal: Goal | None = None,
    project: tuple[Finding, ...] = (),
) -> Report:
    """Return the report of an examination that ended early: the reason, and the results that were complete by then."""
    found = diagnosis or Diagnosis()
    in_trial = why == STOPPED and diagnosis is not None
    doubt = Undetermined(code="", slug="attn-doctor", needs=(), why=why)
    report = _report(
        options,
        goal=goal or options.goal or Goal.TRAIN,
        exit_code=code,
        outcome="sick" if found.worst() is Severity.ERROR else "unknown",
        unexamined=(f"{'whether the model trains' if in_trial else 'anything more'}: {why}",),
        facts=facts,
        diagnosis=msgspec.structs.replace(found, undetermined=(*found.undetermined, doubt)),
        project=project,
        trials=Trials(skipped=why),
        # A doctor that failed does not advise: what failed may be the advice.
        recommendation=None
        if in_trial
        else Recommendation(backend=None, install_flash_attn="not-here", measured=False, summary=why),
    )
    return foreign_text.record(report)


def facts_of(options: Options, say: Say = lambda _: None) -> Facts:
    """Return the facts for these options: read from a file or from a target; with --gpu, the GPU is replaced by the named one.

    Raises as `examine` does.
    """
    if options.gpu is None:
        return _facts_of(options, say)
    stated_gpu.read(options.gpu)  # refuse a wrong value before anything is examined
    return stated_gpu.elsewhere(_facts_of(options, say), options.gpu)


def _facts_of(options: Options, say: Say) -> Facts:
    weights = _weights(options)
    if options.facts:
        facts = decode_facts(read_file(options.facts), options.facts)
        if weights is None:
            return facts
        from attn_doctor.probes.models import model_file

        return msgspec.structs.replace(facts, models=(model_file(Path(weights), weights, asked=True),))
    choice = choose(options.target, options.surroundings)
    say("examining " + choice.python)
    return gather(
        GatherRequest(
            choice,
            options.surroundings,
            static=options.static,
            tools=options.tools or not options.static,
            timeout=options.timeout,
            on_slow=_slow(say),
            root=Path(options.root),
            weights=weights,
        )
    )


def _weights(options: Options) -> str | None:
    """Return the weights file that `--model` names; None if the model is a YAML file. Raises BadRequest if the file does not exist."""
    if not options.trials.model.endswith(".pt"):
        return None
    check_model(options.trials.model)
    return options.trials.model


def _trial_errors_as_log(trials: Trials) -> tuple[Log, ...]:
    """Return the error of a GPU that refused all work in the trial, as a log of one entry; empty if the GPU refused nothing.

    The error becomes a log, so that the signs of the failure modes are searched in it.
    """
    row = refused(trials.rows)
    return (read_bytes((row.reason or "").encode(), "trial", [*failure_modes.patterns()]),) if row else ()


def exit_code(diagnosis: Diagnosis, fail_on: Severity | None, unexamined: Sequence[str] = ()) -> int:
    """Return 1 for a finding at or above `fail_on` (None: never), else 3 if the examination is incomplete, else 0.

    The examination is incomplete if a requested part could not be examined, or if an error in a log is not known.
    """
    worst = diagnosis.worst()
    if fail_on is not None and worst is not None and worst.rank >= fail_on.rank:
        return FINDINGS
    return NOT_EXAMINED if unexamined or diagnosis.unrecognised else OK


def _target(facts: Facts) -> Target:
    def text(value: str | Unknown | None) -> str | None:
        return value if isinstance(value, str) else None

    interpreter = facts.interpreter
    return Target(
        python=text(interpreter.python) or "unknown",
        why=text(interpreter.why) or "as recorded",
        version=text(interpreter.version),
    )


def _slow(say: Say) -> Callable[[str], None]:
    def tell(section: str) -> None:
        say(
            f"still waiting for the target{f' (importing {section})' if section else ''}: a cold disk is slow, not hung"
        )

    return tell
