"""Define the report: all results of one run, with the version of its schema.

Its JSON is a contract (docs/report.schema.json).
"""

from __future__ import annotations

from inspect import cleandoc
from typing import Any, Literal

import msgspec

from attn_doctor.errors import AttnDoctorError, Refused
from attn_doctor.model import foreign_text, listed_values
from attn_doctor.model.acceptance import Acceptance
from attn_doctor.model.facts import Facts, Record
from attn_doctor.model.findings import Finding, Goal, Undetermined, Unrecognised
from attn_doctor.model.old_reports import upgraded
from attn_doctor.model.recommendation import Recommendation
from attn_doctor.model.trials import Trial, TrialRun

SCHEMA_VERSION = 2  # 2: a step has fields (model/steps.py); old_reports reads version 1


class Tool(Record, frozen=True, kw_only=True):
    """Name the attn-doctor that wrote the report."""

    name: str = "attn-doctor"
    version: str
    knowledge_date: str  # of the bundled tables


class Target(Record, frozen=True, kw_only=True):
    """Name the Python that was examined."""

    python: str  # its path
    why: str  # why this Python was chosen
    version: str | None  # "3.12.3"; None: not known


# "healthy": everything that was asked for was seen to work · "sick": an error was found · "unknown": neither
Outcome = Literal["healthy", "sick", "unknown"]
Seen = Literal["torch imported", "ultralytics imported", "flash-attn imported", "model built", "eager trained"]


class LogExcerpt(Record, frozen=True, kw_only=True):
    """Hold the lines of a log around its last error: the traceback, and a few lines before and after it."""

    file: str
    lines: tuple[str, ...]


class Report(Record, frozen=True, kw_only=True):
    """Hold all results of one run of `check`."""

    schema_version: int = SCHEMA_VERSION
    tool: Tool
    created: str  # UTC, ISO 8601
    command: tuple[str, ...]
    goal: Goal
    target: Target
    exit_code: int
    outcome: Outcome = "unknown"
    seen: tuple[Seen, ...] = ()  # what was seen to work
    unexamined: tuple[str, ...] = ()  # a phrase for each thing that was asked for and could not be examined
    facts: Facts
    findings: tuple[Finding, ...]
    undetermined: tuple[Undetermined, ...]
    unrecognised: tuple[Unrecognised, ...] = ()  # errors in logs that no failure mode knows
    log_ends: tuple[LogExcerpt, ...] = ()
    project: tuple[Finding, ...] = ()  # errors that the project files of the current folder would cause here
    trials: tuple[Trial, ...]
    trial_run: TrialRun | None = None
    trials_skipped: str | None = None  # why there are no rows
    recommendation: Recommendation
    acceptance: Acceptance | None = None  # what the exit code of `check` was decided by
    redacted: dict[str, int] = msgspec.field(default_factory=dict)


class Unreadable(Refused):
    """Report that a file contains neither facts nor a report. The text is one sentence for the user."""


class _Header(msgspec.Struct):
    schema_version: int | None = None
    facts: msgspec.Raw = msgspec.Raw()  # empty: the file is not a report; it has the facts alone


def decode_facts(data: bytes, name: str) -> Facts:
    """Return the facts in a facts file or in a saved report. `name`: the file's name, for error messages.

    Raises Unreadable if `data` is no JSON, does not contain facts, or has a newer schema version.
    """
    name, data = foreign_text.text(name), _as_utf8(data)
    header = _header(data, name)
    try:
        if bytes(header.facts):
            return listed_values.decode(bytes(header.facts), Facts)
        return listed_values.decode(data, Facts)
    except msgspec.ValidationError as error:
        raise Unreadable(f"{name} does not contain facts: {error}") from error


def decode_report(data: bytes, name: str) -> Report:
    """Return a saved report of this or an older schema version. `name`: the file's name, for error messages.

    Raises Unreadable if `data` is no JSON, no report, or a report of a newer schema version.
    """
    name, data = foreign_text.text(name), _as_utf8(data)
    header = _header(data, name)
    try:
        if header.schema_version == 1:
            return foreign_text.record(listed_values.convert(upgraded(msgspec.json.decode(data)), Report))
        return foreign_text.record(listed_values.decode(data, Report))
    except msgspec.ValidationError as error:
        raise Unreadable(f"{name} is no report of attn-doctor: {error}") from error


def _as_utf8(data: bytes) -> bytes:
    r"""Return JSON as UTF-8, without a byte order mark. A byte that is not UTF-8 becomes an escape such as \xe9."""
    try:
        data.decode()
    except UnicodeDecodeError:
        data = foreign_text.json_bytes(data)
    return data.removeprefix(b"\xef\xbb\xbf")


def _header(data: bytes, name: str) -> _Header:
    if not data.strip():
        raise Unreadable(f"{name} is empty")
    try:
        header = msgspec.json.decode(data, type=_Header)
    except msgspec.ValidationError as error:
        raise Unreadable(f"{name} is JSON, but no report or facts of attn-doctor: {error}") from error
    except RecursionError as error:
        raise Unreadable(f"{name} is nested too deeply to be a report or facts of attn-doctor") from error
    except msgspec.DecodeError as error:
        what = "ends too early (a truncated file?)" if "truncated" in str(error) else f"is not JSON: {error}"
        raise Unreadable(f"{name} {what}") from error
    if header.schema_version is not None and header.schema_version > SCHEMA_VERSION:
        raise Unreadable(
            f"{name} was written by a newer attn-doctor (schema {header.schema_version}, this one reads up to "
            f"{SCHEMA_VERSION}): upgrade attn-doctor to read it"
        )
    return header


def encode(records: Any) -> bytes:
    """Return a report, other records or plain data as indented JSON."""
    clean = foreign_text.plain(msgspec.to_builtins({"records": records}))["records"]
    return msgspec.json.format(msgspec.json.encode(clean), indent=2) + b"\n"


def schema() -> bytes:
    """Return the JSON Schema of a report, generated from the record types."""
    made = msgspec.json.schema(Report)
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "attn-doctor report"
    for definition in made["$defs"].values():
        if "description" in definition:  # docstrings: Python 3.13 removes their indentation, older versions keep it
            definition["description"] = cleandoc(definition["description"])
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"


STOPPED = "it was stopped"  # `trials_skipped` of an examination that a signal or --total-timeout ended


class Stopped(KeyboardInterrupt):
    """Report that a signal or --total-timeout ended an examination. `report` has the results that were complete by then."""

    def __init__(self, report: Report) -> None:
        super().__init__("stopped")
        self.report = report


class Broken(AttnDoctorError):
    """Report that attn-doctor itself failed after it had collected facts. `report` has the results that were complete by then."""

    def __init__(self, report: Report) -> None:
        super().__init__("attn-doctor itself failed")
        self.report = report
