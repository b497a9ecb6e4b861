"""Signals at any moment of any command: nothing is left behind. 6 commands, 5 ways to be stopped, 3 moments."""

from __future__ import annotations

import signal

import pytest
from attacked import attack
from targets import make_target, site_packages

pytestmark = pytest.mark.heavy

LIMIT = 40.0
STOPS = {
    "Ctrl-C": [(0.0, signal.SIGINT)],
    "Ctrl-C twice": [(0.0, signal.SIGINT), (0.15, signal.SIGINT)],
    "SIGTERM": [(0.0, signal.SIGTERM)],
    "SIGHUP": [(0.0, signal.SIGHUP)],
    "SIGKILL": [(0.0, signal.SIGKILL)],
}
CODES = {"SIGKILL": (-9,)}
MOMENTS = (0.4, 1.5, 4.0)
SLOW = "import os, subprocess, time\nsubprocess.Popen(['sleep', '9999'], start_new_session=True)\ntime.sleep(9999)\n"
COMMANDS = {
    "check": ["check", "--no-trial", "--timeout", "60"],
    "list": ["list", "--here", "--timeout", "60"],
    "fix": ["fix", "--suggest", "--timeout", "60"],
    "diagnose": ["diagnose", "--here", "--timeout", "60", "-"],
    "trial": ["trial", "--timeout", "60"],
    "check with a trial": ["check", "--timeout", "60"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_stopped_leaves_nothing(name, tmp_path):
    env = tmp_path / "env"
    python = make_target(env, {"torch": {"__init__.py": SLOW, "version.py": "__version__ = '2.6.0'\n"}})
    assert site_packages(env).exists()
    shown = {}
    for stop, numbers in STOPS.items():
        for moment in MOMENTS:
            found = attack(
                [*COMMANDS[name], "--target", str(python)],
                tmp_path / f"{name}-{stop}-{moment}",
                limit=LIMIT,
                stdin=b"ImportError: x\n",
                signals=[(moment + later, number) for later, number in numbers],
                ready=moment > 1,
            )
            # Before its first line the command has no handler, and Python ends by the signal, or with 1 while it starts itself.
            codes = CODES.get(stop, (130, 3, *([1, *(-n for _, n in numbers)] if moment < 1 else [])))
            codes = (*codes, 0) if name == "list" else codes  # it imports nothing, and may have ended before
            # A Ctrl-C while Python itself starts shows Python's own traceback.
            faults = [f for f in found.faults(limit=moment + 6.0, codes=codes) if not (moment < 1 and "Traceback" in f)]
            if faults:
                shown[f"{stop} after {moment} s"] = faults
    assert not shown, "\n".join(f"{case}: {'; '.join(faults)}" for case, faults in shown.items())
