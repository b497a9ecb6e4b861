"""Return the lines around the last error of a log, for a report that other people read. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from attn_doctor.logs.errors import log_end
from attn_doctor.logs.prefixes import without_prefix
from attn_doctor.logs.reader import Log
from attn_doctor.model.report import LogExcerpt

_MOST = 80  # lines
_BEFORE = 2
_AFTER = 12  # lines after the error
_LONGEST = 500  # characters of a line


def last_words(logs: Iterable[Log]) -> tuple[LogExcerpt, ...]:
    """Return an excerpt of each log that ends with an error: its traceback, and a few lines before and after it.

    An excerpt has at most 80 lines. The logs must be read by a Reader that keeps their end.
    """
    found = []
    for log in logs:
        errors = log_end(log).errors
        if errors and log.end:
            last = errors[-1]
            lines = [
                without_prefix(text).rstrip()[:_LONGEST]
                for number, text in log.end
                if last.first - _BEFORE <= number <= last.last + _AFTER
            ]
            if lines:
                found.append(LogExcerpt(file=log.file, lines=tuple(lines[-_MOST:])))
    return tuple(found)
