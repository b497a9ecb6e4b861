"""Read records that another version of attn-doctor wrote.

Some fields accept only the values of a list. If such a field may be unknown, a value that is not on the list becomes Unknown.
Example: `system.os` "freebsd" in a facts file becomes Unknown("attn-doctor does not know the value 'freebsd'").
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_NOT_LISTED = re.compile(r"Invalid enum value '(.*)' - at `\$\.", re.DOTALL)
_EVERY = "[...]"  # the word with which msgspec names any item of a mapping


def decode(data: bytes, kind: type[T]) -> T:
    """Return the record that JSON holds.

    A value that is not on the list of its field becomes Unknown, if the field may be unknown. Raises
    msgspec.ValidationError if the JSON does not fit the record otherwise.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        return convert(msgspec.json.decode(data), kind)


def convert(plain: Any, kind: type[T]) -> T:
    """Return the record that plain data (dicts, lists, texts) holds. Changes `plain`.

    A value that is not on the list of its field becomes Unknown, if the field may be unknown. Raises
    msgspec.ValidationError if the data does not fit the record otherwise.
    """
    first: dict[str, msgspec.ValidationError] = {}  # path of a field -> why its value was refused
    while True:
        try:
            return msgspec.convert(plain, kind)
        except msgspec.ValidationError as error:
            path = str(error).rpartition(" at `$.")[2].rstrip("`")
            listed = _NOT_LISTED.match(str(error))
            if listed is None or (path in first and str(first[path]) == str(error)):
                raise first.get(path, error) from error
            first[path] = error
            _forget(plain, re.findall(r"\[\.\.\.\]|\d+(?=\])|[^.\[\]]+", path), listed[1])


def _forget(plain: Any, path: list[str], value: str) -> None:
    """Replace a value by Unknown at each place in plain data that has the given path."""
    step, rest = path[0], path[1:]
    here: Any = int(step) if isinstance(plain, list) and step.isdigit() else step
    several = range(len(plain)) if isinstance(plain, list) else list(plain)
    for key in several if step == _EVERY else [here]:
        if rest:
            _forget(plain[key], rest, value)
        elif plain[key] == value:
            plain[key] = {"unknown": f"attn-doctor does not know the value {value!r}"}
