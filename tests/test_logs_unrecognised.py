"""Logs with errors that nothing knows, logs that end well, and files that are no logs: what is said of each, and with which exit code."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest
from recorded_logs import CASES, LOGS, Case, reader

from attn_doctor.examination.inputs import log_reader
from attn_doctor.failure_modes import ALL
from attn_doctor.failure_modes.mode import Module
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.judging.goals import implied_by
from attn_doctor.logs.decode import BLOCK
from attn_doctor.logs.errors import log_end
from attn_doctor.logs.not_a_log import NoLog, checked
from attn_doctor.logs.reader import Log
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Diagnosis, Goal
from attn_doctor.report.blocks import Verdict
from attn_doctor.report.log_outline import of_diagnosis

WHOLE = log_reader()
HEALTHY = [case for case in CASES if case.folder == "healthy"]
UNKNOWN = [case for case in CASES if case.folder == "unrelated"]
KNOWN = [case for case in CASES if case.root]


def read(data: bytes, name: str = "log") -> Log:
    return WHOLE.read(io.BytesIO(data), name)


def judged(data: bytes) -> tuple[Diagnosis, Log]:
    log = read(data)
    return diagnose(facts_of_logs([log]), implied_by([log]), logs=[log], modules=concerned(log)), log


def concerned(log: Log) -> list[Module]:
    """Return the failure modes that have something to say of a log."""
    slugs = {match.slug for match in log.matches}
    return [module for module in ALL if module.MODE.slug in slugs]


def verdict(data: bytes) -> Verdict | None:
    diagnosis, log = judged(data)
    return next((b for b in of_diagnosis(diagnosis, facts_of_logs([log]), [log]) if isinstance(b, Verdict)), None)


def test_a_log_that_ended_well_holds_no_error():
    assert len(HEALTHY) >= 85
    for case in HEALTHY:
        diagnosis, log = judged(case.data)
        assert diagnosis.unrecognised == (), (case.name, diagnosis.unrecognised)
        assert log_end(log).errors == (), case.name


def test_of_a_healthy_log_a_tick_says_no_more_than_was_read():
    for case in HEALTHY:
        said = verdict(case.data)
        assert said is not None, case.name
        assert said.text.startswith(("No error", "Nothing that these", "The log ends without an error")), (
            case.name,
            said,
        )
        assert "known to fail" not in said.text


def test_an_unknown_error_is_quoted():
    assert len(UNKNOWN) >= 75
    for case in UNKNOWN:
        diagnosis, _ = judged(case.data)
        texts = [error.text for error in diagnosis.unrecognised]
        assert any(case.expect["unrecognised"] in text for text in texts), (case.name, texts)
        said = verdict(case.data)
        assert said is not None, case.name
        assert said.tone == "warn", (case.name, said)
        assert said.text.startswith("Not recognised."), (case.name, said)


def test_the_line_of_an_unknown_error_is_its_line():
    for case in UNKNOWN:
        if case.name.startswith(("utf16", "docker-json")):
            continue
        lines = case.data.decode().split("\n")
        for error in judged(case.data)[0].unrecognised:
            assert error.text.strip("…")[:40] in lines[error.line - 1].replace("\t", " "), (case.name, error)


PREFIXES = ("#12 34.56 ", "2026-11-20T12:31:00.1234567Z ", "trainer-1  | ", "[rank0]: ", "      │ ")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_on_every_line_changes_nothing(prefix):
    for case in UNKNOWN:
        if case.name.startswith(("utf16", "docker-json", "vscode")):
            continue
        lines = "\n".join(prefix + line for line in case.data.decode().split("\n"))
        texts = [error.text for error in judged(lines.encode())[0].unrecognised]
        assert any(case.expect["unrecognised"][:40] in text for text in texts), (case.name, texts)


def dressed(case: Case) -> dict[str, bytes]:
    text = case.data.decode()
    return {
        "CRLF": text.replace("\r\n", "\n").replace("\n", "\r\n").encode(),
        "colours": "\n".join(f"\x1b[31m{line}\x1b[0m" for line in text.split("\n")).encode(),
        "UTF-16": text.encode("utf-16"),
        "a bar": "\n".join(f" 10%|# | 1/10\r{line}" if line.strip() else line for line in text.split("\n")).encode(),
        "blank lines at the end": (text + "\n\n   \n").encode(),
        "a prompt at the end": (text.rstrip("\n") + "\n(v) user@host:~/work$ ").encode(),
        "an exit code at the end": (text.rstrip("\n") + "\n[exit code: 1] [wall: 2.1s]\n").encode(),
        "far from its beginning": b"compiling part 1 of 9\n" * (2 * BLOCK // 20) + case.data,
    }


def test_another_dress_changes_nothing():
    for case in UNKNOWN:
        if case.name.startswith(("utf16", "docker-json", "vscode")) or b"\r" in case.data:
            continue
        for way, data in dressed(case).items():
            texts = [error.text for error in judged(data)[0].unrecognised]
            assert any(case.expect["unrecognised"] in text for text in texts), (case.name, way, texts)


def test_what_follows_a_named_cause_is_no_news():
    named = 0
    for case in KNOWN:
        diagnosis, log = judged(case.data)
        if case.folder == "build-failed-unspecified":
            continue
        named += bool(log_end(log).errors)
        roots = [f for f in diagnosis.findings if f.root_cause]
        assert not (roots and diagnosis.unrecognised), (case.folder, case.name, diagnosis.unrecognised)
    assert named > 100


def test_an_error_after_things_went_well_again_is_told_beside_a_named_cause():
    cause = (LOGS / "numpy-abi").glob("*.log")
    data = next(iter(sorted(cause))).read_bytes()
    later = (
        b"\nSuccessfully installed numpy-1.26.4\nTraceback (most recent call last):\n"
        b'  File "t.py", line 3, in <module>\n    main()\nKeyError: "names"\n'
    )
    diagnosis, _ = judged(data + later)
    assert "numpy-abi" in {f.slug for f in diagnosis.findings}
    assert [e.text for e in diagnosis.unrecognised] == ['KeyError: "names"']


def test_a_catch_all_never_stands_beneath_a_cause():
    catch_alls = {m.MODE.slug for m in ALL if m.MODE.catch_all}
    assert catch_alls == {"build-failed-unspecified"}
    stood = 0
    for case in CASES:
        log = reader().read(io.BytesIO(case.data), "log")
        for goal in Goal:
            findings = diagnose(Facts(), goal, logs=[log], modules=concerned(log)).findings
            met = [f for f in findings if f.slug in catch_alls]
            stood += len(met)
            assert not [f for f in met if f.explained_by], (case.folder, case.name)
    assert stood >= 14


def test_a_cause_in_one_log_leaves_the_catch_all_in_another():
    cause = next(c for c in KNOWN if c.folder == "torch-missing-at-build").data
    unknown = next(c for c in KNOWN if c.folder == "build-failed-unspecified" and c.name == "tail-ninja").data
    logs = [read(cause, "a.log"), read(unknown, "b.log")]
    slugs = {f.slug for f in diagnose(facts_of_logs(logs), Goal.FLASH_ATTN, logs=logs).findings}
    assert {"torch-missing-at-build", "build-failed-unspecified"} <= slugs


def test_the_goal_of_a_log():
    goals = {
        b"$ yolo detect train\nUltralytics 8.3.78 Python-3.11.7 torch-2.6.0+cpu CPU\nResults saved to runs\n": Goal.TRAIN,
        b"loss 0.3\n": Goal.TRAIN,
        b"  Building wheel for flash-attn (setup.py): started\n": Goal.FLASH_ATTN,
        b"ModuleNotFoundError: No module named 'flash_attn_2_cuda'\n": Goal.FLASH_ATTN,
        b"running build_ext\n": Goal.FLASH_ATTN,
    }
    for data, goal in goals.items():
        assert implied_by([read(data)]) is goal, data


NO_LOGS = {
    "report.json": (b'{"schema_version": 1, "tool": {}, "facts": {}, "findings": []}', "attn-doctor show"),
    "facts.json": (b'{"system": {"os": "linux"}, "interpreter": {}, "torch": {}}', "check --facts"),
    "answer.json": (b'{"findings": [], "undetermined": [], "unrecognised": []}', "the log itself"),
    "settings.json": (b'{"width": 3, "names": ["a"]}\n', "JSON"),
    "list.json": (b'[{"width": 3},\n {"width": 4}]\n', "JSON"),
    "run.ipynb": (b'{"cells": [], "metadata": {}, "nbformat": 4}', "notebook"),
    "shot.png": (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "image"),
    "shot.jpg": (b"\xff\xd8\xff\xe0" + b"\0\x10JFIF" * 20, "image"),
    "tiny.so": (b"\x7fELF\x02\x01\x01" + b"\0" * 60, "attn-doctor inspect"),
    "tiny-1-py3-none-any.whl": (b"PK\x03\x04" + b"\0" * 60, "attn-doctor inspect"),
    "yolo.pt": (b"PK\x03\x04" + b"\0" * 60, "zip"),
    "build.log.gz": (b"\x1f\x8b\x08\0" + b"\x99" * 60, "zcat"),
    "noise.bin": (bytes(range(256)) * 4 + b"\0" * 600, "a binary file"),
    "pyproject.toml": (b'[project]\nname = "tiny"\ndependencies = ["torch"]\n', "attn-doctor check"),
    "environment.yml": (b"name: yolo\nchannels:\n  - conda-forge\ndependencies:\n  - python=3.11\n  - pip:\n      - torch\n", "attn-doctor check"),
    "compose.yaml": (b"services:\n  trainer:\n    image: x\nvolumes:\n  w:\n", "attn-doctor check"),
    "train.py": (b'"""Train."""\nimport torch\n\nif not torch.cuda.is_available():\n    raise RuntimeError("error: no GPU")\n', "Python source"),
    "run.sh": (b"#!/usr/bin/env bash\nset -e\nyolo train\n", "shell script"),
    "page.html": (b"<!DOCTYPE html>\n<html><body>error: x</body></html>\n", "HTML"),
    "k.cu": (b"// a kernel\n#include <cuda.h>\n__global__ void k() {}\n", "source code"),
    "empty.log": (b"", "empty"),
    "blank.log": (b"\n\n  \n", "empty"),
}  # fmt: skip


def test_a_file_that_is_no_log_is_told_so():
    for name, (data, word) in NO_LOGS.items():
        with pytest.raises(NoLog) as said:
            checked(io.BytesIO(data), name)
        assert word in str(said.value), (name, said.value)
        assert "\n" not in str(said.value)


def test_every_recorded_log_is_a_log():
    for path in sorted(LOGS.glob("*/*.log")):
        with path.open("rb") as stream:
            assert checked(stream, path.name).read(8), path


LOGS_ALL_THE_SAME = {
    "json lines": b'{"level": "info", "msg": "step 1"}\n{"level": "error", "msg": "boom"}\n',
    "one record": b'{"message": "error: nowhere.h", "severity": 8}\n',
    "a list is printed": b"[1, 2]\n",
    "pip list": b"Package    Version\n---------- -------\ntorch      2.6.0\nflash_attn 2.7.4\n",
    "a Dockerfile in a log": b"Step 1/2 : FROM python:3.11\nStep 2/2 : RUN pip install x\nSuccessfully tagged x:latest\n",
    "key: value": b"name: tiny\nerror in the middle of it all\n",
    "one word": b"Killed\n",
    "a command and its answer": b"$ python -c 'import torch'\n",
}


def test_a_log_that_looks_like_something_else_is_a_log():
    for name, data in LOGS_ALL_THE_SAME.items():
        assert checked(io.BytesIO(data), "x.log").read(1 << 20) == data, name


def test_a_pasted_environment_is_not_called_sound():
    said = verdict(LOGS_ALL_THE_SAME["pip list"])
    assert said is not None
    assert "Not stated: the system, Python" in said.text
    assert said.tone != "good"


def command(*arguments: str, data: bytes = b"") -> tuple[int, str, str]:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", *arguments], input=data, capture_output=True, timeout=100
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_the_exit_codes_of_diagnose(tmp_path):
    def file(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    unknown = file("unknown.log", next(c for c in UNKNOWN if c.name == "two-devices").data)
    code, out, _ = command("diagnose", unknown)
    assert code == 3
    assert "! Not recognised. The last error in 1 line, line 1: RuntimeError: Expected all tensors" in out
    assert "--json report.json" in " ".join(out.split())
    assert "✓" not in out
    code, out, _ = command("diagnose", "-", "--json", "-", data=(tmp_path / "unknown.log").read_bytes())
    told_in_json = msgspec.json.decode(out.encode())
    assert code == 3
    assert told_in_json["findings"] == []
    assert [e["line"] for e in told_in_json["unrecognised"]] == [1]
    code, out, _ = command("diagnose", file("good.log", b"Successfully installed x-1\n"))
    assert (code, out.strip()) == (0, "✓ No error in 1 line.")
    known = min((LOGS / "numpy-abi").glob("*.log"))
    assert command("diagnose", str(known))[0] == 1
    assert command("diagnose", str(known), "--fail-on", "never")[0] == 0
    code, out, error = command("diagnose", file("compose.yaml", NO_LOGS["compose.yaml"][0]))
    assert (code, out) == (3, "")
    assert "is a YAML document, not a log" in error
    code, out, error = command(
        "check", "--static", "--log", file("Dockerfile", b"FROM python:3.11\nRUN pip install torch\n")
    )
    assert (code, out) == (3, "")
    assert "is a project file, not a log: `attn-doctor diagnose" in error


def test_check_shows_what_it_does_not_recognise(tmp_path):
    (tmp_path / "facts.json").write_text('{"system": {"os": "linux"}}')
    (tmp_path / "x.log").write_bytes(b"RuntimeError: Expected all tensors to be on the same device\n")
    log, facts, report = (str(tmp_path / name) for name in ("x.log", "facts.json", "report.json"))
    code, out, _ = command("check", "--facts", facts, "--log", log, "--json", report)
    assert code == 3
    assert "Not recognised" in out
    assert [e["text"][:12] for e in msgspec.json.decode(Path(report).read_bytes())["unrecognised"]] == ["RuntimeError"]
