"""Get the name of the processor while a trial runs."""

from __future__ import annotations

import functools
import json
import sys

from attn_doctor import child
from attn_doctor.system import own_path, threads

_DEADLINE = 15.0  # seconds


class CpuName:
    """Get the processor's name from py-cpuinfo, once and during the trial, because py-cpuinfo takes a second and starts processes."""

    def __init__(self) -> None:
        self._thread = threads.start(_cpu_name)

    def name(self) -> str | None:
        """Return the name; None if py-cpuinfo does not name it. Waits at most 20 seconds for it."""
        return _cpu_name() if self._thread.join(_DEADLINE + 5) else None


@functools.cache
def _cpu_name() -> str | None:
    argv = [sys.executable, "-m", "cpuinfo", "--json"]
    answer = child.command(argv, deadline=_DEADLINE, changes=own_path.environment())
    if answer.fault is not None:
        return None
    try:
        name = json.loads(answer.stdout).get("brand_raw")
    except ValueError:
        return None
    return name if isinstance(name, str) else None
