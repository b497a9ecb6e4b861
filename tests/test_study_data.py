"""The data set of `study --demo`: its files, and that each label is the box of the pixels that were drawn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from attn_doctor.target import __file__ as target

WRITE = """
import json, os, sys
exec(compile(open(sys.argv[1]).read(), "study_data.py", "exec"))
print(write_shapes(sys.argv[2], train=6, val=3, size=160, seed=7))
"""
# Draws shapes on a ground without noise, and compares each box with the pixels of its shape's colour.
COMPARE = """
import json, sys
exec(compile(open(sys.argv[1]).read(), "study_data.py", "exec"))
import numpy

class Quiet:
    def __init__(self, seed): self.numbers = numpy.random.default_rng(seed)
    def normal(self, mean, deviation, shape): return numpy.full(shape, float(mean))
    def integers(self, *given): return self.numbers.integers(*given)

rows = []
for seed in range(40):
    image, boxes = one_image(Quiet(seed), 160)
    for shape, left, top, width, height in boxes:
        part = (image[top : top + height, left : left + width] != 118).any(axis=2)
        ys, xs = part.nonzero()
        rows.append([SHAPES[shape], int(xs.min()), int(ys.min()), int(xs.max()) - width + 1, int(ys.max()) - height + 1,
                     float(part.mean())])
    drawn = (image != 118).any(axis=2)
    for _, left, top, width, height in boxes:
        drawn[top : top + height, left : left + width] = False
    rows.append(["outside", int(drawn.sum())])
print(json.dumps(rows))
"""


def run(code: str, *arguments: str) -> str:
    script = str(Path(target).parent / "study_data.py")
    done = subprocess.run([sys.executable, "-c", code, script, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("shapes") / "data"
    assert run(WRITE, str(made)).strip() == str(made / "shapes.yaml")
    return made


def test_the_files(folder):
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    parts = (("train", 6), ("val", 3))
    wanted = [f"images/{part}/{number:04d}.png" for part, count in parts for number in range(count)]
    wanted += [f"labels/{part}/{number:04d}.txt" for part, count in parts for number in range(count)]
    assert names == sorted([*wanted, "shapes.yaml"])
    assert (folder / "shapes.yaml").read_text() == (
        f"path: {json.dumps(str(folder))}\ntrain: images/train\nval: images/val\n"
        "names:\n  0: circle\n  1: square\n  2: triangle\n"
    )
    assert not (folder.parent / "data.new").exists()


def test_the_labels_are_in_ultralytics_form(folder):
    for file in folder.glob("labels/*/*.txt"):
        lines = file.read_text().splitlines()
        assert 1 <= len(lines) <= 4
        for line in lines:
            shape, *numbers = line.split()
            assert shape in ("0", "1", "2")
            x, y, width, height = map(float, numbers)
            assert 0.1 <= width == height <= 1 / 3
            assert width / 2 < x < 1 - width / 2
            assert height / 2 < y < 1 - height / 2


def test_the_same_seed_writes_the_same_bytes(folder, tmp_path):
    run(WRITE, str(tmp_path / "data"))
    for file in (path for path in folder.rglob("*") if path.suffix in (".png", ".txt")):
        assert file.read_bytes() == (tmp_path / "data" / file.relative_to(folder)).read_bytes()


def test_an_existing_data_set_stays(folder):
    before = (folder / "shapes.yaml").stat().st_mtime_ns
    run(WRITE, str(folder))
    assert (folder / "shapes.yaml").stat().st_mtime_ns == before


def test_each_label_is_the_box_of_its_pixels():
    rows = json.loads(run(COMPARE))
    assert all(count == 0 for name, count in (row for row in rows if row[0] == "outside"))
    shapes = [row for row in rows if row[0] != "outside"]
    assert len(shapes) > 60
    for name, left, top, right, bottom, filled in shapes:
        assert max(abs(left), abs(top), abs(right), abs(bottom)) <= 1, name
        low, high = {"square": (1.0, 1.0), "circle": (0.7, 0.88), "triangle": (0.45, 0.62)}[name]
        assert low <= filled <= high, name
