"""Define the part of a report about the gate of a CI: its threshold, its configuration, its exceptions and its baseline."""

from __future__ import annotations

from typing import Literal

from attn_doctor.model.findings import Severity
from attn_doctor.model.record import Record

FailOn = Literal["error", "warning", "never"]


class Setting(Record, frozen=True, kw_only=True):
    """Describe one setting of the configuration. `used` is False if an option of the command line went before it."""

    key: str
    value: str
    used: bool = True


class Configured(Record, frozen=True, kw_only=True):
    """Describe the configuration file that was used."""

    file: str
    settings: tuple[Setting, ...] = ()


class Exempt(Record, frozen=True, kw_only=True):
    """Describe an exception of the configuration: a failure mode that does not count, and the reason.

    `severity` and `message` are those of the finding; None: it was not found. `ran_out`: the last day of the exception has passed, so that the
    finding counts again.
    """

    code: str
    slug: str
    reason: str
    until: str | None = None  # the last day, ISO 8601
    ran_out: bool = False
    severity: Severity | None = None
    message: str | None = None


class Gone(Record, frozen=True, kw_only=True):
    """Describe a finding of the baseline that is not found any more. `retired`: no failure mode has its code today."""

    code: str
    slug: str
    message: str
    retired: bool = False


class Baseline(Record, frozen=True, kw_only=True):
    """Describe the comparison with an older report: only what is new fails the gate. All findings by their codes.

    `told_today`: codes that the baseline does not have, and that the rules of this attn-doctor find in the facts of the baseline. They are
    known: the machine did not change, the rules did.
    """

    file: str
    created: str
    version: str  # of the attn-doctor that wrote it
    new: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    told_today: tuple[str, ...] = ()
    gone: tuple[Gone, ...] = ()


class Acceptance(Record, frozen=True, kw_only=True):
    """Describe what the exit code was decided by."""

    fail_on: FailOn = "error"
    configuration: Configured | None = None
    exceptions: tuple[Exempt, ...] = ()
    baseline: Baseline | None = None

    @property
    def ignored_errors(self) -> tuple[Exempt, ...]:
        """Return the exceptions that hide an error: it does not count for the exit code, and the machine is sick all the same."""
        return tuple(one for one in self.exceptions if one.severity is Severity.ERROR and not one.ran_out)

    def is_known(self, code: str) -> bool:
        """Return whether the baseline has a finding, by its code."""
        return self.baseline is not None and code in (*self.baseline.known, *self.baseline.told_today)
