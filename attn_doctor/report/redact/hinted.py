"""Choose the few patterns that can match a text, of many, by the words that a match must contain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Hinted(Generic[T]):
    """Hold patterns, each with its hints. A text without any hint of a pattern cannot match it."""

    def __init__(self, rows: Iterable[tuple[tuple[str, ...], T]]) -> None:
        """Prepare for many texts: each hint is looked for once in a text, also if many patterns have it."""
        self._items: list[T] = []
        self._by_hint: dict[str, list[int]] = {}
        for number, (hints, item) in enumerate(rows):
            self._items.append(item)
            for hint in hints:
                self._by_hint.setdefault(hint, []).append(number)

    def of(self, text: str) -> Iterator[T]:
        """Yield the patterns that can match the text, in their order."""
        numbers = {number for hint, those in self._by_hint.items() if hint in text for number in those}
        yield from (self._items[number] for number in sorted(numbers))
