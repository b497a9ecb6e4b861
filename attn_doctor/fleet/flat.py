"""Turn facts into a flat table, path -> text, and find the differences between two tables. Pure.

A fleet compares every table with the table of its first node, and stores only the differences: most nodes have none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from attn_doctor.model.fact_names import NOISE, NOT_RECORDED, Home, is_list_of_records, named, shown, told_by
from attn_doctor.model.facts import Fault, Record

_LONGEST = 4000  # characters of a text; of a longer one the end is replaced by its hash
# Variables that name a job and not a setting.
_JOB = frozenset(("SLURM_JOB_ID",))
_UNKNOWN = "unknown"
_LISTED = "listed"
_ITEMS_SAY = {_LISTED, "0 of them"}  # an empty list and one with items: each item is a difference of its own


class Leaf(NamedTuple):
    """Hold a value in words. `inside`: the path of the list, or of the list item, that contains the value; empty: it is in no list."""

    text: str
    inside: str
    item: bool = False  # it stands for an item of a list: on another machine there may be no such item


Table = Mapping[str, Leaf]
# (path, text here, text there); None: the item of a list is not there
Difference = tuple[str, str | None, str | None]


def table(section: object, name: str, places: Home) -> dict[str, Leaf]:
    """Return the table of one section of facts: {"torch.version": Leaf("2.8.0", "")}. `name`: of the section, "torch".

    `places`: folders of the environment that are replaced by placeholders, see `fact_names.home`. Noise is left out: the fields in
    `NOISE`, and bytes below a complete GiB.
    """
    return dict(_leaves(section, name, "", places))


def _leaves(value: object, path: str, inside: str, places: Home) -> Iterator[tuple[str, Leaf]]:
    if isinstance(value, Record) and not isinstance(value, Fault):
        telling = told_by(value) if inside == path else None
        for name in value.__struct_fields__:
            if name not in NOISE and name != telling:
                yield from _leaves(getattr(value, name), f"{path}.{name}", inside, places)
        return
    if is_list_of_records(value) and value != ():
        yield from _items(value, path, inside, places)  # type: ignore[arg-type]
        return
    if value == NOT_RECORDED:
        return
    yield path, Leaf(_text(value, path, places), inside)


def _items(items: tuple[Record, ...], path: str, inside: str, places: Home) -> Iterator[tuple[str, Leaf]]:
    """Yield the items of a list, each by its name. For GPUs, their number is also a value."""
    counted = any(hasattr(item, "index") for item in items)
    yield path, Leaf(f"{len(items)} of them" if counted else _LISTED, inside)
    for name, item in named(items):
        if name in _JOB:
            continue
        below = f"{path}.{name}"
        yield below, Leaf(_cut(shown(item, places) or "none"), path, item=True)
        yield from _leaves(item, below, below, places)


def _text(value: object, path: str, places: Home) -> str:
    if path.endswith("_bytes") and isinstance(value, int):
        return f"{round(value / 2**30)} GiB"
    return _cut(shown(value, places) or "none")


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    return f"{text[:_LONGEST]}… ({len(text)} characters, SHA-256 {digest})"


def differences(here: Table, there: Table) -> Iterator[Difference]:
    """Yield (path, text here, text there) for each difference of two tables; None for a list item that a table lacks.

    A missing list item is one difference, without those of its fields.
    A value that one of the tables did not record is no difference.
    """
    for path, leaf in here.items():
        other = there.get(path)
        if other is None:
            if leaf.item and _is_known(leaf.inside, here, there):
                yield path, leaf.text, None
        elif leaf.text != other.text and {leaf.text, other.text} != _ITEMS_SAY and _is_known(leaf.inside, here, there):
            yield path, leaf.text, other.text
    for path, leaf in there.items():
        if leaf.item and path not in here and _is_known(leaf.inside, here, there):
            yield path, None, leaf.text


def _is_known(path: str, here: Table, there: Table) -> bool:
    """Return whether both tables have the list or list item at a path, and everything around it."""
    while path:
        some, other = here.get(path), there.get(path)
        if some is None or other is None or _UNKNOWN in (some.text, other.text):
            return False
        path = some.inside
    return True
