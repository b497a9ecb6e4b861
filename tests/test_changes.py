"""The changes that are made inside a process, on a real model of ultralytics: they act, and they are taken back."""

from __future__ import annotations

import pytest
import torch

from attn_doctor.prescription.changes.apply import Applied, in_float32, structure_of

tasks = pytest.importorskip("ultralytics.nn.tasks")
IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = tasks.DetectionModel("yolo12n.yaml", verbose=False)
    norms = [m for m in made.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:  # with fresh statistics the activations of an evaluated model vanish
        norm.momentum = 1.0
    with torch.no_grad():
        made.train()(IMAGES)
    return made


@pytest.fixture
def seen(model):
    """What the first and a later convolution got: (dtype of the weights as computed, layout of the input)."""
    found = []
    hooks = [
        layer.conv.register_forward_hook(
            lambda _, given, out: found.append((out.dtype, given[0].is_contiguous(memory_format=torch.channels_last)))
        )
        for layer in (model.model[0], model.model[1])
    ]
    yield found
    for hook in hooks:
        hook.remove()


def test_layout_threads_and_bfloat16_are_in_force_and_end(model, seen):
    default, forward = torch.get_num_threads(), tasks.BaseModel.forward
    torch.set_num_threads(1)
    weights = {name: (p.stride(), p.dtype) for name, p in model.named_parameters()}
    model.train()
    changes = Applied({"threads": 2, "channels-last": True, "bf16": True}, {})
    with changes:
        torch.set_num_threads(1)  # as ultralytics does when a training starts
        out = model(IMAGES)
        assert torch.get_num_threads() == 2
        assert seen == [(torch.bfloat16, True)] * 2
        assert {t.dtype for t in out.values() if isinstance(t, torch.Tensor)} == {torch.float32}
        model.eval()
        with torch.no_grad():  # predicting has no changes
            model(IMAGES)
        assert seen[2:] == [(torch.float32, False)] * 2
    assert torch.get_num_threads() == 1
    torch.set_num_threads(default)
    assert tasks.BaseModel.forward is forward
    assert {name: (p.stride(), p.dtype) for name, p in model.named_parameters()} == weights


def test_boxes_are_decoded_in_float32(model):
    model.eval()
    with torch.no_grad(), Applied({}, {"bf16": True}):
        boxes = model(IMAGES)[0]
    assert boxes.dtype is torch.float32
    # In bfloat16 coordinates of 64 pixels would be multiples of a quarter.
    assert float((boxes[:, :4] * 4 - (boxes[:, :4] * 4).round()).abs().max()) > 1e-3


def test_a_model_on_another_device_is_left_alone(model, seen):
    model.eval()
    with torch.no_grad(), Applied({}, {"channels-last": True}, device="cuda"):
        model(IMAGES)
    assert [layout for _, layout in seen] == [False, False]


def test_another_model_is_left_alone(model, seen):
    with Applied({"channels-last": True}, {"channels-last": True}, fits=lambda _: False):
        model.eval()
        with torch.no_grad():
            model(IMAGES)
    assert [layout for _, layout in seen] == [False, False]


def test_the_newest_of_several_counts_and_they_may_end_in_any_order(model, seen):
    first, second = Applied({}, {"channels-last": True}), Applied({}, {})
    first.start()
    second.start()
    model.eval()
    with torch.no_grad():
        model(IMAGES)
        first.stop()
        model(IMAGES)
    second.stop()
    second.stop()
    assert [layout for _, layout in seen] == [False] * 4


def test_the_structure_of_a_model_does_not_depend_on_its_classes_or_weights(model):
    found = structure_of(model)

    def like(**changed):
        return type("DetectionModel", (), {"yaml": {**model.yaml, **changed}})()

    assert structure_of(like(nc=3)) == found
    assert structure_of(like(scale="x")) != found
    assert structure_of(torch.nn.Linear(1, 1)) is None


def test_only_bfloat16_becomes_float32():
    half, whole = torch.zeros(1, dtype=torch.bfloat16), torch.zeros(1, dtype=torch.float16)
    found = in_float32({"a": [half, (whole, 1)]})
    assert found["a"][0].dtype is torch.float32
    assert found["a"][1][0].dtype is torch.float16
