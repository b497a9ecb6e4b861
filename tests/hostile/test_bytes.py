r"""One byte that is not UTF-8, wherever text comes from: no traceback, a report is written, the byte is shown as \xe9."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from attack import ROOT, doctor, some
from targets import add_metadata, make_target, site_packages, torch_of

from attn_doctor.report.formats import FORMATS

ODD = "caf\udce9"  # how Python holds the bytes "caf\xe9"
SHOWN = "caf\\xe9"
# What the doctor asks of a torch, in a few lines; a place for what is odd about it.
HEALTHY = """
__version__ = '2.6.0+cpu{}'
Tensor = object
class version: cuda = hip = None
class cuda:
    is_available = staticmethod(lambda: False)
    init = staticmethod(lambda: None)
"""


@pytest.fixture(scope="module")
def target(tmp_path_factory) -> Path:
    """A Python with a torch that imports, below a folder of an odd name."""
    folder = tmp_path_factory.mktemp("odd")
    torch_of(folder / "env", HEALTHY.format(""), cuda=None)
    (folder / ODD).mkdir()
    (folder / "env").rename(folder / ODD / "env")  # `python -m venv` makes none of this name
    return folder / ODD / "env" / "bin" / "python"


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return make_target(tmp_path_factory.mktemp("plain") / "env")


def check(*argv, cwd, environ=None, codes=(0, 1)):
    """The report of a check, with the whole of it as text; standard error without a traceback."""
    outputs = [word for one in FORMATS for word in (f"--{one.option}", f"r.{one.option}")]
    done = doctor("check", "--no-trial", *argv, *outputs, cwd=cwd, environ=environ)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert done.returncode in codes
    text = (cwd / "r.json").read_text("utf-8")
    for one in FORMATS:
        assert (cwd / f"r.{one.option}").read_text("utf-8")
    return json.loads(text), text, done.stdout.decode()


def test_the_target_is_started_by_its_real_name(target, tmp_path):
    report, _, screen = check("--target", str(target), cwd=tmp_path)
    assert f"/{SHOWN}/env/bin/python" in report["target"]["python"]
    assert report["facts"]["torch"]["importable"] is True
    assert SHOWN in screen


def test_the_active_environment(target, tmp_path):
    environ = {"VIRTUAL_ENV": str(target.parent.parent), "PYTHONIOENCODING": "ascii"}
    report, _, _ = check(cwd=tmp_path, environ=environ)
    assert f"/{SHOWN}/env" in report["facts"]["interpreter"]["prefix"]
    variables = {v["name"]: v["value"] for v in report["facts"]["environment"]}
    assert variables["VIRTUAL_ENV"].endswith(f"/{SHOWN}/env")


def test_the_current_folder(plain, tmp_path):
    folder = tmp_path / ODD
    folder.mkdir()
    (folder / "requirements.txt").write_bytes(b"torch==2.6.0  # caf\xe9\n")
    report, _, _ = check("--target", str(plain), cwd=folder)
    assert report["facts"]["project"]["folder"].endswith(f"/{SHOWN}")


VARIABLES = [
    "CUDA_HOME",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "CC",
    "CXX",
    "MAX_JOBS",
    "TMPDIR",
    "PIP_INDEX_URL",
    "HTTP_PROXY",
]


def test_variables_all_at_once(plain, tmp_path):
    environ = dict.fromkeys(VARIABLES, f"/{ODD}")
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), f"/{ODD}"])
    environ["PATH"] = os.pathsep.join([f"/{ODD}/bin", os.environ["PATH"]])
    report, _, _ = check("--target", str(plain), cwd=tmp_path, environ=environ)
    found = {v["name"]: v["value"] for v in report["facts"]["environment"]}
    assert [name for name in VARIABLES if SHOWN in found[name]] == VARIABLES


TORCHES = {
    "an exception": "raise ImportError('caf\\udce9: cannot open')\n",
    "its type": "raise type('E\\udce9', (Exception,), {})('x')\n",
    "its version": HEALTHY.format("\\udce9"),
    "a warning": HEALTHY.format("") + "import warnings\nwarnings.warn('caf\\udce9')\n",
    "what it prints": "import os\nos.write(1, b'caf\\xe9')\nos.write(2, b'caf\\xe9')\nraise ImportError('x')\n",
    "not even a surrogate of a byte": "raise ImportError('\\ud800 \\udfff')\n",
}


@pytest.mark.parametrize("name", some(TORCHES, "an exception", "its version", "what it prints"))
def test_what_torch_says(name, tmp_path):
    python = torch_of(tmp_path / "env", TORCHES[name], cuda=None)
    _, text, _ = check("--target", str(python), cwd=tmp_path)
    assert "\\\\x" in text or "\\\\u" in text or "\ufffd" in text


def test_metadata(tmp_path):
    python = make_target(tmp_path / "env")
    info = add_metadata(tmp_path / "env", "torchvision", "0.21.0")
    (info / "METADATA").write_bytes(
        b"Metadata-Version: 2.1\nName: torchvision\nVersion: 0.21.0+caf\xe9\nRequires-Dist: caf\xe9\n\n"
    )
    (info / "INSTALLER").write_bytes(b"p\xe9p\n")
    (site_packages(tmp_path / "env") / f"{ODD}.pth").write_bytes(b"/gone\n")
    (site_packages(tmp_path / "env") / f"{ODD}-1.0.dist-info").mkdir()
    check("--target", str(python), cwd=tmp_path)


def test_logs(tmp_path):
    log = tmp_path / f"{ODD}.log"
    log.write_bytes(
        b"/caf\xe9: ImportError: libcudnn.so.9: cannot open shared object file: No such file or directory\n"
    )
    done = doctor("diagnose", str(log), "--json", "r.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, b"")
    assert SHOWN in done.stdout.decode()
    evidence = [e for f in json.loads((tmp_path / "r.json").read_bytes())["findings"] for e in f["evidence"]]
    assert any(e["file"] and e["file"].endswith(f"{SHOWN}.log") for e in evidence)
    (tmp_path / "facts.json").write_text("{}")
    check("--facts", "facts.json", "--log", str(log), cwd=tmp_path)
    gone = doctor("diagnose", f"{ODD}.gone", cwd=tmp_path)
    assert (gone.returncode, gone.stderr) == (
        2,
        f"attn-doctor: error: {SHOWN}.gone cannot be read: No such file or directory\n".encode(),
    )


def test_names_of_outputs_and_inputs(tmp_path):
    facts, report = tmp_path / f"{ODD}.facts", tmp_path / f"{ODD}.json"
    facts.write_text("{}")
    done = doctor("check", "--facts", str(facts), "--json", str(report), "--markdown", str(tmp_path / f"{ODD}.md"))
    assert b"Traceback" not in done.stderr
    assert json.loads(report.read_bytes())["command"][3].endswith(f"{SHOWN}.facts")
    compared = doctor("compare", str(report), str(report), "--markdown", str(tmp_path / f"{ODD}.md"))
    assert (compared.returncode, compared.stderr) == (0, b"")
    assert SHOWN.replace("\\", "\\\\") in (tmp_path / f"{ODD}.md").read_text("utf-8")  # as Markdown writes a backslash
    shown = doctor("show", str(report), "--html", str(tmp_path / f"{ODD}.html"))
    assert (shown.returncode, shown.stderr) == (0, b"")
    twice = doctor("show", str(report), "--html", f"{ODD}.x", "--json", f"{ODD}.x")
    assert twice.stderr == f"attn-doctor: error: {SHOWN}.x is named for two outputs\n".encode()


def test_files_to_inspect(tmp_path):
    for name in (f"{ODD}.so", f"{ODD}-1.0-py3-none-any.whl"):
        (tmp_path / name).write_bytes(b"\xe9 is no library")
    names = [f"{ODD}.so", f"{ODD}-1.0-py3-none-any.whl"]
    done = doctor("inspect", *names, "--target", sys.executable, "--json", "r.json", cwd=tmp_path)
    assert (b"Traceback" in done.stderr, done.returncode) == (False, 1)
    assert done.stdout.decode().count(SHOWN) >= 2
    assert [f["path"].count(SHOWN) for f in json.loads((tmp_path / "r.json").read_bytes())["files"]] == [1, 1]
    gone = doctor("inspect", *names, f"{ODD}.gone.so", "--target", sys.executable, cwd=tmp_path)
    assert gone.returncode == 2
    assert gone.stderr.decode() == f"attn-doctor: error: {SHOWN}.gone.so cannot be read: No such file or directory\n"


# Commands that read a report, with a byte in it that Latin-1 means by an e with an accent.
READERS = {
    "show": ["show", "r.json"],
    "compare": ["compare", "r.json", "r.json"],
    "fix": ["fix", "--suggest", "--report", "r.json", "--offline"],
    "check": ["check", "--facts", "r.json"],
    "diagnose": ["diagnose", "log", "--facts", "r.json"],
}


@pytest.mark.parametrize("name", some(READERS, "show", "fix", "check"))
def test_a_report_that_is_not_utf8(name, tmp_path):
    (tmp_path / "facts.json").write_bytes(
        b'{"system": {"distribution_name": "caf\xe9 OS"}, "torch": {"version": "2.6.0+\xe9"}}'
    )
    (tmp_path / "log").write_text("nothing\n")
    doctor("check", "--facts", "facts.json", "--json", "clean.json", cwd=tmp_path)
    clean = (tmp_path / "clean.json").read_bytes()
    assert b"caf\\\\xe9 OS" in clean
    (tmp_path / "r.json").write_bytes(clean.replace(b"caf\\\\xe9 OS", b"caf\xe9 OS"))
    done = doctor(*READERS[name], "--json", "out.json", cwd=tmp_path)
    assert (b"Traceback" in done.stderr, done.returncode in (0, 1, 3)) == (False, True)
    (tmp_path / "out.json").read_text("utf-8")
    if name in ("show", "check"):
        assert "caf\\xe9 OS" in done.stdout.decode()


def test_a_wrong_argument_is_quoted():
    for code, argv in (
        (2, ["list", f"--{ODD}"]),
        (2, [ODD]),
        (2, ["explain", ODD]),
        (2, ["check", "--imgsz", ODD]),
        (3, ["check", "--target", f"/{ODD}"]),  # nothing of that name can be asked
    ):
        done = doctor(*argv)
        assert (done.returncode, b"Traceback" in done.stderr) == (code, False)
        assert (
            SHOWN in done.stderr.decode() or "caf\\udce9" in done.stderr.decode()
        )  # where it is quoted as Python does


def test_the_cases_are_counted():
    assert (len(VARIABLES), len(TORCHES), len(READERS)) == (9, 6, 5)
