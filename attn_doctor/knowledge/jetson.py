"""Name the JetPack of a release of Jetson Linux (L4T). Pure.

https://developer.nvidia.com/embedded/jetpack-archive
"""

from __future__ import annotations

from attn_doctor.model.versions import pair

# First release of Jetson Linux of a JetPack, newest first: 36.4.3 is the first of 6.2, and 36.4.4 is one of 6.2 too.
_FIRST = (
    ((38, 4), "7.1"),
    ((38, 2), "7.0"),
    ((36, 4, 3), "6.2"),
    ((36, 4), "6.1"),
    ((36, 2), "6.0"),
    ((35, 2), "5.1"),
    ((34, 1), "5.0"),
    ((32, 6), "4.6"),
    ((32, 5), "4.5"),
    ((32, 4), "4.4"),
    ((32, 3), "4.3"),
    ((32, 1), "4.2"),
)


def jetpack_of(l4t: str) -> str | None:
    """Return the JetPack that a release of Jetson Linux belongs to: "6.2" for "36.4.4"; None where none is known."""
    if pair(l4t) is None:
        return None
    have = tuple(int(part) for part in l4t.split(".") if part.isdigit())
    return next((name for first, name in _FIRST if have[: len(first)] >= first and have[0] == first[0]), None)
