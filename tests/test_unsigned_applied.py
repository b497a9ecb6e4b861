"""Applying the wheel that a stranger built, by the command: what its first import sees, what is written down, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import strangers
from internet import Internet
from little_plans import report
from patients import Patient
from snapshots import snapshot

from attn_doctor.fixes import after_fix_verdict, first_import, restore
from attn_doctor.model.facts import Facts, Torch
from attn_doctor.model.trials import Trial

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("gcc") is None or shutil.which("openssl") is None,
    reason="the machines of the patients are Linux",
)
WHEEL = strangers.listed()
BUILDER = "mjun0812"
SECRETS = {
    "HF_TOKEN": "hf_0123456789",
    "AWS_SECRET_ACCESS_KEY": "aws_0123456789",
    "SSH_AUTH_SOCK": "/run/agent_0123456789",
    "SOME_SETTING_OF_MINE": "setting_0123456789",
    "PIP_EXTRA_INDEX_URL": "https://me:pass_0123456789@127.0.0.1:9/simple",
}


@pytest.fixture(scope="module")
def net():
    with Internet() as made:
        yield made


@pytest.fixture
def ill(tmp_path, net) -> Patient:
    """A patient of a test's own, which may be changed."""
    net.pages.clear()
    net.asked.clear()
    made = strangers.patient(tmp_path / "p")
    made.environ |= net.environ
    return made


