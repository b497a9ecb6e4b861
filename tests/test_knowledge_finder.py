"""The wheel finder. Expectations by hand; the exhaustive part uses names that test_knowledge_wheels writes down."""

import re
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from official_wheels import BY_HAND, CONFIGURED

from attn_doctor.knowledge import finder, wheels
from attn_doctor.knowledge.nearest_torch import Nearest, nearest_torch
from attn_doctor.knowledge.wheel_key import Key, key_of
from attn_doctor.model.facts import Facts, Gpu, Graphics, Interpreter, System, Torch, Unknown

HEALTHY = Key(
    python="3.12",
    torch="2.8.0+cu128",
    cuda="12.8",
    cxx11_abi=True,
    platform="linux_x86_64",
    glibc="2.35",
    gpus=("8.9",),
)


def key(**parts):
    return msgspec.structs.replace(HEALTHY, **parts)


def by_release(found):
    return {candidate.release: candidate for candidate in found.candidates if candidate.filename}


def test_best_first():
    found = finder.find(HEALTHY)
    assert found.candidates[0].release == "2.8.3.post1"
    assert (
        found.candidates[0].filename == "flash_attn-2.8.3.post1+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"
    )
    assert found.candidates[0].fits is True
    assert found.candidates[0].reasons == ()
    order = [candidate.fits for candidate in found.candidates if candidate.filename]
    assert order == sorted(order, key=[True, None, False].index)


def test_every_release_is_answered_for():
    assert len(by_release(finder.find(HEALTHY))) == 30


@pytest.mark.parametrize(
    ("parts", "release", "fits", "reason"),
    [
        ({"torch": "2.15.0+cu132", "cuda": "13.2"}, "2.8.3.post1", False, "built for torch 2.8, you have 2.15"),
        ({"torch": "2.15.0+cu132", "cuda": "13.2"}, "2.8.3.post1", False, "built for CUDA 12, your torch is built for CUDA 13.2"),
        ({"glibc": "2.28"}, "2.8.3", False, "needs glibc 2.32, here 2.28"),
        ({"glibc": "2.31"}, "2.8.3", False, "needs glibc 2.32, here 2.31"),
        ({"glibc": None}, "2.8.3", False, "needs glibc, and the C library here is not glibc"),
        ({"torch": "2.6.0", "cuda": "12.4", "cxx11_abi": False, "gpus": ("12.0",)}, "2.7.4.post1", False,
         "holds sm_80 and sm_90, your GPU is 12.0"),
        ({"torch": "2.6.0", "cuda": "12.4", "cxx11_abi": False}, "2.8.3", False,
         "labelled abiFALSE but really TRUE, your torch has FALSE"),
        ({"python": "3.14"}, "2.8.3", False, "built for Python 3.13, you have 3.14"),
        ({"python": "3.13t"}, "2.8.3", False, "built for Python 3.13, you have 3.13t"),
        ({"platform": "win_amd64", "glibc": None}, "2.8.3", False, "built for linux_x86_64, you have win_amd64"),
        ({"gpus": ("7.5",)}, "2.8.3", False, "FlashAttention 2 needs compute capability 8.0 or newer, your GPU is 7.5"),
        ({"torch": "2.13.0+cpu", "cuda": None}, "2.8.3.post1", False, "built for CUDA 12, your torch is built without CUDA"),
        ({"torch": None}, "2.8.3.post1", False, "built for torch 2.8, and there is no torch here"),
        ({"torch": "2.6.0", "cuda": "12.6"}, "2.7.3", None,
         "built against the nightly 2.6.0.dev20241001: undefined symbols are possible with yours"),
        ({"torch": "2.6.0a0+df5bbc09d1.nv24.12", "cuda": "12.6"}, "2.7.4.post1", None,
         "built for releases of torch, yours is the pre-release 2.6.0a0+df5bbc09d1.nv24.12: undefined symbols are possible"),
        ({"torch": "2.15.0+cu132", "cuda": "13.2"}, "2.8.3.post2", None,
         "which wheels flash-attn 2.8.3.post2 has is not known to this table of 2026-12-01"),
        ({"torch": "2.4.1", "cuda": "12.1", "cxx11_abi": False, "glibc": "2.28"}, "2.6.3", None,
         "built on glibc 2.31; whether it needs that is not known, here 2.28"),
    ],
)  # fmt: skip
def test_reasons(parts, release, fits, reason):
    candidate = by_release(finder.find(key(**parts)))[release]
    assert candidate.fits is fits
    assert reason in candidate.reasons


