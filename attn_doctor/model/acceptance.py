"""Define the part of a report about a CI: the severity that fails it, the configuration file, the exceptions and the baseline."""

from __future__ import annotations

from typing import Literal

from attn_doctor.model.findings import Severity
from attn_doctor.model.record import Record

FailOn = Literal["error", "warning", "never"]


class Setting(Record, frozen=True, kw_only=True):
    """Describe one setting of the configuration file.

    `used` is False if the user typed the same option on the command line: the typed one counts.
    """

    key: str
    value: str
    used: bool = True


class Configured(Record, frozen=True, kw_only=True):
    """Describe the configuration file that was used, and its settings."""

    file: str
    settings: tuple[Setting, ...] = ()


class Exempt(Record, frozen=True, kw_only=True):
    """Describe an exception in the configuration file: a failure mode that does not count for the exit code, and the reason.

    `severity` and `message` are those of the finding that the exception hides. Both are None if there is no such finding.
    `ran_out`: the last day of the exception has passed, so the finding counts again.
    """

    code: str
    slug: str
    reason: str
    until: str | None = None  # the last day, ISO 8601
    ran_out: bool = False
    severity: Severity | None = None
    message: str | None = None


class Gone(Record, frozen=True, kw_only=True):
    """Describe a finding of the older report (the baseline) that is not found today.

    `retired`: this version of attn-doctor has no failure mode with that code.
    """

    code: str
    slug: str
    message: str
    retired: bool = False


class Baseline(Record, frozen=True, kw_only=True):
    """Describe the comparison with an older report, the baseline.

    Findings are named by their codes ("AD101"). Only the findings in `new` fail the CI.

    `told_today`: codes of findings that today's rules find in the facts of the baseline, although the baseline does not contain
    them. The rules changed, the machine did not. So these findings are not new.
    """

    file: str
    created: str
    version: str  # of the attn-doctor that wrote it
    new: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    told_today: tuple[str, ...] = ()
    gone: tuple[Gone, ...] = ()


class Acceptance(Record, frozen=True, kw_only=True):
    """Describe how a CI decides: the lowest severity that fails it (`fail_on`), the configuration file, the exceptions and the baseline."""

    fail_on: FailOn = "error"
    configuration: Configured | None = None
    exceptions: tuple[Exempt, ...] = ()
    baseline: Baseline | None = None

    @property
    def ignored_errors(self) -> tuple[Exempt, ...]:
        """Return the exceptions that hide an error.

        The exit code ignores these errors; the verdict on the machine is "sick" all the same.
        """
        return tuple(one for one in self.exceptions if one.severity is Severity.ERROR and not one.ran_out)

    def is_known(self, code: str) -> bool:
        """Return whether a failure mode does not count as new: it is in `known` or `told_today` of the baseline."""
        return self.baseline is not None and code in (*self.baseline.known, *self.baseline.told_today)
