"""Find the torch minors that export a set of C++ names, from the table of symbols. Pure.

`attn_doctor/knowledge/cxx_names/torch_symbols.json` is made from real torch wheels by scripts/refresh_torch_symbols.py.
It contains demangled names, in which both kinds of libstdc++'s std::string are written alike: the C++ ABI is a separate
question.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from attn_doctor.knowledge.cxx_names.parser import demangle

TABLE = Path(__file__).with_name("torch_symbols.json")

_NEW_STRING = "std::basic_string<char, std::char_traits<char>, std::allocator<char> >"


class TableSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Describe the wheel from which the exports of one minor were read."""

    torch: str  # the minor, "2.15"
    wheel: str  # its file name
    sha256: str | None


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    about: str
    checked: str
    wheels: tuple[TableSource, ...]
    # "2.3-2.12 2.14-2.14" -> all names that these minors export
    symbols: dict[str, tuple[str, ...]]


def signature(name: str) -> str:
    """Return the readable form of a mangled name, the same for both C++ ABIs of libstdc++."""
    shown = demangle(name).replace("[abi:cxx11]", "").replace("std::__cxx11::", "std::")
    return shown.replace(_NEW_STRING, "std::string")


def flavour(name: str) -> bool | None:
    """Return True for a name of the new C++ ABI, False for one of the old ABI; None if the name contains no std::string."""
    if "__cxx11" in name:
        return True
    if "Ss" in name and "std::string" in demangle(name):
        return False
    return None


def flavours(names: Iterable[str]) -> bool | None:
    """Return the C++ ABI of a library, from its names; None if no name shows it, or if names disagree."""
    found = {flavour(name) for name in names} - {None}
    return found.pop() if len(found) == 1 else None


@functools.cache
def minors() -> tuple[str, ...]:
    """Return the torch minors in the table, oldest first."""
    return tuple(wheel.torch for wheel in _load().wheels)


def exporting(name: str) -> frozenset[str] | None:
    """Return the minors of torch ("2.8") that export this mangled name; None if the table lacks the name."""
    return _dated().get(signature(name))


def fitting(names: Iterable[str]) -> tuple[str, ...] | None:
    """Return the minors of torch that export all of these mangled names, oldest first.

    Names that the table lacks are left out; None if it lacks all. Empty if no minor exports all the others.
    """
    known = [spans for spans in map(exporting, names) if spans is not None]
    if not known:
        return None
    common = frozenset.intersection(*known)
    return tuple(minor for minor in minors() if minor in common)


def is_torch(name: str) -> bool:
    """Return whether a mangled name belongs to torch: by its namespace (c10, at, caffe2, torch, c10d), or because the table has it."""
    return TORCH_NAME.match(name) is not None or signature(name) in _dated()


# c10, at, caffe2, torch and c10d: functions, members, their vtables and type information.
TORCH_NAME = re.compile(r"_Z(?:T[VISTch]|GV)?N?[rVK]*(?:3c10|2at|6caffe2|5torch|4c10d)")


@functools.cache
def _load() -> _Table:
    return msgspec.json.decode(TABLE.read_bytes(), type=_Table)


@functools.cache
def _dated() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for spans, names in _load().symbols.items():
        covered = _covered(spans)
        found.update(dict.fromkeys(names, covered))
    return found


def _covered(spans: str) -> frozenset[str]:
    order = minors()
    covered: set[str] = set()
    for span in spans.split():
        first, _, last = span.partition("-")
        covered.update(order[order.index(first) : order.index(last or first) + 1])
    return frozenset(covered)
