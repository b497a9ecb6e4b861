"""Replace the names of nodes in files: `node-1` is the same node in every file of a run. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from attn_doctor.fleet.names import natural
from attn_doctor.model.fleet import Fleet, Row, Undecided
from attn_doctor.report.redact.names import is_common

T = TypeVar("T")
_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_SIGNS = re.compile(r"([_.-])")
_MOST_PARTS = 21  # of a name, its signs among them
_SHORTEST = 4  # a shorter name, or one that is a common word, is replaced only where a node is named
_NO_TEXT = frozenset("code slug standing severity weight risk fail_on kind_name".split())  # fields of our own words


def anonymous(fleet: Fleet, numbers: Mapping[str, str]) -> Fleet:
    """Return the fleet with other names for its nodes, also inside texts such as "srun: gpu-17: Killed".

    `numbers`: real name -> "node-1".
    """
    texts = _Texts(numbers)

    def of(nodes: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted((numbers[name] for name in nodes), key=natural))

    rows = []
    for row in fleet.rows:
        said = row.said
        for name in () if row.kind_name else row.nodes:  # also a short name: the sentence is about this node
            said = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", numbers[name], said)
        clean = texts.record(msgspec.structs.replace(row, nodes=(), said=said), Row)
        rows.append(msgspec.structs.replace(clean, nodes=of(row.nodes)))
    undecided = []
    for one in fleet.undecided:
        bare = texts.record(msgspec.structs.replace(one, values=()), Undecided)
        values = tuple((texts.text(value), of(nodes)) for value, nodes in one.values)
        undecided.append(msgspec.structs.replace(bare, values=values))
    cures = tuple(msgspec.structs.replace(texts.record(c, type(c)), nodes=of(c.nodes)) for c in fleet.cures)
    notes = tuple(map(texts.text, fleet.notes))
    return msgspec.structs.replace(fleet, rows=tuple(rows), undecided=tuple(undecided), cures=cures, notes=notes)


class _Texts:
    """Replace names of nodes in texts."""

    def __init__(self, numbers: Mapping[str, str]) -> None:
        self._words = {}
        self._others = []  # names with other signs than those of a host name, the longest first
        for name, number in numbers.items():
            if len(name) < _SHORTEST or is_common(name):
                continue
            if _WORD.fullmatch(name):
                self._words[name.lower()] = number
                short = name.lower().partition(".")[0]
                if len(short) >= _SHORTEST and not is_common(short):
                    self._words.setdefault(short, number)
            else:
                self._others.append((name, number))
        self._others.sort(key=lambda pair: -len(pair[0]))
        self._done: dict[str, str] = {}

    def text(self, text: str) -> str:
        made = self._done.get(text)
        if made is None:
            made = text
            for name, number in self._others:
                if name in made:
                    made = made.replace(name, number)
            made = self._done[text] = _WORD.sub(self._word, made)
        return made

    def _word(self, match: re.Match[str]) -> str:
        """Return a word in which the longest names are replaced.

        Example: "gpu-7" is replaced in "gpu-7.log" and in "6.1.gpu-7", but not in "gpu-77".
        """
        parts = _SIGNS.split(match[0])
        made = []
        at = 0
        while at < len(parts):
            ends = range(min(len(parts), at + _MOST_PARTS), at, -2)
            end = next((end for end in ends if "".join(parts[at:end]).lower() in self._words), None)
            made.append(parts[at] if end is None else self._words["".join(parts[at:end]).lower()])
            at = at + 1 if end is None else end
        return "".join(made)

    def record(self, record: T, kind: type[T]) -> T:
        return msgspec.convert(self._plain(msgspec.to_builtins(record)), kind)

    def _plain(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: item if key in _NO_TEXT else self._plain(item) for key, item in value.items()}
        return [self._plain(item) for item in value] if isinstance(value, list | tuple) else value
