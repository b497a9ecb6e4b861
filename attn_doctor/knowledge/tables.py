"""Load the tables. Each table is read when it is first needed, and only once.

A file that breaks its schema raises an error. Nothing is judged here.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import msgspec

from attn_doctor.knowledge.rows import Row
from attn_doctor.model.facts import Unknown

DATA = Path(__file__).with_name("data")

R = TypeVar("R", bound=Row)


class Table(msgspec.Struct, Generic[R], frozen=True, forbid_unknown_fields=True):
    about: str
    rows: tuple[R, ...]


class _Date(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    date: str


def load(kind: type[R]) -> tuple[R, ...]:
    """Return all rows of a table, in the order of its file.

    Raises msgspec.ValidationError if the file breaks its schema.
    """
    return cast("tuple[R, ...]", _read(kind))


@functools.cache
def _read(kind: type[Row]) -> tuple[Row, ...]:
    shape: Any = Table[kind]  # type: ignore[valid-type]
    table: Table[Row] = msgspec.json.decode((DATA / f"{kind.TABLE}.json").read_bytes(), type=shape)
    return table.rows


@functools.cache
def knowledge_date() -> str:
    """Return the day on which all tables were last checked, "2026-11-20"."""
    return msgspec.json.decode((DATA / "date.json").read_bytes(), type=_Date).date


def unlisted(what: str) -> Unknown:
    """Return the Unknown for something that is not in the tables. Usually it is newer than the tables."""
    return Unknown(f"{what} is not known to this table of {knowledge_date()}")
