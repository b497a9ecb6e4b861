"""The exceptions that end a command, each with its exit code and a text for the user. `cli.run` catches them, once.

Refused                   2   the request cannot be met: wrong usage, a file that cannot be read or written
NotExamined               3   what was asked for could not be examined: the target gave no answer
Broken, anything else    70   the doctor's own failure (EX_SOFTWARE of sysexits.h)
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from attn_doctor.report.model import Report

OK, FINDINGS, USAGE, NOT_EXAMINED, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 70, 130


class AttnDoctorError(Exception):
    """Base of all errors whose text is one sentence for the user."""

    exit_code = INTERNAL
    introduced = "error"  # what stands before the text on standard error


class Refused(AttnDoctorError, ValueError):
    """The request cannot be met as it was made."""

    exit_code = USAGE


class NotExamined(AttnDoctorError, RuntimeError):
    """The thing that was asked for could not be examined."""

    exit_code = NOT_EXAMINED
    introduced = "could not examine"


class Broken(AttnDoctorError):
    """The doctor itself failed when there were facts already. `report` holds what was found until then."""

    def __init__(self, report: Report) -> None:
        super().__init__("attn-doctor itself failed")
        self.report = report
