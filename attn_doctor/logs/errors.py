"""List the errors in a log of any program, and find out whether the log ended with success.

Pure: it reads only the lines that the reader kept. An error is the exception that ends a log; a line that begins with "error:",
"fatal:" or the like; a compiler's FILE:LINE: error. An error before a sign of success ("Successfully installed", an exit code of
0, a training that continued) does not count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from attn_doctor.logs.endings import Ending, ending
from attn_doctor.logs.error_marks import DOUBT, ENVIRONMENT, ERROR, GOOD, NO_DOUBT, WEAK
from attn_doctor.logs.prefixes import clean
from attn_doctor.logs.reader import Log, Match

_MOST = 8  # at most so many errors of one log are reported
_DOUBTFUL = 4  # at most so many lines of one log are reported as possible errors
_LONGEST = 12  # the message of an error has at most so many lines
_FEW = 3  # if a log has more than _MOST errors, so many of the first are kept; the others are the last errors

# Programs that test the compiler produce such errors on purpose.
_TRIALS = re.compile(
    r"\b(?:_?conftest|_configtest|testfile|CheckSymbolExists|CheckFunctionExists|CheckIncludeFile|feature_tests)\.(?:c|cc|cpp|cxx|cu)\b"
    r"|\bCMake(?:Tmp|Scratch)\b|\bTryCompile-|meson-private"
)
# A training that continues.
_TRAINS = re.compile(
    r"(?:\[?\s?)[Ee]poch:?\s?\[?\d+(?:/\d+|\]|:| (?:done|finished|complete))|\d{1,5}/\d{1,5}\s+\d+(?:\.\d+)?G\s|\{'loss'"
)
# Messages that report the failure of another program, and not its cause.
_PASSED_ON = re.compile(
    r"subprocess-exited-with-error|[Ff]ailed building wheel|[Cc]ould not build wheels|metadata-generation-failed|failed to solve|"
    r"exit(?:ed)? (?:with )?(?:code|status)|exit status|[Nn]on-?zero|returned 1 exit|Process completed|Job failed|"
    r"Failed to build installable|could not compile `|make: |\*\*\*|ChildFailedError|CalledProcessError|Aborting due to"
    # The setup.py of flash-attn and of xformers asks git for the version, and continues without git.
    r"|fatal: not a git repository"
)


class LogError(NamedTuple):
    """Describe an error in a log."""

    line: int
    text: str
    first: int  # the line where its traceback begins, else its own
    last: int  # the line where its message ends
    good: int  # the last line before the error that shows success; 0: none
    vague: bool = False  # it reports a failure without its cause


class LogEnd(NamedTuple):
    """Describe the end of one log: its errors, or its success."""

    errors: tuple[LogError, ...] = ()
    continued: LogError | None = None  # an exception after which the log continues; None if the log shows success later
    pasted: bool = False  # it describes an environment: pip list, collect_env, nvidia-smi
    doubtful: tuple[LogError, ...] = ()  # lines that may be an error; empty if `errors` is not


def log_end(log: Log) -> LogEnd:
    """Return the end of a log; an empty LogEnd if the reader did not store the last lines."""
    if not log.end:
        return LogEnd()
    good = [m.line for m in log.matches if m.slug == GOOD]
    # The lines of a training are searched only at the end of the log: there may be a million of them.
    good += [number for number, text in log.end if _TRAINS.match(clean(text))]
    last_good = max(good, default=0)
    end = ending(log.end, {m.line for m in log.about("a fact of the machine")})
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
    continued = end.continued
    doubts = [m for m in log.matches if m.slug == DOUBT and m.line > last_good and not NO_DOUBT.search(m.text)]
    return LogEnd(
        errors=tuple(sorted(set(chosen)))[-_MOST:],
        continued=LogError(*continued, 0) if continued and not chosen and continued.line > last_good else None,
        pasted=any(m.slug == ENVIRONMENT for m in log.matches),
        doubtful=() if chosen else tuple(_error(m, good, log) for m in _few(doubts))[-_DOUBTFUL:],
    )


def _few(matches: Sequence[Match]) -> list[Match]:
    """Return each error once; if there are more than 8, only the first 3 and the last 5.

    Two matches are the same error if their lines are equal, or differ only in numbers.
    """
    distinct: dict[str, Match] = {}
    for match in sorted(matches, key=lambda m: m.line):
        distinct.setdefault(re.sub(r"\d+", "", match.text), match)
    chosen = list(distinct.values())
    return chosen if len(chosen) <= _MOST else [*chosen[:_FEW], *chosen[-(_MOST - _FEW) :]]


def _error(match: Match, good: Sequence[int], log: Log) -> LogError:
    before = max((line for line in good if line < match.line), default=0)
    return LogError(match.line, match.text, match.line, _message_end(log, match.line), before)


# A line that belongs to the error above: it is indented, or begins with a sign that uv draws before a cause.
_BELONGS = re.compile(r"^(?:\s+\S|[├╰│]|Caused by)")


def _message_end(log: Log, line: int) -> int:
    """Return the number of the line with which the message of an error ends.

    `line` itself, if the message has one line or the kept end of the log does not contain it.
    """
    end = line
    for number, text in log.end:
        if end < number <= line + _LONGEST and number == end + 1 and _BELONGS.match(text):
            end = number
    return end


def _ended(end: Ending, good: Sequence[int]) -> LogError:
    assert end.error is not None
    before = max((line for line in good if line < end.error.first), default=0)
    return LogError(*end.error, before)
