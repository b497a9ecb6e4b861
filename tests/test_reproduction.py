"""`attn-doctor reproduce` as its user meets it: real runs that download nothing, and what they leave."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from targets import make_target

from attn_doctor.reproduction import host_abilities

ROOT = Path(__file__).parents[1]
linux = pytest.mark.skipif(sys.platform != "linux", reason="made for Linux")
gcc = pytest.mark.skipif(sys.platform != "linux" or shutil.which("gcc") is None, reason="needs gcc, on Linux")
torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch (extra: yolo)")
namespaces = pytest.mark.skipif(
    host_abilities.namespaces_refused(network=True) is not None,
    reason=str(host_abilities.namespaces_refused(network=True)),
)
ultralytics = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="needs ultralytics (extra: yolo)"
)
registry = pytest.mark.skipif(sys.version_info >= (3, 13), reason="NumPy 1 has no wheels for this Python")
old = pytest.mark.skipif(sys.version_info >= (3, 14), reason="there is no newer syntax than this Python's")


DOWNLOADING = ("checkpoint-needs-numpy-2", "libgl-missing")


@pytest.fixture
def temporary(tmp_path):
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def start(arguments: list[str], temporary: Path, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "attn_doctor", "reproduce", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary), "NO_COLOR": "1", **environ},
    )


def reproduced(slug: str, temporary: Path, *options: str, target: str = sys.executable) -> tuple[int, dict]:
    process = start([slug, "--target", target, "--json", "-", *options], temporary)
    out, err = process.communicate(timeout=240)
    assert out, err
    return process.returncode, json.loads(out)


@pytest.mark.parametrize(
    ("slug", "text"),
    [
        pytest.param("segfault", "Segmentation fault", marks=gcc),
        pytest.param("illegal-instruction", "Illegal instruction", marks=gcc),
        pytest.param("mkl-does-not-fit", "undefined symbol: iJIT_NotifyEvent", marks=gcc),
        pytest.param("glibc-too-old", "version `GLIBC_2.99' not found", marks=gcc),
        pytest.param("glibcxx-too-old", "version `GLIBCXX_3.4.99' not found", marks=gcc),
        pytest.param("libcudart-missing", "libcudart.so.11.0: cannot open shared object file", marks=gcc),
        pytest.param("ld-library-path-shadowing", "undefined symbol: __nvJitLinkComplete_12_4", marks=gcc),
        pytest.param("python-headers-missing", "Python.h: No such file or directory", marks=gcc),
        pytest.param("cuda-headers-incomplete", "cusparse.h: No such file or directory", marks=gcc),
        pytest.param("host-compiler-too-old", "c++99", marks=gcc),
        pytest.param("out-of-memory-build", "memory", marks=gcc),
        pytest.param("flash-attn-4-namespace", "(unknown location)"),
        pytest.param("torch-install-broken", "has no attribute '__version__'"),
        pytest.param("python-version-syntax", "SyntaxError: invalid syntax", marks=old),
        pytest.param("cross-device-link", "[Errno 18]", marks=namespaces),
        pytest.param("wheel-platform-mismatch", "is not a supported wheel on this platform"),
        pytest.param("disk-full", "[Errno 28] No space left on device", marks=namespaces),
        pytest.param(
            "shared-memory-full", "unable to allocate shared memory", marks=[namespaces, torch, pytest.mark.heavy]
        ),
        pytest.param("network-proxy-ssl", "CERTIFICATE_VERIFY_FAILED", marks=namespaces),
        pytest.param("abi-mismatch-cxx11", "undefined symbol: _ZN3c106detail14torchCheckFail", marks=[gcc, torch]),
        pytest.param("abi-mismatch-torch-version", "undefined symbol: _ZN", marks=[gcc, torch]),
        pytest.param("dtype-unsupported", "to have the same dtype", marks=torch),
        pytest.param("numpy-missing-or-old", "Numpy is not available", marks=torch),
        pytest.param("nan-outputs", "returned nan values in its 0th output", marks=torch),
        pytest.param("static-tls-exhausted", "cannot allocate memory in static TLS block", marks=gcc),
        pytest.param("wsl2-driver-stub", "cuInit: 100", marks=gcc),
        pytest.param("export-of-flash-attn", "unrecognized namespace", marks=[torch, pytest.mark.heavy]),
        pytest.param("ultralytics-autoupdate-failed", "AutoUpdate", marks=[namespaces, ultralytics, pytest.mark.heavy]),
        pytest.param(
            "checkpoint-needs-numpy-2", "No module named 'numpy._core.numeric'", marks=[registry, pytest.mark.heavy]
        ),
        pytest.param("libgl-missing", "libGL.so.1: cannot open", marks=[namespaces, pytest.mark.heavy]),
    ],
)
def test_a_failure_happens_and_is_named(slug, text, temporary):
    code, outcome = reproduced(slug, temporary, *(["--yes"] if slug in DOWNLOADING else []))
    assert outcome["reproduced"] is True, outcome["why_not"]
    assert text in outcome["log"]
    assert (code, outcome["slug"], outcome["simulated"], outcome["named"]) == (0, slug, False, True), outcome[
        "findings"
    ]
    assert [f["slug"] for f in outcome["findings"] if f["root_cause"]][:1] == [slug]
    assert list(temporary.iterdir()) == []


def test_the_outcome_has_the_keys_of_the_contract(temporary):
    code, outcome = reproduced("windows-unsupported", temporary)
    assert code == 0
    assert list(outcome) == "slug reproduced simulated named findings log why_not stands_in seconds".split()
    assert (outcome["reproduced"], outcome["simulated"], outcome["named"]) == (True, True, True)
    assert outcome["findings"][0]["code"] == "AD501"


def test_a_code_will_do_and_a_wrong_name_is_answered_with_the_nearest(temporary):
    code, outcome = reproduced("AD501", temporary)
    assert (code, outcome["slug"]) == (0, "windows-unsupported")
    process = start(["wsl2-driver-stab"], temporary)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "did you mean wsl2-driver-stub?" in err


def test_without_a_terminal_nothing_is_downloaded_unless_yes_was_said(temporary):
    process = start(["numpy-abi", "--target", sys.executable], temporary)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert "Downloads up to " in err
    assert "--yes" in err.splitlines()[-1]
    assert list(temporary.iterdir()) == []


@linux
def test_what_cannot_be_had_here_ends_with_3_and_the_reason(temporary, tmp_path):
    """A PATH with Python alone: no gcc, so nothing can be compiled."""
    programs = tmp_path / "programs"
    programs.mkdir()
    process = start(["segfault", "--target", sys.executable, "--json", "-"], temporary, PATH=str(programs))
    out, err = process.communicate(timeout=60)
    outcome = json.loads(out)
    assert (process.returncode, outcome["reproduced"], outcome["named"]) == (3, False, False)
    assert outcome["why_not"] == "there is no gcc here"
    assert "cannot be reproduced here: there is no gcc here" in err


@old
def test_a_person_sees_the_log_the_verdict_and_what_to_do(temporary):
    process = start(["python-version-syntax", "--target", sys.executable], temporary)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "SyntaxError: invalid syntax" in out
    assert "python-version-syntax happened, and the doctor named it." in out
    assert "AD206" in out
    assert "Downloads nothing." in err


@old
def test_the_log_goes_to_a_file_and_the_folder_stays_where_asked(temporary, tmp_path):
    log = tmp_path / "seen.log"
    code, _ = reproduced("python-version-syntax", temporary, "--keep", "--log", str(log))
    assert code == 0
    lines = log.read_text().splitlines()
    assert lines[0].startswith("$ ")
    assert lines[-1] == "[exit code: 1]"
    (kept,) = temporary.iterdir()
    assert (kept / "environment").is_dir()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@gcc
def test_an_interrupted_run_leaves_nothing(number, temporary):
    process = start(["import-hang", "--target", sys.executable], temporary)
    for line in process.stderr:
        if "running" in line:
            break
    time.sleep(0.5)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert list(temporary.iterdir()) == []


@gcc
def test_a_hanging_import_is_found_by_examining_the_environment(temporary):
    code, outcome = reproduced("import-hang", temporary)
    assert (code, outcome["named"]) == (0, True), outcome["findings"]
    assert "[stopped after 3 s]" in outcome["log"]


@gcc
def test_the_target_is_not_touched(temporary, tmp_path):
    """Every file of the target, its name, its content and its time."""
    python = make_target(tmp_path / "target", {"torch": {"__init__.py": "raise ImportError('ill')\n"}})

    def state() -> dict[str, str]:
        files = sorted(p for p in (tmp_path / "target").rglob("*") if p.is_file() and not p.is_symlink())
        return {str(p): f"{p.stat().st_mtime_ns} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in files}

    before = state()
    code, _ = reproduced("segfault", temporary, target=str(python))
    assert code == 0
    assert state() == before


def test_a_target_that_does_not_answer_could_not_be_examined(temporary, tmp_path):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'no interpreter here' >&2\nexit 1\n")
    program.chmod(0o755)
    process = start(["python-version-syntax", "--target", str(program)], temporary)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "no interpreter here" in err