@pytest.mark.parametrize(
    ("parts", "filename"),
    [
        ({}, "flash_attn-2.8.3.post1+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"),
        ({"gpus": ()}, "flash_attn-2.8.3.post1+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"),  # a login node
        ({"gpus": ("12.0",)}, "flash_attn-2.8.3.post1+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"),
        ({"gpus": ("6.1", "8.9")}, "flash_attn-2.8.3.post1+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"),
        ({"torch": "2.6.0", "cuda": "12.4", "cxx11_abi": False},
         "flash_attn-2.7.4.post1+cu12torch2.6cxx11abiFALSE-cp312-cp312-linux_x86_64.whl"),
        ({"torch": "2.6.0", "cuda": "12.6"},
         "flash_attn-2.8.3.post1+cu12torch2.6cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"),
        ({"torch": "2.6.0", "cuda": "12.4", "cxx11_abi": False, "glibc": "2.28"},
         "flash_attn-2.7.4.post1+cu12torch2.6cxx11abiFALSE-cp312-cp312-linux_x86_64.whl"),
        ({"torch": "2.2.2", "cuda": "11.8", "cxx11_abi": False, "python": "3.11"},
         "flash_attn-2.7.3+cu11torch2.2cxx11abiFALSE-cp311-cp311-linux_x86_64.whl"),
        ({"torch": "2.2.2", "cuda": "12.1", "cxx11_abi": False, "python": "3.8"},
         "flash_attn-2.7.0.post2+cu12torch2.2cxx11abiFALSE-cp38-cp38-linux_x86_64.whl"),
        ({"torch": "2.9.1", "cuda": "13.0"}, "flash_attn-2.8.3+cu13torch2.9cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"),
        ({"torch": "2.9.1", "cuda": "12.8"}, "flash_attn-2.8.3+cu12torch2.9cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"),
        ({"torch": "2.10.0", "cuda": "13.0"}, "flash_attn-2.8.3+cu13torch2.10cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"),
    ],
)  # fmt: skip
def test_the_best_wheel(parts, filename):
    best = finder.find(key(**parts)).candidates[0]
    assert (best.filename, best.fits) == (filename, True)


@pytest.mark.parametrize(
    "parts",
    [
        {"torch": "2.15.0+cu132", "cuda": "13.2"},
        {"torch": "2.10.0", "cuda": "12.8"},
        {"torch": "2.9.1", "cuda": "13.0", "python": "3.11"},
        {"torch": "2.6.0", "cuda": "12.4", "cxx11_abi": False, "gpus": ("12.0",)},  # an RTX 50xx on PyPI's torch 2.6
        {"torch": "2.8.0", "platform": "win_amd64", "glibc": None},
        {"torch": "2.8.0", "platform": "linux_aarch64"},
        {"gpus": ("7.5",)},
        {"gpus": ("11.0",)},
        {"python": "3.14"},
    ],
)
def test_nothing_fits(parts):
    assert not any(candidate.fits for candidate in finder.find(key(**parts)).candidates)


@pytest.mark.parametrize("release", ["2.8.0.post2", "2.8.1", "2.8.2", "2.8.3", "2.8.3.post1"])
def test_the_glibc_need_of_every_2_8_release(release):
    """Built on 2.35, in need of 2.32: it fails on Ubuntu 20.04, Debian 11 and RHEL 8, and pip does not say so."""
    torch = {"torch": "2.7.1", "cuda": "12.8"}
    assert by_release(finder.find(key(glibc="2.31", **torch)))[release].fits is False
    assert by_release(finder.find(key(glibc="2.32", **torch)))[release].fits is True


@dataclass(frozen=True)
class Name:
    """A wheel's name taken apart by the test's own means."""

    release: str
    cuda: str
    torch: str
    abi: bool
    python: str

    @classmethod
    def of(cls, filename):
        found = re.fullmatch(
            r"flash_attn-(.+)\+cu(\d\d)\d?torch(.+)cxx11abi(\w+)-cp3(\d+)-cp3\d+-linux_x86_64\.whl", filename
        )
        release, cuda, torch, abi, minor = found.groups()
        return cls(release, f"{cuda}.1", f"{torch}.0", abi == "TRUE", f"3.{minor}")


