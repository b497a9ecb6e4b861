"""Tools on PATH that flood, hang, lie and leave things behind: 7 ways of each of 10 tools."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from attacked import attack

pytestmark = pytest.mark.heavy

LIMIT = 60.0
TOOLS = ("nvcc", "gcc", "g++", "nvidia-smi", "ninja", "ldconfig", "lspci", "conda", "uv", "rocminfo")
WAYS = {
    "floods": "exec cat /dev/zero",
    "floods standard error": "yes 'fatal: \x1b[2J' >&2",
    "hangs and ignores signals": "trap '' TERM INT HUP; while :; do sleep 1; done",
    "leaves processes": "(sleep 9999 &) ; setsid sleep 9999 & echo 'release 12.4, V12.4.131'",
    "floods its temporary file": 'while :; do head -c 1000000 /dev/zero; done > "$TMPDIR/flood"',
    "prints a version of 1 MB": "printf 'release 12.'; head -c 900000 /dev/zero | tr '\\0' 4; printf ', V1\x1b[31m'",
    "is killed": "kill -9 $$",
}


@pytest.mark.parametrize("name", TOOLS)
def test_no_tool_ends_hangs_or_outlives_a_check(name, healthy, tmp_path):
    shown = {}
    for number, (way, text) in enumerate(WAYS.items()):
        folder = tmp_path / f"bin{number}"
        folder.mkdir()
        tool = folder / name
        tool.write_text(f"#!/bin/sh\n{text}\n")
        tool.chmod(0o755)
        argv = [
            "check",
            "--no-trial",
            "--goal",
            "flash-attn",
            "--timeout",
            "10",
            "--target",
            str(healthy / "bin/python"),
        ]
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        faults = attack(argv, tmp_path / f"t{number}", limit=LIMIT, environ={"PATH": path}).faults(limit=LIMIT)
        if faults:
            shown[way] = faults
    assert not shown, "\n".join(f"{way}: {'; '.join(faults)}" for way, faults in shown.items())


def test_the_ways_are_met(healthy, tmp_path):
    """A tool that is asked for its version is started: else the test above would show nothing."""
    folder = Path(tmp_path / "bin")
    folder.mkdir()
    for name in TOOLS:
        tool = folder / name
        tool.write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/started\n")
        tool.chmod(0o755)
    argv = ["check", "--no-trial", "--goal", "flash-attn", "--target", str(healthy / "bin/python")]
    attack(argv, tmp_path / "t", limit=LIMIT, environ={"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"})
    started = set((tmp_path / "started").read_text().split())
    assert {"nvcc", "gcc", "g++", "nvidia-smi", "ninja"} <= started
