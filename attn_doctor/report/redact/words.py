"""List the words that every report contains. If a user has such a name, the name is replaced only in paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from attn_doctor.model.report import Report


def words_of_records() -> frozenset[str]:
    """Return the names of all fields, and the words of all values that fields are limited to."""
    return frozenset(
        word.lower() for text in _texts(msgspec.json.schema(Report)) for word in re.findall(r"[A-Za-z]+", text)
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (key for key in value if isinstance(key, str))
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from ([item] if isinstance(item, str) else _texts(item))
