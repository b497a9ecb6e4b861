"""What a study shows while it runs, and what `attn-doctor study FOLDER` shows of a folder."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from study_kit import small_design

from attn_doctor.cli.study_screen import line_of, seconds_left
from attn_doctor.cli.study_table import StudyTable
from attn_doctor.model.study import Epoch, Event, Study
from attn_doctor.study.journal import Journal
from attn_doctor.study.state import study_of
from attn_doctor.study.training import Alive

FLASH = "aten::_scaled_dot_product_flash_attention_for_cpu"


def brought(number: int, arm: str = "eager", seed: int = 0) -> Event:
    losses = {"train/box_loss": 1.5 / number, "val/box_loss": 9.0}
    epoch = Epoch(number=number, seconds=2.5, losses=losses, map50=0.4, map50_95=0.25, peak_memory=3 << 29)
    return Event(at="epoch", arm=arm, seed=seed, epoch=epoch)


EVENTS = [
    Event(at="design", design=small_design()),
    Event(at="begin", arm="eager", seed=0),
    Event(at="proof", arm="eager", seed=0, kernels=("aten::_softmax",), proven=True, layers=0),
    *(brought(number) for number in (1, 2, 3)),
    Event(at="end", arm="eager", seed=0, state="done", seconds=9.0),
    Event(at="begin", arm="sdpa-flash", seed=0),
    Event(at="proof", arm="sdpa-flash", seed=0, kernels=(FLASH,), proven=True, layers=8),
    brought(1, "sdpa-flash"),
]


def test_a_line_for_each_event():
    study = study_of(EVENTS, runs=True)
    assert [line_of(event, study) for event in EVENTS[1:]] == [
        "eager, seed 0: begins",
        "eager, seed 0: proven, aten::_softmax",
        "eager, seed 0: epoch 1 of 3, box 1.500, mAP50 0.400, mAP50-95 0.250, 2.5 s",
        "eager, seed 0: epoch 2 of 3, box 0.750, mAP50 0.400, mAP50-95 0.250, 2.5 s",
        "eager, seed 0: epoch 3 of 3, box 0.500, mAP50 0.400, mAP50-95 0.250, 2.5 s",
        "eager, seed 0: done",
        "sdpa-flash, seed 0: begins",
        f"sdpa-flash, seed 0: proven, {FLASH}",
        "sdpa-flash, seed 0: epoch 1 of 3, box 1.500, mAP50 0.400, mAP50-95 0.250, 2.5 s",
    ]
    other = Event(at="proof", arm="sdpa-flash", seed=0, proven=False, said="8 of 8 calls fell back to math")
    assert line_of(other, study) == "sdpa-flash, seed 0: NOT PROVEN, 8 of 8 calls fell back to math"
    gone_on = Event(at="begin", arm="eager", seed=1, kept=2)
    assert line_of(gone_on, study) == "eager, seed 1: goes on after epoch 2"
    failed = Event(at="end", arm="eager", seed=1, state="failed", said="after epoch 1: SIGSEGV")
    assert line_of(failed, study) == "eager, seed 1: failed (after epoch 1: SIGSEGV)"


SIGN = Alive(
    arm="sdpa-flash",
    seed=0,
    doing="training",
    epoch=2,
    done=3,
    of=4,
    losses={"train/box_loss": 1.25, "train/cls_loss": 2.5},
    memory=1 << 30,
    busy=0.96,
)


def lines_of(study: Study, *, width: int = 120, height: int = 40, signs: tuple[Alive, ...] = (SIGN,)) -> list[str]:
    out = io.StringIO()
    screen = StudyTable(study, {(sign.arm, sign.seed): sign for sign in signs}, 150.0)
    Console(file=out, width=width, height=height).print(screen)
    return out.getvalue().splitlines()


def test_the_live_table():
    head, *rows, about, rest = (line.split() for line in lines_of(study_of(EVENTS, runs=True)))
    assert head == ["attention", "seed", "state", "epoch", "box", "cls", "mAP50", "mAP50-95", "memory", "busy"]
    assert rows == [
        ["eager", "0", "done", "3/3", "0.500", "0.400", "0.250", "1.50", "GiB"],
        ["eager", "1", "waiting", "0/3", "-", "-"],
        ["sdpa-flash", "0", "training", "75", "%", "2/3", "1.250", "2.500", "0.400", "0.250", "1.00", "GiB", "1.0", "cores"],
        ["sdpa-flash", "1", "waiting", "0/3", "-", "-"],
    ]  # fmt: skip
    assert " ".join(about) == "box, cls: training loss; mAP: of the validation after the last epoch"
    assert " ".join(rest) == "1 of 4 trainings have ended, about 2 min left"


@pytest.mark.parametrize(
    ("width", "gone"), [(120, []), (80, ["busy", "memory"]), (60, ["busy", "memory", "mAP50", "cls"])]
)
def test_a_narrow_terminal_loses_whole_columns_and_never_a_part_of_a_number(width, gone):
    losses = {"train/box_loss": 1.25, "train/cls_loss": 2.5}
    sign = msgspec.structs.replace(SIGN, doing="validating", losses=losses)
    lines = lines_of(study_of(EVENTS, runs=True), width=width, signs=(sign,))
    titles = ["attention", "seed", "state", "epoch", "box", "cls", "mAP50", "mAP50-95", "memory", "busy"]
    assert lines[0].split() == [title for title in titles if title not in gone]
    assert not any("\u2026" in line for line in lines[:5])
    assert max(map(len, lines[:5])) <= width


def test_what_trains_and_what_failed_is_on_a_screen_that_has_no_room_for_all():
    failed = [
        Event(at="begin", arm="eager", seed=1),
        Event(at="end", arm="eager", seed=1, state="failed", said="after epoch 1: SIGSEGV"),
    ]
    design = Event(at="design", design=small_design(seeds=tuple(range(30))))
    study = study_of([design, *EVENTS[1:7], *failed, *EVENTS[7:]], runs=True)
    lines = lines_of(study, height=13)
    assert len(lines) < 13
    assert [line.split()[:2] for line in lines[1:7] if line.split()[2] in ("training", "failed", "done")] == [
        ["eager", "0"],
        ["eager", "1"],
        ["sdpa-flash", "0"],
    ]
    assert "not shown: 54 waiting" in lines
    assert "eager, seed 1, failed: after epoch 1: SIGSEGV" in lines


def test_the_time_that_is_left():
    """Four of twelve epochs are done, three of them by an earlier call: the one of this call took 10 s, so the other eight take 80 s."""
    study = study_of(EVENTS, runs=True)
    assert seconds_left(study, before=3, spent=10.0) == 80.0
    assert seconds_left(study, before=4, spent=10.0) is None


def shown(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "attn_doctor", "study", str(folder), *more]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path) -> Path:
    journal = Journal(tmp_path / "study")
    for event in EVENTS:
        journal.append(event)
    journal.close()
    return tmp_path / "study"


def test_a_folder_is_shown(folder, tmp_path):
    done = shown(
        folder,
        "--json",
        str(tmp_path / "out.json"),
        "--html",
        str(tmp_path / "out.html"),
        "--csv",
        str(tmp_path / "csv"),
    )
    assert (done.returncode, done.stderr) == (3, "")
    cells = json.loads((tmp_path / "out.json").read_text())["study"]["cells"]
    assert [cell["state"] for cell in cells] == ["done", "waiting", "stopped", "waiting"]
    assert "sdpa-flash" in done.stdout
    assert "<html" in (tmp_path / "out.html").read_text()
    assert any(path.suffix == ".csv" for path in (tmp_path / "csv").iterdir())


def test_a_study_that_runs_is_said_to_run(folder, tmp_path):
    journal = Journal(folder)
    shown(folder, "--json", str(tmp_path / "out.json"))
    journal.close()
    cells = json.loads((tmp_path / "out.json").read_text())["study"]["cells"]
    assert cells[2]["state"] == "running"


def test_a_study_whose_cells_are_all_done_or_failed_has_its_exit_code(folder):
    journal = Journal(folder)
    journal.append(Event(at="end", arm="sdpa-flash", seed=0, state="done"))
    for arm in ("eager", "sdpa-flash"):
        journal.append(Event(at="end", arm=arm, seed=1, state="done"))
    journal.close()
    assert shown(folder).returncode == 0
    journal = Journal(folder)
    journal.append(Event(at="end", arm="sdpa-flash", seed=1, state="failed", said="SIGSEGV"))
    journal.close()
    done = shown(folder)
    assert done.returncode == 1
    assert "SIGSEGV" in done.stdout
