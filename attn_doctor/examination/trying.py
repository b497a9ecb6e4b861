"""Decide whether a trial follows an examination, and run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from attn_doctor.judging import stated_gpu
from attn_doctor.judging.trial_sense import senseless
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Diagnosis
from attn_doctor.model.trials import Trials
from attn_doctor.trials.plan import TrialPlan, plan

if TYPE_CHECKING:
    from attn_doctor.examination import Options
    from attn_doctor.trials.stages import Doing


def planned(facts: Facts, diagnosis: Diagnosis, options: Options) -> TrialPlan:
    """Return the plan of the trial. If there will be none, its `skipped` says why.

    Raises BadRequest if no machine can meet the request.
    """
    why = _not_here(options)
    if why is not None:
        return TrialPlan(options=options.trials, skipped=why)
    made = plan(facts, options.trials, forced=options.forced)
    if made.skipped or options.forced:
        return made
    why = senseless(facts, diagnosis, options.trials)
    if why is None:
        return made
    return msgspec.structs.replace(made, skipped=f"{why}; --trial tries the backends in spite of this", senseless=True)


def prove(
    made: TrialPlan,
    facts: Facts,
    options: Options,
    say: Callable[[str], None],
    on_step: Callable[[Doing], None] | None = None,
) -> Trials:
    """Run the planned trial, and return its rows; without rows if the plan says that the trial is skipped.

    `say` gets notes for the user, `on_step` gets each step of the trial.
    """
    if made.skipped:
        return Trials(skipped=made.skipped)
    from attn_doctor.prescription import proof_files
    from attn_doctor.trials.run import run

    assert isinstance(facts.interpreter.python, str)
    trials = run(
        made,
        [facts.interpreter.python],
        timeout=options.timeout,
        on_progress=say,
        on_step=on_step,
        environ=options.surroundings,
    )
    if not proof_files.stored():
        return trials
    note = f"what `attn-doctor run` has proven here is kept in {proof_files.place()}: `attn-doctor run --forget` removes it"
    return msgspec.structs.replace(trials, run=msgspec.structs.replace(trials.run, notes=(*trials.run.notes, note)))


def _not_here(options: Options) -> str | None:
    """Return why no trial can run with these options; None if one can."""
    if options.facts:
        return "the facts come from a file: nothing can be run on that machine from here"
    if options.static:
        return "--static imports nothing of the target"
    if not options.trial:
        return "left out by --no-trial"
    if options.gpu is not None and options.trials.device != "cpu":
        return f"{stated_gpu.ELSEWHERE}: nothing can be run on it from here (--device cpu tries this machine's CPU)"
    return None
