"""The configuration of a project: where it is found, what it may say, and each mistake in one sentence with its line."""

from __future__ import annotations

import datetime as dt
import os
import sys
from pathlib import Path

import pytest

from attn_doctor.errors import Refused
from attn_doctor.examination.configuration import Configuration, Refusal, configuration


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "repository"
    (folder / ".git").mkdir(parents=True)
    (folder / "src" / "deep").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def read(folder: Path, named: str | None = None, *, off: bool = False, **environ: str):
    return configuration(named, off=off, environ={"HOME": "/home/user", **environ}, folder=folder)


def test_the_nearest_file_up_to_the_root_of_the_repository(project):
    (project.parent / "attn-doctor.toml").write_text('goal = "flash-attn"\n')
    assert read(project / "src" / "deep") is None  # above the repository
    (project / "pyproject.toml").write_text('[tool.attn-doctor]\nimgsz = 320\n[tool.other]\ngoal = "no"\n')
    assert read(project / "src" / "deep").settings.imgsz == 320
    (project / "attn-doctor.toml").write_text("imgsz = 640\n")
    assert read(project / "src" / "deep").settings.imgsz == 640  # goes before pyproject.toml
    (project / "src" / "pyproject.toml").write_text('[project]\nname = "x"\n')  # has no table of ours: goes on
    assert read(project / "src" / "deep").settings.imgsz == 640
    (project / "src" / "attn-doctor.toml").write_text("imgsz = 96\n")
    assert read(project / "src" / "deep").settings.imgsz == 96


def test_the_home_folder_is_the_last_that_is_looked_at(tmp_path):
    (tmp_path / "home" / "work").mkdir(parents=True)
    (tmp_path / "attn-doctor.toml").write_text("imgsz = 96\n")
    assert read(tmp_path / "home" / "work", HOME=str(tmp_path / "home")) is None
    assert read(tmp_path / "home" / "work", HOME=str(tmp_path / "other")).settings.imgsz == 96


def test_a_file_that_is_named_and_none_at_all(project):
    (project / "attn-doctor.toml").write_text("imgsz = 640\n")
    (project / "ci.toml").write_text("imgsz = 96\n")
    assert (read(project).settings.imgsz, read(project).named) == (640, False)
    assert (read(project, "ci.toml").settings.imgsz, read(project, "ci.toml").named) == (96, True)
    assert read(project, ATTN_DOCTOR_CONFIG="ci.toml").settings.imgsz == 96
    assert read(project, "attn-doctor.toml", ATTN_DOCTOR_CONFIG="ci.toml").settings.imgsz == 640
    assert read(project, ATTN_DOCTOR_CONFIG="off") is None
    assert read(project, off=True, ATTN_DOCTOR_CONFIG="ci.toml") is None


def test_everything_that_it_can_say(project):
    (project / "attn-doctor.toml").write_text(
        'goal = "train"\nfail-on = "warning"\nexpect-gpus = 0\nbaseline = "ci/known.json"\nmodel = "yolo12s.yaml"\nimgsz = 96\nbatch = 1\n'
        'device = "cpu"\nbackend = "sdpa"\ntarget = "python3"\n'
        '[[ignore]]\ncode = "ad419"\nreason = "the runners\\n  have none"\nuntil = 2099-12-31\n[[ignore]]\nslug = "mig"\nreason = "x"\n'
    )
    found = read(project)
    said = found.settings
    assert (said.goal, said.fail_on, said.expect_gpus, said.model, said.imgsz, said.batch) == (
        "train",
        "warning",
        0,
        "yolo12s.yaml",
        96,
        1,
    )
    assert (said.device, said.backend, said.target) == ("cpu", ("sdpa",), "python3")
    assert found.beside(said.baseline) == str(project / "ci" / "known.json")
    first, second = found.exceptions
    assert (first.code, first.slug, first.reason, first.until, first.ran_out) == (
        "AD419",
        "no-gpu-present",
        "the runners have none",
        "2099-12-31",
        False,
    )
    assert (second.code, second.until) == ("AD410", None)


def test_an_exception_counts_on_its_last_day_and_not_after_it(project):
    today = dt.datetime.now().astimezone().date()
    for days, ran_out in ((0, False), (-1, True), (1, False)):
        (project / "attn-doctor.toml").write_text(
            f'[[ignore]]\nslug = "mig"\nreason = "x"\nuntil = {today + dt.timedelta(days=days)}\n'
        )
        assert read(project).exceptions[0].ran_out is ran_out


