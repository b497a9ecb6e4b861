"""Exit codes: 1 is a finding and nothing else. What else ends a command is one sentence, and the report is written if it can be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from attack import ROOT, STRANGER, doctor, one_sentence, ordinary, shell, some
from targets import make_target

EMPTY = "diagnose log --here"
COMMANDS = {
    "check": "check --no-trial",
    "check, all of it": "check",
    "check, files alone": "check --static",
    "diagnose": EMPTY,
    "fix": "fix --suggest",
    "apply": "fix --apply --yes",
    "undo": "fix --undo --yes",
    "inspect": "inspect log",
    "list": "list --here",
    "reproduce": "reproduce numpy-abi --yes",
    "trial": "trial",
    "wheels": "wheels",
}
# A program called python, and what every command says that is sent to it. The exit code is always 3.
SILENT = {
    "exits": ("#!/bin/sh\nexit 1\n", "did not answer: it ended the process with exit code 1"),
    "says something else": (
        "#!/bin/sh\necho no >&2\nexit 0\n",
        "did not answer: it ended the process with exit code 0 (no)",
    ),
    "kills itself": ("#!/bin/sh\nkill -9 $$\n", "did not answer: killed by SIGKILL"),
    "hangs": ("#!/bin/sh\nsleep 600\n", "did not answer: no answer in 1 s"),
    "prints garbage": (
        "#!/bin/sh\nhead -c 5000 /dev/urandom\n",
        "did not answer: it ended the process with exit code 0",
    ),
    "is of another machine": ("\x7fELF nonsense", "cannot be started: Exec format error"),
}
# Python 2.7 and 3.6 as far as the first lines of our program see them: what they write there is what those would write.
OLD = """#!{python}
import re, sys
if "-c" in sys.argv: sys.exit('  File "<string>", line 1\\nSyntaxError: invalid syntax')
nonce = re.search("_NONCE = '(\\\\w+)'", sys.stdin.read())[1]
print('\\x1e' + nonce + ' {{"at": "too-old", "section": "", "data": "{version}"}}')
"""


def program(folder, text):
    path = folder / "python"
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_target_that_does_not_answer_is_3_in_every_command(command, tmp_path):
    (tmp_path / "log").write_text("nothing\n")
    text, words = SILENT["exits"]
    done = doctor(*COMMANDS[command].split(), "--target", str(program(tmp_path, text)), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, b"")
    said = [line for line in done.stderr.decode().splitlines() if "examine" in line and "examining" not in line]
    assert said == [f"attn-doctor: could not examine: {tmp_path}/python {words}"]
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize("name", [n for n in SILENT if n != "exits"])
def test_every_silence_is_one_sentence(name, tmp_path):
    text, words = SILENT[name]
    for command in ("list --here", "reproduce numpy-abi --yes"):
        done = doctor(*command.split(), "--target", str(program(tmp_path, text)), "--timeout", "1", cwd=tmp_path)
        assert done.returncode == 3
        assert words in one_sentence(done)


@pytest.mark.parametrize("version", some(["2.7", "3.6"], "2.7"))
def test_a_python_that_is_too_old_has_the_same_words_everywhere(version, tmp_path):
    (tmp_path / "log").write_text("nothing\n")
    python = program(tmp_path, OLD.format(python=sys.executable, version=version))
    words = f"{python} is Python {version}; attn-doctor examines Python 3.8 and newer"
    for command in ("check --no-trial", "inspect log", "reproduce numpy-abi --yes", "fix --undo", "list --here", EMPTY):
        done = doctor(*command.split(), "--target", str(python), cwd=tmp_path)
        assert done.returncode == 3
        assert one_sentence(done) == f"attn-doctor: could not examine: {words}"


TARGETS = {
    "a user that nobody has": ("~nouser/x", "--target ~nouser/x does not exist"),
    "a name of 5000 characters": ("x" * 5000, "cannot be read: File name too long"),
    "a path of 5000 characters": ("/x" * 2500, "cannot be read: File name too long"),
    "nothing": ("", "--target names nothing"),
    "no program": ("log", "is not executable"),
    "below a file": ("log/bin/python", "does not exist"),
    "no Python": ("/bin/true", "/bin/true is no Python interpreter"),
    "a device": ("/dev/null", "is not executable"),
    "a folder": ("/tmp", "--target /tmp is a folder, and there is no Python in it"),
    "no file": ("/nowhere/python", "--target /nowhere/python does not exist"),
}


@pytest.mark.parametrize("case", TARGETS.values(), ids=TARGETS)
def test_what_cannot_be_a_target_is_one_sentence(case, tmp_path):
    (tmp_path / "log").write_text("nothing\n")
    named, words = case
    for command in ("check", "inspect log"):
        done = doctor(*command.split(), "--target", named, cwd=tmp_path)
        assert done.returncode == 3
        assert words in one_sentence(done)
        assert len(done.stderr) < 600


def test_the_doctors_own_failure_is_70_and_the_report_is_written(tmp_path):
    """A Python starts with a sitecustomize that breaks one stage after the facts: `recommend`."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, importlib.abc\n"
        "class Spoil(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'attn_doctor.judging.goals':\n"
        "            import attn_doctor.judging.recommend as r\n"
        "            def broken(*given): raise KeyError('no such \\n key')\n"
        "            r._backend = broken\n"
        "sys.meta_path.insert(0, Spoil())\n"
    )
    (tmp_path / "facts.json").write_text('{"torch": {"version": "2.6.0"}}')
    environ = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    argv = ["check", "--facts", "facts.json", "--json", "r.json", "--markdown", "r.md"]
    done = doctor(*argv, cwd=tmp_path, environ=environ)
    assert (done.returncode, done.stdout) == (70, b"")
    said = one_sentence(done)
    assert said.startswith(
        "attn-doctor: attn-doctor itself failed: KeyError: 'no such \\n key' (attn_doctor/judging/recommend.py:"
    )
    assert "Please send this line to " in said
    report = json.loads((tmp_path / "r.json").read_bytes())
    assert (report["exit_code"], report["facts"]["torch"]["version"]) == (70, "2.6.0")
    assert report["undetermined"][-1]["why"].startswith("attn-doctor itself failed: KeyError")
    assert "attn-doctor itself failed" in (tmp_path / "r.md").read_text()
    shown = doctor("show", "r.json", cwd=tmp_path)
    assert shown.returncode == 0
    loud = doctor(*argv, cwd=tmp_path, environ={**environ, "ATTN_DOCTOR_DEBUG": "1"})
    assert loud.returncode == 70
    assert b"Traceback (most recent call last)" in loud.stderr


