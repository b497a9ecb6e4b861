"""Judge the facts of a report again, if another version of attn-doctor judged them. Equal facts are judged once. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Finding, Goal

_KEPT = 256  # lists of findings
_DROPPED = frozenset(("seconds", "uuid"))  # no rule reads them
_ENOUGH = 256 << 30  # bytes of a disk from which no rule asks how many they are
_CHANGING = ("system", "graphics", "imports")  # the sections with such values
_UNREAD = frozenset(("sources", "probes"))


class Again:
    """Judge the facts of reports by today's rules. `times`: version of attn-doctor that wrote reports -> how many of them were judged again."""

    def __init__(self) -> None:
        self.times: dict[str, int] = {}
        self._known: dict[bytes, tuple[Finding, ...]] = {}

    def judge(self, facts: Facts, raw: Mapping[str, bytes], goal: Goal, version: str) -> tuple[Finding, ...]:
        """Return the findings of today's rules. `raw`: the sections of the facts as JSON. `version`: the attn-doctor that wrote the report.

        Facts count as equal if they differ only in times, serial numbers, bytes below a complete GiB, and disk space above 256 GiB.
        """
        from attn_doctor.judging.diagnose import diagnose  # all rules: half a second, which few fleets need

        self.times[version] = self.times.get(version, 0) + 1
        key = _key(raw, goal)
        if key not in self._known:
            self._known[key] = diagnose(facts, goal).findings
            while len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]
        return self._known[key]


def _key(raw: Mapping[str, bytes], goal: Goal) -> bytes:
    digest = hashlib.blake2b(goal.value.encode(), digest_size=16)
    for name in sorted(raw):
        if name not in _UNREAD:
            data = msgspec.json.encode(_lasting(msgspec.json.decode(raw[name]))) if name in _CHANGING else raw[name]
            digest.update(hashlib.blake2b(data, digest_size=16).digest() + name.encode())
    return digest.digest()


def _lasting(value: Any) -> Any:
    """Return plain data without the values that change from moment to moment."""
    if isinstance(value, dict):
        return {key: _whole(key, item) for key, item in value.items() if key not in _DROPPED}
    return [_lasting(item) for item in value] if isinstance(value, list) else value


def _whole(name: str, value: Any) -> Any:
    if name.endswith("_bytes") and isinstance(value, int):
        most = min(value, _ENOUGH) if name in ("free_bytes", "total_bytes") else value
        return most >> 30
    return _lasting(value)
