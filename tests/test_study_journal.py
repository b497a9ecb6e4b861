"""The journal of a study: cut lines, what is left to do, refusals and the lock."""

from __future__ import annotations

import subprocess
import sys

import pytest
from study_kit import small_design

from attn_doctor.errors import Refused
from attn_doctor.model.study import Epoch, Event
from attn_doctor.study.journal import NAME, Journal, differences, is_held, read
from attn_doctor.study.state import CUT, left_to_do, study_of

HOLD = """
import pathlib, sys, time
from attn_doctor.study.journal import Journal
journal = Journal(pathlib.Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def epoch(number: int, map50_95: float = 0.5) -> Epoch:
    return Epoch(number=number, seconds=2.0, map50_95=map50_95)


def begun(arm: str = "eager", seed: int = 0, kept: int = 0) -> Event:
    return Event(at="begin", arm=arm, seed=seed, kept=kept)


def brought(number: int, value: float = 0.5, arm: str = "eager", seed: int = 0) -> Event:
    return Event(at="epoch", arm=arm, seed=seed, epoch=epoch(number, value))


DESIGNED = Event(at="design", design=small_design())


def test_what_is_written_is_read(tmp_path):
    journal = Journal(tmp_path / "new" / "folder")
    journal.append(DESIGNED)
    journal.append(brought(1))
    journal.close()
    events = read(tmp_path / "new" / "folder")
    assert [event.at for event in events] == ["design", "epoch"]
    assert events[0].design == small_design()
    assert events[1].epoch == epoch(1)
    assert all(event.when.endswith("+00:00") for event in events)


def test_a_journal_cut_at_any_byte_goes_on(tmp_path):
    """A kill leaves a beginning of the file: its whole lines count, and the next line is written after them."""
    journal = Journal(tmp_path)
    for event in (DESIGNED, begun(), brought(1), brought(2)):
        journal.append(event)
    journal.close()
    content = (tmp_path / NAME).read_bytes()
    ends = [place for place, byte in enumerate(content) if byte == 10]
    assert len(ends) == 4
    for cut in range(ends[0] + 1, len(content) + 1, 7):
        (tmp_path / NAME).write_bytes(content[:cut])
        whole = sum(end < cut for end in ends)
        assert len(read(tmp_path)) == whole
        again = Journal(tmp_path)
        again.append(brought(3))
        again.close()
        events = read(tmp_path)
        assert len(events) == whole + 1
        assert events[-1].epoch == epoch(3)


def test_a_damaged_line_in_the_middle_is_refused(tmp_path):
    journal = Journal(tmp_path)
    for event in (DESIGNED, begun(), brought(1)):
        journal.append(event)
    journal.close()
    lines = (tmp_path / NAME).read_bytes().split(b"\n")
    lines[1] = lines[1][: len(lines[1]) // 2]
    (tmp_path / NAME).write_bytes(b"\n".join(lines))
    with pytest.raises(Refused, match=r"line 2 of .* is damaged"):
        read(tmp_path)


def test_a_folder_without_a_study(tmp_path):
    assert read(tmp_path / "no" / "such") == ()


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    (tmp_path / NAME).write_text('{"at": "epoch"}\n')
    with pytest.raises(Refused, match="does not begin with the design"):
        read(tmp_path)


def test_two_studies_do_not_share_a_folder(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        assert is_held(tmp_path)
        with pytest.raises(Refused, match="another study runs in"):
            Journal(tmp_path)
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    assert not is_held(tmp_path)
    Journal(tmp_path).close()


def test_another_design_is_told_apart():
    stored = small_design(command=("attn-doctor", "study", "--demo"))
    assert differences(stored, small_design(command=("attn-doctor", "study", "--demo", "--budget", "60"))) == []
    other = small_design(epochs=4, arms=("eager", "sdpa"), versions={"torch": "2.16.0"}, hashes={"data": "01"})
    assert differences(stored, other) == [
        "arms (eager sdpa-flash there, eager sdpa now)",
        "epochs (3 there, 4 now)",
        "version of torch (2.15.0 there, 2.16.0 now)",
        "content of data (it was changed)",
    ]


def test_the_state_of_each_cell():
    events = [
        DESIGNED,
        begun("eager", 0),
        Event(at="proof", arm="eager", seed=0, kernels=("aten::_softmax",), proven=True, layers=0),
        brought(1, 0.1),
        brought(2, 0.2),
        brought(3, 0.3),
        Event(at="end", arm="eager", seed=0, state="done", seconds=9.0, weights="ab", sizes={"small": 0.5}),
        begun("sdpa-flash", 0),
        Event(at="end", arm="sdpa-flash", seed=0, state="failed", said="SIGSEGV", seconds=1.0),
        begun("eager", 1),
        brought(1, 0.1, seed=1),
    ]
    study = study_of(events)
    assert [(cell.arm, cell.seed, cell.state) for cell in study.cells] == [
        ("eager", 0, "done"),
        ("eager", 1, "stopped"),
        ("sdpa-flash", 0, "failed"),
        ("sdpa-flash", 1, "waiting"),
    ]
    done, cut, failed, _ = study.cells
    assert [e.map50_95 for e in done.epochs] == [0.1, 0.2, 0.3]
    assert (done.proven, done.kernels, done.weights, done.seconds, done.sizes) == (
        True,
        ("aten::_softmax",),
        "ab",
        9.0,
        {"small": 0.5},
    )
    assert cut.said == CUT
    assert failed.said == "SIGSEGV"
    assert study_of(events, runs=True).cells[1].state == "running"
    # Seed by seed: a study that is stopped early has whole pairs.
    assert [(cell.arm, cell.seed) for cell in left_to_do(study.cells)] == [("eager", 1), ("sdpa-flash", 1)]
    assert [(cell.arm, cell.seed) for cell in left_to_do(study.cells, retry=True)] == [
        ("sdpa-flash", 0),
        ("eager", 1),
        ("sdpa-flash", 1),
    ]


def test_what_a_later_process_did_not_keep_does_not_count():
    """Three epochs were told, and the next process found the state after one: epochs 2 and 3 come anew, with other values."""
    events = [DESIGNED, begun(), brought(1, 0.1), brought(2, 0.2), brought(3, 0.3), begun(kept=1), brought(1, 0.1)]
    (cell,) = [cell for cell in study_of(events).cells if (cell.arm, cell.seed) == ("eager", 0)]
    assert [(e.number, e.map50_95) for e in cell.epochs] == [(1, 0.1)]
    (cell,) = [cell for cell in study_of([*events, brought(2, 0.9)]).cells if (cell.arm, cell.seed) == ("eager", 0)]
    assert [(e.number, e.map50_95) for e in cell.epochs] == [(1, 0.1), (2, 0.9)]


def test_one_process_that_was_not_proven_is_not_made_good_by_another():
    proofs = [Event(at="proof", arm="eager", seed=0, proven=proven) for proven in (False, True)]
    events = [DESIGNED, begun(), proofs[0], brought(1), begun(kept=1), proofs[1]]
    assert study_of(events).cells[0].proven is False
    assert study_of([DESIGNED, begun(), proofs[0], begun(kept=0), proofs[1]]).cells[0].proven is True
