"""The parts of a training step's memory, against what can be counted by hand."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import msgspec
import pytest

from attn_doctor.model.trials import MemoryParts, MemorySplit, Trial, TrialOptions
from attn_doctor.report import html
from attn_doctor.report.blocks import Notes, Table
from attn_doctor.report.charts import memory_charts
from attn_doctor.report.memory_outline import NAMES, memory_outline
from attn_doctor.trials import process
from attn_doctor.trials.memory_split import Splits, measure

SCRIPT = Path(__file__).parent.parent / "attn_doctor" / "target" / "memory_split.py"
PARAMETERS = 2_602_288  # of YOLO12n with 80 classes, as ultralytics prints them
TRAINED = PARAMETERS - 16  # the box distribution's weights (DFL) are 16 fixed numbers
MIB = 2**20


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def row(backend: str, **more) -> Trial:
    return Trial(**{"backend": backend, "status": "ok", "dtype": "float32", "imgsz": 64, "batch": 2, **more})


def go(*rows: Trial, **options) -> Splits:
    wanted = TrialOptions(**{"imgsz": 64, "batch": 2, "device": "cpu", **options})
    return measure([sys.executable], rows, wanted, timeout=240.0, say=lambda _: None)


@pytest.fixture(scope="module")
def script() -> dict:
    import torch

    class Section(contextlib.nullcontext):  # what it would measure needs a model: nothing is measured here
        def __exit__(self, *_):
            return True

    names: dict = {"torch": torch, "section": Section, "Poisoned": KeyError, "CONFIG": {}}
    exec(compile(SCRIPT.read_text(), str(SCRIPT), "exec"), names)
    return names


def test_storages_are_counted_once_and_while_they_live(script):
    """One kibibyte each: what is held, what is kept for the backward pass, and what is on its way."""
    import torch

    weight = torch.ones(256, requires_grad=True)
    storages = script["Storages"]()
    storages.add(weight, "weights")
    storages.add(weight.detach()[:3], "weights")  # a view is no more memory

    def kept(tensor):
        storages.add(tensor, "activations")
        return tensor.detach()

    hooks = torch.autograd.graph.saved_tensors_hooks(kept, lambda tensor: tensor)
    with hooks, script["Counting"](storages):
        first = weight * 2  # its factor is a number: nothing is kept
        second = first.exp()  # keeps its own result
        del first
        third = second + 1  # keeps nothing
        storages.phase = "backward"
        third.sum().backward()
    storages.add(weight.grad, "gradients")
    found = storages.by_part()
    storages.end()
    assert found["weights"] == found["activations"] == 1024
    # At the peak, the gradient of `first` makes that of the weight, beside `third`; the sum and its gradient are one number each.
    assert (storages.at, found["buffers"], found["images"]) == ("backward", 0, 0)
    assert (found["gradients"], found["others"]) == (1024, 2 * 1024 + 2 * 4)


def test_what_is_freed_does_not_count(script):
    import torch

    storages = script["Storages"]()
    with script["Counting"](storages):
        for _ in range(10):
            torch.ones(256)  # freed at once
        kept = torch.ones(512)
    assert storages.most == 4 * kept.numel() == 2048
    assert storages.by_part()["others"] == 2048
    storages.end()


def test_a_known_model(monkeypatch, tmp_path):
    """YOLO12n with the exchanged attention: 4 bytes a parameter for the weights and the gradients, 8 for AdamW."""
    found = go(row("sdpa"), row("compile"), row("sdpa-math", status="failed"))
    assert found.notes == ("compile (float32): its memory is not split, because compiled code hides its tensors",)
    adam, long = found.splits
    assert (adam.backend, adam.dtype, adam.optimiser, adam.imgsz, adam.batch) == ("sdpa", "float32", "AdamW", 64, 2)
    assert long.optimiser in ("MuSGD", "SGD")  # ultralytics' own choice for a long training, by its release
    assert adam.parameters == PARAMETERS
    parts = adam.parts
    assert (parts.weights, parts.gradients) == (4 * PARAMETERS, 4 * TRAINED)  # 10.4 MB, and not half a gigabyte
    assert parts.optimiser == pytest.approx(8 * PARAMETERS, rel=0.01)
    assert parts.averaged == parts.weights + parts.buffers
    assert parts.images == pytest.approx(4 * 2 * 3 * 64**2, rel=0.01)
    assert parts.activations > parts.images
    # After the backward pass no activation is left: what is held between two steps is all there is.
    held = parts.weights + parts.averaged + parts.buffers + parts.optimiser + parts.gradients + parts.images
    assert adam.ends["backward"] == pytest.approx(held, rel=0.01)
    assert adam.ends["optimiser"] == pytest.approx(held, rel=0.01)
    assert held < adam.ends["forward"] <= parts.total
    assert adam.gradients_held is True
    assert adam.peak_in in ("forward", "backward")
    if sys.platform == "linux":
        assert 0.7 * adam.measured < parts.total < 1.05 * adam.measured
        assert adam.process > adam.measured


@pytest.mark.heavy
@pytest.mark.parametrize("backend", ["eager", "sdpa"])
def test_activations_follow_the_batch_and_nothing_else_does(backend):
    four, two = (go(row(backend, batch=n), batch=n, imgsz=320).splits[0] for n in (4, 2))
    assert four.parts.activations == pytest.approx(2 * two.parts.activations, rel=0.05)
    assert four.parts.images == pytest.approx(2 * two.parts.images, rel=0.01)
    for part in ("weights", "averaged", "buffers", "gradients", "optimiser"):
        assert getattr(four.parts, part) == getattr(two.parts, part)
    for split in (two, four):
        assert split.parts.total == pytest.approx(split.measured, rel=0.15)


ORACLE = """
from torch.profiler import ProfilerActivity, profile

