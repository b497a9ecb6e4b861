"""Record the state of the GPU during the measured rounds: energy, clocks, temperature, throttling, memory.

NVML is asked in a child of the doctor's own interpreter, never in the trial's process. States outside the measured rounds are
left out.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attn_doctor import child
from attn_doctor.model.facts import Facts
from attn_doctor.model.trials import GpuWatch, Range
from attn_doctor.system import leftovers, machine, own_path, threads

_SCRIPTS = ("target/channel.py", "target/nvml_library.py", "target/nvml_watch.py")
_DAY = 24 * 3600.0
_QUIET = 20.0  # seconds without a record, after which NVML counts as hanging
# Energy is computed only over more seconds than this: its counter is updated about ten times a second.
_LEAST_SECONDS = 1.0

_LEAST_TICKS = 20  # of all cores together, usually hundredths of a second: a share of fewer says nothing

# nvmlClocksThrottleReasons (nvml.h of the CUDA toolkit): those that make a GPU slower than possible.
# https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html
REASONS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "thermal slowdown (software)",
    0x40: "thermal slowdown (hardware)",
    0x80: "power brake",
}


class Window:
    """Describe a period of measured rounds, by the monotonic clock, and the number of images processed in it."""

    def __init__(self, begin: float) -> None:
        self.begin = self.end = begin
        self.images = 0

    def sample(self, images: int) -> None:
        """Record that a round of a cell has ended now. `images`: the number of its images."""
        self.end = time.monotonic()
        self.images += images


class ProcessorLoad:
    """Measure how busy all cores are, from the first call of `look` to the last one, by every program on the machine."""

    def __init__(self) -> None:
        self._first: tuple[int, int] | None = None
        self._last: tuple[int, int] | None = None

    def look(self) -> None:
        now = machine.processor_time()
        self._first, self._last = self._first or now, now

    def share(self) -> float | None:
        """Return the busy share of all cores between the first and the last `look`, 0..1; None if the system does not count it, or too soon."""
        if self._first is None or self._last is None or self._last[1] - self._first[1] < _LEAST_TICKS:
            return None
        return round((self._last[0] - self._first[0]) / (self._last[1] - self._first[1]), 3)


class Watching:
    """Watch a GPU, by its UUID, in a child, from now on until `stop`."""

    def __init__(self, uuid: str, environ: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=leftovers.folder())
        self._file = Path(self._folder.name) / "watched"
        self._file.touch()
        self._config = {"uuid": uuid, "while": str(self._file)}
        self._environ = environ
        self._states: list[dict[str, Any]] = []
        self._thread = threads.start(self._run)

    def _run(self) -> None:
        child.run(
            [sys.executable],
            _SCRIPTS,
            config=self._config,
            deadline=_DAY,
            quiet=_QUIET,
            environ=self._environ,
            changes=own_path.environment(),
            on_message=self._take,
        )

    def _take(self, message: child.Message) -> None:
        if message.at == "fact" and message.section == "state":
            self._states.append(message.data)

    def seen(self) -> int:
        """Return the number of states so far."""
        return len(self._states)

    def ended(self, seconds: float) -> bool:
        """Wait at most `seconds` for the child to end by itself. Return whether it has ended."""
        return self._thread.join(seconds)

    def stop(self) -> list[dict[str, Any]]:
        """Stop the child and return its records, those before a crash or hang of NVML included."""
        self._file.unlink()
        self._thread.join(_QUIET + 5)
        self._folder.cleanup()
        return list(self._states)


def gpu_to_watch(facts: Facts) -> str | None:
    """Return the UUID of the visible GPU; None if it is not known, for several GPUs, or for a part of one (MIG).

    NVML's values for several GPUs or a part of one cannot be assigned to one program.
    """
    gpus = facts.graphics.gpus
    if not isinstance(gpus, tuple):
        return None
    seen = [gpu for gpu in gpus if gpu.visible is not False]
    if len(seen) != 1 or seen[0].visible is not True or seen[0].mig is True:
        return None
    return seen[0].uuid if isinstance(seen[0].uuid, str) else None


def summary(states: Sequence[Mapping[str, Any]], windows: Sequence[Window]) -> GpuWatch | None:
    """Return the summary of the states within the windows; None if there are no such states. `states`: see target/nvml_watch.py."""
    parts = [(w, [s for s in states if w.begin <= s["at"] <= w.end]) for w in windows]
    inside = [s for _, part in parts for s in part]
    if not inside:
        return None
    powers = _powers(parts)
    bits = 0
    for seen in inside:
        bits |= seen["reasons"] or 0
    used = [s["used_bytes"] for s in inside if s["used_bytes"] is not None]
    return GpuWatch(
        joules_an_image=_joules(powers),
        watts=_watts(powers, [s.get("milliwatts") for s in inside]),
        sm_megahertz=_range([s["megahertz"] for s in inside]),
        celsius=_range([s["celsius"] for s in inside]),
        slowed_by=tuple(text for bit, text in REASONS.items() if bits & bit),
        most_used_bytes=max(used, default=None),
        pcie_generation=_most(inside, "pcie_generation"),
        pcie_width=_most(inside, "pcie_width"),
        n=len(inside),
    )


def _most(states: Sequence[Mapping[str, Any]], name: str) -> int | None:
    """Return the largest value of a field.

    For a PCIe link this is the value under load, because an idle link is slower.
    """
    return max((s[name] for s in states if s.get(name) is not None), default=None)


def _range(values: Sequence[int | None]) -> Range | None:
    known = [value for value in values if value is not None]
    return Range(low=min(known), high=max(known)) if known else None


def _powers(parts: Sequence[tuple[Window, Sequence[Mapping[str, Any]]]]) -> list[tuple[Window, float]]:
    """Return the mean power in watts of each window, from the energy counter at its first and its last state."""
    found = []
    for window, states in parts:
        known = [(s["at"], s["millijoules"]) for s in states if s["millijoules"] is not None]
        if len(known) < 2 or known[-1][0] - known[0][0] < _LEAST_SECONDS:
            continue
        found.append((window, (known[-1][1] - known[0][1]) / 1e3 / (known[-1][0] - known[0][0])))
    return found


def _joules(powers: Sequence[tuple[Window, float]]) -> float | None:
    """Return joules for each image: the power of each window, times its duration."""
    joules = sum(watts * (window.end - window.begin) for window, watts in powers)
    images = sum(window.images for window, _ in powers)
    return joules / images if images else None


def _watts(powers: Sequence[tuple[Window, float]], readings: Sequence[int | None]) -> float | None:
    """Return the mean power: by the energy counter, else by the readings of a GPU that has no such counter."""
    seconds = sum(window.end - window.begin for window, _ in powers)
    if seconds > 0:
        return sum(watts * (window.end - window.begin) for window, watts in powers) / seconds
    known = [reading for reading in readings if reading is not None]
    return sum(known) / len(known) / 1e3 if known else None
