"""Files of weights, read without loading them. The pickles are made by hand; nothing here needs torch."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import little_yolo
import pytest

from attn_doctor.model.facts import ModelFile, Unknown, Yolo
from attn_doctor.probes import models, pickle_tree
from attn_doctor.probes.pickle_tree import NoPickle, PickleStream
from attn_doctor.system import platforms

BLOCK = "ultralytics.nn.modules.block"
MAGIC = 0x1950A86A20F9469CFC6C
POSIX = pytest.mark.skipif(platforms.WINDOWS, reason="Windows has no such file")


@pytest.fixture
def layer(monkeypatch):
    """A function that makes an object of a class of ultralytics which has these submodules."""
    names = [BLOCK.rsplit(".", n)[0] for n in (3, 2, 1)] + [BLOCK]
    for name in names:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))

    def make(kind: str, *submodules: str) -> object:
        module = sys.modules[BLOCK]
        if not hasattr(module, kind):
            setattr(module, kind, type(kind, (), {"__module__": BLOCK}))
        made = getattr(module, kind)()
        made.__dict__ = {"training": False, "_modules": OrderedDict((name, None) for name in submodules)}
        return made

    return make


def archive(path: Path, data: bytes, *more: str, inner: str = "best/data.pkl") -> Path:
    """A file as torch.save has written it since 1.6."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(inner, data)
        for name in more:
            made.writestr(name, b"")
    return path


def checkpoint(*layers: object, **more: object) -> bytes:
    return pickle.dumps({"model": list(layers), **more}, protocol=2)


def read(path: Path, *, asked: bool = True) -> ModelFile:
    return models.model_file(path, path.name, asked=asked)


# --- the content of a file


def test_weights_of_ultralytics_are_told_by_their_attention(tmp_path, layer):
    data = checkpoint(
        layer("A2C2f"), layer("AAttn", "qkv", "proj", "pe"), version="8.3.160", date="2025-06-30T01:02:03"
    )
    found = read(archive(tmp_path / "best.pt", data))
    assert (found.format, found.layout, found.problem) == ("zip", "qkv", None)
    assert found.classes == (f"{BLOCK}.A2C2f", f"{BLOCK}.AAttn")
    assert (found.written_by, found.date) == ("8.3.160", "2025-06-30T01:02:03")


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_weights_of_the_fork_are_told_in_every_protocol(tmp_path, layer, protocol):
    data = pickle.dumps({"ema": layer("AAttn", "qk", "v", "proj", "pe")}, protocol)
    found = read(archive(tmp_path / "last.pt", data))
    assert (found.layout, found.written_by) == ("qk+v", None)


def test_files_of_before_torch_1_6_are_pickles_one_after_the_other(tmp_path, layer):
    parts = (MAGIC, 1001, {"little_endian": True}, {"model": layer("AAttn", "qk", "v"), "version": "8.3.63"}, ["0"])
    (tmp_path / "old.pt").write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts) + bytes(1000))
    found = read(tmp_path / "old.pt")
    assert (found.format, found.layout, found.written_by) == ("legacy", "qk+v", "8.3.63")


def test_another_attention_with_qkv_is_none_of_yolo12(tmp_path, layer):
    """YOLO11's Attention has `qkv` too; a model may hold both."""
    assert read(archive(tmp_path / "a.pt", checkpoint(layer("Attention", "qkv")))).layout is None
    both = checkpoint(layer("Attention", "qkv"), layer("AAttn", "qk", "v"))
    assert read(archive(tmp_path / "b.pt", both)).layout == "qk+v"


def test_attentions_of_both_kinds_in_one_file_are_not_judged(tmp_path, layer):
    found = read(archive(tmp_path / "a.pt", checkpoint(layer("AAttn", "qkv"), layer("AAttn", "qk", "v"))))
    assert isinstance(found.layout, Unknown)


def test_numbers_alone_exported_models_and_other_files_hold_no_class(tmp_path):
    state = pickle.dumps(OrderedDict({"model.6.m.0.0.attn.qk.conv.weight": 1}), protocol=2)
    named = b"\x80\x02cultralytics.x\nAAttn\n."
    for path, form in (
        (archive(tmp_path / "state.pt", state), "zip"),
        (archive(tmp_path / "exported.pt", named, "best/code/model.py"), "torchscript"),
        (archive(tmp_path / "photos.pt", named, inner="photo.jpg"), "other"),
    ):
        found = read(path)
        assert (found.format, found.classes, found.layout, found.problem) == (form, (), None, None)
    (tmp_path / "note.pt").write_bytes(b"not a model")
    assert read(tmp_path / "note.pt").format == "other"


