"""The official wheels: the set of names, written down a second time and in another way, and what setup.py asks for."""

import itertools

import pytest

from attn_doctor.knowledge import wheels
from attn_doctor.model.facts import Unknown

# The release workflows in words: releases; Pythons; torch minors; CUDA 11 and 12 as the names spell them.
MATRIX = """
2.3.6 2.4.0.post1 2.4.1 2.4.2 2.4.3.post1 2.5.0       | 3.7-3.11 | 1.12 1.13 2.0 2.1 2.2         | cu118 cu122
2.5.1.post1 2.5.2 2.5.3 2.5.4 2.5.5 2.5.6 2.5.7 2.5.8 | 3.7-3.11 | 1.12 1.13 2.0 2.1 2.2 2.3     | cu118 cu122
2.5.9.post1                                           | 3.7-3.12 | 1.12 1.13 2.0 2.1 2.2 2.3 2.4 | cu118 cu122
2.6.0.post1                                           | 3.8-3.12 | 2.0 2.1 2.2 2.3 2.4           | cu118 cu122
2.6.1 2.6.2 2.6.3                                     | 3.8-3.12 | 2.0 2.1 2.2 2.3 2.4           | cu118 cu123
2.7.0.post2                                           | 3.8-3.12 | 2.1 2.2 2.3 2.4 2.5           | cu11 cu12
2.7.1.post4 2.7.2.post1 2.7.3                         | 3.9-3.13 | 2.1 2.2 2.3 2.4 2.5 2.6       | cu11 cu12
2.7.4.post1                                           | 3.9-3.13 | 2.2 2.3 2.4 2.5 2.6           | cu12
2.8.0.post2 2.8.1 2.8.2                               | 3.9-3.13 | 2.4 2.5 2.6 2.7               | cu12
2.8.3 2.8.3.post1                                     | 3.9-3.13 | 2.4 2.5 2.6 2.7 2.8           | cu12
"""
# Newest and oldest Python minor of a torch: the workflows leave out what torch had no wheels for.
TORCH_PYTHONS = {
    "1.12": (7, 10), "1.13": (7, 11), "2.0": (8, 11), "2.1": (8, 11), "2.2": (8, 12), "2.3": (8, 12),
    "2.4": (8, 12), "2.5": (9, 13), "2.6": (9, 13), "2.7": (9, 13), "2.8": (9, 13),
}  # fmt: skip
BY_HAND = {
    "flash_attn-2.8.3+cu12torch2.9cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
    "flash_attn-2.8.3+cu13torch2.9cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
    "flash_attn-2.8.3+cu13torch2.10cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
}
REPORTED = {
    "flash_attn-2.8.3+cu12torch2.9cxx11abiTRUE-cp312-cp312-linux_aarch64.whl",
    "flash_attn-2.8.3+cu13torch2.10cxx11abiTRUE-cp312-cp312-linux_aarch64.whl",
}


def configured():
    for line in MATRIX.strip().splitlines():
        releases, pythons, torches, tags = (part.split() for part in line.split("|"))
        first, last = (int(text.partition(".")[2]) for text in pythons[0].split("-"))
        for release, torch, tag, minor in itertools.product(releases, torches, tags, range(first, last + 1)):
            oldest, newest = TORCH_PYTHONS[torch]
            before_cuda_12 = torch in {"1.12", "1.13", "2.0"}
            if oldest <= minor <= newest and not (tag.startswith("cu12") and before_cuda_12):
                for abi in ("TRUE", "FALSE"):
                    yield f"flash_attn-{release}+{tag}torch{torch}cxx11abi{abi}-cp3{minor}-cp3{minor}-linux_x86_64.whl"


CONFIGURED = list(configured())


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
