"""No process and no folder is left behind: by ordinary runs, by signals, and by the death of attn-doctor itself."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from targets import make_target, site_packages

from attn_doctor import child
from attn_doctor.system import leftovers, processes

ROOT = Path(__file__).parents[2]
ENDLESS = "600.25"  # seconds of a sleep that only these tests start; a suffix tells them apart


def sleeping(suffix: str) -> list[int]:
    """Return the processes whose last argument is this number of seconds."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if (
                len(words) > 2
                and words[-2] == suffix.encode()
                and (entry / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
            ):
                found.append(int(entry.name))
    return found


def names(folder: str | Path) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def none_left(suffix: str) -> bool:
    for _ in range(250):
        if not sleeping(suffix):
            return True
        time.sleep(0.02)
    for number in sleeping(suffix):
        os.kill(number, signal.SIGKILL)
    return False


@pytest.fixture
def temporary(tmp_path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def doctor(temporary: Path, *argv: str, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "attn_doctor", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), **environ},
    )


def tool(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("number", "leave"),
    [
        ("1", "sleep {n} &"),
        ("2", "(sleep {n} &)"),
        ("3", "nohup sleep {n} >/dev/null 2>&1 &"),
        ("4", "setsid sleep {n} &"),
        ("5", "(setsid sh -c 'sleep {n} & wait' &)"),
    ],
)
def test_a_tool_leaves_nothing(number, leave, tmp_path):
    suffix = ENDLESS + number
    answer = child.command([str(tool(tmp_path, "tool", leave.format(n=suffix) + "\necho done"))])
    assert (answer.stdout, answer.fault) == ("done\n", None)
    leftovers.sweep()
    assert none_left(suffix)


def test_what_holds_a_pipe_open_is_ended_at_once(tmp_path):
    suffix = ENDLESS + "6"
    answer = child.command([str(tool(tmp_path, "tool", f"setsid sleep {suffix} &\necho done"))])
    assert answer.stdout == "done\n"
    assert not sleeping(suffix)  # before any sweep


def test_what_a_program_that_was_not_started_here_runs_stays(tmp_path):
    suffix = ENDLESS + "7"
    stranger = subprocess.Popen(["sleep", suffix], start_new_session=True)
    child.command([str(tool(tmp_path, "tool", "echo"))])
    leftovers.sweep()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_child_has_a_folder_for_temporary_files_that_is_removed(tmp_path):
    answer = child.command([str(tool(tmp_path, "tool", 'echo "$TMPDIR $TEMP $TMP"; touch "$TMPDIR/left"; pwd'))])
    (places, cwd) = answer.stdout.splitlines()
    (place,) = set(places.split())
    assert Path(place).parent == Path(leftovers.folder() or "")
    assert not Path(place).exists()
    assert Path(cwd).parent == Path(place).parent
    assert names(cwd) == []
    leftovers.sweep()
    assert not Path(place).parent.exists()


def test_a_full_folder_for_temporary_files_is_left_to_the_child(tmp_path):
    """The recipe of disk-full sets TMPDIR to a full disk; here it is a folder that is missing."""
    missing = str(tmp_path / "missing")
    answer = child.command([str(tool(tmp_path, "tool", 'echo "$TMPDIR"'))], changes={"TMPDIR": missing})
    assert answer.stdout == f"{missing}\n"
    (tmp_path / "there").mkdir()
    answer = child.command([str(tool(tmp_path, "tool", 'echo "$TMPDIR"'))], changes={"TMPDIR": str(tmp_path / "there")})
    assert Path(answer.stdout.strip()).parent == tmp_path / "there"
    assert names(tmp_path / "there") == []


def test_marks_of_an_outer_doctor_stay():
    assert leftovers.marked({"A": "1"}, "b.1") == {"A": "1", leftovers.MARK: "b.1"}
    assert leftovers.marked({leftovers.MARK: "a.7"}, "b.1") == {leftovers.MARK: "a.7:b.1"}


@pytest.mark.parametrize(
    ("value", "wanted", "found"),
    [
        (b"a1", b"a1", True),
        (b"a1.7", b"a1", True),
        (b"a1.7", b"a1.7", True),
        (b"a1.77", b"a1.7", False),
        (b"b2.1:a1.7", b"a1", True),
        (b"b2.1:a1.7", b"b2", True),
        (b"a12", b"a1", False),
        (b"", b"a1", False),
    ],
)
def test_which_mark_is_meant(value, wanted, found):
    assert processes._has(value, wanted) is found


