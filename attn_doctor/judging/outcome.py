"""Decide the outcome of an examination. It is healthy only if everything that the user requested was seen to work. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Diagnosis, Goal, Severity
from attn_doctor.model.machine import tried, usable_gpus
from attn_doctor.model.report import Outcome, Seen
from attn_doctor.model.trials import Trials

_RAN = ("ok", "other-kernel")  # the states of a row whose training step ended with right numbers

_MAY_STOP = ("environment-pollution", "model-not-built", "requirements-missing", "shadowed-by-folder")
_FLASH_ATTN = ("flash_attn", "flash_attn_interface", "flash_attn_3", "flash_attn.cute")


class Asked(NamedTuple):
    """Hold what the user asked an examination to do. A part that was not asked for cannot be missing from the outcome."""

    imports: bool = True  # import torch, ultralytics and flash-attn; False: read files or saved facts only
    trial: bool = True  # run training steps
    elsewhere: bool = False  # judge for a GPU in another machine (--gpu): then nothing was seen to work on it


class Seeing(NamedTuple):
    """Hold the outcome and its reasons. `seen`: what was seen to work. `unexamined`: a sentence for each part that could not be examined."""

    outcome: Outcome
    seen: tuple[Seen, ...]
    unexamined: tuple[str, ...]


def look(facts: Facts, goal: Goal, diagnosis: Diagnosis, trials: Trials, asked: Asked) -> Seeing:
    """Return the outcome of an examination, and the reasons for it.

    "sick": an error was found. "healthy": torch was seen to import, ultralytics too if it is installed, flash-attn if
    it is the goal, and if a trial was asked for, the model was seen to train. "unknown": anything else; `unexamined`
    names the parts that could not be examined. Example: `--static` without an error is "unknown" and names nothing,
    because nothing was to be imported.
    """
    seen = tuple(_seen(facts, trials))
    unexamined = tuple(_unexamined(facts, trials, asked))
    if diagnosis.worst() is Severity.ERROR:
        return Seeing("sick", seen, unexamined)
    wanted = set(_wanted(facts, goal, trials, asked))
    all_seen = asked.imports and not asked.elsewhere and wanted <= set(seen)
    doubt = unexamined or diagnosis.unrecognised or _may_stop_training(diagnosis)
    return Seeing("healthy" if all_seen and not doubt else "unknown", seen, unexamined)


def _seen(facts: Facts, trials: Trials) -> Iterator[Seen]:
    if facts.torch.importable is True:
        yield "torch imported"
    if _imported(facts, "ultralytics"):
        yield "ultralytics imported"
    if any(_imported(facts, module) for module in _FLASH_ATTN):
        yield "flash-attn imported"
    ran = [row for row in trials.rows if row.status in _RAN and row.step_ms]
    if any(row.scope == "model" for row in ran):
        yield "model built"
    if any(row.backend == "eager" for row in ran):
        yield "eager trained"


def _wanted(facts: Facts, goal: Goal, trials: Trials, asked: Asked) -> Iterator[Seen]:
    has_ultralytics = facts.yolo.version is not None
    yield "torch imported"
    if has_ultralytics:
        yield "ultralytics imported"
    if goal is Goal.FLASH_ATTN:
        yield "flash-attn imported"
    if asked.trial and not _has_nothing_to_try(trials):
        if has_ultralytics:
            yield "model built"
        if not trials.rows or any(row.backend == "eager" for row in trials.rows):
            yield "eager trained"


def _unexamined(facts: Facts, trials: Trials, asked: Asked) -> Iterator[str]:
    """Yield a phrase for each requested part of which it is not known whether it works: "whether torch imports: no answer in 60 s"."""
    for file in facts.models if isinstance(facts.models, tuple) else ():
        if file.asked and isinstance(file.problem, str):
            yield f"the weights {file.path}: {file.problem}"
    if isinstance(facts.graphics.expected_gpus, int) and isinstance(gpus := usable_gpus(facts), Unknown):
        yield f"the number of GPUs: {gpus.why}"
    if not asked.imports:
        return
    importable = facts.torch.importable
    if isinstance(importable, Unknown) and facts.torch.version is not None:
        yield f"whether torch imports: {importable.why}"
    if (
        facts.yolo.version is not None
        and importable is True
        and not any(attempt.module == "ultralytics" for attempt in tried(facts))
    ):
        yield "whether ultralytics imports: the target gave no answer"
    if asked.trial and not trials.rows and importable is True and not _has_nothing_to_try(trials):
        yield f"whether the model trains: {trials.skipped or 'the trial gave no answer'}"


def _has_nothing_to_try(trials: Trials) -> bool:
    """Return whether the trial ended because the model has no attention. This is no failure."""
    run = trials.run
    return trials.attempted and not trials.rows and run.fault is None and run.model_fault is None


def _imported(facts: Facts, module: str) -> bool:
    return any(attempt.module == module and attempt.ok is True for attempt in tried(facts))


def _may_stop_training(diagnosis: Diagnosis) -> bool:
    """Return whether some finding may stop a training later, although everything that was tried worked."""
    return any(f.slug in _MAY_STOP and f.severity is Severity.WARNING for f in diagnosis.findings)
