"""Undoing on small real folders: whatever a plan did to them, they are as they were, or what is not is named."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attn_doctor.fixes import restore
from attn_doctor.fixes.hardlink_copy import copy_tree

fcntl = pytest.importorskip("fcntl", reason="applying and undoing are of Linux and macOS")

NO_PROCESS = 2**22 + 7  # above the largest process number


def state(folder: Path) -> dict[str, tuple]:
    """Relative path -> kind, mode, time and content, of folders too."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))] if os.path.lexists(folder) else []:
        status, name = path.lstat(), str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_dir():
            found[name] = ("folder", oct(stat.S_IMODE(status.st_mode)), status.st_mtime_ns)
        else:
            found[name] = ("file", oct(stat.S_IMODE(status.st_mode)), status.st_mtime_ns, path.read_bytes())
    return found


class Kept:
    """Folders that stand for an environment, with a backup of them and its journal."""

    def __init__(self, folder: Path, *roots: Path, skip: tuple[str, ...] = (), copies: bool = False) -> None:
        self.home, self.roots = folder / "home", roots
        self.backup = self.home / "undo" / "20260101T000000000000Z"
        (self.backup / "kept").mkdir(parents=True)
        self.event(at="begin", plan="a plan", doctor=[os.getpid(), restore.started(os.getpid())], python="", steps=[],
                   roots=[{"path": str(root), "skip": list(skip)} for root in roots])  # fmt: skip
        before = {str(root): restore.manifest(str(root), skip) for root in roots}
        for number, root in enumerate(roots):
            if os.path.lexists(root):
                copy = self.backup / "kept" / str(number)
                shutil.copytree(root, copy, symlinks=True) if copies else copy_tree(root, copy, skip)
        (self.backup / restore.MANIFEST).write_text(json.dumps(before))
        self.event(at="kept")

    def event(self, **values) -> None:
        restore.write_event(str(self.backup), **values)

    def applied(self) -> None:
        journal = restore.events(str(self.backup))
        after = {root["path"]: restore.manifest(root["path"], root["skip"]) for root in restore.roots(journal)}
        (self.backup / restore.AFTER).write_text(json.dumps(after))
        self.event(at="applied")

    def changed(self) -> list[str]:
        return restore.changed_since(str(self.backup), restore.events(str(self.backup)))

    def undo(self, **options) -> list[str]:
        return restore.undo(str(self.home), str(self.backup), **options)

    def at(self) -> list[str]:
        return [event["at"] for event in restore.events(str(self.backup))]


def environment(folder: Path) -> Path:
    """A file in a folder, one beside it, an empty folder, a link to a file, a dangling one, and a script that may be run."""
    root = folder / "packages"
    (root / "numpy" / "core").mkdir(parents=True)
    (root / "empty").mkdir(mode=0o750)
    (root / "numpy" / "core" / "a.py").write_text("a = 1\n")
    (root / "numpy" / "b.py").write_text("b = 1\n")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("run")
    (root / "dangling").symlink_to("nowhere")
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        os.utime(path, ns=(10**18 + number, 10**18 + 2 * number), follow_symlinks=False)
    os.utime(root, ns=(10**18, 10**18 + 99))
    return root


def remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


# What an installer does: it removes, and makes anew; nothing is written through a kept hard link.
PLACES = [
    "numpy",
    "numpy/core",
    "numpy/core/a.py",
    "numpy/b.py",
    "empty",
    "empty/new",
    "run",
    "link",
    "dangling",
    "new",
    ".",
]
KINDS = ["remove", "file", "folder", "link", "mode", "time"]


def change(root: Path, kind: str, name: str) -> None:
    path = root / name
    if kind == "mode":
        if os.path.lexists(path) and not path.is_symlink():
            path.chmod(0o700)
    elif kind == "time":
        if path.is_dir() and not path.is_symlink():
            os.utime(path, ns=(5, 5))
    else:
        remove(path)
        if not path.parent.is_dir() or path.parent.is_symlink():
            return
        if kind == "file":
            path.write_text("changed\n")
        elif kind == "folder":
            path.mkdir()
            (path / "inside").write_text("")
        elif kind == "link":
            path.symlink_to("elsewhere")


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(PLACES)), min_size=1, max_size=6),
    st.booleans(),
    st.booleans(),
)
def test_whatever_an_installer_changes_is_put_back(tmp_path_factory, changes, copies, keep):
    folder = tmp_path_factory.mktemp("undo")
    root = environment(folder)
    before = state(root)
    kept = Kept(folder, root, copies=copies)
    for kind, name in changes:
        change(root, kind, name)
    now = state(root)
    gone = {name for name, found in now.items() if found[0] == "file" and before.get(name, ("",))[0] == "file"
            and found[3] != before[name][3]}  # fmt: skip
    assert kept.undo(keep=keep) == []
    assert state(root) == before
    if keep and gone:
        taken = state(kept.backup / "taken" / "0")
        assert all(taken[name][3] == b"changed\n" for name in gone)
        assert not (kept.backup / "kept").exists()
        assert kept.at()[-1] == "undone"
    if not keep:
        assert not kept.home.exists()


