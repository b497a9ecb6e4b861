"""Define the exceptions that end a command, each with its exit code and a text for the user. Only `cli.run` catches them.

Refused                   2   the request cannot be met: wrong usage, a file that cannot be read or written
NotExamined               3   something that was asked for could not be examined: the target gave no answer
anything else            70   the doctor's own failure (EX_SOFTWARE of sysexits.h); `model.report.Broken` has the results until then
"""

from __future__ import annotations

OK, FINDINGS, USAGE, NOT_EXAMINED, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 70, 130


class AttnDoctorError(Exception):
    """Define the base of all errors whose text is one sentence for the user."""

    exit_code = INTERNAL
    introduced = "error"  # the word before the text on standard error


class Refused(AttnDoctorError, ValueError):
    """Report that a request cannot be met as the user made it. Exit code 2."""

    exit_code = USAGE


class NotExamined(AttnDoctorError, RuntimeError):
    """Report that something the user asked for could not be examined. Exit code 3."""

    exit_code = NOT_EXAMINED
    introduced = "could not examine"


class NoAnswer(NotExamined):
    """Report that the Python to examine gave no answer.

    The text is one sentence: the path of the interpreter, and `did`, such as "did not start".
    """

    def __init__(self, python: str, did: str) -> None:
        super().__init__(f"{python} {did}")
        self.python = python
        self.did = did