def test_torch_and_its_neighbours_leave_nothing(tmp_path, temporary):
    """A torch, a sitecustomize and an nvcc that each start a daemon."""
    suffix = ENDLESS + "8"
    daemon = (
        f"import subprocess; subprocess.Popen(['sleep', '{suffix}'], start_new_session=True, stdout=-3, stderr=-3)\n"
    )
    python = make_target(tmp_path / "env")
    site = site_packages(tmp_path / "env")
    (site / "sitecustomize.py").write_text(daemon)
    (site / "torch").mkdir()
    (site / "torch" / "__init__.py").write_text(daemon + "__version__ = '2.9.0'\n")
    tool(tmp_path / "bin", "nvcc", f"setsid sleep {suffix} >/dev/null 2>&1 &\necho release 12.4")
    process = doctor(
        temporary, "check", "--no-trial", "--target", str(python), PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin"
    )
    process.communicate(timeout=120)
    assert process.returncode in (0, 1, 3)
    assert none_left(suffix)
    assert names(temporary) == []


@pytest.mark.parametrize(
    "numbers",
    [(n,) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    + [(signal.SIGINT,) * 2, (signal.SIGTERM, signal.SIGHUP)],
)
def test_a_signal_ends_everything(numbers, tmp_path, temporary):
    suffix = f"{ENDLESS}9{int(numbers[0])}{len(numbers)}"
    hangs = f"sleep {suffix}"
    for name in ("nvcc", "gcc", "g++", "nvidia-smi"):
        tool(tmp_path / "bin", name, hangs)
    process = doctor(
        temporary, "check", "--no-trial", "--target", sys.executable, PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin"
    )
    for _ in range(500):
        if len(sleeping(suffix)) >= 2:
            break
        time.sleep(0.02)
    assert len(sleeping(suffix)) >= 2
    for number in numbers:
        process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "attn-doctor: interrupted"
    assert none_left(suffix)
    assert names(temporary) == []


def test_hang_ups_that_nohup_ignores_stay_ignored(tmp_path, temporary):
    tool(tmp_path / "bin", "nvcc", "sleep 1.5; echo release 12.4")
    argv = [
        "sh",
        "-c",
        "trap '' HUP; exec \"$@\"",
        "sh",
        sys.executable,
        "-m",
        "attn_doctor",
        "check",
        "--no-trial",
        "--target",
        sys.executable,
    ]
    environ = {**os.environ, "TMPDIR": str(temporary), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environ)
    time.sleep(1.0)
    process.send_signal(signal.SIGHUP)
    out, errors = process.communicate(timeout=60)
    assert process.returncode in (0, 1, 3), errors
    assert out


def test_the_guard_cleans_up_after_a_doctor_that_was_killed(tmp_path, temporary):
    suffix = ENDLESS + "99"
    for name in ("nvcc", "gcc"):
        tool(tmp_path / "bin", name, f"setsid sleep {suffix} & sleep {suffix}")
    process = doctor(
        temporary, "check", "--no-trial", "--target", sys.executable, PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin"
    )
    for _ in range(500):
        if len(sleeping(suffix)) >= 4:
            break
        time.sleep(0.02)
    assert len(sleeping(suffix)) >= 4
    assert len(names(temporary)) == 1
    process.kill()
    process.communicate()
    assert none_left(suffix)
    for _ in range(250):
        if not names(temporary):
            break
        time.sleep(0.02)
    assert names(temporary) == []


def test_the_library_leaves_the_jobs_and_the_signals_of_its_program_alone(temporary):
    suffix = ENDLESS + "98"
    code = (
        "import os, signal, subprocess, sys\n"
        f"job = subprocess.Popen(['sleep', '{suffix}'])\n"
        "before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]\n"
        "import attn_doctor\n"
        "for _ in range(2):\n    attn_doctor.examine(target=sys.executable, static=True, trial=False)\n"
        "assert before == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]\n"
        f"assert os.listdir({str(temporary)!r}) == [], os.listdir({str(temporary)!r})\n"
        "assert job.poll() is None\njob.kill()\njob.wait()\n"
        "assert subprocess.run(['pgrep', '-P', str(os.getpid()), '-f', 'guard.py'], capture_output=True).stdout == b''\n"
    )
    environ = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_forked_process_of_a_library_user_sweeps_nothing(temporary):
    code = (
        "import os, sys\nfrom attn_doctor.system import leftovers\n"
        "place = leftovers.folder()\n"
        "number = os.fork()\n"
        "if number == 0:\n    sys.exit(0)\n"
        "os.waitpid(number, 0)\nassert os.path.isdir(place)\n"
    )
    environ = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env=environ, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert names(temporary) == []
