"""Define the base of all records, the value for an unknown fact, and the record of foreign code that failed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import msgspec


class Unknown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Represent a value that could not be found out. In JSON: ``{"unknown": why}``.

    It is neither true nor false, and ``bool()`` of it raises TypeError. Otherwise ``if facts.system.container:`` would treat an
    unknown machine as a container.
    """

    unknown: str

    def __bool__(self) -> bool:
        raise TypeError(
            f"an unknown fact ({self.unknown}) is neither true nor false: ask known(fact), isinstance(fact, Unknown) or "
            "`is True`"
        )

    @property
    def why(self) -> str:
        return self.unknown


# The reason if only a program or the driver's library could report a value.
NOT_ASKED = "not read: --static starts no tool"


def _unrecorded() -> Unknown:
    return Unknown("not recorded")


# A fresh object at each place, so that an Unknown can be traced back to the field that holds it (see `paths_of`).
UNRECORDED: Any = msgspec.field(default_factory=_unrecorded)

Text = str | None | Unknown
Flag = bool | None | Unknown
Number = int | None | Unknown
Real = float | int | None | Unknown


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Define the base of all records: immutable, made with keywords only, compared by value."""


R = TypeVar("R", bound=Record)


def index_in(items: Sequence[object], part: str) -> int | None:
    """Return the index of a list item from a part of a dotted path: 3 for "3"; None if the list has no such item.

    The path may come from a saved report, so it may be no number: "²" passes str.isdigit, but int refuses it. int also refuses
    texts of more than 4,300 digits.
    """
    index = int(part) if re.fullmatch("[0-9]{1,9}", part) else len(items)
    return index if index < len(items) else None


def all_unknown(kind: type[R], why: str, **known: Any) -> R:
    """Return a record of this kind with the fields in `known`. Each other field that may be unknown is Unknown(`why`)."""
    blank = kind(**known)
    fields = {
        name: Unknown(why)
        for name in kind.__struct_fields__
        if name not in known and isinstance(getattr(blank, name), Unknown)
    }
    return msgspec.structs.replace(blank, **fields)


# How a piece of foreign code can end. "vanished": it cannot even be killed. "flooded": it printed without end. "out-of-memory": it raised that error in a trial.
FaultKind = Literal["raised", "exited", "signal", "timeout", "vanished", "flooded", "out-of-memory"]


class Fault(Record, frozen=True, kw_only=True):
    """Describe the end of foreign code that failed: it raised, exited, was killed by a signal, or never returned."""

    kind: FaultKind
    type: str | None = None  # exception type, e.g. "ImportError"
    message: str | None = None
    signal: str | None = None  # e.g. "SIGSEGV"
    exit_code: int | None = None
    where: str | None = None  # the innermost frame, or the section that was running
    traceback: str | None = None
    seconds: float | None = None

    @property
    def headline(self) -> str:
        """Return the line of the error message that names the cause.

        Example: NumPy's message has a page of advice before the line "Original error was: ...".
        """
        text = (self.message or "").strip()
        original = text.partition("Original error was:")[2].strip()
        lines = (original or text).splitlines()
        return lines[0] if lines else ""