def _by_the_allocator(self, work):
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    total = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        total += event.nbytes()
        most = max(most, total)
    return most
Memory.peak = _by_the_allocator
"""


@pytest.mark.heavy
def test_the_sum_of_the_parts_is_what_the_allocator_gave(monkeypatch, tmp_path):
    """PyTorch's profiler records every allocation and every release of the allocator: the peak is the same within 3 %."""
    path = tmp_path / "oracle.py"
    path.write_text(ORACLE)
    monkeypatch.setattr(process, "COMMON", (*process.COMMON, str(path)))
    found = go(row("eager", imgsz=320), row("sdpa", imgsz=320), imgsz=320)
    assert len(found.splits) == 4
    for split in found.splits:
        assert split.parts.total == pytest.approx(split.measured, rel=0.03)


@pytest.mark.heavy
def test_a_whole_batch_holds_no_earlier_gradients():
    """From 43 images on, ultralytics steps after every batch: round(64 / 43) is 1."""
    below, above = (go(row("sdpa", batch=n), batch=n).splits[0] for n in (42, 43))
    assert (below.gradients_held, above.gradients_held) == (True, False)
    assert below.parts.gradients == 4 * TRAINED
    assert above.parts.gradients < 4 * TRAINED  # the peak comes before the last of them


def test_nothing_is_started_without_a_row_that_ran(tmp_path):
    missing = [str(tmp_path / "no-python")]
    for rows in ((), (row("eager", status="failed"),), (row("eager", scope="attention"),)):
        found = measure(missing, rows, TrialOptions(), timeout=5.0, say=lambda _: None)
        assert found == Splits((), ("the memory was not split: no backend ran a training step of the model",))
    apple = measure(missing, (row("eager", device="mps"),), TrialOptions(), timeout=5.0, say=lambda _: None)
    assert apple.notes == ("on an Apple GPU, the memory of a step cannot be measured",)


def split(**more) -> MemorySplit:
    parts = MemoryParts(
        weights=10 * MIB,
        averaged=10 * MIB,
        buffers=0,
        images=10 * MIB,
        gradients=10 * MIB,
        optimiser=20 * MIB,
        activations=100 * MIB,
        others=20 * MIB,
    )
    given = {
        "backend": "eager",
        "dtype": "float32",
        "optimiser": "AdamW",
        "imgsz": 640,
        "batch": 2,
        "parameters": 2_621_440,
        "parts": parts,
        "peak_in": "backward",
        "ends": {"forward": 150 * MIB, "backward": 60 * MIB, "optimiser": 60 * MIB},
        "gradients_held": True,
        "measured": 200 * MIB,
        **more,
    }
    return MemorySplit(**given)


def test_the_table_says_what_is_known():
    leaner = msgspec.structs.replace(split().parts, activations=60 * MIB)
    table, missing = memory_outline([split(), split(backend="sdpa", measured=None, parts=leaner)], ("flex: compiled",))
    assert isinstance(table, Table)
    assert table.caption == "Memory of a training step at its peak, image size 640, batch 2"
    assert table.columns == ("backend", "trained in", "activations", "all tensors", "measured", "reserved")
    assert [[cell.text for cell in line] for line in table.rows] == [
        ["eager", "float32, AdamW", "100 MiB", "180 MiB", "200 MiB", ""],
        ["sdpa", "float32, AdamW", "60.0 MiB", "140 MiB", "", ""],
    ]
    assert table.notes[0] == (
        "the same in all rows: weights 10.0 MiB, EMA 10.0 MiB, buffers 0 B, optimiser's state 20.0 MiB, gradients 10.0 MiB, "
        "images 10.0 MiB, other tensors 20.0 MiB"
    )
    assert table.notes[1] == "2,621,440 parameters of 4 bytes are 10.0 MiB of weights; the peak is in the backward pass"
    assert table.notes[3] == (
        "what lives at the ends of the phases, for eager, float32, AdamW: 150 MiB after the forward pass, "
        "60.0 MiB after the backward pass, 60.0 MiB after the optimiser's step"
    )
    assert "10% of it is no tensor" in table.notes[4]
    assert missing == Notes("Memory that could not be split", ("flex: compiled",))
    (alone,) = memory_outline([split(measured=None)], ())
    assert alone.columns[2:10] == tuple(NAMES.values())
    assert memory_outline([], ()) == []


def test_the_pieces_of_a_bar_are_as_long_as_their_bytes():
    (picture,) = memory_charts([split(), split(backend="sdpa", measured=None)])
    whole, shorter = picture.rows
    assert (whole.text, shorter.text, picture.most) == ("200 MiB", "180 MiB", 200 * MIB)
    pieces = {picture.parts[part]: (left, width) for part, left, width in picture.pieces(whole)}
    assert pieces["weights"] == (0.0, 5.0)
    assert pieces["activations"] == (30.0, 50.0)
    assert pieces["no tensor (workspace, heap)"] == (90.0, 10.0)
    assert "buffers" not in pieces  # nothing to see
    assert sum(width for _, width in pieces.values()) == pytest.approx(100)
    page = html.render([], "t", [picture])
    assert page.count('<rect class="piece') == 8 + 7 + len(picture.parts)
    assert "sdpa, float32, AdamW" in page
