"""Undoing on small real folders: whatever a plan did to them, they are as they were, or what is not is named."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kept_environments import NO_PROCESS, Kept, environment

from attn_doctor.fixes import restore

pytest.importorskip("fcntl", reason="applying and undoing are of Linux and macOS")


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
