"""Choose the few patterns that can match a text, of many, by the words that a match must contain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_COMMON = " etaoinrsldcumphgfby.w/-_vk:x0,1=23"  # the most frequent first


class Hinted(Generic[T]):
    """Hold patterns, each with its hints. A text without any hint of a pattern cannot match it."""

    def __init__(self, rows: Iterable[tuple[tuple[str, ...], T]]) -> None:
        """Prepare for many texts: each hint is looked for once in a text, also if many patterns have it.

        A hint is looked for only if the text has its rarest character.
        """
        self._items: list[T] = []
        by_hint: dict[str, list[int]] = {}
        for number, (hints, item) in enumerate(rows):
            self._items.append(item)
            for hint in hints:
                by_hint.setdefault(hint, []).append(number)
        self._always = by_hint.pop("", [])
        self._by_character: dict[str, list[tuple[str, list[int]]]] = {}
        for hint, numbers in by_hint.items():
            self._by_character.setdefault(max(hint, key=_rarity), []).append((hint, numbers))

    def of(self, text: str) -> Iterator[T]:
        """Yield the patterns that can match the text, in their order."""
        characters = self._by_character.keys() & set(text)
        numbers = {
            number for one in characters for hint, those in self._by_character[one] if hint in text for number in those
        }
        numbers.update(self._always)
        for number in sorted(numbers):
            yield self._items[number]


def _rarity(character: str) -> int:
    """Return how rare a character is in reports and logs, as a rank."""
    return _COMMON.find(character) if character in _COMMON else len(_COMMON)
