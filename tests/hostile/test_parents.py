"""A program that ends its parent: the parent is a small process between it and attn-doctor, and the examination goes on."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from attacked import attack
from targets import site_packages

from attn_doctor import child
from attn_doctor.child import starting
from attn_doctor.system import apart

pytestmark = pytest.mark.skipif(not apart.POSSIBLE, reason="Windows has no such parents")
ENDS = "import os, signal\nos.kill(os.getppid(), signal.{})\n"


def runs(number):
    """Return whether a process runs; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def script(tmp_path):
    def made(text):
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(text))
        return path

    return made


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGSTOP"])
def test_all_that_a_program_reports_arrives_although_it_signals_its_parent(name, script):
    said = script(ENDS.format(name) + "with section('one'):\n    tell('one', {'parent': os.getppid()})\n")
    seen = child.run([sys.executable], ["target/channel.py", said], deadline=30)
    assert seen.fault is None
    assert seen.facts("one")[0]["parent"] != os.getpid()
    assert ("ended the process that started it" in seen.chatter) == (name == "SIGKILL")


def test_a_program_that_ends_its_parent_and_then_itself_is_told_so(script):
    said = script(
        ENDS.format("SIGKILL") + "import sys\nsys.stderr.write('last words')\nsys.stderr.flush()\nos._exit(5)\n"
    )
    seen = child.run([sys.executable], ["target/channel.py", said], deadline=30)
    assert (seen.fault.kind, seen.fault.type) == ("raised", "ParentEnded")
    assert "ended the process that started it" in seen.fault.message
    assert "last words" in seen.fault.message


def test_what_ended_its_parent_is_ended_at_its_deadline(script):
    said = script(ENDS.format("SIGKILL") + "tell('pid', os.getpid())\nimport time\ntime.sleep(999)\n")
    seen = child.run([sys.executable], ["target/channel.py", said], deadline=3)
    assert seen.fault.kind == "timeout"
    assert not runs(seen.facts("pid")[0])


def test_the_group_of_its_parent_is_not_that_of_attn_doctor(script):
    said = script("import os, signal\nos.killpg(os.getpgid(os.getppid()), signal.SIGKILL)\ntell('one', 1)\n")
    assert child.run([sys.executable], ["target/channel.py", said], deadline=30).facts("one") == [1]


def test_a_tool_that_ends_its_parent_is_not_trusted():
    done = child.command(["/bin/sh", "-c", "kill -9 $PPID; echo 12.6"])
    assert done.fault.type == "ParentEnded"


@pytest.mark.parametrize(
    ("argv", "code"), [(["/bin/sh", "-c", "exit 137"], 137), (["/bin/sh", "-c", "kill -9 $$"], -signal.SIGKILL)]
)
def test_an_exit_code_is_told_from_a_signal(argv, code):
    assert child.command(argv).returncode == code


def test_signals_and_descriptors_are_those_of_a_plain_start():
    """Python ignores SIGPIPE and SIGXFSZ, and a program that inherits that behaves otherwise; an open descriptor keeps a pipe open."""
    text = "import os, signal; print(*(signal.getsignal(n) == signal.SIG_DFL for n in (13, 25)), sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("only Linux lists the descriptors there")
    plain = subprocess.run([sys.executable, "-S", "-c", text], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert child.command([sys.executable, "-S", "-c", text]).stdout == plain.stdout


def holds(content, mode):
    def make(path):
        path.write_text(content)
        path.chmod(mode)

    return make


@pytest.mark.parametrize(
    ("make", "number"),
    [
        (str, errno.ENOENT),  # makes nothing
        (holds("x", 0o644), errno.EACCES),
        (lambda path: path.mkdir(), errno.EACCES),
        (holds("\x7fELF", 0o755), errno.ENOEXEC),
    ],
)
def test_a_program_that_cannot_be_started_raises_what_subprocess_raises(make, number, tmp_path):
    path = tmp_path / "tool"
    make(path)
    with pytest.raises(OSError, match=re.escape(os.strerror(number))) as raised:
        starting.start([str(path)], None, None, below=True)
    assert (raised.value.errno, raised.value.filename) == (number, str(path))


def test_the_next_folder_of_path_is_tried(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "two/tool").write_text("#!/bin/sh\necho second\n")
    (tmp_path / "two/tool").chmod(0o755)
    path = os.pathsep.join(["/nowhere", str(tmp_path / "one"), str(tmp_path / "two"), os.environ["PATH"]])
    assert child.command(["tool"], changes={"PATH": path}).stdout == "second\n"


def test_a_large_environment_arrives():
    changes = {f"ZQ_{number}": "x" * 1000 for number in range(600)}
    assert child.command(["/bin/sh", "-c", "echo ${#ZQ_599}"], changes=changes).stdout == "1000\n"


@pytest.mark.parametrize("place", ["torch/__init__.py", pytest.param("sitecustomize.py", marks=pytest.mark.heavy)])
def test_a_package_that_kills_its_parent_does_not_end_a_check(place, healthy, tmp_path):
    env = tmp_path / "env"
    shutil.copytree(healthy, env, symlinks=True)
    path = site_packages(env) / place
    path.write_text(ENDS.format("SIGKILL") + (path.read_text() if path.exists() else ""))
    found = attack(["check", "--no-trial", "--target", str(env / "bin/python")], tmp_path / "t", limit=60)
    assert found.faults(limit=60, codes=(0,)) == []
    assert "torch       2.6.0+cpu" in found.out
