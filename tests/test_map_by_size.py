"""mAP by object size: by hand on a few boxes, and against ultralytics' own number where all sizes count."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parent.parent / "attn_doctor" / "target" / "map_by_size.py"


@pytest.fixture(scope="module")
def script() -> dict:
    names: dict = {}
    exec(compile(SCRIPT.read_text(), str(SCRIPT), "exec"), names)
    return names


def image(predictions=(), objects=()) -> dict:
    """Predictions are (box, confidence, class), objects (box, class); a box is left, top, width, height."""

    def corners(boxes):
        made = np.array(list(boxes), float).reshape(-1, 4)
        made[:, 2:] += made[:, :2]
        return made

    return {
        "boxes": corners(box for box, _, _ in predictions),
        "sure": np.array([sure for _, sure, _ in predictions]),
        "classes": np.array([name for _, _, name in predictions], float),
        "objects": corners(box for box, _ in objects),
        "object_classes": np.array([name for _, name in objects], float),
    }


SMALL, MEDIUM, LARGE = (0, 0, 20, 20), (100, 0, 60, 60), (0, 100, 120, 120)


def sizes(script, *images) -> dict:
    found = {name: script["mean_precision"](images, *area) for name, area in script["AREAS"].items()}
    return {name: value for name, value in found.items() if value is not None}


def test_each_size_has_its_own_number(script):
    """The small object is missed, the medium one found exactly, the large one with an overlap of 0.75."""
    found = sizes(
        script,
        image([(MEDIUM, 0.9, 0), ((0, 100, 120, 90), 0.8, 0)], [(SMALL, 0), (MEDIUM, 0), (LARGE, 0)]),
    )
    # 90 of 120 lines overlap: right at 0.50, 0.55, 0.60, 0.65, 0.70 and 0.75, wrong at the other four limits.
    assert found == {"small": 0.0, "medium": pytest.approx(1.0), "large": pytest.approx(0.6)}


def test_a_size_without_an_object_is_left_out(script):
    assert sizes(script, image([(MEDIUM, 0.9, 0)], [(MEDIUM, 0)])) == {"medium": pytest.approx(1.0)}
    assert sizes(script, image([(MEDIUM, 0.9, 0)])) == {}
    assert sizes(script) == {}


def test_the_limits_are_32_and_96_pixels_squared(script):
    low, high = (0, 0, 32, 32), (0, 0, 96, 96)
    below = [(0, 0, 32, 31.9), (0, 0, 96, 95.9)]
    assert list(sizes(script, image([], [(low, 0)]))) == ["medium"]
    assert list(sizes(script, image([], [(high, 0)]))) == ["large"]
    assert [list(sizes(script, image([], [(box, 0)]))) for box in below] == [["small"], ["medium"]]


def test_a_wrong_prediction_costs_its_own_size_only(script):
    """A large box on nothing, the surest of all: it halves the precision of large objects, and of no other."""
    wrong = ((300, 300, 150, 150), 0.99, 0)
    right = [(SMALL, 0.9, 0), (MEDIUM, 0.9, 0), (LARGE, 0.9, 0)]
    found = sizes(script, image([wrong, *right], [(SMALL, 0), (MEDIUM, 0), (LARGE, 0)]))
    assert found["small"] == found["medium"] == pytest.approx(1.0)
    assert found["large"] == pytest.approx(0.5)  # the wrong one comes first: one right of two at every recall


def test_the_surest_prediction_takes_the_object_and_another_class_never(script):
    twice = image([(MEDIUM, 0.6, 0), ((101, 0, 60, 60), 0.7, 0)], [(MEDIUM, 0)])
    assert 0.5 < script["mean_precision"]([twice]) < 1.0  # the surer one is less exact: wrong at the highest limits
    assert script["mean_precision"]([image([(MEDIUM, 0.9, 1)], [(MEDIUM, 0)])]) == 0.0
    two = image([(MEDIUM, 0.9, 1), (SMALL, 0.9, 0)], [(MEDIUM, 1), (SMALL, 0), ((300, 0, 20, 20), 0)])
    # Class 1 is whole; class 0 finds one of two. The mean is over classes, not over objects.
    assert script["mean_precision"]([two]) == pytest.approx((1.0 + 0.505) / 2, abs=0.01)


@pytest.mark.usefixtures("quiet_ultralytics")
@pytest.mark.parametrize("seed", range(4))
def test_all_sizes_together_are_ultralytics_number(script, seed):
    """200 random images through ultralytics' own matching and averaging."""
    import torch
    from ultralytics.models.yolo.detect import DetectionValidator
    from ultralytics.utils.metrics import ap_per_class, box_iou

    chance = np.random.default_rng(seed)
    images, stats = [], []
    for _ in range(200):
        count = chance.integers(0, 7)
        objects = [
            ((*chance.uniform(0, 500, 2), *chance.uniform(8, 140, 2)), int(chance.integers(0, 3))) for _ in range(count)
        ]
        found = [
            (tuple(np.array(box) + chance.normal(0, 4, 4)), chance.uniform(0.2, 1), name)
            for box, name in objects
            if chance.random() < 0.8
        ]
        found += [
            (
                (*chance.uniform(0, 500, 2), *chance.uniform(8, 140, 2)),
                chance.uniform(0, 0.8),
                int(chance.integers(0, 3)),
            )
            for _ in range(chance.integers(0, 4))
        ]
        found = sorted(found, key=lambda one: -one[1])
        images.append(image(found, objects))
        one = images[-1]
        validator = DetectionValidator.__new__(DetectionValidator)
        validator.iouv = torch.linspace(0.5, 0.95, 10)
        right = np.zeros((len(found), 10), bool)
        if found and objects:
            overlap = box_iou(torch.tensor(one["objects"]), torch.tensor(one["boxes"]))
            right = validator.match_predictions(
                torch.tensor(one["classes"]), torch.tensor(one["object_classes"]), overlap
            ).numpy()
        stats.append((right, one["sure"], one["classes"], one["object_classes"]))
    theirs = ap_per_class(*(np.concatenate(parts) for parts in zip(*stats, strict=True)))[5].mean()
    assert 0.2 < theirs < 0.8
    assert script["mean_precision"](images) == pytest.approx(theirs, abs=0.001)


