"""The errors that a log holds, whoever wrote them, and whether the log ended well. Pure: it reads what the reader kept.

An error is the exception that ends a log; a line that begins with "error:", "fatal:" or the like; a compiler's FILE:LINE: error. What
stands before a good end ("Successfully installed", an exit code of 0, a training that went on) was survived, and is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from attn_doctor.logs.endings import Ending, ending
from attn_doctor.logs.error_marks import ENVIRONMENT, ERROR, GOOD, WEAK
from attn_doctor.logs.reader import Log, Match, clean

_MOST = 8  # errors of one log
_LONGEST = 12  # lines of the message of an error
_FEW = 3  # of them from its front

# Programs that try what a compiler can do write such errors on purpose.
_TRIALS = re.compile(
    r"\b(?:_?conftest|_configtest|testfile|CheckSymbolExists|CheckFunctionExists|CheckIncludeFile|feature_tests)\.(?:c|cc|cpp|cxx|cu)\b"
    r"|\bCMake(?:Tmp|Scratch)\b|\bTryCompile-|meson-private"
)
# A training that goes on.
_TRAINS = re.compile(
    r"(?:\[?\s?)[Ee]poch:?\s?\[?\d+(?:/\d+|\]|:| (?:done|finished|complete))|\d{1,5}/\d{1,5}\s+\d+(?:\.\d+)?G\s|\{'loss'"
)
# What passes on that another program failed, and not why.
_PASSED_ON = re.compile(
    r"subprocess-exited-with-error|[Ff]ailed building wheel|[Cc]ould not build wheels|metadata-generation-failed|failed to solve|"
    r"exit(?:ed)? (?:with )?(?:code|status)|exit status|[Nn]on-?zero|returned 1 exit|Process completed|Job failed|"
    r"Failed to build installable|could not compile `|make: |\*\*\*|ChildFailedError|CalledProcessError|Aborting due to"
)


class LogError(NamedTuple):
    """An error in a log."""

    line: int
    text: str
    first: int  # the line with which its traceback begins, else its own
    last: int  # the line with which its message ends
    good: int  # the last line before it that shows that things went well until then; 0: none
    vague: bool = False  # it says that something failed, and not what


class Told(NamedTuple):
    """How one log ended."""

    errors: tuple[LogError, ...] = ()
    went_on: LogError | None = None  # an exception after which the log goes on, and no good end
    pasted: bool = False  # it holds a list of an environment


def told(log: Log) -> Told:
    """What a log says of its own end. Nothing for a log whose end was not kept."""
    if not log.end:
        return Told()
    good = [m.line for m in log.matches if m.slug == GOOD]
    # Looked for in the end alone: a training has a million such lines, and each would be looked at.
    good += [number for number, text in log.end if _TRAINS.match(clean(text))]
    last_good = max(good, default=0)
    end = ending(log.end)
    if end.well:
        last_good = log.lines
    errors = [m for m in log.matches if m.slug == ERROR and m.line > last_good and not _TRIALS.search(m.text)]
    weak = [m for m in log.matches if m.slug == WEAK and m.line > last_good]
    found = [_error(m, good, log) for m in _few(errors)]
    if end.error and end.error.line > last_good:
        found = [e for e in found if not end.error.first <= e.line <= end.error.last]
        found.append(_ended(end, good))
    found = [e._replace(vague=True) if _PASSED_ON.search(e.text) else e for e in found]
    vague = found or [_error(m, good, log)._replace(vague=True) for m in weak[:1]]
    chosen = [e for e in found if not e.vague] or vague
    if not chosen and end.failed and end.failed.line > last_good:
        chosen = [LogError(*end.failed, last_good, vague=True)]
    went_on = end.went_on
    return Told(
        errors=tuple(sorted(set(chosen)))[-_MOST:],
        went_on=LogError(*went_on, 0) if went_on and not chosen and went_on.line > last_good else None,
        pasted=any(m.slug == ENVIRONMENT for m in log.matches),
    )


def _few(matches: Sequence[Match]) -> list[Match]:
    """The first and the last errors, each said once: a line that several patterns hold, or that is said again with other numbers."""
    distinct: dict[str, Match] = {}
    for match in sorted(matches, key=lambda m: m.line):
        distinct.setdefault(re.sub(r"\d+", "", match.text), match)
    chosen = list(distinct.values())
    return chosen if len(chosen) <= _MOST else [*chosen[:_FEW], *chosen[-(_MOST - _FEW) :]]


def _error(match: Match, good: Sequence[int], log: Log) -> LogError:
    before = max((line for line in good if line < match.line), default=0)
    return LogError(match.line, match.text, match.line, _message_end(log, match.line), before)


# What belongs to the error in the line above: indented, or drawn as its cause.
_BELONGS = re.compile(r"^(?:\s+\S|[├╰│]|Caused by)")


def _message_end(log: Log, line: int) -> int:
    """The line with which the message of an error ends, where the end of the log that was kept holds it."""
    end = line
    for number, text in log.end:
        if end < number <= line + _LONGEST and number == end + 1 and _BELONGS.match(text):
            end = number
    return end


def _ended(end: Ending, good: Sequence[int]) -> LogError:
    assert end.error is not None
    before = max((line for line in good if line < end.error.first), default=0)
    return LogError(*end.error, before)