# --- files that are not well


def test_nothing_that_a_pickle_names_is_called(tmp_path):
    witness = tmp_path / "ran"
    code = b"cos\nsystem\n(S'touch " + os.fsencode(witness) + b"'\ntR0S'ultralytics.'\n."
    assert read(archive(tmp_path / "evil.pt", code)).problem is None
    assert not witness.exists()


def unread(path: Path) -> str:
    found = read(path)
    assert isinstance(found.layout, Unknown)
    assert isinstance(found.classes, Unknown)
    assert isinstance(found.problem, str)
    return found.problem


def test_a_file_that_is_cut_off_says_so(tmp_path, layer):
    data = archive(tmp_path / "best.pt", checkpoint(layer("AAttn", "qkv"))).read_bytes()
    (tmp_path / "half.pt").write_bytes(data[: len(data) // 2])
    assert "cut off or damaged" in unread(tmp_path / "half.pt")
    (tmp_path / "begun.pt").write_bytes(pickle.dumps(MAGIC, protocol=2))
    assert "ends early" in unread(tmp_path / "begun.pt")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (b"N0" * 600_000, "too many instructions"),
        (b"I" + b"9" * 100_000 + b"\n", "no end"),
        (b"X\xff\xff\xff\x7fabc", "ends early"),
        (b"(tt", "ends early"),
        (b"0000", "takes more values from the stack"),
        (b"h\x07", "ends early"),
    ],
    ids=["endless", "long-number", "claims-2-GB", "marks", "pops", "memo"],
)
def test_a_hostile_pickle_ends_soon(tmp_path, code, said):
    assert said in unread(archive(tmp_path / "x.pt", b"\x80\x02X\x0c\0\0\0ultralytics." + code + b"."))


def test_a_tuple_of_2_to_the_100_parts_is_passed_once():
    bomb = b")" + b"2\x86" * 100
    for code in (bomb + b".", bomb + b"2R.", bomb + b"2\x81.", bomb + b"2\x93."):
        root, _ = pickle_tree.read(PickleStream(b"\x80\x04" + code))
        assert len(list(pickle_tree.things(root))) <= 1


def test_a_bomb_and_a_directory_of_any_size_are_not_unpacked(tmp_path):
    assert "more than 16 MB" in unread(archive(tmp_path / "bomb.pt", b"ultralytics." + bytes(64 << 20)))

    class Huge(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return bytes(100 << 20 if size is None or size < 0 else size)

    with pytest.raises(NoPickle, match="directory is too large"):
        models._Bounded(Huge()).read()


@POSIX
def test_names_that_are_no_files_are_survived(tmp_path):
    (tmp_path / "folder.pt").mkdir()
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "loop.pt").symlink_to("loop.pt")
    (tmp_path / "zero.pt").symlink_to("/dev/zero")
    (tmp_path / "gone.pt").symlink_to("nowhere")
    for path in tmp_path.iterdir():
        assert unread(path)
    archive(tmp_path / "red\x1b[31m.pt", b"\x80\x02N.")
    assert models.models(tmp_path) == ()


# --- which files are read


def test_the_newest_of_the_project_are_read_and_the_one_asked_for_stands_first(tmp_path, layer):
    data = checkpoint(layer("AAttn", "qkv"))
    places = (
        "a.pt weights/b.pt runs/train/weights/c.pt runs/detect/train/weights/d.pt deep/er/e.pt runs/x/y/z/weights/f.pt"
    )
    for age, place in enumerate(places.split()):
        os.utime(archive(tmp_path / place, data), (1_700_000_000 - age, 1_700_000_000 - age))
    found = ["a.pt", "weights/b.pt", "runs/train/weights/c.pt", "runs/detect/train/weights/d.pt"]
    assert [file.path for file in models.models(tmp_path)] == found
    asked = models.models(tmp_path, "weights/b.pt")
    assert [(file.path, file.asked) for file in asked][:2] == [("weights/b.pt", True), ("a.pt", False)]
    assert len(asked) == 4
    archive(tmp_path / "new.pt", data)
    assert [file.path for file in models.models(tmp_path)] == ["new.pt", *found[:3]]


