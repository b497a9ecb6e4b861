"""Any value at any place of a saved report: every command that reads it ends with an exit code of its page, and never by a failure of its own.

What the first run found: a distribution's version of 5,000 digits (int() of Python refuses it), an installer without a name, a time of 0.
"""

from __future__ import annotations

import json
from pathlib import Path

import full_report
import pytest
from little_studies import training
from report_fuzz import cases, faults, replaced, said_of
from study_kit import small_design

from attn_doctor.model.report import encode
from attn_doctor.model.study import Event
from attn_doctor.study.journal import NAME, Journal

MACHINES = Path(__file__).parents[2] / "fixtures/machines"
QUICK = "a100-hpc-modules-cuda-11.8"
LOG = "RuntimeError: CUDA error: no kernel image is available for execution on the device\n"


def of_machine(name, folder):
    """Return the report of a recorded machine as `check` writes it."""
    path = folder / f"{name}.json"
    code, err = said_of(["check", "--facts", str(MACHINES / name / "facts.json"), "--json", str(path), "-q"])
    assert code in (0, 1, 3), err
    return json.loads(path.read_bytes())


def with_a_trial():
    return json.loads(encode(full_report.report()))


def commands(file, folder, other, number):
    """Return three of the commands that read a report, others for each number; each writes files too."""
    outputs = ["--json", str(folder / "o.json"), "--html", str(folder / "o.html"), "--markdown", str(folder / "o.md")]
    log = folder / "x.log"
    log.write_text(LOG)
    all_of_them = [
        ["show", file, *outputs],
        ["show", file, "--junit", str(folder / "o.xml"), "--sarif", str(folder / "o.sarif")],
        ["compare", file, other, *outputs[:2], *outputs[4:]],
        ["compare", other, file],
        ["fleet", file, other, *outputs],
        ["matrix", file, other, *outputs],
        ["check", "--facts", file, *outputs],
        ["diagnose", str(log), "--facts", file, *outputs[:2]],
        ["fix", "--suggest", "--offline", "--facts", file, *outputs[:2]],
        ["show", file, "--markdown", str(folder / "o.md"), "--for", "ultralytics"],
    ]
    return [all_of_them[(3 * number + more) % len(all_of_them)] for more in range(3)]


def fuzzed(report, folder, seed, most):
    folder.mkdir(exist_ok=True)
    file, other = folder / "r.json", folder / "other.json"
    other.write_text(json.dumps(report))
    chosen = cases(report, seed, most)
    return faults(report, file, chosen, lambda number: commands(str(file), folder, str(other), number + seed))


def test_no_value_of_a_report_ends_a_command(tmp_path):
    assert fuzzed(of_machine(QUICK, tmp_path), tmp_path / "f", 1, 12) == []


def test_no_value_of_a_report_with_a_trial_ends_a_command(tmp_path):
    assert fuzzed(with_a_trial(), tmp_path / "f", 2, 12) == []


FOUND = [
    (("facts", "packages", "distributions", 0, "version"), "9" * 5000),
    (("facts", "packages", "distributions", 0, "name"), "9" * 5000),
    (("facts", "interpreter", "installers"), ["", " "]),
    (("facts", "packages", "duplicates"), ["", "torch", "torch  and "]),
    (("facts", "packages", "conflicts"), [{"package": "", "requires": "9" * 5000, "found": "²"}]),
    (("facts", "packages", "conflicts"), [{"package": "torchvision 0.20", "requires": f"torch=={'9' * 5000}", "found": "1"}]),
    (("facts", "packages", "conflicts"), [{"package": "ultralytics 8", "requires": "numpy>=1", "found": "9" * 5000}]),
    (("facts", "torch", "version"), "9" * 5000),
    (("facts", "interpreter", "version"), "²"),
    (("facts", "system", "distribution_name"), " "),
    (("facts", "project", "pins"), [{"file": "requirements.txt", "line": 1, "requirement": f"torch=={'9' * 5000}"}]),
    (("facts", "subject", "command"), "yolo train batch=" + "9" * 5000),
]  # fmt: skip


def test_what_once_ended_a_command_does_not(tmp_path):
    report = of_machine(QUICK, tmp_path)
    file, other = tmp_path / "r.json", tmp_path / "other.json"
    other.write_text(json.dumps(report))
    all_of_them = {argv[0]: argv for number in range(4) for argv in commands(str(file), tmp_path, str(other), number)}
    every = [all_of_them[name] for name in ("show", "check", "diagnose", "fix")]
    assert faults(report, file, FOUND, lambda number: every[number % 2 :: 2]) == []
    assert faults(report, file, [(("facts", "grade"), " ")], lambda _: [all_of_them["fleet"]]) == []


@pytest.mark.heavy
@pytest.mark.parametrize("name", sorted(folder.name for folder in MACHINES.iterdir() if folder.is_dir()))
def test_no_value_of_any_report_ends_a_command(name, tmp_path):
    assert fuzzed(of_machine(name, tmp_path), tmp_path / "f", len(name), 400) == []


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(4))
def test_no_value_of_a_trial_ends_a_command(seed, tmp_path):
    assert fuzzed(with_a_trial(), tmp_path / "f", 10 + seed, 600) == []


def journal(folder):
    """Write the journal of a study with two trainings, and return its lines as data."""
    made = Journal(folder)
    made.append(Event(at="design", design=small_design()))
    for cell in (training("eager", 0), training("sdpa", 0, 0.6)):
        made.append(Event(at="begin", arm=cell.arm, seed=cell.seed))
        for epoch in cell.epochs:
            made.append(Event(at="epoch", arm=cell.arm, seed=cell.seed, epoch=epoch))
        made.append(Event(at="end", arm=cell.arm, seed=cell.seed, state="done", kernels=cell.kernels, proven=True))
    made.close()
    return [json.loads(line) for line in (folder / NAME).read_text().splitlines()]


@pytest.mark.parametrize("most", [pytest.param(15, id="some"), pytest.param(None, id="all", marks=pytest.mark.heavy)])
def test_no_value_of_a_journal_ends_study(most, tmp_path):
    lines = journal(tmp_path / "study")
    outputs = ["--json", str(tmp_path / "o.json"), "--html", str(tmp_path / "o.html"), "--csv", str(tmp_path / "csv")]
    found = []
    for path, value in cases(lines, 3, most):
        changed = replaced(lines, path, value)
        (tmp_path / "study" / NAME).write_text("".join(json.dumps(line) + "\n" for line in changed))
        code, err = said_of(["study", str(tmp_path / "study"), *outputs])
        if code not in (0, 1, 2, 3) or "itself failed" in err:
            found.append(f"{path} = {str(value)[:20]!r}: {code} {err[-300:]}")
    assert found == []
