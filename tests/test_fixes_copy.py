"""The throw-away copy of an environment: what is copied and what is linked, where it is made, and that nothing leads back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest
from little_plans import bare
from snapshots import snapshot

from attn_doctor.fixes import throwaway_copy
from attn_doctor.fixes.hardlink_copy import NoRoom, copy_tree
from attn_doctor.fixes.target_paths import Cannot, ask
from attn_doctor.fixes.throwaway_copy import Touched, mirrored

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the patients are Linux, with stub drivers")


# -- the copy


def test_the_copy_is_an_environment_of_its_own_that_never_leads_back(patient):
    places = ask(str(patient.python), os.environ)
    prefix = str(patient.prefix)
    (patient.prefix / "bin" / "tool").write_text(f"#!{prefix}/bin/python\nimport sys; print(sys.prefix)\n")
    (patient.prefix / "bin" / "tool").chmod(0o755)
    (patient.prefix / "bin" / "binary").write_bytes(f"\0{prefix}".encode())
    (patient.prefix / "bin" / "binary").chmod(0o755)
    patient.write("a.pth", f"{prefix}/lib/more\n")
    patient.write("a.egg-link", f"{prefix}/lib/more\n")
    patient.write("module.py", f"{prefix}\n")
    patient.write("x.dist-info/RECORD", f"{prefix}/bin/tool,,\n")
    (patient.prefix / "link").symlink_to("lib")
    before = snapshot(patient.prefix)
    with mirrored(places) as mirror:
        made = Path(mirror.prefix)
        site = made / patient.site.relative_to(patient.prefix)
        said = subprocess.run([mirror.scripts + "/tool"], capture_output=True, text=True).stdout.strip()
        assert said == mirror.prefix
        assert Path(mirror.python) == made / "bin" / "python"
        for name in ("a.pth", "a.egg-link", "x.dist-info/RECORD"):
            assert prefix not in (site / name).read_text()
            assert mirror.prefix in (site / name).read_text()
        assert (site / "module.py").stat().st_ino == (patient.site / "module.py").stat().st_ino
        assert prefix.encode() in (made / "bin" / "binary").read_bytes()
        assert (made / "pyvenv.cfg").is_file()
        assert str((made / "link").readlink()) == "lib"
        assert [mirror.word(word, places.python) for word in (places.python, prefix, f"{prefix}/a", f"{prefix}a")] == [
            mirror.python,
            mirror.prefix,
            f"{mirror.prefix}/a",
            f"{prefix}a",
        ]
        words = (mirror.python, mirror.prefix, f"{mirror.prefix}/a", f"{mirror.prefix}a")
        assert [mirror.word_back(word, places.python) for word in words] == [
            places.python,
            prefix,
            f"{prefix}/a",
            f"{mirror.prefix}a",
        ]
        assert sum(kept.files for kept in mirror.kept) > 5
    assert not made.exists()
    assert snapshot(patient.prefix) == before


def test_a_target_that_changed_meanwhile_is_told(patient):
    places = ask(str(patient.python), os.environ)
    cache = patient.site / "numpy" / "__pycache__"
    cache.mkdir(exist_ok=True)
    with (
        pytest.raises(Touched, match=rf"1 files of the target itself changed: {cache}/x.pyc"),
        mirrored(places) as mirror,
    ):
        (cache / "x.pyc").write_text("")
    assert not Path(mirror.prefix).exists()


def test_what_lies_outside_of_the_environment_is_not_copied(patient, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # other tests make copies at the same time
    places = ask(str(patient.python), os.environ)
    outside = msgspec.structs.replace(places, user=(str(patient.folder / "home"),))
    with pytest.raises(Cannot, match="home is outside of"), mirrored(outside):
        pass
    assert list(Path(tempfile.gettempdir()).glob("attn-doctor-copy-*")) == []


def test_no_room_for_a_copy(patient, monkeypatch):
    def refused(*_):
        raise NoRoom("the disk is full")

    monkeypatch.setattr(throwaway_copy, "copy_tree", refused)
    with (
        pytest.raises(Cannot, match="no throw-away copy can be made: the disk is full"),
        mirrored(ask(str(patient.python), os.environ)),
    ):
        pass


def test_of_an_interpreter_without_an_environment_one_is_made(tmp_path):
    more, other = tmp_path / "dist-packages", tmp_path / "elsewhere"
    more.mkdir()
    other.mkdir()
    (more / "more.py").write_text("it = 2\n")
    (other / "wrong.py").write_text("")
    places = bare(tmp_path, path=(str(more), str(other), "/nowhere/site-packages"))
    code = "import zork, more, sys; print(zork.it, more.it, sys.prefix, *[p for p in sys.path if 'packages' in p])"
    with mirrored(places) as mirror:
        done = subprocess.run([mirror.python, "-c", code], capture_output=True, text=True)
        assert done.stderr == ""
        one, two, prefix, *path = done.stdout.split()
        inside = f"{mirror.prefix}/lib/python{places.version}/site-packages"
        assert (one, two, prefix, path) == ("1", "2", mirror.prefix, [inside, str(more)])
        assert mirror.word(f"{places.purelib}/a", places.python) == f"{inside}/a"
        assert mirror.word_back(f"{inside}/a", places.python) == f"{places.purelib}/a"


def test_a_whole_prefix_of_conda_is_copied_without_its_other_environments(tmp_path):
    places = bare(tmp_path, base_prefix="/opt/conda")
    prefix = Path(places.prefix)
    (prefix / "conda-meta").mkdir()
    (prefix / "conda-meta" / "history").write_text("x")
    (prefix / "envs" / "other").mkdir(parents=True)
    (prefix / "bin" / "python3").symlink_to(sys.executable)
    (prefix / "bin" / "tool").write_text(f"#!{prefix}/bin/python3\n")
    (prefix / "bin" / "tool").chmod(0o755)
    with mirrored(places) as mirror:
        made = Path(mirror.prefix)
        assert sorted(path.name for path in made.iterdir()) == ["bin", "conda-meta", "lib"]
        assert (made / "conda-meta" / "history").stat().st_ino != (prefix / "conda-meta" / "history").stat().st_ino
        assert (made / "bin" / "tool").read_text() == f"#!{made}/bin/python3\n"
        assert mirror.python == f"{made}/bin/python3"


def test_where_a_copy_can_be_made(tmp_path, monkeypatch):
    places = bare(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert throwaway_copy._folder(places).parent == tmp_path
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".cache").mkdir(parents=True)
    assert throwaway_copy._folder(places).parent == tmp_path / "home" / ".cache"
    monkeypatch.delenv("HOME")
    assert throwaway_copy._folder(places).parent == Path(places.purelib)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(Cannot, match="no folder allows both writing files and running programs"):
        throwaway_copy._folder(places)


def test_the_file_system_of_the_packages_comes_first(tmp_path, monkeypatch):
    shared = Path("/dev/shm")  # the other file system that nearly every Linux has
    if not os.access(shared, os.W_OK) or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("one file system")
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    monkeypatch.setenv("HOME", str(tmp_path))
    made = throwaway_copy._folder(bare(tmp_path))
    assert made.parent == tmp_path / "opt" / "lib" / "python3.11"
    made.rmdir()


def test_what_is_copied_and_what_is_linked(tmp_path):
    """Installers write into the first kind in place; all else is replaced by a new file."""
    source = tmp_path / "source"
    copied = [
        "a.pth",
        "a.egg-link",
        "pyvenv.cfg",
        "x.toml",
        "uv.lock",
        "x.dist-info/y",
        "x.egg-info/y",
        "conda-meta/y",
        "run",
    ]
    linked = ["a.py", "b/a.so", "large", "note"]
    for name in copied + linked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("#!/bin/sh\n" if name in ("run", "note") else "text")
    (source / "large").write_text("#!" + "x" * 65536)
    for name in ("run", "large", "b/a.so"):
        (source / name).chmod(0o700)
    (source / "b").chmod(0o710)
    (source / "left out").mkdir()
    (source / "b" / "left out").write_text("")
    kept = copy_tree(source, tmp_path / "copy", ("left out",))
    same = {name for name in copied + linked if (source / name).samefile(tmp_path / "copy" / name)}
    assert same == set(linked)
    assert (kept.files, kept.unlinkable) == (len(copied) + len(linked) + 1, 0)
    assert kept.copied_bytes == sum((source / name).stat().st_size for name in copied)
    assert not (tmp_path / "copy" / "left out").exists()
    assert (tmp_path / "copy" / "b" / "left out").exists()
    (source / "edge").write_text("#!" + "x" * 65534)
    (source / "edge").chmod(0o700)
    copy_tree(source / "edge", tmp_path / "edge")
    assert not (source / "edge").samefile(tmp_path / "edge")


def test_what_cannot_be_linked_is_copied_while_there_is_room(tmp_path, monkeypatch):
    from attn_doctor.system import files

    def refused(*_):
        raise OSError("no links here")

    monkeypatch.setattr(files, "link", refused)
    (tmp_path / "a").mkdir()
    for name in ("one", "two"):
        (tmp_path / "a" / name).write_bytes(b"x" * 100)
    kept = copy_tree(tmp_path / "a", tmp_path / "b")
    assert (kept.unlinkable, kept.copied_bytes) == (2, 200)
    reserve = 512 << 20
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Free(reserve + 200))
    assert copy_tree(tmp_path / "a", tmp_path / "c").copied_bytes == 200
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Free(reserve + 199))
    with pytest.raises(NoRoom, match="the disk has no space for them"):
        copy_tree(tmp_path / "a", tmp_path / "d")


class _Free:
    def __init__(self, free: int) -> None:
        self.free = free
