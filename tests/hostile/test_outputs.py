"""Outputs onto whatever may be there: nothing is destroyed, everything is written, one file is not named twice."""

from __future__ import annotations

import json
import os
import stat
import threading

import pytest
from attack import device, doctor, one_sentence, ordinary, shell

from attn_doctor.report.formats import FORMATS


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.json"
    facts = path.with_name("facts.json")
    facts.write_text("{}")
    assert doctor("check", "--facts", str(facts), "--json", str(path)).returncode in (0, 3)
    return path


def content_is_a_report(path) -> bool:
    return json.loads(path.read_bytes())["tool"]["name"] == "attn-doctor"


def test_a_device_stays_one(report, tmp_path):
    null = device(tmp_path, "null")
    for one in FORMATS:
        assert doctor("show", str(report), f"--{one.option}", str(null)).returncode == 0
        assert stat.S_ISCHR(null.stat().st_mode)
    assert doctor("explain", "AD311", "--markdown", str(null)).returncode == 0
    assert doctor("list", "--json", str(null)).returncode == 0
    assert doctor("compare", str(report), str(report), "--json", str(null)).returncode == 0
    assert doctor("reproduce", "no-gpu-present", "--log", str(null)).returncode in (0, 1, 3)
    assert stat.S_ISCHR(null.stat().st_mode)
    assert [p.name for p in tmp_path.iterdir()] == ["null"]


def test_a_full_device_is_said_and_stays(report, tmp_path):
    full = device(tmp_path, "full")
    done = doctor("show", str(report), "--json", str(full))
    assert (done.returncode, stat.S_ISCHR(full.stat().st_mode)) == (2, True)
    assert one_sentence(done) == f"attn-doctor: error: {full} could not be written: No space left on device"


