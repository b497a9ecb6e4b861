"""Weights of one YOLO12 under the code of the other: the message, and a cure that is not the next failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Unsure
from attn_doctor.failure_modes.model_code import model_not_built as built
from attn_doctor.failure_modes.model_code import ultralytics_older_than_weights as older
from attn_doctor.failure_modes.model_code import yolo12_weights_of_the_other_code as other
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts, Fault, Interpreter, ModelFile, Toolchain, Unknown, Yolo
from attn_doctor.model.findings import Finding, Goal, Severity
from attn_doctor.model.trials import Trial, TrialRun, Trials
from attn_doctor.probes.models import model_file

SITE = "/home/user/.venv/lib/python3.11/site-packages/ultralytics"
MAINLINE = Yolo(version="8.4.190", kind="mainline", location=SITE, attention="AAttn", layout="qkv")
FORK = Yolo(version="8.3.63", kind="fork", location="/home/user/yolov12/ultralytics", attention="AAttn", layout="qk+v")
BEFORE = Yolo(version="8.3.77", kind="mainline", location=SITE, attention=None, layout=None)
A2C2F = ("ultralytics.nn.modules.block.A2C2f",)


def facts(yolo: Yolo, *files: ModelFile, git: str | None = "/usr/bin/git") -> Facts:
    interpreter = Interpreter(python="/home/user/.venv/bin/python", installers=("pip 25.3",))
    return Facts(yolo=yolo, models=files, interpreter=interpreter, toolchain=Toolchain(git=git))


def weights(path: str, layout: str | None, *, asked: bool = True, **more: object) -> ModelFile:
    return ModelFile(path=path, layout=layout, asked=asked, **{"absent": (), "written_by": None, "date": None, **more})  # type: ignore[arg-type]


def found(given: Facts, trials: Trials | None = None) -> dict[str, Finding]:
    return {f.slug: f for f in diagnose(given, Goal.TRAIN, modules=(other, older), trials=trials).findings}


def lines(finding: Finding, nth: int = 0) -> list[str]:
    return [" ".join(step.argv) or step.why for step in finding.fixes[nth].steps]


def titles(finding: Finding) -> list[str]:
    return [fix.title for fix in finding.fixes]


# --- which weights run under which code, as was seen with ultralytics 8.3.77, 8.3.78 and 8.4.190, and both forks


@pytest.mark.parametrize(
    ("yolo", "layout", "absent", "slug"),
    [
        (MAINLINE, "qkv", (), None),
        (MAINLINE, "qk+v", (), "yolo12-weights-of-the-other-code"),
        (MAINLINE, None, (), None),
        (FORK, "qk+v", (), None),
        (FORK, "qkv", (), "yolo12-weights-of-the-other-code"),
        (BEFORE, "qkv", A2C2F, "ultralytics-older-than-weights"),
        # a newer ultralytics would know the class, and fail at `qkv`
        (BEFORE, "qk+v", A2C2F, "yolo12-weights-of-the-other-code"),
        (Yolo(version=None), "qk+v", (), None),
    ],
)
def test_weights_and_code(yolo, layout, absent, slug):
    assert list(found(facts(yolo, weights("best.pt", layout, absent=absent)))) == ([slug] if slug else [])


def test_a_file_that_nobody_asked_about_is_a_warning_and_less_where_another_fits():
    stray = weights("best.pt", "qk+v", asked=False)
    assert found(facts(MAINLINE, stray))[other.MODE.slug].severity is Severity.WARNING
    fits = weights("yolo12n.pt", "qkv", asked=False)
    assert found(facts(MAINLINE, stray, fits))[other.MODE.slug].severity is Severity.INFO


def test_only_the_file_that_was_asked_about_leaves_a_doubt():
    unread = Unknown("best.pt cannot be read: it is cut off")
    for asked in (True, False):
        given = facts(MAINLINE, weights("best.pt", unread, asked=asked, absent=unread))  # type: ignore[arg-type]
        for mode in (other, older):
            if asked:
                with pytest.raises(Unsure):
                    mode.detect(given)
            else:
                assert mode.detect(given) is None


# --- cures


def test_published_weights_are_exchanged_and_a_model_of_ones_own_gets_its_code():
    published = found(facts(MAINLINE, weights("yolov12s.pt", "qk+v")))[other.MODE.slug]
    assert titles(published)[0] == "Use ultralytics' own weights, yolo12s.pt"
    own = found(facts(MAINLINE, weights("best.pt", "qk+v")))[other.MODE.slug]
    assert lines(own) == [
        "/home/user/.venv/bin/python -m pip install ultralytics @ git+https://github.com/sunsmarterjie/yolov12 huggingface-hub numpy<2.4"
    ]
    assert own.fixes[0].verify == commands.check(facts(MAINLINE), "--no-trial", "--model", "best.pt")


def test_an_ultralytics_from_before_yolo12_is_renewed_before_its_weights_are_named():
    met = found(facts(BEFORE, weights("yolov12s.pt", "qk+v", absent=A2C2F)))[other.MODE.slug]
    assert "ultralytics>=8.3.78" in lines(met)[0]
    assert 'model="yolo12s.pt"' in lines(met)[1]


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [
        ("yolov12m.pt", "8.4.190", ['write model="yolo12m.pt"']),
        ("yolov12m.yaml", "8.3.40", ["ultralytics>=8.3.78", 'write model="yolo12m.yaml"']),
        ("yolov12m-seg.pt", "8.4.190", ["huggingface-hub", "/releases/download/seg/yolov12m-seg.pt"]),
    ],
)
def test_a_name_of_the_fork_under_ultralytics(name, version, said):
    given = Facts(yolo=Yolo(version=version), toolchain=Toolchain(git="/usr/bin/git"))
    hit = Hit(message="", evidence=(), variant=built.NotBuilt(cause="name of the fork", model=name))
    steps = built.fixes(given, hit)[0].steps
    shown = [" ".join(getattr(step, "requirements", ())) or step.why for step in steps]
    assert len(shown) == len(said)
    assert all(part in line for part, line in zip(said, shown, strict=True)), shown


def test_ultralytics_has_no_segmenting_yolo12_to_take_instead():
    segmenter = found(facts(MAINLINE, weights("yolov12n-seg.pt", "qk+v")))[other.MODE.slug]
    assert titles(segmenter)[0] == "Use these weights with the YOLOv12 fork that made them"


def test_without_git_the_fork_comes_as_an_archive():
    own = found(facts(MAINLINE, weights("best.pt", "qk+v"), git=None))[other.MODE.slug]
    assert "git+" not in lines(own)[0]
    assert "ultralytics @ https://github.com/sunsmarterjie/yolov12/archive/refs/heads/main.zip" in lines(own)[0]


def test_an_ultralytics_of_the_forks_version_is_removed_first():
    same = Yolo(version="8.3.63", kind="fork", location=SITE, attention="AAttn", layout="qkv")  # the fork's branch V1.0
    own = found(facts(same, weights("best.pt", "qk+v")))[other.MODE.slug]
    assert [line.split()[3] for line in lines(own)] == ["uninstall", "install"]


def test_a_clone_of_the_fork_hides_what_is_installed():
    own = found(facts(FORK, weights("best.pt", "qkv")))[other.MODE.slug]
    assert "ultralytics>=8.3.78" in lines(own)[0]
    assert "outside the clone" in lines(own)[1]
    packed = Yolo(version="8.3.63", kind="fork", location=SITE, attention="AAttn", layout="qk+v")
    assert len(lines(found(facts(packed, weights("best.pt", "qkv")))[other.MODE.slug])) == 1


def test_the_release_that_is_named_knows_the_class_and_is_no_older_than_the_writer():
    for wrote, least in ((None, "8.3.78"), ("8.3.63", "8.3.78"), ("8.4.9", "8.4.9"), ("not a version", "8.3.78")):
        file = weights("best.pt", "qkv", absent=A2C2F, written_by=wrote)
        assert f"ultralytics>={least}" in lines(found(facts(BEFORE, file))[older.MODE.slug])[0]


def test_a_class_that_a_newer_release_would_not_bring_is_another_projects():
    file = weights("leaf.pt", None, absent=("ultralytics.nn.modules.block.LeafBlock",), written_by="8.3.90")
    met = found(facts(MAINLINE, file))[older.MODE.slug]
    assert titles(met)[0] == "Use the code of the project that made the model"


# --- a trial


def test_a_trial_that_fails_so_is_explained_by_the_file():
    said = "AttributeError: 'AAttn' object has no attribute 'qkv'"
    row = Trial(backend="eager", device="cpu", dtype="float32", scope="model", status="failed", reason=said)
    met = found(facts(MAINLINE, weights("best.pt", "qk+v", asked=False)), Trials(rows=(row,), attempted=True))
    finding = met[other.MODE.slug]
    assert (finding.severity, finding.certainty.value) == (Severity.ERROR, "observed")
    assert [e.path for e in finding.evidence] == ["trials.0", "models.0.layout", "yolo.layout"]
    assert list(found(facts(MAINLINE), Trials(rows=(row,), attempted=True))) == [other.MODE.slug]


@pytest.mark.parametrize(
    ("kind", "said", "met"),
    [
        ("KeyError", "'A2C2f'", True),
        ("KeyError", "'names'", False),
        ("AttributeError", "Can't get attribute 'A2C2f' on <module 'ultralytics.nn.modules.block' from 'b.py'>", True),
        ("AttributeError", "Can't get attribute 'Net' on <module '__main__' from 'm.py'>", False),
    ],
)
def test_a_model_that_cannot_be_built_for_want_of_a_class(kind, said, met):
    run = TrialRun(model_fault=Fault(kind="raised", type=kind, message=said))
    assert list(found(facts(BEFORE), Trials(run=run, attempted=True))) == ([older.MODE.slug] if met else [])


# --- for real


_SAVES = """
import torch
from ultralytics.nn.tasks import DetectionModel
model = DetectionModel("yolo12n.yaml", ch=3, verbose=False)
torch.save({"model": model, "version": "8.4.190"}, "whole.pt")
torch.save({"model": model}, "old.pt", _use_new_zipfile_serialization=False)
torch.save(model.state_dict(), "state.pt")
for part in model.modules():
    if type(part).__name__ == "AAttn":
        part.qk, part.v = part.qkv, part.proj
        del part.qkv
torch.save({"ema": model}, "renamed.pt")
"""


@pytest.mark.heavy
def test_files_that_torch_and_ultralytics_write(tmp_path: Path):
    pytest.importorskip("torch")
    pytest.importorskip("ultralytics")
    subprocess.run([sys.executable, "-c", _SAVES], cwd=tmp_path, check=True, capture_output=True)
    read = {path.stem: model_file(path, path.name) for path in tmp_path.glob("*.pt")}
    assert {name: (file.format, file.layout) for name, file in read.items()} == {
        "whole": ("zip", "qkv"),
        "old": ("legacy", "qkv"),
        "renamed": ("zip", "qk+v"),
        "state": ("zip", None),
    }
    assert read["whole"].written_by == "8.4.190"
    assert read["state"].classes == ()