def fix(patient: Patient, *argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return patient.doctor("fix", *argv, "--gpu", "8.9", "--offline", **environ)


def told(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def way_of(plan: dict) -> dict:
    (found,) = [way for way in plan["ways"] if way["unsigned"]]
    return found


def test_yes_alone_does_not_take_it(ill, net):
    before = snapshot(ill.prefix)
    done = fix(ill, "--apply", "--yes", "--way", "B")
    assert (done.returncode, "--yes does not" in done.stderr) == (2, True), done.stderr
    assert net.asked == []
    assert snapshot(ill.prefix) == before


# -- a good one


def test_a_file_that_fits_is_proven_tried_installed_without_credentials_and_undone(ill, net, tmp_path):
    seen = tmp_path / "seen.jsonl"
    programs = b"[console_scripts]\nflash-tool = flash_attn:main\n"
    content = strangers.wheel({"flash_attn-2.8.3.dist-info/entry_points.txt": programs}, seen=seen)
    digest = hashlib.sha256(content).hexdigest()
    net.pages[WHEEL.url] = content
    before = snapshot(ill.prefix)
    run = fix(ill, "--apply", "--yes", "--way", "B", "--allow-unsigned", BUILDER, "--json", "-", **SECRETS)
    done = told(run)
    assert (run.returncode, done["applied"]["outcome"]) == (0, "applied"), done["applied"]
    assert net.asked == [WHEEL.url]

    way = way_of(done["plan"])
    assert way["unsigned"]["sha256"] == digest
    proof = way["unsigned"]["proof"]
    assert (proof["verdict"], proof["sha256"], proof["against"]) == ("fits", digest, [])
    assert "it installs programs: flash-tool" in proof["notices"]
    assert proof["meaning"].startswith("This proof says that the file fits, never that it is harmless")
    assert way["attempt"]["verified"] is True
    assert "its numbers are not checked: no GPU here can run it" in way["attempt"]["summary"]

    looks = [json.loads(line) for line in seen.read_text().splitlines()]
    real = [str(ill.prefix) in look["file"] for look in looks]
    assert {True, False} <= set(real)
    assert real == sorted(real)  # in the copy first
    homes = {look["home"] for look in looks}
    assert str(ill.folder / "home") not in homes
    assert not any(Path(home).exists() for home in homes)
    assert all("0123456789" not in value for look in looks for value in look["environ"].values())
    assert all(not set(SECRETS) & set(look["environ"]) for look in looks)
    assert all(look["environ"]["PATH"] for look in looks)

    folder = next((ill.prefix / ".attn-doctor" / "undo").iterdir())
    (event,) = [event for event in restore.events(str(folder)) if event["at"] == "wheel"]
    assert (event["builder"], event["url"], event["sha256"]) == (BUILDER, WHEEL.url, digest)
    undone = fix(ill, "--undo", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert snapshot(ill.prefix) == before


def test_the_command_shows_the_proof_and_then_the_refusal(ill, net):
    net.pages[WHEEL.url] = strangers.wheel({"evil.pth": b"import os"})
    before = snapshot(ill.prefix)
    done = fix(ill, "--apply", "--yes", "--way", "B", "--allow-unsigned", BUILDER)
    said = " ".join(done.stdout.split())
    assert done.returncode == 1, done.stderr
    assert said.index("This file is refused.") < said.index("B is refused, and nothing was changed")
    assert hashlib.sha256(net.pages[WHEEL.url]).hexdigest() in said
    assert snapshot(ill.prefix) == before


@pytest.mark.heavy
def test_an_import_that_fails_in_the_copy_changes_nothing(ill, net):
    net.pages[WHEEL.url] = strangers.wheel({"flash_attn/flash_attn_interface.py": b"raise ImportError('not today')\n"})
    before = snapshot(ill.prefix)
    run = fix(ill, "--apply", "--yes", "--way", "B", "--allow-unsigned", BUILDER, "--json", "-")
    done = told(run)
    assert (run.returncode, done["applied"]["outcome"]) == (1, "refused")
    assert way_of(done["plan"])["unsigned"]["proof"]["verdict"] == "fits"
    assert "does not import (ImportError: not today)" in done["applied"]["summary"]
    assert snapshot(ill.prefix) == before


@pytest.mark.heavy
def test_where_a_card_is_here_its_numbers_must_have_been_checked(tmp_path, net):
    """The torch of this patient computes nothing, so no trial can hold flash-attn against float64."""
    made = strangers.patient(tmp_path / "p", card=True)
    made.environ |= net.environ
    net.pages[WHEEL.url] = strangers.wheel()
    before = snapshot(made.prefix)
    done = made.doctor("fix", "--apply", "--yes", "--way", "B", "--allow-unsigned", BUILDER, "--json", "-", "--offline")
    assert done.returncode == 1
    assert "its numbers could not be checked against float64" in told(done)["applied"]["summary"]
    assert snapshot(made.prefix) == before


ROW = Trial(backend="flash-attn-2", status="ok", dtype="float16", device="cuda:0")


@pytest.mark.parametrize(
    ("rows", "available", "elsewhere", "expected"),
    [
        ([ROW], True, False, (None, None)),
        ([msgspec.structs.replace(ROW, dtype="float32", status="ruled-out"), ROW], True, False, (None, None)),
        ([ROW, msgspec.structs.replace(ROW, status="wrong", reason="far off")], True, False, ("flash-attn computes wrong numbers: far off", None)),
        ([msgspec.structs.replace(ROW, status="failed", reason="no kernel")], True, False, ("its numbers could not be checked against float64: no kernel", None)),
        ([], True, False, ("its numbers could not be checked against float64: no model", None)),
        ([], False, False, (None, "its numbers are not checked: no GPU here can run it")),
        ([], True, True, (None, "its numbers are not checked: no GPU here can run it")),
    ],
)  # fmt: skip
def test_when_its_numbers_count_as_checked(rows, available, elsewhere, expected):
    facts = Facts(torch=Torch(version="2.11.0", available=available))
    made = report(facts=facts, trials=tuple(rows), trials_skipped="no model")
    assert after_fix_verdict.unchecked(made, elsewhere=elsewhere) == expected
    assert after_fix_verdict.unchecked(None, elsewhere=False) == (
        "its numbers could not be checked against float64: the trial gave no answer",
        None,
    )


# -- the variables of a first import


@pytest.mark.parametrize(
    ("name", "value", "passes"),
    [
        ("PATH", "/bin", True),
        ("LD_LIBRARY_PATH", "/x", True),
        ("CUDA_VISIBLE_DEVICES", "0", True),
        ("PYTHONPATH", "/x", True),
        ("LC_ALL", "C", True),
        ("HF_TOKEN", "x", False),
        ("GITHUB_TOKEN", "x", False),
        ("AWS_PROFILE", "x", False),
        ("SSH_AUTH_SOCK", "x", False),
        ("TORCH_API_KEY", "x", False),
        ("YOLO_SECRET", "x", False),
        ("DATABASE_URL", "x", False),
        ("TORCH_INDEX", "https://me:word@host/", False),
        ("TORCH_INDEX", "https://host/", True),
        ("PYTHONSTARTUP", "/x", False),
    ],
)
def test_which_variables_a_first_import_sees(tmp_path, name, value, passes):
    made = first_import.cleared({name: value, "HOME": "/home/me"}, tmp_path / "h")
    assert (made.get(name) == value) is passes
    assert made["HOME"] == str(tmp_path / "h")
    assert (tmp_path / "h" / ".config").is_dir()
    assert made["XDG_CONFIG_HOME"] == str(tmp_path / "h" / ".config")
    assert "PYTHONUSERBASE" not in made


def test_the_user_site_stays_where_it_is(tmp_path):
    site = ("/home/me/.local/lib/python3.11/site-packages", "/home/me/.local/bin")
    assert first_import.cleared({}, tmp_path, site)["PYTHONUSERBASE"] == "/home/me/.local"
    assert first_import.cleared({"PYTHONUSERBASE": "/u"}, tmp_path, site)["PYTHONUSERBASE"] == "/u"