def test_a_failure_before_there_is_anything_writes_nothing(tmp_path):
    (tmp_path / "msgspec.py").write_text("raise SystemError('built for another Python')\n")
    environ = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = doctor("show", "r.json", "--json", "out.json", cwd=tmp_path, environ=environ)
    assert done.returncode in (2, 70)  # 2: where the doctor has left this entry out of its own path
    assert b"Traceback" not in done.stderr
    assert not (tmp_path / "out.json").exists()


DEEP = b'{"a":' * 100_000
NOT_REPORTS = {
    "deep": (DEEP + b"1" + b"}" * 100_000, "nested too deeply"),
    "deep lists": (b"[" * 200_000, "no report or facts"),
    "deep in a report": (b'{"schema_version": 1, "facts": ' + DEEP, "nested too deeply"),
    "nothing": (b"", "is empty"),
    "a number": (b"7", "no report or facts"),
    "half of one": (b'{"schema_version": 1, "facts": {"sys', "ends too early"),
    "half a surrogate": (b'{"schema_version": 1, "goal": "\\udce9"}', "is not JSON"),
    "an image": (b"\x89PNG\r\n\x1a\n\x00", "is not JSON"),
}
READERS = ["show {}", "compare {} {}", "check --facts {}", "fix --suggest --report {}", "diagnose log --facts {}"]


@pytest.mark.parametrize("name", NOT_REPORTS)
def test_what_is_no_report_is_one_sentence(name, tmp_path):
    data, words = NOT_REPORTS[name]
    (tmp_path / "r.json").write_bytes(data)
    (tmp_path / "log").write_text("nothing\n")
    for line in READERS if name == "deep" else READERS[:1]:
        done = doctor(*line.format("r.json", "r.json").split(), cwd=tmp_path)
        assert done.returncode == 2
        assert words in one_sentence(done)


LIMITS = {
    "files": "ulimit -n 16",
    "few files": "ulimit -n 10",
    "memory": "ulimit -v 400000",
    "little memory": "ulimit -v 150000",
    "hardly any memory": "ulimit -v 60000",
    "processes": "ulimit -u 1",
}


