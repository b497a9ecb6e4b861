"""A study from its beginning to its end, with a target that trains nothing: what fails, hangs, is killed and is gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from study_kit import environment, fake_python, looked_at, small_design

from attn_doctor.errors import Refused
from attn_doctor.model.study import Event, Study
from attn_doctor.study.conduct import Wanted, conduct
from attn_doctor.study.journal import read
from attn_doctor.study.state import study_of
from attn_doctor.study.training import Alive, check_arms

# Conducts the study of a folder in a process of its own, which a test kills. Arguments: the folder, the folder of the fake target.
CONDUCT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from study_kit import environment, fake_python, looked_at, small_design
from attn_doctor.study.conduct import Wanted, conduct

class Silent:
    def happened(self, event, study): print(event.at, flush=True)
    def alive(self, sign): pass

wanted = Wanted(python=fake_python(Path(sys.argv[2])), environ=environment(), folder=Path(sys.argv[1]))
conduct(small_design(), looked_at(), wanted, Silent())
"""


class Heard:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.signs: list[Alive] = []

    def happened(self, event: Event, study: Study) -> None:
        self.events.append(event)

    def alive(self, sign: Alive) -> None:
        self.signs.append(sign)


def conducted(
    folder: Path, design=None, heard: Heard | None = None, *, fake: dict[str, str] | None = None, **more
) -> Study:
    environ = environment(FAKE=json.dumps(fake or {}))
    folder.mkdir(exist_ok=True)
    wanted = Wanted(python=fake_python(folder), environ=environ, folder=folder / "study", **more)
    return conduct(design or small_design(), looked_at(), wanted, heard or Heard())


def results(study: Study) -> list[tuple[object, ...]]:
    """Return the part of a study that does not depend on the clock."""
    return [
        (c.arm, c.seed, c.state, c.proven, c.weights, [(e.number, e.losses, e.map50, e.map50_95) for e in c.epochs])
        for c in study.cells
    ]


def test_every_cell_is_trained_and_proven(tmp_path):
    heard = Heard()
    study = conducted(tmp_path, heard=heard)
    assert [(c.arm, c.seed, c.state, c.proven, c.layers, len(c.epochs)) for c in study.cells] == [
        ("eager", 0, "done", True, 0, 3),
        ("eager", 1, "done", True, 0, 3),
        ("sdpa-flash", 0, "done", True, 8, 3),
        ("sdpa-flash", 1, "done", True, 8, 3),
    ]
    assert study.cells[3].kernels == (
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
    )
    assert study.cells[3].epochs[2].losses == {"train/box_loss": 1 + 0.3 + 0.01}
    # Both attentions of a seed come before the next seed.
    assert [(e.arm, e.seed) for e in heard.events if e.at == "begin"] == [
        ("eager", 0),
        ("sdpa-flash", 0),
        ("eager", 1),
        ("sdpa-flash", 1),
    ]
    assert (heard.signs[0].arm, heard.signs[0].doing, heard.signs[0].memory) == ("eager", "training", 1 << 30)
    # Nothing is left to do: the same command trains nothing, and has the same table.
    again = Heard()
    assert results(conducted(tmp_path, heard=again)) == results(study)
    assert again.events == []


def test_another_kernel_than_the_one_asked_for_is_said(tmp_path):
    """The fake computes hand-written attention for every name but sdpa-flash."""
    study = conducted(tmp_path, small_design(arms=("eager", "sdpa-efficient"), seeds=(0,)))
    assert [cell.proven for cell in study.cells] == [True, False]
    assert study.cells[1].said == "1 of 1 calls fell back to math"


def test_a_cell_that_crashes_is_a_row_and_the_others_go_on(tmp_path):
    study = conducted(tmp_path, fake={"sdpa-flash": "crash:2"})
    assert [cell.state for cell in study.cells] == ["done", "done", "failed", "failed"]
    assert study.cells[2].said == "after epoch 1: SIGSEGV in training"
    assert len(study.cells[2].epochs) == 1
    assert conducted(tmp_path, heard=(heard := Heard())).cells[2].state == "failed"
    assert heard.events == []
    cured = conducted(tmp_path, retry=True)
    assert [cell.state for cell in cured.cells] == ["done"] * 4


def test_a_training_that_was_killed_from_outside_goes_on(tmp_path):
    study = conducted(tmp_path, small_design(seeds=(0,)), fake={"eager": "kill:2"})
    assert [cell.state for cell in study.cells] == ["stopped", "done"]
    assert study.cells[0].said.startswith("after epoch 1: its process was killed (SIGKILL; ")
    whole = conducted(tmp_path, small_design(seeds=(0,)))
    assert [cell.state for cell in whole.cells] == ["done", "done"]
    assert results(whole) == results(conducted(tmp_path / "whole", small_design(seeds=(0,))))


