"""Standard output and error of every encoding, closed, full, or a pipe that nobody reads: no traceback, the right exit code."""

from __future__ import annotations

import json
import sys

import pytest
from attack import device, doctor, shell, some

ENCODINGS = ("cp1252", "cp437", "latin-1", "ascii", "cp932", "koi8-r")
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture(scope="module")
def ill(tmp_path_factory):
    """A facts file of which `check` makes an error, exit code 1."""
    path = tmp_path_factory.mktemp("facts") / "ill.json"
    torch = {"version": "2.6.0+cpu", "location": "/x/torch", "importable": False}
    fault = {
        "kind": "raised",
        "type": "ImportError",
        "message": "libcudnn.so.9: cannot open shared object file: \u65e5\u672c",
    }
    path.write_text(json.dumps({"torch": {**torch, "fault": fault}}))
    return path


@pytest.fixture(scope="module")
def report(ill):
    path = ill.with_name("report.json")
    assert doctor("check", "--facts", str(ill), "--json", str(path)).returncode == 1
    return path


@pytest.mark.parametrize("encoding", some(ENCODINGS, "cp1252", "ascii"))
def test_any_encoding_takes_a_report(encoding, ill, tmp_path):
    done = doctor(
        "check", "--facts", str(ill), "--json", "r.json", cwd=tmp_path, environ={"PYTHONIOENCODING": encoding}
    )
    assert (done.returncode, done.stderr) == (1, b"")
    text = done.stdout.decode(encoding)
    assert "stands in the way" in text
    assert (tmp_path / "r.json").exists()
    if encoding == "ascii":
        assert "\nx " in text  # the mark of an error, in ASCII
        assert "`-> " in text
        assert "\\u65e5\\u672c" in text  # and the rest as an escape


COMMANDS = {
    "check": "check --facts {ill}",
    "show": "show {report}",
    "compare": "compare {report} {report}",
    "explain": "explain numpy-abi",
    "list": "list --area import",
    "diagnose": "diagnose - --goal train",
    "fix": "fix --suggest --report {report} --offline",
    "inspect": "inspect {python} --target {python}",
    "help": "check --help",
}
LOG = b"ImportError: libcudnn.so.9: cannot open shared object file: No such file or directory\n"


@pytest.mark.parametrize("name", some(COMMANDS, "explain", "diagnose", "fix", "inspect", "help"))
def test_every_command_in_a_locale_of_ascii_says_what_it_says_elsewhere(name, report, ill):
    argv = [word.format(report=report, ill=ill, python=sys.executable) for word in COMMANDS[name].split()]
    usual = doctor(*argv, stdin=LOG)
    plain = doctor(*argv, stdin=LOG, environ=PLAIN)
    assert (plain.returncode, b"Traceback" in plain.stderr) == (usual.returncode, False)
    assert plain.stdout.isascii()
    assert len(plain.stdout.splitlines()) == len(usual.stdout.splitlines())


STREAMS = {
    "output closed": ">&-",
    "error closed": "2>&-",
    "both closed": ">&- 2>&-",
    "all three closed": "<&- >&- 2>&-",
    "output full": ">full",
    "error full": "2>full",
    "both full": ">full 2>full",
    "output full and unbuffered": ">full",
}


@pytest.mark.parametrize("name", some(STREAMS, "all three closed", "output full", "error full", "error closed"))
def test_the_report_is_written_and_the_exit_code_is_the_commands_own(name, ill, tmp_path):
    device(tmp_path, "full")
    environ = {"PYTHONUNBUFFERED": "1"} if "unbuffered" in name else {}
    line = f"$D check --facts {ill} --json r.json --markdown r.md --html r.html {STREAMS[name]}"
    done = shell(line, tmp_path, environ)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert json.loads((tmp_path / "r.json").read_bytes())["exit_code"] == 1
    assert (tmp_path / "r.md").read_text().startswith("## attn-doctor ")
    assert (tmp_path / "r.html").read_text().rstrip().endswith("</html>")
    if name == "output full":
        assert done.stderr == b"attn-doctor: standard output could not be written: No space left on device\n"


@pytest.mark.parametrize("reader", ["head -c 1", "exec <&-; sleep 0.5"])
def test_a_pipe_that_nobody_reads_changes_no_exit_code(reader, ill, tmp_path):
    done = shell(f"$D check --facts {ill} --json r.json | ({reader}); exit ${{PIPESTATUS[0]}}", tmp_path)
    assert (done.returncode, done.stderr) == (1, b"")
    assert json.loads((tmp_path / "r.json").read_bytes())["exit_code"] == 1


@pytest.mark.parametrize("stream", ["<&- >&-", ">full", "2>&-", "2>full"])
@pytest.mark.parametrize("argv", ["--version", "check --help", "explain bogus"])
def test_what_ends_at_once_ends_well(argv, stream, tmp_path):
    device(tmp_path, "full")
    done = shell(f"$D {argv} {stream}", tmp_path)
    assert done.returncode == (2 if "bogus" in argv else 0)
    assert b"Traceback" not in done.stderr + done.stdout
    assert b"Exception ignored" not in done.stderr


def test_a_file_is_not_mistaken_for_a_closed_stream(ill, tmp_path):
    """The first file that is opened gets the number of what is closed: it would be written into."""
    assert shell(f"$D check --facts {ill} --json r.json <&- >&- 2>&-", tmp_path).returncode == 1
    assert json.loads((tmp_path / "r.json").read_bytes())["schema_version"] == 2
    assert json.loads(ill.read_bytes())["torch"]["version"] == "2.6.0+cpu"


def test_standard_output_that_is_asked_for_has_to_be_there(report, tmp_path):
    device(tmp_path, "full")
    closed = shell(f"$D show {report} --json - >&-", tmp_path)
    assert (closed.returncode, closed.stderr) == (2, b"attn-doctor: error: standard output is closed: name a file\n")
    full = shell(f"$D show {report} --json - >full", tmp_path)
    assert full.returncode == 2
    assert full.stderr == b"attn-doctor: error: standard output could not be written: No space left on device\n"


def test_standard_input_that_is_asked_for_has_to_be_there(tmp_path):
    for argv, code in (("show -", 2), ("diagnose -", 3), ("check --static --log -", 2)):
        done = shell(f"$D {argv} <&-", tmp_path)
        assert done.returncode == code
        assert b"standard input is closed: name a file" in done.stderr


def test_a_pipe_that_does_not_wait_gets_everything(report, tmp_path):
    """A program that set its end of our standard output to O_NONBLOCK: ssh and node do."""
    code = (
        "import os, subprocess, sys, time\n"
        "r, w = os.pipe(); os.set_blocking(w, False)\n"
        f"p = subprocess.Popen([{sys.executable!r}, '-m', 'attn_doctor', 'list', '--json', '-'], stdout=w); os.close(w)\n"
        "time.sleep(1); data = open(r, 'rb').read(); print(p.wait(), len(data), data[-2:])\n"
    )
    done = shell(f'{sys.executable} -c "$CODE"', tmp_path, {"CODE": code})
    straight = doctor("list", "--json", "-")
    assert done.stdout.decode().split(maxsplit=1) == ["0", f"{len(straight.stdout)} b']\\n'\n"]


def test_the_cases_are_counted():
    assert (len(ENCODINGS), len(COMMANDS), len(STREAMS)) == (6, 9, 8)
