"""Files that are no files, that never end, or that hold anything: 16 ways of each of 20 files that commands read."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from attacked import attack
from targets import site_packages

pytestmark = pytest.mark.heavy

LIMIT = 60.0


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(600 << 20)


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def holds(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content)


WAYS: dict[str, Callable[[Path], None]] = {
    "a pipe": os.mkfifo,
    "a folder": lambda path: path.mkdir(),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to /dev/zero": link("/dev/zero"),
    "a link to /dev/tty": link("/dev/tty"),
    "a link to nowhere": link("/nowhere/at/all"),
    "a link to a file of the kernel": link("/proc/self/mem"),
    "empty": holds(b""),
    "600 MB of holes": sparse,
    "random bytes": holds(random.Random(7).randbytes(1 << 20)),
    "one line of 20 MB": holds(b"x" * (20 << 20)),
    "a million lines": holds(b"[package]\nname = 1\n" * 500_000),
    "UTF-16": holds("torch==2.6.0\nRuntimeError: x\n".encode("utf-16")),
    "escapes": holds(b"\x1b]0;x\x07\x1b[2J torch==2.6.0 \xe2\x80\xae <script> @all ```\n" * 50),
    "deep": holds(b'{"a":[' * 100_000),
    "numbers of 10,000 digits": holds(b'{"schema_version": ' + b"9" * 10_000 + b"}\ntorch==" + b"1" * 10_000 + b"\n"),
}
# A file of the environment, of the current folder, or the argument of a command (None).
FILES: dict[str, tuple[str | None, list[str]]] = {
    "torch/version.py": ("site", []),
    "torch-2.6.0.dist-info/METADATA": ("site", []),
    "torch-2.6.0.dist-info/RECORD": ("site", []),
    "torch-2.6.0.dist-info/direct_url.json": ("site", []),
    "ultralytics-8.4.190.dist-info/INSTALLER": ("site", []),
    "ultralytics/nn/modules/block.py": ("site", []),
    "evil.pth": ("site", []),
    "requirements.txt": ("here", []),
    "pyproject.toml": ("here", []),
    "uv.lock": ("here", []),
    "environment.yml": ("here", []),
    "Dockerfile": ("here", []),
    "best.pt": ("here", []),
    "build.log": (None, ["diagnose"]),
    "requirements-gpu.txt": (None, ["diagnose"]),
    "report.json": (None, ["show"]),
    "facts.json": (None, ["check", "--facts"]),
    "one.whl": (None, ["inspect"]),
    "one-1.0-cp311-cp311-linux_x86_64.whl": (None, ["inspect"]),
    "one.so": (None, ["inspect"]),
}


@pytest.mark.parametrize("name", FILES)
def test_no_file_ends_or_hangs_a_command(name, healthy, tmp_path):
    place, command = FILES[name]
    shown = {}
    for number, (way, make) in enumerate(WAYS.items()):
        here = tmp_path / f"here{number}"
        here.mkdir()
        env = healthy
        if place == "site":
            env = here / "env"
            shutil.copytree(healthy, env, symlinks=True)
        path = (site_packages(env) if place == "site" else here) / name
        path.unlink(missing_ok=True)
        make(path)
        argv = ["check", "--no-trial", "--timeout", "5"] if place else [*command, str(path)]
        argv += (
            ["--target", str(env / "bin/python")] if argv[0] in ("check", "inspect") and "--facts" not in argv else []
        )
        faults = attack(argv, here / "t", limit=LIMIT).faults(limit=LIMIT, codes=(0, 1, 2, 3))
        if faults:
            shown[way] = faults
        shutil.rmtree(here)
    assert not shown, "\n".join(f"{way}: {'; '.join(faults)}" for way, faults in shown.items())