@pytest.mark.parametrize("name", some(LIMITS, "files", "memory"))
def test_a_limit_of_the_machine_is_no_finding(name, tmp_path):
    python = make_target(tmp_path / "env")
    done = shell(f"{LIMITS[name]}; $D check --no-trial --target {python} --json r.json", tmp_path)
    said = done.stderr.decode()
    if (tmp_path / "r.json").exists():  # it was enough, or a part of it is unknown
        json.loads((tmp_path / "r.json").read_bytes())
    elif "attn-doctor: " in said:
        assert done.returncode in (2, 3, 70)
        assert "Traceback" not in said.replace("Fatal Python error", "")
    else:
        assert done.returncode != 1 or "Fatal" in said or "rror" in said  # Python itself did not come to its first line
    if name == "files":
        assert done.returncode in (0, 1, 3)


@pytest.fixture
def open_folder():
    """A folder that every user may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def closed_folder(tmp_path):
    folder = tmp_path / "closed"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "nvcc").write_text("")
    folder.chmod(0)
    return folder


def test_a_folder_that_may_not_be_searched_loses_nothing_else(tmp_path):
    """Tools, a toolkit, an environment, a project and outputs in it, for a user whom file permissions hold for."""
    python = make_target(tmp_path / "env")
    closed = closed_folder(tmp_path)
    places = ("CUDA_HOME", "TMPDIR", "CONDA_PREFIX", "LD_LIBRARY_PATH", "PIP_CACHE_DIR", "VIRTUAL_ENV")
    environ = {name: str(closed / "bin") for name in places}
    environ["PATH"] = os.pathsep.join([f"{closed}/bin", str(closed), os.environ["PATH"]])
    argv = ["check", "--no-trial", "--json", "r.json", "--target"]
    done = doctor(*argv, str(python), cwd=tmp_path, environ={**environ, "TMPDIR": None}, **ordinary())
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)  # there is no torch in it
    text = (tmp_path / "r.json").read_text()
    assert "the probe itself failed" not in text
    assert "PermissionError" not in text
    facts = json.loads(text)["facts"]
    assert facts["graphics"]["gpus"] is not None
    assert isinstance(facts["toolchain"]["compilers"], list)
    chosen = doctor("list", "--here", cwd=tmp_path, environ={**environ, "TMPDIR": None}, **ordinary())
    assert (chosen.returncode, b"Traceback" in chosen.stderr) == (0, False)
    refused = doctor(*argv, f"{closed}/bin/python", cwd=tmp_path, **ordinary())
    assert refused.returncode == 3
    assert "cannot be read: Permission denied" in one_sentence(refused)
    output = doctor("explain", "AD311", "--markdown", f"{closed}/bin/x.md", cwd=tmp_path, **ordinary())
    assert output.returncode == 2
    assert "Permission denied" in one_sentence(output)
    log = doctor("diagnose", f"{closed}/bin/log", cwd=tmp_path, **ordinary())
    assert log.returncode == 2
    assert "Permission denied" in one_sentence(log)
    closed.chmod(0o755)


def test_a_user_that_nobody_knows_and_no_home(open_folder):
    assert os.geteuid() == 0, "this test starts processes of another user: run the tests as root, as CI does"
    python = program(open_folder, f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    tmp_path = open_folder
    environ = dict.fromkeys(("HOME", "USER", "LOGNAME", "USERNAME", "XDG_CACHE_HOME"))
    for line in (f"check --no-trial --target {python} --json r.json --html r.html", "show r.json --markdown r.md"):
        done = doctor(*line.split(), cwd=tmp_path, environ=environ, before=STRANGER)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    report = json.loads((tmp_path / "r.json").read_bytes())
    assert (tmp_path / "r.json").stat().st_uid == 54321
    assert "~" not in json.dumps(report["facts"]["system"])
    fix = doctor(
        "fix", "--suggest", "--target", str(python), "--offline", cwd=tmp_path, environ=environ, before=STRANGER
    )
    assert (fix.returncode in (0, 1), b"Traceback" in fix.stderr) == (True, False)


def test_a_current_folder_that_is_gone(tmp_path):
    python = make_target(tmp_path / "env")
    line = f"mkdir gone; cd gone; rmdir ../gone; $D check --no-trial --target {python} --json ../r.json"
    done = shell(line, tmp_path)
    assert b"Traceback" not in done.stderr
    assert done.returncode in (0, 2)
    assert shell("mkdir gone; cd gone; rmdir ../gone; $D check --target ./python", tmp_path).returncode == 3


def test_a_wheel_of_a_newer_zip(tmp_path):
    path = tmp_path / "probe-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("probe/__init__.py", "")
    sound = path.read_bytes()
    at = sound.rindex(b"PK\x01\x02")
    for change in ((at + 6, b"\xe9\x00"), (at + 4, b"\xff\xff\xff\xff"), (at + 10, b"\x63\x00")):
        path.write_bytes(sound[: change[0]] + change[1] + sound[change[0] + len(change[1]) :])
        done = doctor("inspect", path.name, "--target", sys.executable, cwd=tmp_path)
        assert (done.returncode in (0, 1), done.stderr) == (True, b"")


def test_inspect_writes_as_every_command_does(tmp_path):
    home = tmp_path / "home" / "alice"
    home.mkdir(parents=True)
    (home / "x.so").write_bytes(b"no library")
    done = doctor(
        "inspect",
        str(home / "x.so"),
        "--target",
        sys.executable,
        "--json",
        "r.json",
        cwd=tmp_path,
        environ={"HOME": str(home)},
    )
    assert done.returncode == 1
    text = (tmp_path / "r.json").read_text()
    assert "alice" not in text
    assert json.loads(text)["files"][0]["path"] == "<home>/x.so"
    assert str(home / "x.so") in done.stdout.decode().replace("\n", "")


def test_ctrl_c_stays_130(tmp_path):
    python = program(tmp_path, '#!/bin/sh\ntouch "$0.started"\nsleep 60\n')
    (tmp_path / "x.so").write_bytes(b"x")
    code = (
        "import os, signal, subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-m', 'attn_doctor', 'inspect', {str(tmp_path / 'x.so')!r}, '--target', {str(python)!r}], stderr=-1)\n"
        f"while not os.path.exists({f'{python}.started'!r}): time.sleep(0.1)\n"
        "p.send_signal(signal.SIGINT); said = p.communicate()[1]; print(p.returncode, said)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, timeout=60)
    assert done.stdout == b"130 b'attn-doctor: interrupted\\n'\n"


def test_the_documented_exceptions_of_the_function():
    from attn_doctor import examine
    from attn_doctor.errors import AttnDoctorError, NoAnswer

    with pytest.raises(RuntimeError, match="--target /gone/python does not exist") as silent:
        examine(target="/gone/python")
    assert isinstance(silent.value, NoAnswer)
    with pytest.raises(ValueError, match="cannot be read") as refused:
        examine(facts="/gone/facts.json")
    assert isinstance(refused.value, AttnDoctorError)


def test_every_exception_of_ours_has_one_home():
    """A class that ends a command derives from errors.py; the rest are caught where they are made."""
    import importlib
    import pkgutil

    import attn_doctor
    from attn_doctor.errors import AttnDoctorError

    inside = {
        "DamagedFile",
        "ForeignFile",
        "Unsure",
        "NoRoom",
        "Busy",
        "NotProven",
        "NotWindows",
        "Unavailable",
        "NoPickle",
        "Exhausted",
        "Ended",
        "CannotKeep",
        "Nobody",
    }  # caught, or raised in the user's process
    standalone = {
        ("attn_doctor.exchange.layouts", "Refused"),
        ("attn_doctor.prescription.prescription_file", "Refused"),  # also in programs that have none of our packages
        ("attn_doctor.knowledge.cxx_names.cursor", "Unreadable"),
    }
    found = set()
    for module in pkgutil.walk_packages(attn_doctor.__path__, "attn_doctor."):
        if ".target" in module.name or ".programs" in module.name or module.name.endswith(("__main__", "ray_driver")):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == module.name:
                found.add((module.name, name))
                if name not in inside and (module.name, name) not in standalone:
                    assert issubclass(value, AttnDoctorError), (module.name, name)
    assert len(found) >= 20


def test_the_cases_are_counted():
    counts = (COMMANDS, SILENT, TARGETS, NOT_REPORTS, READERS, LIMITS)
    assert [len(cases) for cases in counts] == [12, 6, 10, 8, 5, 6]