def test_a_loss_that_is_no_number_leaves_a_journal_that_can_be_read(tmp_path):
    study = conducted(tmp_path, small_design(seeds=(0,)), fake={"eager": "nan:2"})
    assert study.cells[0].epochs[1].losses == {"train/box_loss": 0.2 + 0.005}
    assert study.cells[0].said == "from epoch 2 on, values were no finite numbers"
    assert results(study_of(read(tmp_path / "study"))) == results(study)


def test_a_cell_that_hangs_is_ended(tmp_path):
    study = conducted(tmp_path, small_design(seeds=(0,)), fake={"eager": "hang:2"}, silence=1.5)
    assert [cell.state for cell in study.cells] == ["failed", "done"]
    assert study.cells[0].said.startswith("after epoch 1: no answer for ")


def test_a_budget_stops_between_epochs_and_the_same_command_goes_on(tmp_path):
    design = small_design(seeds=(0,), epochs=4)
    fake = {"eager": "slow:0.6", "sdpa-flash": "slow:0.6"}
    study = conducted(tmp_path, design, fake=fake, budget=30.0)
    assert [cell.state for cell in study.cells] == ["stopped", "waiting"]
    assert 1 <= len(study.cells[0].epochs) < 4
    assert study.cells[0].said == "the budget ended; the same command goes on"
    # Time was left, but less than an epoch takes: no other training began.
    assert [e.arm for e in read(tmp_path / "study") if e.at == "begin"] == ["eager"]
    whole = conducted(tmp_path, design)
    (tmp_path / "other").mkdir()
    assert results(whole) == results(conducted(tmp_path / "other", design))


def test_another_design_in_the_same_folder_is_refused(tmp_path):
    conducted(tmp_path, small_design(seeds=(0, 1)))
    for seeds, shown in ((0,), "0"), ((1, 0), "1 0"), ((1, 2, 3), "1 2 3"):
        with pytest.raises(Refused, match=rf"has another study: seeds \(0 1 there, {shown} now\)"):
            conducted(tmp_path, small_design(seeds=seeds))


def test_seeds_can_be_added_to_a_study(tmp_path):
    first = conducted(tmp_path, small_design(seeds=(0,)))
    assert first.added == ()
    more = conducted(tmp_path, small_design(seeds=(0, 2, 1)))
    assert (more.design.seeds, more.added) == ((0, 2, 1), (2, 1))
    begun = [(e.arm, e.seed) for e in read(tmp_path / "study") if e.at == "begin"]
    assert len(begun) == len(set(begun)) == 6  # what the first command had trained was not trained again
    assert results(more) == results(conducted(tmp_path / "whole", small_design(seeds=(0, 2, 1))))
    again = conducted(tmp_path, small_design(seeds=(0, 2, 1)))
    assert (again.added, len(read(tmp_path / "study"))) == ((2, 1), len(read(tmp_path / "study")))
    with pytest.raises(Refused, match=r"seeds \(0 2 1 there, 0 now\)"):
        conducted(tmp_path, small_design(seeds=(0,)))


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("moment", ["begin", "proof", "epoch", "end"])
def test_a_killed_study_goes_on(moment, tmp_path):
    """The doctor is killed at the first event of a kind; the training must end too, and the table be that of a study that nobody killed."""
    environ = environment(FAKE=json.dumps({"eager": "slow:0.3", "sdpa-flash": "slow:0.3"}))
    code = CONDUCT.format(tests=str(Path(__file__).parent))
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "study"), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
    )
    for line in first.stdout:
        if line.strip() == moment:
            break
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    killed = study_of(read(tmp_path / "study"))
    assert killed.cells[-1].state == "waiting"
    until = time.monotonic() + 20
    while _trainings(tmp_path) and time.monotonic() < until:
        time.sleep(0.1)
    assert _trainings(tmp_path) == []
    assert results(conducted(tmp_path)) == results(conducted(tmp_path / "whole"))


def _trainings(folder: Path) -> list[str]:
    """Return the processes that run the fake target of this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(folder / "fake_target.py").encode() in words:
            found.append(process.name)
    return found


def test_attentions_that_cannot_be_trained_are_refused():
    check_arms(("eager", "as-shipped", "sdpa", "flash-attn-2"))
    with pytest.raises(Refused, match="--attention compile: a study can train with as-shipped, "):
        check_arms(("eager", "compile"))
    with pytest.raises(Refused, match="--attention names eager twice"):
        check_arms(("eager", "eager"))
