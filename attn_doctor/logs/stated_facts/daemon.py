"""Leave out what a finished `docker build` states, if the error below it comes from Docker itself: that is printed on the host. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from attn_doctor.logs.stated_facts.claim import Claim

_OF_THE_DAEMON = re.compile(r"Error response from daemon: (?!.*(?:pull access denied|manifest))")


def on_host(claims: Sequence[Claim], end: Iterable[tuple[int, str]]) -> list[Claim]:
    """Return the claims; if an error of the Docker daemon follows them, without what `docker build` states.

    The daemon's error was printed on the host, so neither "docker build" nor the operating system of the image counts. `end`: (number,
    text) of the last lines.
    """
    last = max((number for number, text in end if _OF_THE_DAEMON.search(text)), default=0)
    built = {c.place.line for c in claims if c.fact == "surroundings" and c.value == "docker build"}
    if not last or not built or max(built) > last:
        return list(claims)
    return [c for c in claims if c.place.line not in built or c.fact not in ("surroundings", "os")]
