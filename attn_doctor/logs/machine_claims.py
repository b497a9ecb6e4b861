"""What a log says of the machine that wrote it, held against facts: a log from elsewhere must not be taken for ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from attn_doctor.logs.reader import Log, Pattern
from attn_doctor.model.facts import Facts, lookup
from attn_doctor.model.versions import dotted, pair

_PREFIX = "claim "


class _Claim(NamedTuple):
    name: str
    path: str  # of the fact that says the same
    literal: str
    regex: str  # with one group `value`, a version


_CLAIMS = (
    _Claim("Python", "interpreter.version", "/python3", r"/python(?P<value>3\.\d+)/(?:site|dist)-packages/"),
    _Claim("Python", "interpreter.version", "-cp3", r"\.whl$|-cp(?P<value>3\d+)-cp3\d+t?-"),
    _Claim("torch", "torch.version", "torch.__version__", r"torch\.__version__\s*=+\s*'?(?P<value>\d+\.\d+[\w.+]*)"),
    _Claim("torch", "torch.version", "Guessing wheel URL", r"Guessing wheel URL:.*?torch(?P<value>\d+\.\d+)cxx11abi"),
    _Claim(
        "the toolkit's CUDA",
        "toolchain.toolkits.0.version",
        "detected CUDA version",
        r"detected CUDA version \((?P<value>\d+\.\d+)\)",
    ),
    _Claim("the driver", "graphics.driver", "Driver Version:", r"Driver Version:\s*(?P<value>\d{3}\.\d+[\d.]*)"),
)
PATTERNS = tuple(Pattern(_PREFIX + c.name, c.literal.encode(), re.compile(c.regex), "context") for c in _CLAIMS)


def disagreements(facts: Facts, logs: Iterable[Log]) -> tuple[str, ...]:
    """One sentence for each thing that a log and the facts say differently."""
    found: list[str] = []
    for log in logs:
        for claim in {c.name: c for c in _CLAIMS}.values():
            said = [m for m in log.of(_PREFIX + claim.name) if m.groups.get("value")]
            try:
                have = lookup(facts, claim.path)
            except (LookupError, IndexError):
                continue
            here = pair(have) if isinstance(have, str) else None
            there = {_version(m.groups["value"]): m.line for m in said}
            if here and there and here not in there:
                version, line = next((dotted(v), n) for v, n in there.items() if v)
                found.append(
                    f"{log.file}:{line} speaks of {claim.name} {version}, here it is {dotted(here)}: the log is of another machine or time"
                )
    return tuple(found)


def _version(text: str) -> tuple[int, int] | None:
    if text.isdigit():  # cp311
        return int(text[0]), int(text[1:])
    return pair(text)