# --- against the installed code


def installed(folder: Path, block: str, tasks: str = "") -> Yolo:
    for name, text in (("nn/modules/block.py", block), ("nn/tasks.py", tasks)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return Yolo(version="8.3.77", location=str(folder))


def lacking(yolo: Yolo, *classes: str) -> tuple[str, ...] | Unknown:
    found = models.against((ModelFile(path="w.pt", classes=classes),), yolo)
    assert isinstance(found, tuple)
    return found[0].absent


def test_classes_that_the_installed_ultralytics_lacks(tmp_path):
    yolo = installed(tmp_path, "from .conv import Conv\nclass C3k2:\n    pass\nOld = C3k2\n")
    there = tuple(f"{BLOCK}.{name}" for name in ("C3k2", "Conv", "Old"))
    assert lacking(yolo, *there) == ()
    assert lacking(yolo, *there, f"{BLOCK}.A2C2f") == (f"{BLOCK}.A2C2f",)
    assert lacking(yolo, "ultralytics.nn.modules.head.Detect") == ("ultralytics.nn.modules.head.Detect",)


def test_what_the_loader_takes_for_another_class_is_not_lacking(tmp_path):
    loader = 'modules={"ultralytics.yolo.utils": "ultralytics.utils"}, attributes={"ultralytics.nn.modules.block.Silence": ""}'
    yolo = installed(tmp_path, "class C3k2:\n    pass\n", loader)
    assert lacking(yolo, f"{BLOCK}.Silence", "ultralytics.yolo.utils.IterableSimpleNamespace") == ()
    assert lacking(yolo, "ultralytics.yolo.data.Dataset") == ("ultralytics.yolo.data.Dataset",)


def test_nothing_is_lacking_where_no_code_is_installed_or_known(tmp_path):
    assert lacking(Yolo(version=None), f"{BLOCK}.A2C2f") == ()
    assert isinstance(lacking(Yolo(version="8.3.77"), f"{BLOCK}.A2C2f"), Unknown)


# --- the command


def test_check_names_weights_that_do_not_fit_and_one_that_cannot_be_read(tmp_path, layer):
    python = little_yolo.yolo_target(tmp_path / "target")
    here = tmp_path / "project"
    archive(here / "best.pt", checkpoint(layer("AAttn", "qk", "v"), version="8.3.63"))
    (here / "cut.pt").write_bytes(b"PK\3\4")
    static = ("--static", "--ignore", "numpy-missing-or-old")  # this little target has no numpy
    code, report, screen = little_yolo.check(python, *static, "--model", "best.pt", cwd=here)
    assert (code, little_yolo.root(report)["slug"]) == (1, "yolo12-weights-of-the-other-code")
    assert "best.pt: AAttn with `qk` and `v`, written by ultralytics 8.3.63" in " ".join(
        screen.replace("│", " ").split()
    )
    assert little_yolo.root(report)["fixes"][0]["verify"][-2:] == ["--model", "best.pt"]
    code, report, _ = little_yolo.check(python, *static, "--model", "cut.pt", cwd=here)
    assert code == 3
    assert ["cut.pt" in text for text in report["unexamined"]] == [True]
    found = {item["slug"]: item["severity"] for item in report["findings"]}
    assert found["yolo12-weights-of-the-other-code"] == "warning"  # best.pt still lies there


def test_weights_are_judged_against_recorded_facts_too(tmp_path, layer):
    archive(tmp_path / "best.pt", checkpoint(layer("AAttn", "qkv")))
    (tmp_path / "facts.json").write_text(json.dumps({"yolo": {"version": "8.3.63", "layout": "qk+v", "kind": "fork"}}))
    command = [
        sys.executable,
        "-m",
        "attn_doctor",
        "check",
        "--facts",
        "facts.json",
        "--model",
        "best.pt",
        "--json",
        "-",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert [f["slug"] for f in json.loads(done.stdout)["findings"] if f["root_cause"]] == [
        "yolo12-weights-of-the-other-code"
    ]
