"""A network namespace on this machine, joined to it by one cable (a veth pair) that can be pulled: a machine that is cut off, for real.

It needs root, CAP_NET_ADMIN and Debian's iproute2. Processes in it have the files of this machine, and the network of the namespace only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=20)


def missing() -> str:
    """Return why there can be no namespace here; an empty text: there can."""
    if shutil.which("ip") is None:
        return "no `ip` on PATH (iproute2)"
    try:
        with namespace(f"adtry{os.getpid() % 10000}"):
            return ""
    except subprocess.CalledProcessError as error:
        return f"no network namespace can be made here: {error.stderr.strip()}"


class Namespace:
    """`here` and `there` are the addresses of the two ends of the cable."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._end = f"{name[:12]}-h"
        number = os.getpid() % 16384 * 4  # of a /30 in 10.213.0.0/16
        self.here, self.there = (f"10.213.{(number + one) >> 8}.{(number + one) & 255}" for one in (1, 2))

    def make(self) -> None:
        _ip("netns", "add", self.name)
        _ip("link", "add", self._end, "type", "veth", "peer", "name", "cable", "netns", self.name)
        _ip("addr", "add", f"{self.here}/30", "dev", self._end)
        _ip("link", "set", self._end, "up")
        _ip("-n", self.name, "addr", "add", f"{self.there}/30", "dev", "cable")
        _ip("-n", self.name, "link", "set", "cable", "up")
        _ip("-n", self.name, "link", "set", "lo", "up")

    @property
    def within(self) -> list[str]:
        """The beginning of a command line that runs in the namespace."""
        return ["ip", "netns", "exec", self.name]

    def cut(self) -> None:
        _ip("link", "set", self._end, "down")

    def processes(self) -> list[int]:
        done = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        return [int(one) for one in done.stdout.split()]

    def remove(self) -> None:
        last = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < last:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        for words in (("link", "del", self._end), ("netns", "del", self.name)):
            subprocess.run(["ip", *words], capture_output=True, check=False)


@contextlib.contextmanager
def namespace(name: str) -> Iterator[Namespace]:
    """Make a namespace. Raises subprocess.CalledProcessError where it is not allowed. Removes it, and ends its processes."""
    made = Namespace(name)
    try:
        made.make()
        yield made
    finally:
        made.remove()
