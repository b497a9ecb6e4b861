"""The official wheels: the set of names, written down a second time and in another way, and what setup.py asks for."""

import itertools

import pytest
from official_wheels import BY_HAND, CONFIGURED, REPORTED, TORCH_PYTHONS

from attn_doctor.knowledge import wheels
from attn_doctor.model.facts import Unknown


def test_the_set_of_official_wheels():
    assert len(CONFIGURED) == len(set(CONFIGURED)) == 2024
    assert {wheel.filename for wheel in wheels.official()} == set(CONFIGURED) | BY_HAND | REPORTED


def test_each_of_them_exists_and_says_on_what_grounds():
    assert all(wheels.exists(name).yes for name in CONFIGURED)
    assert all("by hand" in wheels.exists(name).why for name in BY_HAND)
    assert all(isinstance(wheels.exists(name), Unknown) for name in REPORTED)


def test_no_other_combination_exists():
    releases = sorted({name.split("+")[0].removeprefix("flash_attn-") for name in CONFIGURED})
    torches = ["1.11", *TORCH_PYTHONS, "2.9", "2.10", "2.11", "2.15"]
    tags = ["cu11", "cu118", "cu12", "cu121", "cu122", "cu123", "cu13"]
    pythons = [f"cp3{minor}" for minor in range(6, 16)]
    known = set(CONFIGURED) | BY_HAND
    asked = 0
    for release, torch, tag, python, abi in itertools.product(releases, torches, tags, pythons, ("TRUE", "FALSE")):
        name = f"flash_attn-{release}+{tag}torch{torch}cxx11abi{abi}-{python}-{python}-linux_x86_64.whl"
        assert wheels.exists(name).yes is (name in known), name
        asked += 1
    assert asked > 50_000


@pytest.mark.parametrize("platform", ["linux_aarch64", "win_amd64", "macosx_14_0_arm64"])
def test_other_platforms(platform):
    assert wheels.exists(f"flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp312-cp312-{platform}.whl").yes is False


def test_how_sure_an_absence_is():
    looked_for = "flash_attn-2.8.3+cu12torch2.10cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"
    nobody_looked = "flash_attn-2.8.3+cu13torch2.12cxx11abiTRUE-cp313-cp313-linux_x86_64.whl"
    assert wheels.exists(looked_for).verified
    assert not wheels.exists(nobody_looked).verified  # wheels are added to this release by hand
    assert wheels.exists("flash_attn-2.7.4.post1+cu11torch2.4cxx11abiFALSE-cp311-cp311-linux_x86_64.whl").verified


@pytest.mark.parametrize("release", ["2.8.3.post2", "2.9.0", "2.7.4"])
def test_a_release_that_nobody_listed(release):
    answer = wheels.exists(f"flash_attn-{release}+cu13torch2.15cxx11abiTRUE-cp312-cp312-linux_x86_64.whl")
    assert isinstance(answer, Unknown)
    assert "not known to this table of 20" in answer.why


def test_what_is_not_released_does_not_exist():
    assert wheels.exists("flash_attn-2.8.4.dev0+cu13torch2.10cxx11abiTRUE-cp312-cp312-linux_x86_64.whl").yes is False


@pytest.mark.parametrize(
    ("release", "torch", "cuda", "python", "asked"),
    [
        ("2.5.8", "2.2.2+cu121", "12.1", "3.10", "2.5.8+cu122torch2.2cxx11abiFALSE-cp310"),
        ("2.6.0.post1", "2.4.1+cu124", "12.4", "3.10", "2.6.0.post1+cu122torch2.4cxx11abiFALSE-cp310"),
        ("2.6.1", "2.4.1+cu124", "12.4", "3.10", "2.6.1+cu123torch2.4cxx11abiFALSE-cp310"),
        ("2.6.3", "2.2.2+cu118", "11.8", "3.11", "2.6.3+cu118torch2.2cxx11abiFALSE-cp311"),
        ("2.6.3", "2.9.1+cu130", "13.0", "3.12", "2.6.3+cu123torch2.9cxx11abiTRUE-cp312"),
        ("2.7.0.post2", "2.5.1+cu124", "12.4", "3.12", "2.7.0.post2+cu12torch2.5cxx11abiFALSE-cp312"),
        ("2.7.4.post1", "2.4.1+cu118", "11.8", "3.11", "2.7.4.post1+cu11torch2.4cxx11abiFALSE-cp311"),
        ("2.8.3", "2.9.1+cu130", "13.0", "3.12", "2.8.3+cu12torch2.9cxx11abiTRUE-cp312"),
        ("2.8.3", "2.15.0+cu132", "13.2", "3.11", "2.8.3+cu12torch2.15cxx11abiTRUE-cp311"),
        ("2.8.3.post1", "2.9.1+cu130", "13.0", "3.12", "2.8.3.post1+cu13torch2.9cxx11abiTRUE-cp312"),
        ("2.8.3.post2", "2.15.0+cu132", "13.2", "3.11", "2.8.3.post2+cu13torch2.15cxx11abiTRUE-cp311"),
        ("2.8.3.post2", "2.15.0+cu132", "13.2", "3.13t", "2.8.3.post2+cu13torch2.15cxx11abiTRUE-cp313"),
    ],
)
def test_what_setup_py_asks_for(release, torch, cuda, python, asked):
    abi = "abiTRUE" in asked
    wheel = wheels.asked_for(release, torch=torch, cuda=cuda, cxx11_abi=abi, python=python)
    tag = asked.rpartition("-")[2]
    assert wheel.filename == f"flash_attn-{asked}-{tag}-linux_x86_64.whl"
    assert wheel.url == f"https://github.com/Dao-AILab/flash-attention/releases/download/v{release}/{wheel.filename}"


def test_the_cuda_13_trap():
    """2.8.3 asks for cu12 under CUDA 13, and on Python 3.12 with torch 2.9 that wheel exists."""
    wheel = wheels.asked_for("2.8.3", torch="2.9.1", cuda="13.0", cxx11_abi=True, python="3.12")
    assert wheels.exists(wheel.filename).yes is True
    assert wheel.cuda_major == 12


def test_setup_py_asks_for_cu11_where_there_is_none():
    wheel = wheels.asked_for("2.7.4.post1", torch="2.4.1", cuda="11.8", cxx11_abi=False, python="3.11")
    assert wheels.exists(wheel.filename).yes is False


def test_without_cuda_nothing_is_asked_for():
    assert isinstance(wheels.asked_for("2.8.3", torch="2.13.0+cpu", cuda=None, cxx11_abi=True, python="3.12"), Unknown)
    assert isinstance(wheels.asked_for("2.9.0", torch="2.15.0", cuda="13.2", cxx11_abi=True, python="3.12"), Unknown)


def test_mislabelled_wheels():
    wrong = {(w.release, w.torch) for w in wheels.official() if w.really is not w.cxx11_abi}
    assert wrong == {
        *itertools.product(["2.8.0.post2", "2.8.1", "2.8.2"], ["2.6", "2.7"]),
        *itertools.product(["2.8.3", "2.8.3.post1"], ["2.6", "2.7", "2.8"]),
    }
    assert all(w.really for w in wheels.official() if w.really is not w.cxx11_abi)


def test_wheels_built_against_nightlies():
    nightly = {(w.release, w.torch) for w in wheels.official() if w.nightly}
    assert ("2.7.3", "2.6") in nightly
    assert ("2.6.2", "2.4") in nightly
    assert ("2.6.3", "2.4") not in nightly
    assert not any(release.startswith("2.8") for release, _ in nightly)
