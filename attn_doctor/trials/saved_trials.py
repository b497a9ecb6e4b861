"""Read the trial of a saved report: of `check --json`, or of `trial --json`."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from attn_doctor.model import foreign_text, listed_values
from attn_doctor.model.facts import Facts, Record
from attn_doctor.model.report import Unreadable, decode_report
from attn_doctor.model.trials import Trial, TrialRun


class SavedTrial(NamedTuple):
    """Hold the trial of one saved report, or of one file of `trial --json`."""

    name: str  # of the file
    rows: tuple[Trial, ...]
    runs: tuple[TrialRun, ...]
    facts: Facts | None  # `trial --json` has none
    skipped: str | None  # why there was no trial

    def run_of(self, row: Trial) -> TrialRun:
        """Return the run of a row's image size; else the report's first run, and an empty run if it has none."""
        same = [run for run in self.runs if run.imgsz == row.imgsz]
        return (same or [*self.runs, TrialRun()])[0]


class _Kind(msgspec.Struct):
    schema_version: int | None = None
    trials: msgspec.Raw = msgspec.Raw()
    runs: msgspec.Raw = msgspec.Raw()


class _Study(Record, frozen=True, kw_only=True):
    """Hold the fields of a file of `trial --json` that this module needs. Other fields of the file are not read."""

    trials: tuple[Trial, ...] = ()
    runs: tuple[TrialRun, ...] = ()
    trials_skipped: str | None = None


def saved_trial(data: bytes, name: str) -> SavedTrial:
    """Return the trial of a saved report. `data`: the content of the file. `name`: its name, for error messages.

    Raises Unreadable for any other file.
    """
    try:
        kind = msgspec.json.decode(data, type=_Kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        kind = _Kind()
    if kind.schema_version is not None or not (bytes(kind.trials) and bytes(kind.runs)):
        report = decode_report(data, name)
        runs = (report.trial_run,) if report.trial_run else ()
        return SavedTrial(name, report.trials, runs, report.facts, report.trials_skipped)
    try:
        found = foreign_text.record(listed_values.decode(data, _Study))
    except msgspec.ValidationError as error:
        raise Unreadable(f"{name} is no report of `attn-doctor trial`: {error}") from error
    return SavedTrial(name, found.trials, found.runs, None, found.trials_skipped)