def test_a_root_that_was_not_there_is_taken_away_and_one_that_is_gone_comes_back(tmp_path):
    (tmp_path / "file").write_text("precious\n")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "folder").mkdir(mode=0o710)
    roots = [tmp_path / name for name in ("file", "new", "folder", "dangling", "never")]
    kept = Kept(tmp_path, *roots)
    before = [state(root) for root in roots]
    for root in roots[:1] + roots[2:4]:
        remove(root)
    roots[1].write_text("made")
    assert kept.undo(keep=True) == []
    assert [state(root) for root in roots] == before
    assert [path.name for path in (kept.backup / "taken").iterdir()] == ["1"]


def test_names_that_are_skipped_stay_as_they_are(tmp_path):
    root = environment(tmp_path)
    kept = Kept(tmp_path, root, skip=("numpy", "pkgs"))
    (root / "numpy" / "b.py").write_text("mine\n")
    (root / "pkgs").mkdir()
    remove(root / "run")
    assert kept.undo() == []
    assert (root / "numpy" / "b.py").read_text() == "mine\n"
    assert sorted(path.name for path in root.iterdir()) == ["dangling", "empty", "link", "numpy", "pkgs", "run"]


def test_what_was_written_through_the_kept_link_cannot_be_put_back_and_is_named(tmp_path):
    root = environment(tmp_path)
    kept = Kept(tmp_path, root)
    with (root / "numpy" / "b.py").open("a") as file:
        file.write("more\n")
    remove(root / "run")
    assert kept.undo() == [f"{root}/numpy/b.py"]
    assert (root / "run").read_text() == "#!/bin/sh\n"  # the rest is put back
    assert kept.at() == ["begin", "kept", "undoing"]
    assert (kept.backup / "kept").is_dir()


def test_a_written_time_alone_is_named_too(tmp_path):
    root = environment(tmp_path)
    kept = Kept(tmp_path, root)
    os.utime(root / "numpy" / "b.py", ns=(7, 7))
    assert kept.undo() == [f"{root}/numpy/b.py"]


def test_an_undo_that_was_ended_half_way_is_taken_up_and_loses_no_file(tmp_path):
    root = environment(tmp_path)
    kept = Kept(tmp_path, root)
    remove(root / "run")
    (root / "run").write_text("second\n")
    kept.event(at="undoing", keep=True)
    for number, text in (("", "first\n"), (".1", "first too\n")):
        taken = kept.backup / "taken" / "0" / f"run{number}"
        taken.parent.mkdir(parents=True, exist_ok=True)
        taken.write_text(text)
    assert kept.undo() == []  # it keeps: the first undo was told to
    assert sorted(path.name for path in (kept.backup / "taken" / "0").iterdir()) == ["run", "run.1", "run.2"]
    assert (kept.backup / "taken" / "0" / "run.2").read_text() == "second\n"


def test_what_was_undone_is_not_undone_again(tmp_path):
    root = environment(tmp_path)
    kept = Kept(tmp_path, root)
    remove(root / "run")
    kept.event(at="undone", keep=False)
    assert kept.undo() == []
    assert not (root / "run").exists()
    assert not kept.home.exists()


def test_a_backup_that_was_never_complete_is_removed_and_nothing_is_touched(tmp_path):
    root = environment(tmp_path)
    backup = tmp_path / "home" / "undo" / "1"
    backup.mkdir(parents=True)
    restore.write_event(str(backup), at="begin", doctor=[NO_PROCESS, "x"], roots=[{"path": str(root), "skip": []}])
    remove(root / "run")
    assert restore.undo(str(tmp_path / "home"), str(backup)) == []
    assert not (root / "run").exists()
    assert not (tmp_path / "home").exists()


def test_an_older_backup_stays_and_what_a_kill_left_of_others_goes(tmp_path):
    root = environment(tmp_path)
    kept = Kept(tmp_path, root)
    undo = kept.home / "undo"
    for name, events in {
        "older": [{"at": "begin"}, {"at": "kept"}, {"at": "applied"}],
        "kept by the user": [{"at": "begin"}, {"at": "undone", "keep": True}],
        "empty": [],
        "half deleted": [{"at": "begin"}, {"at": "undone", "keep": False}],
    }.items():
        (undo / name).mkdir()
        for event in events:
            restore.write_event(str(undo / name), **event)
    assert kept.undo() == []
    assert sorted(path.name for path in undo.iterdir()) == ["kept by the user", "older"]


