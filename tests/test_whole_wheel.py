"""One verdict for a wheel, from its extensions: the words by hand, and `inspect` on real archives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from extensions import SUFFIX, build, library, linked, module
from wheelhouse import PLATFORM, TAG, pack

from attn_doctor.model.facts import Binary, ChosenPython, Needed, Unknown
from attn_doctor.report.blocks import Notes
from attn_doctor.report.inspection_outline import outline
from attn_doctor.wheels.whole import whole

MAIN = Binary(module="big._C", path="/w/big.whl/big/_C.so", verdict="loads", needs=())


def other(name: str, verdict="loads", **parts) -> Binary:
    return Binary(
        module=f"big.more.{name}", path=f"/w/big.whl/big/more/{name}.so", verdict=verdict, **{"needs": (), **parts}
    )


def lacking(name: str, *libraries: tuple[str, str | None], **parts) -> Binary:
    needs = tuple(Needed(name=library, found=None, package=package) for library, package in libraries)
    return other(name, "fails", cause="library", needs=needs, **parts)


CUDA_11 = ("libcudart.so.11.0", "nvidia-cuda-runtime-cu11")
CUDA_12 = ("libcudart.so.12", "nvidia-cuda-runtime-cu12")
GOOD = [other(f"good{number}") for number in range(16)]


@pytest.mark.parametrize(
    ("records", "verdict", "summary"),
    [
        ([MAIN], "loads", "its main extension would load"),
        ([MAIN, other("a")], "loads", "its main extension would load, and the optional one too"),
        ([MAIN, *GOOD], "loads", "its main extension would load, and all 16 optional ones too"),
        ([MAIN, *GOOD, lacking("a", CUDA_12), lacking("b", CUDA_12, ("libcublas.so.12", "nvidia-cublas-cu12"))], "loads",
         "its main extension would load; 2 of 18 optional ones would not, and need CUDA 12"),
        ([MAIN, lacking("a", ("libav.so.61", None))], "loads", "its main extension would load; 1 of 1 optional ones would not, and needs libav.so.61"),
        ([MAIN, lacking("a", *((f"lib{n}.so", None) for n in range(5)))], "loads",
         "its main extension would load; 1 of 1 optional ones would not, and needs lib0.so, lib1.so, lib2.so and 2 more"),
        ([MAIN, other("a", "fails", cause="torch-version", built_for_torch="torch 2.7"), other("b")], "loads",
         "its main extension would load; 1 of 2 optional ones would not, and needs torch 2.7"),
        ([MAIN, other("a", "fails", cause="symbol")], "loads", "its main extension would load; 1 of 1 optional ones would not"),
        ([MAIN, other("a", Unknown("x")), other("b")], "loads", "its main extension would load; 1 of 2 optional ones too; of 1 it is not known"),
        ([Binary(module="one", path="x", verdict="loads"), Binary(module="two", path="x", verdict="loads")], "loads", "its 2 main extensions would load"),
        ([Binary(module="big._C", path="x", verdict="fails", cause="symbol", because=("no f here", "more")), *GOOD], "fails",
         "its main extension would not load: no f here"),
        ([Binary(module="one", path="x", verdict="loads"), Binary(module="two", path="x", verdict="fails", because=("no f",))], "fails",
         "its extension two would not load: no f"),
        ([Binary(module="big.whl", path="/w/big.whl", verdict="fails", cause="damaged", because=("it is no readable wheel",))], "fails",
         "it is no readable wheel"),
        ([Binary(module="big.whl", path="/w/big.whl", verdict=None, because=("it holds no compiled extension",))], None,
         "it holds no compiled extension"),
        ([other("a"), other("b", "fails", because=("no f",))], "fails", "its extension big.more.b would not load: no f"),  # none is at the top: all are main
        ([other("libx_cpu"), lacking("libx_cuda118", CUDA_11), lacking("libx_cuda126", CUDA_12), lacking("libx_rocm62", ("libamdhip64.so.6", None), ("librocblas.so.4", None)), other("libx_cuda130")], "loads",
         "its 2 main extensions would load; 3 of 3 optional ones would not, and need CUDA 11, CUDA 12, ROCm"),  # one of them is loaded, by its path
        ([other("ops6"), lacking("ops4", ("libav.so.58", None))], "loads", "its main extension would load; 1 of 1 optional ones would not, and needs libav.so.58"),
        ([lacking("libx_cuda118", CUDA_11, because=("no cudart",))], "fails", "its main extension would not load: no cudart"),
    ],
)  # fmt: skip
def test_the_verdict_is_that_of_the_main_extension(records, verdict, summary):
    found = whole("/w/big.whl", records)
    assert (found.verdict, found.summary) == (verdict, summary)


def test_what_is_not_known_is_said():
    found = whole("/w/big.whl", [Binary(module="big._C", path="x", verdict=Unknown("the C library is musl"))])
    assert isinstance(found.verdict, Unknown)
    assert found.summary == "whether its main extension would load is not known: the C library is musl"


# -- the command


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "attn_doctor", "inspect", *argv, "--target", sys.executable]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_extension_that_could_not_be_judged_is_not_among_those_that_would_not_load():
    records = [MAIN, other("one", "fails", because=("libx.so is nowhere",)), other("two", Unknown("it is encrypted"))]
    blocks = outline(ChosenPython("/usr/bin/python3", "it was named"), [("/w/big.whl", records)])
    notes = {block.title: block.items for block in blocks if isinstance(block, Notes)}
    assert notes["optional extensions that would not load; --json has their details"] == (
        "big.more.one: libx.so is nowhere",
    )
    assert notes["optional extensions that could not be judged; --json has their details"] == (
        "big.more.two: it is encrypted",
    )


@pytest.fixture(scope="module")
def big(tmp_path_factory) -> Path:
    """A wheel whose main extension loads, and of whose three optional ones one asks for a CUDA that is not here."""
    folder = tmp_path_factory.mktemp("big")
    cudart = library(folder / "build" / "libcudart.so.11.0", "cudaMalloc")
    files: dict[str, Path | bytes] = {f"big/_C{SUFFIX}": build(folder / "b" / f"_C{SUFFIX}", module("_C"))}
    for name in ("one", "two"):
        files[f"big/more/{name}{SUFFIX}"] = build(folder / "b" / f"{name}{SUFFIX}", module(name))
    files[f"big/more/cuda{SUFFIX}"] = build(
        folder / "b" / f"cuda{SUFFIX}", module("cuda", ["cudaMalloc"]), *linked(cudart)
    )
    return pack(folder / f"big-1.0-{TAG}-{TAG}-{PLATFORM}.whl", files)


def test_the_command_says_it_first_and_the_details_after(big):
    done = run(str(big))
    said = " ".join(done.stdout.split())
    verdict = "Its main extension would load; 1 of 3 optional ones would not, and needs CUDA 11."
    assert (done.returncode, done.stderr) == (0, "")
    assert verdict in said
    assert said.index(verdict) < said.index("big/_C") < said.index("big.more.cuda: libcudart.so.11.0 is in none")
    assert "optional extensions that would load; --json has their details" in said
    assert "big.more.one, big.more.two" in said
    assert "optional extensions that would not load; --json has their details" in said
    assert "big/more/" not in said


def test_in_json_the_wheel_and_each_extension(big, tmp_path):
    found = json.loads(run(str(big), "--json", "-").stdout)
    (judged,) = found["wheels"]
    assert judged == {
        "path": str(big),
        "verdict": "loads",
        "summary": "its main extension would load; 1 of 3 optional ones would not, and needs CUDA 11",
        "main": ["big._C"],
        "optional": 3,
        "failing": ["big.more.cuda"],
    }
    assert [(one["module"], one["verdict"]) for one in found["files"]] == [
        ("big._C", "loads"),
        ("big.more.cuda", "fails"),
        ("big.more.one", "loads"),
        ("big.more.two", "loads"),
    ]
    lone = build(tmp_path / f"lone{SUFFIX}", module("lone"))
    assert json.loads(run(str(lone), "--json", "-").stdout)["wheels"] == []


def test_a_wheel_whose_main_extension_would_not_load_ends_with_1(tmp_path):
    files = {f"big/_C{SUFFIX}": build(tmp_path / "b" / f"_C{SUFFIX}", module("_C", ["of_nobody"]))}
    path = pack(tmp_path / f"big-1.0-{TAG}-{TAG}-{PLATFORM}.whl", files)
    done = run(str(path))
    assert done.returncode == 1
    assert "Its main extension would not load: " in done.stdout
    assert "of_nobody" in done.stdout