MISTAKES = {
    "unknown": (
        "imgsz = 96\nfial-on = 'error'\n",
        "attn-doctor.toml line 2: there is no setting 'fial-on': did you mean fail-on?",
    ),
    "underscore": (
        "fail_on = 'error'\n",
        "attn-doctor.toml line 1: there is no setting 'fail_on': did you mean fail-on?",
    ),
    "far": (
        "colour = 'red'\n",
        "attn-doctor.toml line 1: there is no setting 'colour' (there are goal, target, fail-on,",
    ),
    "type": ("# a comment\n\nimgsz = '96'\n", "attn-doctor.toml line 3: imgsz must be a whole number, not a text"),
    "true": ("batch = true\n", "attn-doctor.toml line 1: batch must be a whole number, not true or false"),
    "choice": (
        "fail-on = 'warnings'\n",
        "line 1: fail-on is 'warnings', and must be one of error, warning, never: did you mean warning?",
    ),
    "small": ("batch = 0\n", "attn-doctor.toml line 1: batch is 0, and must be at least 1"),
    "negative": ("expect-gpus = -1\n", "attn-doctor.toml line 1: expect-gpus is -1, and must be at least 0"),
    "reason": ("[[ignore]]\ncode = 'AD419'\n", "attn-doctor.toml line 1: an entry of ignore needs a reason"),
    "empty": (
        "[[ignore]]\ncode = 'AD419'\nreason = ' '\n",
        "attn-doctor.toml line 3: the exception for AD419 needs a reason",
    ),
    "code": (
        "[[ignore]]\ncode = 'AD419'\nreason = 'x'\n[[ignore]]\nreason = 'y'\nslug = 'numpy-api'\n",
        "attn-doctor.toml line 6: no failure mode is called 'numpy-api'; did you mean numpy-abi?",
    ),
    "twice": (
        "ignore = [\n  {code = 'AD419', reason = 'x'},\n  {slug = 'no-gpu-present', reason = 'y'},\n]\n",
        "attn-doctor.toml line 3: AD419 (no-gpu-present) is ignored twice",
    ),
    "both": (
        "[[ignore]]\ncode = 'AD419'\nslug = 'mig'\nreason = 'x'\n",
        "line 1: an entry of ignore has either a code or a slug",
    ),
    "key": (
        "[[ignore]]\ncode = 'AD419'\nreson = 'x'\n",
        "attn-doctor.toml line 3: ignore has no 'reson': did you mean reason?",
    ),
    "date": (
        "[[ignore]]\ncode = 'AD419'\nreason = 'x'\nuntil = 'next week'\n",
        "line 4: ignore[0].until must be a date such as 2027-01-31",
    ),
    "syntax": ("imgsz = \n", "attn-doctor.toml is no valid TOML:"),
    "stride": ("\nimgsz = 650\n", "attn-doctor.toml line 2: image size 650 is not a multiple of 32: use 640 or 672"),
    "backend": (
        "backend = ['sdpa',\n 'sdpa-flsh']\n",
        "attn-doctor.toml line 1: there is no backend 'sdpa-flsh': did you mean sdpa-flash?",
    ),
    "model": ("model = 'yolo99z.yaml'\n", "attn-doctor.toml line 1: there is no model file "),
    "device": ("device = 'tpu'\n", "attn-doctor.toml line 1: there is no device 'tpu'"),
    "no list": ("ignore = 'AD419'\n", "attn-doctor.toml line 1: ignore must be a list, not a text"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_each_mistake_is_one_sentence_with_its_line(project, kind):
    written, said = MISTAKES[kind]
    (project / "attn-doctor.toml").write_text(written)
    with pytest.raises(Refused) as refused:
        read(project)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_mistakes_of_a_pyproject_and_of_files(project):
    (project / "pyproject.toml").write_text(
        '[project]\nname = "imgsz"\nimgsz = 1\n\n[tool.attn-doctor]\ngoal = "train"\nimgsz = 0\n'
    )
    with pytest.raises(Refused, match=r"pyproject.toml line 7: imgsz is 0"):
        read(project)
    (project / "pyproject.toml").write_text("\n[tool.attn_doctor]\nimgsz = 96\n")
    with pytest.raises(Refused, match=r"line 2: the table is called \[tool.attn-doctor\], not \[tool.attn_doctor\]"):
        read(project)
    (project / "pyproject.toml").write_text("[project]\nname = \n# attn")
    assert read(project) is None  # other tools say so
    with pytest.raises(Refused, match="no valid TOML"):
        read(project, "pyproject.toml")
    (project / "pyproject.toml").write_text("[project]\n")
    with pytest.raises(Refused, match=r"pyproject.toml has no \[tool.attn-doctor\]"):
        read(project, "pyproject.toml")
    with pytest.raises(Refused, match=r"ci.toml cannot be read: No such file"):
        read(project, "ci.toml")
    with pytest.raises(Refused, match="cannot be read"):
        read(project, ".")
    (project / "ci.toml").write_bytes(b'goal = "\xff"\n')
    with pytest.raises(Refused, match=r"ci.toml is not UTF-8 \(byte 8\)"):
        read(project, "ci.toml")
    (project / "ci.toml").write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(Refused, match="larger than 1 MB"):
        read(project, "ci.toml")
    if sys.platform == "win32":
        return
    os.mkfifo(project / "pipe")
    with pytest.raises(Refused, match="not a regular file"):
        read(project, "pipe")


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_not_used(project):
    file = project / "attn-doctor.toml"
    file.write_text("imgsz = 96\n")
    os.chown(file, 12345, -1)
    assert read(project) == Refusal(file, "it belongs to another user")
    assert read(project, "attn-doctor.toml").settings.imgsz == 96


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_file_that_everybody_may_write_to_is_not_used(project):
    file = project / "attn-doctor.toml"
    file.write_text("imgsz = 96\n")
    file.chmod(0o666)
    assert read(project) == Refusal(file, "every user may write to it")
    file.chmod(0o664)  # the group of the user alone
    assert isinstance(read(project), Configuration)
