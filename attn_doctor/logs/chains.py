"""Find the chains of exceptions in a log: "During handling of the above exception, another exception occurred". Pure.

Python prints the first exception first: it is the cause of the later ones. https://docs.python.org/3/tutorial/errors.html#exception-chaining
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from attn_doctor.logs.prefixes import clean
from attn_doctor.logs.reader import Log

_JOINT = re.compile(
    r"During handling of the above exception, another exception occurred|The above exception was the direct cause of the following exception"
)
_HEADER = "Traceback (most recent call last)"
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning|Failure)\b(?::|$)")
_LONGEST = 200  # lines of one traceback
_MESSAGE = 4  # lines of a message after its first line


class Link(NamedTuple):
    """Describe one joint in a chain of exceptions: the exception in the lines `first` to `joint` caused the one in `joint` to `last`."""

    first: int
    joint: int
    last: int


def links(log: Log) -> Iterator[Link]:
    """Yield each joint in the stored last lines of a log (`log.end`), the first one first. None are stored without `keeps_end`."""
    lines = [(number, clean(text)) for number, text in log.end]
    joints = [at for at, (_, text) in enumerate(lines) if _JOINT.search(text)]
    chain = 0  # the index at which the chain of the last joint begins
    before = 0  # the index after the last joint
    for at in joints:
        headers = [i for i in range(before, at) if _HEADER in lines[i][1]]
        if not before or at - before > _LONGEST or len(headers) > 1:
            chain = headers[-1] if headers else max(before, at - _LONGEST)
        after = range(at + 1, min(at + _LONGEST, len(lines)))
        end = next((i for i in after if _EXCEPTION.match(lines[i][1])), None)
        if end is not None:
            last = min(end + _MESSAGE, next((j for j in joints if j > at), len(lines)) - 1)
            yield Link(lines[chain][0], lines[at][0], lines[last][0])
        before = at + 1