TRAINING = """
import sys
import cv2, numpy as np, torch
from pathlib import Path

folder = Path(sys.argv[1])
chance = np.random.default_rng(0)
for part, count in (("train", 96), ("val", 32)):
    for kind in ("images", "labels"):
        (folder / part / kind).mkdir(parents=True)
    for number in range(count):
        image = chance.integers(0, 60, (160, 160, 3), dtype=np.uint8)
        lines = []
        for corner, side in (((2, 2), 22), ((90, 4), 60), ((20, 50), 100)):
            if chance.random() < 0.6:
                side += int(chance.integers(-3, 4))
                left, top = corner[0] + int(chance.integers(0, 8)), corner[1] + int(chance.integers(0, 6))
                name = int(chance.integers(0, 2))
                image[top : top + side, left : left + side] = (20, 40, 220) if name else (220, 200, 30)
                lines.append(f"{name} {(left + side / 2) / 160} {(top + side / 2) / 160} {side / 160} {side / 160}")
        cv2.imwrite(str(folder / part / "images" / f"{number}.png"), image)
        (folder / part / "labels" / f"{number}.txt").write_text("\\n".join(lines))
data = folder / "data.yaml"
data.write_text(f"path: {folder}\\ntrain: train/images\\nval: val/images\\nnames: {{0: a, 1: b}}\\n")
exec(compile(Path(sys.argv[2]).read_text(), "map_by_size", "exec"))

from ultralytics.models.yolo.detect import DetectionTrainer
torch.manual_seed(0)
trainer = DetectionTrainer(overrides=dict(
    model="yolo12n.yaml", data=str(data), epochs=14, imgsz=160, batch=8, device="cpu", workers=0, project=str(folder),
    name="run", plots=False, verbose=False, mosaic=0.0, seed=0))
last = {}
trainer.add_callback("on_fit_epoch_end", lambda t: last.update(t.metrics) if t.epoch == 13 and not last else None)
trainer.train()
before = {name: value.clone() for name, value in trainer.ema.ema.state_dict().items()}
sizes = by_size(trainer)
same = all(torch.equal(value, before[name]) for name, value in trainer.ema.ema.state_dict().items())
print("RESULT", last["metrics/mAP50-95(B)"], mean_precision(list(validated(trainer))), same, sizes)
"""


@pytest.mark.heavy
def test_a_real_training(tmp_path):
    """The number of all sizes is the one that ultralytics printed for its last epoch, within 0.005."""
    command = [sys.executable, "-c", TRAINING, str(tmp_path), str(SCRIPT)]
    environ = {**os.environ, "YOLO_CONFIG_DIR": str(tmp_path), "YOLO_OFFLINE": "true"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environ, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    _, theirs, ours, same, sizes = done.stdout.split("RESULT")[1].partition("\n")[0].split(" ", 4)
    found = eval(sizes)
    assert float(theirs) > 0.1
    assert float(ours) == pytest.approx(float(theirs), abs=0.005)
    assert same == "True"
    assert list(found) == ["small", "medium", "large"]
    assert all(0 <= value <= 1 for value in found.values())
