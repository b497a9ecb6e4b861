"""Read lists of hosts in the spelling of clusters: gpu[01-04,7], node-a, @FILE."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from attn_doctor.errors import Refused
from attn_doctor.model.fleet import Node

_LONGEST = 40  # characters of a range
MOST = 20_000  # hosts: a range such as n[0-999999999] is a slip
# What may follow `ssh --`: a name, an address, user@ before it. Never an option, a space or a sign of a shell.
_HOST = re.compile(r"(?:[A-Za-z0-9_][\w.+-]*@)?(?:[A-Za-z0-9_][\w.-]*|\[?[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(?:%\w+)?\]?)\Z")


def expanded(written: str) -> list[str]:
    """Return the hosts of a list, each once, in their order: "a,gpu[08-10],n[1,3]" has six. Raises Refused for a wrong list. Pure."""
    names: list[str] = []
    for item in _split(written):
        names += itertools.islice(_one(item), MOST + 1 - len(names))
        if len(names) > MOST:
            raise Refused(f"{written}: more than {MOST} hosts")
    return list(dict.fromkeys(names))


def _split(written: str) -> list[str]:
    """Return the items between the commas that are not inside of [ ]."""
    items = re.split(r",(?![^\[\]]*\])", written)
    return [item.strip() for item in items if item.strip()]


def _one(item: str) -> Iterator[str]:
    parts = re.split(r"\[([0-9][0-9,-]*)\]", item)
    for chosen in itertools.product(
        *(_numbers(part, item) if place % 2 else [part] for place, part in enumerate(parts))
    ):
        yield "".join(chosen)


def _numbers(ranges: str, item: str) -> list[str]:
    numbers: list[str] = []
    for part in ranges.split(","):
        first, dash, last = part.partition("-")
        if (
            len(part) > _LONGEST
            or not first.isdigit()
            or (dash and not last.isdigit())
            or int(last or first) < int(first)
        ):
            raise Refused(f"{item}: {part!r} is no range of numbers; an example: gpu[01-04,7]")
        if int(last or first) - int(first) >= MOST:
            raise Refused(f"{item}: more than {MOST} hosts")
        numbers += [f"{number:0{len(first)}d}" for number in range(int(first), int(last or first) + 1)]
    return numbers


def nodes(written: str) -> list[Node]:
    """Return the nodes of `ssh:HOSTS`. In @FILE each line is a host or a range, then labels: "gpu[01-04] target=/opt/yolo/bin/python".

    Raises Refused for a file that cannot be read, for a host that ssh could take for an option, and for a list without a host.
    """
    lines = [written]
    if written.startswith("@"):
        try:
            lines = Path(written[1:]).read_text("utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise Refused(f"the hosts cannot be read from {written[1:]}: {error}") from error
    found: dict[str, Node] = {}
    for line in lines:
        words = line.partition("#")[0].split() if written.startswith("@") else [line]
        labels = dict(word.partition("=")[::2] for word in words[1:])
        for name in expanded(words[0]) if words else []:
            if not _HOST.match(name):
                raise Refused(f"{name!r} is no name of a host")
            found[name] = Node(name=name, labels=labels)
    if not found:
        raise Refused("ssh: no host is named; an example: --on ssh:gpu[01-04]")
    return list(found.values())