@pytest.mark.parametrize("release", sorted({Name.of(name).release for name in CONFIGURED}))
def test_the_key_of_every_wheel_finds_that_wheel(release):
    for filename in [name for name in (*CONFIGURED, *BY_HAND) if Name.of(name).release == release]:
        name = Name.of(filename)
        asked = key(python=name.python, torch=name.torch, cuda=name.cuda, cxx11_abi=name.abi)
        candidate = by_release(finder.find(asked))[release]
        assert candidate.filename == filename
        mislabelled = not name.abi and release.startswith("2.8") and name.torch in {"2.6.0", "2.7.0", "2.8.0"}
        nightly = next(w.nightly for w in wheels.of_release(release) if w.filename == filename)
        assert candidate.fits is (False if mislabelled else None if nightly else True)


def test_one_release_with_all_its_wheels():
    found = finder.find(HEALTHY, release="2.8.2")
    assert len(found.candidates) == 38
    assert {candidate.release for candidate in found.candidates} == {"2.8.2"}
    assert not any(candidate.fits for candidate in found.candidates)
    unknown = finder.find(HEALTHY, release="2.8.3.post2").candidates
    assert [candidate.fits for candidate in unknown] == [None]
    assert finder.find(HEALTHY, release="2.9.0").candidates == ()


KEYS = st.builds(
    Key,
    python=st.sampled_from(["3.9", "3.12", "3.13t", "3.14"]),
    torch=st.sampled_from([None, "2.2.2", "2.6.0", "2.8.0+cu128", "2.9.1", "2.15.0", "2.6.0a0+nv24.12"]),
    cuda=st.sampled_from([None, "11.8", "12.4", "12.8", "13.0"]),
    cxx11_abi=st.sampled_from([True, False, None]),
    platform=st.sampled_from(["linux_x86_64", "linux_aarch64", "win_amd64"]),
    glibc=st.sampled_from([None, "2.17", "2.28", "2.31", "2.32", "2.39"]),
    gpus=st.sampled_from([(), ("7.5",), ("8.7",), ("8.9",), ("12.0",), ("6.1", "9.0")]),
)


@settings(max_examples=300, deadline=None)
@given(whole=KEYS, hidden=st.sets(st.sampled_from(Key.__struct_fields__), min_size=1))
def test_not_knowing_never_makes_a_wheel_fit(whole, hidden):
    asked = msgspec.structs.replace(whole, **{part: Unknown("hidden") for part in hidden})
    for wheel in wheels.official()[::37]:
        guess, known = finder.judge(wheel, asked)[0], finder.judge(wheel, whole)[0]
        assert guess is not True
        assert guess is None or known is False
    assert not any(candidate.fits for candidate in finder.find(asked).candidates)


@settings(max_examples=100, deadline=None)
@given(whole=KEYS)
def test_what_fits_has_no_reason_against_it_and_what_does_not_has(whole):
    for candidate in finder.find(whole).candidates:
        assert (candidate.fits is True) == (candidate.reasons == ())


def test_unknown_parts_are_named():
    asked = key(torch=Unknown("torch did not import"), gpus=Unknown("no driver answered"))
    candidate = by_release(finder.find(asked))["2.8.3"]
    assert candidate.fits is None
    assert any("torch did not import" in reason for reason in candidate.reasons)
    assert any("no driver answered" in reason for reason in candidate.reasons)


def test_pointers_are_never_promises():
    for parts in ({}, {"torch": "2.15.0", "cuda": "13.2"}, {"gpus": ("9.0",)}):
        pointers = [candidate for candidate in finder.find(key(**parts)).candidates if candidate.filename is None]
        assert len(pointers) == 9
        assert all(pointer.fits is not True and pointer.reasons for pointer in pointers)


def test_pointers_are_ruled_out_where_they_cannot_serve():
    def pointer(name, **parts):
        return next(c for c in finder.find(key(**parts)).candidates if name in c.source)

    assert pointer("flash-attn-3", torch="2.9.1", gpus=("9.0",)).fits is None
    assert pointer("flash-attn-3", torch="2.9.1", gpus=("7.5",)).fits is False
    assert pointer("flash-attn-3", torch="2.8.0", gpus=("9.0",)).fits is False  # from torch 2.9 on
    assert pointer("flash-attn-4", gpus=("12.0",)).fits is None
    assert pointer("flash-attn-4", gpus=("7.5",)).fits is False
    assert pointer("kingbri1").fits is False  # Windows alone
    assert pointer("mjun0812", platform="win_amd64", glibc=None).fits is None
    assert (
        "was seen for torch 2.5 to 2.11, you have 2.15" in pointer("Hugging Face", torch="2.15.0", cuda="13.2").reasons
    )
    assert "one person" in pointer("mjun0812").reasons[-1]
    assert pointer("conda-forge", torch="2.13.0+cpu", cuda=None).fits is False