def test_a_fifo_is_written_to_its_reader(report, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    assert doctor("show", str(report), "--json", str(fifo)).returncode == 0
    reader.join(10)
    assert json.loads(read[0])["tool"]["name"] == "attn-doctor"
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_reader_that_leaves_a_fifo_early_is_no_error(report, tmp_path):
    done = shell(f"$D show {report} --json >(head -c 10 >first) >out; code=$?; sleep 0.2; exit $code", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("kind", ["to a file", "to nothing yet", "through two links", "relative, of another folder"])
def test_a_symbolic_link_is_followed(kind, report, tmp_path):
    (tmp_path / "far").mkdir()
    real = tmp_path / "far" / "real.json"
    link = tmp_path / "link.json"
    if kind != "to nothing yet":
        real.write_text("old")
    link.symlink_to("far/real.json")
    named = link
    if kind == "through two links":
        named = tmp_path / "second.json"
        named.symlink_to(link)
    cwd = tmp_path / "far" if kind.startswith("relative") else tmp_path
    name = "../link.json" if kind.startswith("relative") else str(named)
    assert doctor("show", str(report), "--json", name, cwd=cwd).returncode == 0
    assert named.is_symlink()
    assert link.is_symlink()
    assert content_is_a_report(real)
    assert sorted(p.name for p in real.parent.iterdir()) == ["real.json"]


def test_all_names_of_a_file_see_what_was_written(report, tmp_path):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    first.write_text("old " * 100_000)
    os.link(first, second)
    assert doctor("show", str(report), "--json", str(first)).returncode == 0
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_nlink == 2
    assert content_is_a_report(second)


def test_mode_and_owner_stay(report, tmp_path):
    path = tmp_path / "r.json"
    path.write_text("old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    before = path.stat()
    assert doctor("show", str(report), "--json", str(path)).returncode == 0
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino  # replaced whole
    assert content_is_a_report(path)


def test_a_new_file_has_the_mode_that_the_umask_gives(report, tmp_path):
    assert shell(f"umask 027; $D show {report} --json r.json", tmp_path).returncode == 0
    assert stat.S_IMODE((tmp_path / "r.json").stat().st_mode) == 0o640


def test_a_file_in_a_folder_that_takes_no_new_ones_is_written(report, tmp_path):
    """As a file that is mounted alone into a container: it cannot be renamed over."""
    folder = tmp_path / "closed"
    folder.mkdir()
    path = folder / "r.json"
    path.write_text("old " * 100_000)
    folder.chmod(0o555)
    before = path.stat().st_ino
    done = doctor("show", str(report), "--json", str(path), **ordinary())
    folder.chmod(0o755)
    assert (done.returncode, done.stderr) == (0, b"")
    assert content_is_a_report(path)
    assert path.stat().st_ino == before


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("$D show {report} --json >(cat >out.json) >text; wait; sleep 0.3", "out.json"),
        ("$D show {report} --json /dev/fd/3 3>out.json >text", "out.json"),
        ("$D show {report} --json /proc/self/fd/4 4>out.json >text", "out.json"),
        ("$D show {report} --json /dev/stdout >out.json", "out.json"),
        ("$D show {report} --json /proc/self/fd/1 >out.json", "out.json"),
        ("$D show {report} --json /dev/stderr 2>out.json >text", "out.json"),
        ("ln -s /dev/stdout link; $D show {report} --json link >out.json", "out.json"),
        ("$D show {report} --json /dev/stdout | cat >out.json", "out.json"),
    ],
)
def test_an_open_descriptor_is_written_to(line, where, report, tmp_path):
    done = shell(line.format(report=report), tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert content_is_a_report(tmp_path / where)


def test_what_a_descriptor_holds_already_stays(report, tmp_path):
    (tmp_path / "log").write_text("before\n")
    assert shell(f"$D show {report} --markdown /dev/fd/3 3>>log >text", tmp_path).returncode == 0
    assert (tmp_path / "log").read_text().startswith("before\n")
    assert shell("$D explain AD311 --markdown /dev/stdout >>log", tmp_path).returncode == 0
    assert (tmp_path / "log").read_text().startswith("before\n")


TWICE = {
    "one name": ("r", "r"),
    "another spelling": ("r", "./r"),
    "an absolute one": ("r", "{folder}/r"),
    "a symbolic link": ("r", "link"),
    "a second name": ("one", "two"),
    "two links to nothing yet": ("to-new", "also-to-new"),
    "standard output": ("-", "-"),
    "standard output by its name": ("-", "/dev/stdout"),
    "a descriptor": ("/dev/fd/1", "/proc/self/fd/1"),
    "a device": ("null", "null"),
}


@pytest.mark.parametrize("names", TWICE.values(), ids=TWICE)
def test_one_file_named_twice_is_bad_usage_before_anything_is_done(names, report, tmp_path):
    (tmp_path / "one").write_text("precious")
    os.link(tmp_path / "one", tmp_path / "two")
    (tmp_path / "link").symlink_to("r")
    (tmp_path / "to-new").symlink_to("new")
    (tmp_path / "also-to-new").symlink_to("new")
    device(tmp_path, "null")
    there = sorted(p.name for p in tmp_path.iterdir())
    first, second = (name.format(folder=tmp_path) for name in names)
    done = doctor("show", str(report), "--json", first, "--html", second, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert "only one output" in one_sentence(done) or "two outputs" in one_sentence(done)
    assert sorted(p.name for p in tmp_path.iterdir()) == there
    assert (tmp_path / "one").read_text() == "precious"


@pytest.mark.parametrize(
    "argv",
    [
        ["compare", "a", "b", "--json", "o", "--markdown", "./o"],
        ["reproduce", "no-gpu-present", "--json", "o", "--log", "./o"],
        ["check", "--target", "/bin/false", "--json", "o", "--markdown", "o"],
    ],
    ids=lambda argv: argv[0],
)
def test_so_it_is_in_every_command(argv, tmp_path):
    done = doctor(*argv, cwd=tmp_path)
    assert done.returncode == 2
    assert "named for two outputs" in one_sentence(done)
    assert not list(tmp_path.iterdir())


REFUSED = {
    ".": "is a folder: name a file",
    "to-folder": "is a folder: name a file",
    "gone/r.json": "the folder gone does not exist",
    "to-nowhere": "does not exist",
    "to-itself": "to-itself cannot be written: Too many levels of symbolic links",
    "n" * 5000: "cannot be written: File name too long",
    "file/r.json": "cannot be written",
    "/dev/fd/77": "/dev/fd/77 cannot be written",
}


@pytest.mark.parametrize("name", REFUSED, ids=lambda name: name[:20])
def test_what_cannot_be_an_output_is_one_sentence(name, report, tmp_path):
    (tmp_path / "file").write_text("")
    for link, to in (("to-folder", "."), ("to-nowhere", "gone/r.json"), ("to-itself", "to-itself")):
        (tmp_path / link).symlink_to(to)
    done = doctor("show", str(report), "--json", name, cwd=tmp_path)
    assert done.returncode == 2
    assert REFUSED[name] in one_sentence(done)
    assert len(done.stderr) < 500


def test_the_cases_are_counted():
    assert (len(TWICE), len(REFUSED)) == (10, 8)
