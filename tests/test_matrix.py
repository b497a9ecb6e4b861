"""`attn-doctor matrix`: saved reports side by side, and the decisions that they allow. The reports are made by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from attn_doctor.model.facts import Facts, Gpu, Graphics
from attn_doctor.model.trials import Gain, GpuWatch, Interval, Range, Stages, Trial, TrialRun
from attn_doctor.report.blocks import Table
from attn_doctor.report.matrix_outline import charts, outline
from attn_doctor.trials.decision_matrix import matrix
from attn_doctor.trials.long_trial import Study
from attn_doctor.trials.saved_trials import SavedTrial, saved_trial

ROOT = Path(__file__).parent.parent
GIB = 2**30


def took(ms: float) -> Interval:
    return Interval(median=ms, low=ms * 0.9, high=ms * 1.1, n=9)


def gain(verdict: str, ratio: float = 1.5, **more) -> Gain:
    return Gain(ratio=ratio, low=ratio - 0.1, high=ratio + 0.1, n=9, p=0.01, verdict=verdict, **more)


def row(backend: str, step: float = 200.0, **more) -> Trial:
    given = {
        "backend": backend,
        "status": "ok",
        "dtype": "float32",
        "model": "yolo12n.yaml",
        "batch": 2,
        "imgsz": 640,
        "threads": 1,
        "forward_ms": took(step / 4),
        "step_ms": took(step),
        **more,
    }
    return Trial(**given)


def report(*rows: Trial, name: str = "a.json", run: TrialRun | None = None, facts: Facts | None = None) -> SavedTrial:
    return SavedTrial(name, rows, (run or TrialRun(imgsz=640, cpu="A processor", torch="2.8.0"),), facts, None)


def decided(*rows: Trial) -> tuple[str | None, str]:
    (choice,) = matrix([report(*rows)]).choices
    return choice.backend, choice.why


def test_each_verdict_makes_its_cell():
    eager = row("eager")
    assert decided(eager, row("sdpa", 130, step_gain=gain("faster"))) == ("sdpa", "faster than eager beyond doubt")
    assert decided(eager, row("sdpa", step_gain=gain("no difference", 1.01))) == ("eager", "no other backend is faster")
    assert decided(eager, row("sdpa", status="wrong", step_gain=gain("faster"))) == (
        "eager",
        "no other backend has right numbers",
    )
    assert decided(row("eager", status="wrong"), row("sdpa", 150, step_gain=gain("faster")), row("sdpa-math", 220)) == (
        "sdpa",
        "eager's numbers are wrong",
    )


def test_what_is_not_decided_stays_empty_with_its_reason():
    eager = row("eager")
    assert decided(eager) == (None, "only eager was tried")
    open_ = gain("undecided", 1.4, more_rounds=12)
    assert decided(eager, row("sdpa", step_gain=open_)) == (
        None,
        "sdpa is 1.40× (1.30–1.50) in 9 rounds: undecided; about 12 more rounds would decide it",
    )
    assert decided(eager, row("sdpa")) == (None, "sdpa was not compared with eager")
    assert decided(row("sdpa")) == (None, "eager was not tried, so there is nothing to compare with")
    assert decided(row("eager", status="failed", step_ms=None), row("sdpa")) == (
        None,
        "eager gave no numbers to compare with",
    )
    assert decided(row("eager", status="wrong"), row("sdpa", status="wrong")) == (None, "no backend has right numbers")


def test_a_decided_cell_needs_no_open_one():
    """One backend is faster beyond doubt: that another one is open does not empty the cell, as in `check` and `trial`."""
    rows = (
        row("eager"),
        row("sdpa", 130, step_gain=gain("faster")),
        row("sdpa-math", step_gain=gain("undecided", 1.02)),
    )
    assert decided(*rows)[0] == "sdpa"


def test_reports_of_one_kind_of_machine_are_one_matrix():
    fast = row("sdpa", 130, step_gain=gain("faster"))
    open_ = row("sdpa", step_gain=gain("undecided", 1.1))
    first, second = report(row("eager"), open_), report(row("eager"), fast, name="b.json")
    (choice,) = matrix([first, second]).choices
    assert (choice.backend, choice.reports) == ("sdpa", ("a.json", "b.json"))
    same = report(row("eager"), row("sdpa", step_gain=gain("no difference", 1.0)), name="c.json")
    (choice,) = matrix([second, same]).choices
    assert choice.backend is None
    assert choice.why == "the reports disagree: b.json says sdpa, c.json says eager"
    newer = report(row("eager"), fast, run=TrialRun(imgsz=640, cpu="A processor", torch="2.9.0"))
    assert len(matrix([first, newer]).choices) == 2  # another torch is another kind


def test_tokens_are_those_of_the_largest_call():
    def tokens(**more):
        (choice,) = matrix([report(row("eager", **more), row("sdpa", step_gain=gain("faster"), **more))]).choices
        return choice.tokens

    assert tokens() == 400  # a quarter of 40 x 40: YOLO12's area at 640 pixels
    assert tokens(imgsz=1280) == 1600
    assert tokens(tokens=123) == 123  # as the trial recorded it
    assert tokens(model="yolo11n.yaml") is None  # an old report of another model does not tell
    assert tokens(model=None, scope="attention", imgsz=None, batch=4, shape="4x8x2048x64") == 2048


def test_the_matrix_has_a_line_for_each_size_and_a_column_for_each_dtype():
    rows = []
    for size, dtype, verdict in (
        (640, "float32", "faster"),
        (640, "float16", "undecided"),
        (1280, "float16", "faster"),
    ):
        given = {"imgsz": size, "dtype": dtype, "device": "cuda:0", "threads": 4}
        rows += [row("eager", **given), row("sdpa-flash", 100, step_gain=gain(verdict, 2.0), **given)]
    runs = (
        TrialRun(imgsz=640, gpu_name="NVIDIA H200", torch="2.8.0"),
        TrialRun(imgsz=1280, gpu_name="NVIDIA H200", torch="2.8.0"),
    )
    found = matrix([SavedTrial("h.json", tuple(rows), runs, None, None)])
    table = next(b for b in outline(found) if isinstance(b, Table) and b.caption.startswith("Which attention"))
    assert table.caption == "Which attention: yolo12n.yaml on NVIDIA H200, torch 2.8.0"
    assert table.columns == ("tokens", "batch", "float32", "float16")
    assert [[cell.text for cell in line] for line in table.rows] == [
        ["400", "2", "sdpa-flash 2.00× (1.90–2.10)", ""],
        ["1,600", "2", "", "sdpa-flash 2.00× (1.90–2.10)"],
    ]
    assert table.notes[1:] == ("400 tokens, batch 2, float16: sdpa-flash is 2.00× (1.90–2.10) in 9 rounds: undecided",)


def test_a_row_holds_what_was_measured_and_nothing_else():
    stages = Stages(backend="eager", dtype="float32", preprocess_ms=0.5, model_ms=7.0, postprocess_ms=2.5, n=9)
    watch = GpuWatch(watts=165.0, celsius=Range(low=60, high=71), n=20)
    run = TrialRun(imgsz=640, torch="2.8.0", gpu_name="NVIDIA T4", gpu=watch, processor_load=0.25, stages=(stages,))
    rows = (row("eager", 100.0, device="cuda:0", peak_bytes=2 * GIB), row("sdpa", 50.0, device="cuda:0"))
    first, second = matrix([report(*rows, run=run)]).measured
    assert (first.machine, first.torch, first.threads) == ("NVIDIA T4", "2.8.0", None)
    assert first.predicted_a_second == pytest.approx(100.0)  # 10 ms an image
    assert first.forward_a_second == pytest.approx(80.0)  # 2 images in 25 ms
    assert first.trained_a_second == pytest.approx(20.0)  # 2 images in 100 ms
    assert (first.memory, first.watts, first.celsius.high, first.processor_load) == (2 * GIB, 165.0, 71, 0.25)
    assert (second.predicted_a_second, second.inference_ms, second.memory) == (None, None, None)
    table = next(
        b for b in outline(matrix([report(*rows, run=run)])) if getattr(b, "caption", "") == "What was measured"
    )
    shown = dict(zip(table.columns, (cell.text for cell in table.rows[1]), strict=True))
    assert (shown["FPS, predicting"], shown["memory"], shown["°C"], shown["cores busy"]) == ("", "", "60–71", "25%")
    assert shown["machine"] == "NVIDIA T4, torch 2.8.0 (a.json)"
    assert shown["trial"] == "yolo12n.yaml, 640 pixels, batch 2, float32"
    assert table.rows[0][4].text == "0.50 + 7.00 + 2.50"


def test_attention_alone_is_no_speed_of_images():
    (found,) = matrix([report(row("eager", shape="2x8x400x32", imgsz=None, model=None))]).measured
    assert (found.forward_a_second, found.trained_a_second) == (None, None)
    assert (found.subject, found.tokens) == ("attention alone, heads: 8 of 32", 400)
    table = outline(matrix([report(row("eager", shape="2x8x400x32", imgsz=None, model=None))]))[-1]
    shown = dict(zip(table.columns, (cell.text for cell in table.rows[0]), strict=True))
    assert (shown["forward, ms"], shown["forward and backward, ms"]) == ("50.00", "200.00")


@pytest.mark.parametrize("shape", ["", "²x8x400x32", f"2x8x{'9' * 5000}x32", "2x8x400"])
def test_a_shape_that_nobody_measured_has_no_tokens(shape):
    (found,) = matrix([report(row("eager", shape=shape, imgsz=None, model=None))]).measured
    assert found.tokens is None


@pytest.mark.parametrize("milliseconds", [0.0, -1.0])
def test_a_time_that_no_trial_measures_is_no_speed(milliseconds):
    (found,) = matrix([report(row("eager", milliseconds))]).measured
    assert (found.forward_a_second, found.trained_a_second) == (None, None)


def test_the_gpu_of_an_older_report_is_named_by_its_facts():
    def named(*gpus):
        facts = Facts(graphics=Graphics(gpus=gpus))
        run = TrialRun(imgsz=640, cpu="A processor")
        return matrix([report(row("eager", device="cuda:0"), run=run, facts=facts)]).measured[0].machine

    first, other = (Gpu(index=n, name=name, visible=True) for n, name in ((0, "NVIDIA T4"), (1, "NVIDIA A10")))
    assert named(first) == named(first, msgspec.structs.replace(other, visible=False)) == "NVIDIA T4"
    assert named(first, other) == named() == "a GPU without a name"


def test_charts_have_a_group_for_each_machine():
    rows = (row("eager", 100.0), row("sdpa", 50.0, status="wrong"))
    other = TrialRun(imgsz=640, cpu="Another processor", torch="2.8.0")
    made = {chart.caption: chart for chart in charts(matrix([report(*rows), report(*rows, name="b.json", run=other)]))}
    training = made["Images a second in training"]
    assert [[(bar.label, bar.text, bar.remark) for bar in bars] for _, bars in training.groups] == [
        [("eager", "20.0", ""), ("sdpa", "40.0", "wrong")]
    ] * 2
    assert "Images a second through ultralytics' predictor" not in made


def doctor(*argv, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "attn_doctor", "matrix", *argv]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a folder with a report of `trial`, and one of `check` that has no trial."""
    folder = tmp_path_factory.mktemp("saved")
    run = TrialRun(imgsz=640, cpu="A processor", torch="2.8.0", processor_load=0.5)
    study = Study(trials=(row("eager"), row("sdpa", 130, step_gain=gain("faster"))), runs=(run,))
    (folder / "laptop.json").write_bytes(msgspec.json.encode(study))
    (folder / "facts.json").write_text('{"torch": {"version": "2.6.0"}}')
    command = [sys.executable, "-m", "attn_doctor", "check", "--facts", "facts.json", "--json", "server.json"]
    subprocess.run(command, cwd=folder, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return folder


def test_the_command(saved):
    done = doctor("laptop.json", "server.json", "--json", "m.json", "--markdown", "m.md", "--html", "m.html", cwd=saved)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 1 cells are decided." in done.stdout
    assert "sdpa 1.50× (1.40–1.60)" in done.stdout
    assert "server.json: " in done.stdout
    found = json.loads((saved / "m.json").read_text())
    assert [(c["backend"], c["tokens"], c["batch"]) for c in found["choices"]] == [("sdpa", 400, 2)]
    assert [m["trained_a_second"] for m in found["measured"]] == [10.0, pytest.approx(2000 / 130)]
    assert "sdpa 1.50×" in (saved / "m.md").read_text()
    assert "<figure" in (saved / "m.html").read_text()


def test_how_it_ends(saved):
    assert doctor("server.json", cwd=saved).returncode == 3
    for names, said in ((["facts.json"], "facts.json is no report"), (["-", "-"], "standard input")):
        done = doctor(*names, cwd=saved)
        assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (2, "", False)
        assert said in done.stderr


def test_two_files_of_one_name_are_told_apart(saved):
    for folder in ("east", "west"):
        (saved / folder).mkdir()
        (saved / folder / "r.json").write_bytes((saved / "laptop.json").read_bytes())
    found = json.loads(doctor("east/r.json", "west/r.json", "--json", "-", cwd=saved).stdout)
    assert found["choices"][0]["reports"] == ["east/r.json", "west/r.json"]


def test_a_report_of_check_has_its_trial_and_its_facts(saved):
    whole = json.loads((saved / "server.json").read_text())
    whole["trials"] = msgspec.to_builtins([row("eager", device="cuda:0"), row("sdpa", step_gain=gain("faster"))])
    whole["trial_run"] = msgspec.to_builtins(TrialRun(imgsz=640, torch="2.6.0"))
    found = saved_trial(json.dumps(whole).encode(), "r.json")
    assert [one.backend for one in found.rows] == ["eager", "sdpa"]
    assert found.facts.torch.version == "2.6.0"
    assert found.run_of(found.rows[0]).torch == "2.6.0"