def test_doing_without_is_always_named_while_there_is_a_torch():
    for parts in ({}, {"torch": "2.13.0+cpu", "cuda": None, "gpus": ()}, {"torch": "2.16.0"}):
        found = [candidate for candidate in finder.find(key(**parts)).candidates if candidate.release == "torch"]
        assert [candidate.fits for candidate in found] == [None]
        assert "nothing is installed" in found[0].reasons[-1]
    found = [candidate for candidate in finder.find(key(torch=None)).candidates if candidate.release == "torch"]
    assert [candidate.fits for candidate in found] == [False]


def test_the_nearest_torch_with_a_wheel():
    here = key(torch="2.15.0+cu132", cuda="13.2", python="3.11")
    nearest = nearest_torch(here, driver="580.65.06", torchvision="0.29.2", numpy="2.4.0", xformers="0.0.35")
    assert isinstance(nearest, Nearest)
    assert (nearest.torch, nearest.flavour, nearest.pypi, nearest.torchvision) == ("2.8.0", "cu128", True, "0.23.0")
    assert nearest.wheel.filename == "flash_attn-2.8.3.post1+cu12torch2.8cxx11abiTRUE-cp311-cp311-linux_x86_64.whl"
    assert "torchvision 0.29.2 must become 0.23.0" in nearest.breaks
    assert not any("numpy" in sentence for sentence in nearest.breaks)
    assert any("xformers" in sentence for sentence in nearest.breaks)


def test_the_nearest_torch_uses_what_was_added_by_hand():
    nearest = nearest_torch(key(torch="2.15.0+cu132", cuda="13.2"))
    assert (nearest.torch, nearest.flavour) == ("2.10.0", "cu130")
    assert nearest.wheel.filename in BY_HAND


def test_the_nearest_torch_respects_driver_and_numpy():
    old = nearest_torch(key(torch="2.15.0", cuda="13.2"), driver="550.54.14")
    assert old.torch == "2.9.1"  # the wheel for torch 2.10 is for CUDA 13
    older = nearest_torch(key(torch="2.3.0", cuda="12.1", python="3.11"), driver="470.57.02", numpy="2.0.1")
    assert (older.flavour, older.breaks) == ("cu118", ())
    broken = nearest_torch(key(torch="2.2.2", cuda="12.1", cxx11_abi=False, python="3.11"), numpy="2.0.1")
    assert broken.breaks == ("numpy 2.0.1 must become older than 2",)


def test_no_torch_has_a_wheel():
    assert nearest_torch(key(python="3.14")).yes is False
    assert nearest_torch(key(gpus=("7.5",))).yes is False
    assert nearest_torch(key(platform="win_amd64")).yes is False
    assert isinstance(nearest_torch(key(python=Unknown("not asked"))), Unknown)


def test_the_key_of_a_target():
    facts = Facts(
        system=System(glibc="2.35"),
        interpreter=Interpreter(version="3.11.7", platform="linux-x86_64", free_threaded=False),
        torch=Torch(version="2.15.0+cu132", cuda="13.2", cxx11_abi=True),
        graphics=Graphics(
            gpus=(Gpu(index=0, compute_capability="8.9"), Gpu(index=1, compute_capability="6.1", visible=False))
        ),
    )
    assert key_of(facts) == key(python="3.11", torch="2.15.0+cu132", cuda="13.2")
    blank = key_of(Facts())
    assert all(isinstance(getattr(blank, part), Unknown) for part in Key.__struct_fields__)
    threaded = msgspec.structs.replace(facts, interpreter=Interpreter(version="3.13.1", free_threaded=True))
    assert key_of(threaded).python == "3.13t"


def test_the_contract_of_wheels_json():
    plain = msgspec.to_builtins(finder.find(HEALTHY))
    assert set(plain) == {"key", "candidates"}
    assert set(plain["candidates"][0]) == {
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
