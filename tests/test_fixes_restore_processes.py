"""Undoing while processes run: the lock of an environment, installers that are still at work, and the program in the backup."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time

import pytest
from kept_environments import NO_PROCESS, Kept, environment

from attn_doctor.fixes import restore

fcntl = pytest.importorskip("fcntl", reason="applying and undoing are of Linux and macOS")


def sleeper(**options) -> subprocess.Popen[bytes]:
    code = "import sys, time; print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", code], stdout=subprocess.PIPE, **options)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.fixture
def other():
    process = sleeper(start_new_session=True)
    yield process
    process.kill()
    process.communicate()


def test_the_start_of_a_process_tells_it_from_a_later_one(other):
    since = restore.started(other.pid)
    assert since
    assert restore.started(other.pid) == since
    assert restore.started(os.getpid()) not in (None, since)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet waited for
    if sys.platform == "linux":
        assert restore.started(other.pid) is None
    other.wait()
    assert restore.started(other.pid) is None


def test_an_environment_has_one_lock(tmp_path):
    lock = restore.take_lock(str(tmp_path))
    assert stat.S_IMODE((tmp_path / restore.LOCK).stat().st_mode) == 0o600
    with pytest.raises(restore.Busy, match="another attn-doctor, or an installer"):
        restore.take_lock(str(tmp_path))
    os.close(lock)
    os.close(restore.take_lock(str(tmp_path)))


def test_a_doctor_that_is_still_at_work_is_not_undone(tmp_path, other):
    journal = [{"at": "begin", "doctor": [other.pid, restore.started(other.pid)]}]
    with pytest.raises(restore.Busy, match=rf"still at work on this environment \(process {other.pid}\)"):
        restore.end_leftovers(str(tmp_path), journal)
    for doctor in ([other.pid, "another start"], [os.getpid(), restore.started(os.getpid())]):
        os.close(restore.end_leftovers(str(tmp_path), [{"at": "kept"}, {"at": "begin", "doctor": doctor}]))
    assert other.poll() is None


@pytest.mark.parametrize(
    ("since", "after", "ended"),
    [
        ("its own", [], True),
        ("another start", [], False),
        ("its own", [{"at": "ended"}], False),
        ("its own", [{"at": "undoing", "keep": False}], True),
    ],
)
def test_an_installer_that_is_still_at_work_is_ended(tmp_path, other, since, after, ended):
    begun = restore.started(other.pid) if since == "its own" else since
    journal = [
        {"at": "begin", "doctor": [NO_PROCESS, "x"]},
        {"at": "running", "pid": NO_PROCESS, "started": "x"},
        {"at": "ended"},
        {"at": "running", "pid": other.pid, "started": begun},
        *after,
    ]
    os.close(restore.end_leftovers(str(tmp_path), journal))
    if ended:
        assert other.wait(20) == -signal.SIGKILL
    else:
        assert other.poll() is None


def test_what_an_installer_left_running_is_ended_with_its_group(tmp_path):
    """The leader is gone, and a child of it still holds the lock: the number of the group is that of the leader."""
    lock = restore.take_lock(str(tmp_path))
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], close_fds=False)"
    leader = subprocess.Popen([sys.executable, "-I", "-S", "-c", code], pass_fds=[lock], start_new_session=True)
    since = restore.started(leader.pid)
    leader.wait()
    os.close(lock)
    with pytest.raises(restore.Busy):
        restore.take_lock(str(tmp_path))
    journal = [{"at": "begin", "doctor": [NO_PROCESS, "x"]}, {"at": "running", "pid": leader.pid, "started": since}]
    os.close(restore.end_leftovers(str(tmp_path), journal))


def test_the_lock_is_waited_for_and_not_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(restore, "_PATIENCE", 0.2)
    lock = restore.take_lock(str(tmp_path))
    began = time.monotonic()
    with pytest.raises(restore.Busy, match="another attn-doctor"):
        restore.end_leftovers(str(tmp_path), [])
    assert time.monotonic() - began >= 0.2
    fcntl.flock(lock, fcntl.LOCK_UN)
    os.close(restore.end_leftovers(str(tmp_path), []))
    os.close(lock)


# -- by itself


def test_the_program_in_the_backup_restores_and_says_what_it_could_not(tmp_path, monkeypatch, capsys):
    root = environment(tmp_path)
    kept = Kept(tmp_path, root)
    with (root / "numpy" / "b.py").open("a") as file:
        file.write("more\n")
    monkeypatch.setattr(restore, "__file__", str(kept.backup / "undo.py"))
    assert restore.main() == 1
    said = capsys.readouterr()
    assert said.out == "not everything is as it was\n"
    assert said.err.splitlines() == [
        f"putting back what was kept in {kept.backup}",
        f"was changed in place, and is not as it was: {root}/numpy/b.py",
    ]
    (root / "numpy" / "b.py").write_text("b = 1\n")
    was = json.loads((kept.backup / restore.MANIFEST).read_text())[str(root)]["numpy/b.py"]
    os.utime(root / "numpy" / "b.py", ns=(was[3], was[3]))
    assert restore.main() == 0
    assert capsys.readouterr().out == "the environment is as it was\n"
    assert not kept.home.exists()


def test_the_program_in_the_backup_waits_for_nobody_who_is_at_work(tmp_path, monkeypatch, capsys, other):
    backup = tmp_path / "home" / "undo" / "1"
    backup.mkdir(parents=True)
    restore.write_event(str(backup), at="begin", roots=[], doctor=[other.pid, restore.started(other.pid)])
    monkeypatch.setattr(restore, "__file__", str(backup / "undo.py"))
    assert restore.main() == 1
    assert capsys.readouterr().err.startswith("not undone: attn-doctor is still at work")