@pytest.mark.parametrize("call", ["link", "rename"])
def test_another_file_system_costs_a_copy_and_nothing_else(tmp_path, monkeypatch, call):
    root = environment(tmp_path)
    (root / "numpy" / "core").rename(root / "numpy" / "deep")
    kept = Kept(tmp_path, root)
    before = state(root)
    remove(root / "numpy" / "b.py")
    remove(root / "empty")
    (root / "empty").symlink_to("nowhere")
    change(root, "folder", "new")
    (root / "new" / "run").write_text("#!/bin/sh\n")
    (root / "new" / "run").chmod(0o751)

    def refused(*_, **__):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, call, refused)
    assert kept.undo(keep=True) == []
    assert state(root) == before
    taken = kept.backup / "taken" / "0"
    assert str((taken / "empty").readlink()) == "nowhere"
    assert sorted(path.name for path in (taken / "new").iterdir()) == ["inside", "run"]
    assert stat.S_IMODE((taken / "new" / "run").stat().st_mode) == 0o751


# -- comparing


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        (None, ["f", 0o644, 1, 2, None], True),
        (["f", 0o644, 1, 2, None], None, True),
        (["f", 0o644, 1, 2, None], ["f", 0o644, 1, 2, None], False),
        (["f", 0o644, 1, 2, None], ["f", 0o600, 1, 2, None], True),
        (["f", 0o644, 1, 2, None], ["f", 0o644, 3, 2, None], True),
        (["f", 0o644, 1, 2, None], ["f", 0o644, 1, 3, None], True),
        (["d", 0o755, 0, 2, None], ["d", 0o700, 0, 3, None], False),
        (["l", 0o777, 0, 2, "a"], ["l", 0o700, 0, 3, "a"], False),
        (["l", 0o777, 0, 2, "a"], ["l", 0o777, 0, 2, "b"], True),
        (["l", 0o777, 0, 2, "a"], ["f", 0o777, 0, 2, None], True),
    ],
)
def test_of_files_mode_size_and_time_count_of_links_the_target_and_of_folders_that_they_exist(one, other, differ):
    before, now = ({} if entry is None else {"x": entry} for entry in (one, other))
    assert restore.differences(before, now) == (["x"] if differ else [])


def test_bytecode_counts_only_where_it_is_asked_for():
    made = ["f", 0o644, 1, 2, None]
    names = {"a/__pycache__/b.pyc": made, "a__pycache__": made}
    assert restore.differences({}, names) == ["a__pycache__"]
    assert restore.differences({}, names, bytecode=True) == ["a/__pycache__/b.pyc", "a__pycache__"]


def test_a_list_of_what_is_there(tmp_path):
    root = environment(tmp_path)
    listed = restore.manifest(str(root), ("empty", "core"))
    assert list(listed) == [".", "dangling", "link", "numpy", "numpy/b.py", "numpy/core", "numpy/core/a.py", "run"]
    assert listed["run"] == ["f", 0o755, 10, (root / "run").stat().st_mtime_ns, None]
    assert (listed["link"][0], listed["link"][2], listed["link"][4]) == ("l", 0, "run")
    assert (listed["numpy"][0], listed["numpy"][2]) == ("d", 0)
    assert restore.manifest(str(tmp_path / "nowhere")) == {}


def test_what_changed_after_the_plan_is_listed(tmp_path):
    root, file = environment(tmp_path), tmp_path / "a.lock"
    kept = Kept(tmp_path, root, file, skip=("empty",))
    change(root, "file", "new")
    assert kept.changed() == []  # the plan is not applied yet
    kept.applied()
    assert kept.changed() == []
    change(root, "file", "numpy/b.py")
    change(root, "file", "empty/new")
    file.write_text("x")
    assert kept.changed() == [f"{root}/numpy/b.py", str(file)]
    kept.event(at="undoing", keep=True)
    assert kept.changed() == []


# -- the journal


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path):
    assert restore.events(str(tmp_path)) == []
    restore.write_event(str(tmp_path), at="begin", roots=[{"path": "/x", "skip": []}])
    restore.write_event(str(tmp_path), at="kept")
    journal = tmp_path / restore.JOURNAL
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    whole = journal.read_text()
    journal.write_text(whole + '{"at": "appl\n{"at": "undone"}\n')
    events = restore.events(str(tmp_path))
    assert [event["at"] for event in events] == ["begin", "kept"]
    assert restore.has(events, "kept")
    assert not restore.has(events, "undone")
    assert restore.roots(events) == [{"path": "/x", "skip": []}]
    assert restore.roots([{"at": "kept"}]) == []


# -- processes


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
