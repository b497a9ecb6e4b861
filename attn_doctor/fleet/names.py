"""Give every node a name of its own, shorten lists of names to ranges, and number the nodes for files. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

_NUMBER = re.compile(r"\d{1,18}")
_LAST_NUMBER = re.compile(r"^(.*?)(\d{1,18})([^\d]*)$", re.DOTALL)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key for names in the order of a person: gpu-2 before gpu-10."""
    parts: list[tuple[int, int, str]] = []
    at = 0
    for match in _NUMBER.finditer(name):
        parts += [(1, 0, name[at : match.start()]), (0, int(match[0]), match[0])]
        at = match.end()
    return (*parts, (1, 0, name[at:]))


def apart(names: Sequence[str]) -> list[str]:
    """Return the names, each different from all others: a second "gpu-1" becomes "gpu-1 (2)"."""
    taken = set(names)
    seen: Counter[str] = Counter()
    made = []
    for name in names:
        seen[name] += 1
        if seen[name] == 1:
            made.append(name)
            continue
        number = seen[name]
        while f"{name} ({number})" in taken:
            number += 1
        taken.add(f"{name} ({number})")
        made.append(f"{name} ({number})")
    return made


def folded(names: Iterable[str], most: int = 0) -> str:
    """Return names as ranges: "gpu-[01-03,07], login".

    `most`: the largest number of characters; a longer text becomes "gpu-01 and 30 more". 0: no limit.
    """
    ordered = sorted(names, key=natural)
    parts = list(_ranges(ordered))
    whole = ", ".join(part for part, _ in parts)
    if not most or len(whole) <= most:
        return whole
    made, left = "", len(ordered)
    for part, count in parts:
        longer = f"{made}, {part}" if made else part
        if len(longer) + len(f" and {left - count} more") > most:
            break
        made, left = longer, left - count
    if made:
        return f"{made} and {left} more"
    more = f" and {left - 1} more" if left > 1 else ""
    return shortened(ordered[0], most - len(more)) + more


def shortened(name: str, most: int) -> str:
    """Return a name with at most `most` characters (at least 8): its beginning and its end."""
    most = max(most, 8)
    if len(name) <= most:
        return name
    end = most // 3
    return f"{name[: most - end - 1]}…{name[-end:]}"


def _ranges(names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield (text, number of names). Names that differ only in their last number become one text.

    gpu-9 and gpu-10 belong together, and so do gpu-09 and gpu-10, but not gpu-9 and gpu-09.
    """
    groups: dict[tuple[str, str, int], list[int]] = {}
    order: list[tuple[str, str, int] | str] = []
    for name in names:
        match = _LAST_NUMBER.match(name)
        if match is None or any(sign in name for sign in "[], "):
            order.append(name)
            continue
        # Without a zero in front the width says nothing: gpu-9 and gpu-10 are of one range.
        width = len(match[2]) if match[2].startswith("0") and len(match[2]) > 1 else 0
        key = next(
            (k for k in ((match[1], match[3], width), (match[1], match[3], len(match[2]))) if k in groups),
            (match[1], match[3], width),
        )
        if key not in groups:
            groups[key] = []
            order.append(key)
        groups[key].append(int(match[2]))
    for one in order:
        if isinstance(one, str):
            yield one, 1
            continue
        before, after, width = one
        numbers = groups[one]
        if len(numbers) == 1:
            yield f"{before}{numbers[0]:0{width}d}{after}", 1
        else:
            yield f"{before}[{','.join(_runs(numbers, width))}]{after}", len(numbers)


def _runs(numbers: Sequence[int], width: int) -> Iterator[str]:
    first = last = numbers[0]
    for number in (*numbers[1:], None):
        if number == last + 1:
            last = number
            continue
        yield f"{first:0{width}d}" if first == last else f"{first:0{width}d}-{last:0{width}d}"
        if number is not None:
            first = last = number


def numbered(names: Iterable[str]) -> dict[str, str]:
    """Return name -> "node-1" and so on, in the order of the names. The same set of names gives the same numbers in every run."""
    return {name: f"node-{place}" for place, name in enumerate(sorted(set(names), key=lambda n: (natural(n), n)), 1)}
