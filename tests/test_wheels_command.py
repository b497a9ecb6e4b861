"""`attn-doctor wheels`: the whole matrix and as much that it does not hold, odd keys, the JSON, and the network that is not there."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from official_wheels import BY_HAND, CONFIGURED
from targets import add_metadata, make_target

from attn_doctor.errors import Refused
from attn_doctor.knowledge import finder, wheels
from attn_doctor.knowledge.wheel_key import Key
from attn_doctor.report.wheels_outline import outline
from attn_doctor.wheels import online
from attn_doctor.wheels.answer import Answered, Wanted, answer

NAME = re.compile(r"flash_attn-(.+)\+cu(\d\d)\d?torch(.+)cxx11abi(\w+)-cp3(\d+)-cp3\d+-linux_x86_64\.whl")
HERE = {"torch": "2.8.0", "python": "3.12", "platform": "linux_x86_64", "glibc": "2.35", "gpus": ("8.9",)}


def asked(**parts) -> Answered:
    return answer(Wanted(**{**HERE, **parts}), None)


def fitting(found) -> list[str]:
    return [c.filename for c in found.candidates if c.fits and c.filename and c.kind == "official"]


# --- the whole matrix


def parts(filename: str) -> tuple[str, str, str, str, str]:
    release, cuda, torch, abi, minor = NAME.fullmatch(filename).groups()
    return release, cuda, torch, abi, f"3.{minor}"


def test_every_combination_that_is_there_and_as_many_that_are_not():
    """For each Python, torch, CUDA and ABI of any wheel: what fits is exactly what was built for it, newest release first."""
    built: dict[tuple[str, ...], list[str]] = {}
    for name in (*CONFIGURED, *BY_HAND):
        built.setdefault(parts(name)[1:], []).append(name)
    axes = [sorted({parts(name)[place] for name in (*CONFIGURED, *BY_HAND)}) for place in range(1, 5)]
    # Nothing is promised of a wheel that was built against a nightly, or of one whose name lies about its ABI.
    doubtful = {w.filename for w in wheels.official() if w.nightly or w.really is not w.cxx11_abi}
    counted = {True: 0, False: 0}
    for combination in itertools.product(*axes):
        cuda, torch, abi, python = combination
        key = Key(
            python=python,
            torch=f"{torch}.0",
            cuda=f"{cuda}.4",
            cxx11_abi=abi == "TRUE",
            platform="linux_x86_64",
            glibc="2.39",
            gpus=("8.9",),
        )
        said = fitting(finder.find(key))
        expected = {name for name in built.get(combination, []) if name not in doubtful}
        # A mislabelled wheel fits the ABI that it really has.
        expected |= {
            name
            for name in built.get((cuda, torch, "FALSE" if abi == "TRUE" else "TRUE", python), [])
            if _really(name, abi) and name in said
        }
        assert set(said) == expected, combination
        counted[bool(expected)] += 1
    assert counted[True] > 100
    assert counted[False] > counted[True]


def _really(name: str, abi: str) -> bool:
    return any(w.really is (abi == "TRUE") and w.filename == name for w in wheels.official())


def test_of_one_release_each_wheel_fits_its_own_key_alone():
    for release in ("2.8.3", "2.7.4.post1"):
        names = [name for name in (*CONFIGURED, *BY_HAND) if parts(name)[0] == release]
        for name in names:
            _, cuda, torch, abi, python = parts(name)
            found = asked(release=release, torch=torch + ".0", cuda=f"{cuda}.4", abi=abi == "TRUE", python=python)
            assert set(fitting(found)) <= {name} | {n for n in names if _really(n, abi)}


# --- odd keys


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ({"python": "3.13t"}, "built for Python 3.13, you have 3.13t"),
        ({"platform": "linux_aarch64"}, "built for linux_x86_64, you have linux_aarch64"),
        ({"platform": "musllinux_1_2_x86_64", "glibc": None}, "needs glibc, and the C library here is not glibc"),
        ({"platform": "win_amd64", "glibc": None, "torch": "2.8.0+cu128"}, "built for linux_x86_64, you have win_amd64"),
        ({"platform": "manylinux_2_28_x86_64", "glibc": None}, "needs glibc 2.32, here 2.28"),
        ({"torch": "2.8.0+cpu"}, "built for CUDA 12, your torch is built without CUDA"),
        ({"abi": False}, "labelled abiFALSE but really TRUE, your torch has FALSE"),
        ({"gpus": ("GTX 1080",)}, "FlashAttention 2 needs compute capability 8.0 or newer, your GPU is 6.1"),
        ({"torch": "2.99.0"}, "built for torch 2.8, you have 2.99"),
    ],
)  # fmt: skip
def test_what_does_not_fit_says_both_sides(key, reason):
    found = asked(**key)
    assert fitting(found) == []
    assert any(reason in c.reasons for c in found.candidates), [c.reasons for c in found.candidates[:4]]


@pytest.mark.parametrize(
    ("key", "capabilities"),
    [
        ({"gpus": ("RTX 4090",)}, ("8.9",)),
        ({"gpus": ("NVIDIA H100 80GB HBM3", "8.6")}, ("9.0", "8.6")),
        ({"gpus": ("12.0",)}, ("12.0",)),
    ],
)
def test_a_gpu_by_its_name(key, capabilities):
    assert asked(**key).key.gpus == capabilities


def test_a_torch_brings_its_cuda_and_its_abi():
    found = asked(torch="2.6.0", python="3.11")
    assert (found.key.cuda, found.key.cxx11_abi) == ("12.4", False)
    assert found.sources["cuda"] == "PyPI's build of this torch"
    found = asked(torch="2.6.0+cu126", python="3.11")
    assert (found.key.cuda, found.key.cxx11_abi) == ("12.6", True)
    assert asked(torch="2.6.0", python="3.11", abi=True, cuda="12.4").key.cxx11_abi is True
    assert asked(torch="2.6.0", python="3.11", abi=True).sources["cxx11_abi"] == "the command line"


def test_a_torch_that_is_newer_than_the_tables_is_not_unsupported():
    found = asked(torch="2.99.0")
    said = " ".join(found.notes)
    assert (
        f"torch 2.99.0 is not known to this table of {found.knowledge_date}. The table may be too old: a wheel may still fit."
        in said
    )
    assert "unsupported" not in json.dumps(msgspec.to_builtins(found))
    found = asked(release="9.9.9")
    assert found.candidates == ()
    assert f"flash-attn 9.9.9 is not known to this table of {found.knowledge_date}" in " ".join(found.notes)
    assert any("Nothing is known of the wheels of this release" in str(block) for block in outline(found, None))


@pytest.mark.parametrize(
    "key",
    [
        {"torch": "banana"},
        {"torch": "--torch"},
        {"python": "three"},
        {"glibc": "2"},
        {"cuda": "12.8; rm -rf /"},
        {"gpus": ("Voodoo",)},
        {"platform": "linux x86"},
        {"platform": "musllinux_1_2_x86_64"},  # with a glibc
        {"release": "newest"},
    ],
)
def test_what_is_no_key_is_refused(key):
    with pytest.raises(Refused):
        asked(**key)


def test_setup_py_would_ask_for_another_name_than_there_is():
    by_release = {a.release: a for a in asked(torch="2.9.1", cuda="13.0").asked}
    assert by_release["2.8.3"].filename == "flash_attn-2.8.3+cu12torch2.9cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"
    assert by_release["2.8.3"].exists is True  # and it is for the wrong CUDA
    assert by_release["2.8.2"].exists is False


def test_the_nearest_torch_with_a_wheel_and_what_it_breaks():
    found = asked(torch="2.15.0", python="3.11")
    assert found.nearest.torch == "2.8.0"
    assert found.nearest.wheel.python == "3.11"
    assert asked(python="3.14", torch="2.15.0").nearest is None
    assert asked(python="3.14", torch="2.15.0").nearest_why
    assert asked().nearest is None  # one fits: nothing has to change


# --- the command


def command(*argv: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "attn_doctor", "wheels", *argv],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
    )


WHOLE = "--torch 2.8.0 --python 3.12 --platform linux_x86_64 --glibc 2.35 --gpu 8.9".split()


def test_the_json_is_as_it_was_agreed_and_best_first(tmp_path):
    done = command(*WHOLE, "--json", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {"key", "candidates"} <= set(said)
    first = said["candidates"][0]
    assert set(first) == {
        "release",
        "filename",
        "url",
        "source",
        "fits",
        "reasons",
        "kind",
        "package",
        "builder",
        "listed",
    }
    assert (said["fits"], said["official"], first["kind"]) == (True, True, "official")
    assert (first["fits"], first["reasons"]) == (True, [])
    assert first["url"].endswith(first["filename"])
    order = [c["fits"] for c in said["candidates"] if c["filename"]]
    assert order == sorted(order, key=[True, None, False].index)


def test_on_the_screen_the_address_can_be_copied_whole(tmp_path):
    done = command(*WHOLE, cwd=tmp_path, COLUMNS="60")
    assert "✓ A finished wheel fits: flash-attn 2.8.3.post1." in done.stdout
    assert any(
        line.strip().startswith("python -m pip install https://") and line.endswith(".whl")
        for line in done.stdout.splitlines()
    )


def test_exit_codes(tmp_path):
    assert command(*WHOLE[2:], "--torch", "2.15.0", cwd=tmp_path).returncode == 1
    assert command(*WHOLE, "--gpu", "Voodoo", cwd=tmp_path).returncode == 2
    assert command("--target", str(tmp_path / "python"), cwd=tmp_path).returncode == 3
    assert command(*WHOLE, "--json", str(tmp_path / "no" / "such.json"), cwd=tmp_path).returncode == 2


def test_an_option_replaces_a_part_of_the_targets_key(tmp_path):
    files = {"__init__.py": "", "version.py": "__version__ = '2.6.0+cu124'\ncuda = '12.4'\nhip = None\n"}
    python = make_target(tmp_path / "env", {"torch": files})
    add_metadata(tmp_path / "env", "torch", "2.6.0")
    done = command("--target", str(python), "--gpu", "8.9", "--glibc", "2.35", "--json", "-", cwd=tmp_path)
    said = json.loads(done.stdout)
    assert (said["key"]["torch"], said["key"]["cuda"], said["key"]["gpus"]) == ("2.6.0+cu124", "12.4", ["8.9"])
    assert (said["sources"]["torch"], said["sources"]["gpus"]) == ("the target", "the command line")
    newer = command("--target", str(python), "--torch", "2.8.0+cu128", "--json", "-", cwd=tmp_path)
    assert json.loads(newer.stdout)["key"]["cuda"] == "12.8"


def test_online_without_a_network_says_so_and_answers_from_the_tables(tmp_path):
    offline = {
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
        "XDG_CACHE_HOME": str(tmp_path),
    }
    done = command(*WHOLE, "--online", cwd=tmp_path, **offline)
    said = " ".join(done.stdout.split())
    assert done.returncode == 0
    assert "✓ A finished wheel fits: flash-attn 2.8.3.post1." in said
    assert "the release page of flash-attn could not be asked (Connection refused through the proxy" in said
    assert "Traceback" not in done.stderr


# --- what a page says


def page(*names: str, stale: str | None = None) -> online.Page:
    assets = [{"name": name, "browser_download_url": f"https://example.org/{name}"} for name in names]
    return online.Page([{"assets": assets}], dt.datetime(2026, 11, 21, tzinfo=dt.timezone.utc), stale)


def test_wheels_that_are_newer_than_the_tables_are_judged_like_the_others():
    new = "flash_attn-2.9.0+cu13torch2.15cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"
    other = "flash_attn-2.9.0+cu13torch2.15cxx11abiTRUE-cp310-cp310-linux_x86_64.whl"
    key = asked(torch="2.15.0").key
    found, notes = online._of_releases(page(new, other, CONFIGURED[0], "flash_attn-2.9.0.tar.gz", "odd.whl"), key)
    assert [(c.filename, c.url) for c in found if c.fits is not False] == [(new, f"https://example.org/{new}")]
    assert {c.filename for c in found} == {new, other}
    assert notes == ["3 wheels there are newer than the tables"]
    whole = answer(Wanted(**{**HERE, "torch": "2.15.0"}), None, seen=found)
    assert new in {c.filename for c in whole.candidates}


def test_the_cache_answers_where_the_network_does_not(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    url = online.REGISTRY
    with pytest.raises(online.NotReached):
        online.fetch(url)
    long_ago = dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=3)
    online._keep(url, {"releases": {}}, long_ago)
    kept = online.fetch(url)
    assert (kept.content, kept.fetched) == ({"releases": {}}, long_ago)
    assert "Connection refused" in kept.stale
    online._keep(url, {"releases": {"9": []}}, dt.datetime.now(dt.timezone.utc))
    assert online.fetch(url).stale is None
    next(tmp_path.rglob("*.json")).write_text("{not json")
    with pytest.raises(online.NotReached):
        online.fetch(url)
