"""A wheel by its address in `pip freeze` or in requirements: its build against the torch beside it. Texts written by hand."""

from __future__ import annotations

import pytest
from read_texts import answer

GITHUB = "https://github.com/Dao-AILab/flash-attention/releases/download"
MORE = (
    "absl-py==2.2.2",
    "certifi==2025.1.31",
    "flask==3.1.0",
    "jinja2==3.1.6",
    "mpmath==1.3.0",
    "networkx==3.4.2",
    "numpy==2.2.1",
    "pillow==11.1.0",
)


def wheel(
    release: str, torch: str, python: str = "cp310", abi: str = "FALSE", plus: str = "+", cuda: str = "12"
) -> str:
    return f"flash_attn-{release}{plus}cu{cuda}torch{torch}cxx11abi{abi}-{python}-{python}-linux_x86_64.whl"


def frozen(address: str, torch: str) -> str:
    rows = [*MORE, f"flash_attn @ {address}", f"torch=={torch}", "ultralytics==8.3.90"]
    return "".join(f"{row}\n" for row in sorted(rows))


ADDRESSES = {
    "with a digest": f"{GITHUB}/v2.7.4.post1/{wheel('2.7.4.post1', '2.4')}#sha256=9f1c",
    "without one": f"{GITHUB}/v2.7.4.post1/{wheel('2.7.4.post1', '2.4')}",
    "quoted plus": f"{GITHUB}/v2.7.4.post1/{wheel('2.7.4.post1', '2.4', plus='%2B')}#sha256=9f1c",
    "a file": f"file:///srv/wheels/{wheel('2.7.4.post1', '2.4', plus='%2B')}#sha256=9f1c",
}
FITTING = f"{GITHUB}/v2.8.3.post1/{wheel('2.8.3.post1', '2.5')}"


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
@pytest.mark.parametrize(
    "form",
    [
        lambda address: frozen(address, "2.5.1"),
        lambda address: f"my packages:\n\nflash_attn @ {address}\ntorch==2.5.1\n\nRTX 3090, Ubuntu 22.04\n",
        lambda address: (
            f"$ pip freeze | grep -iE 'torch|flash'\nflash_attn @ {address}\ntorch==2.5.1\ntorchvision==0.20.1\n"
        ),
    ],
    ids=["whole", "among words", "typed"],
)
def test_a_wheel_for_another_torch_is_named_with_the_wheel_that_fits(address, form):
    said = answer(form(address))
    assert said.roots[0] == "abi-mismatch-torch-version"
    first = said.diagnosis.findings[0]
    assert "2.4" in first.message
    assert "2.5.1" in first.message
    assert [text for text in said.installed if text.endswith(".whl")] == [FITTING]


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_two_requirements_are_cured_in_their_file(address):
    said = answer(f"torch==2.5.1\nflash-attn @ {address}\n")
    assert said.roots[0] == "abi-mismatch-torch-version"
    words = " ".join(str(step) for fix in said.finding("abi-mismatch-torch-version").fixes for step in fix.steps)
    assert FITTING in words
    assert "the error names" not in words


def test_no_cure_speaks_of_an_error_where_there_is_none():
    said = answer(frozen(f"{GITHUB}/v2.7.4.post1/{wheel('2.7.4.post1', '2.5')}", "2.7.1"))
    assert {"abi-mismatch-torch-version", "abi-mismatch-cxx11"} <= set(said.roots)
    words = " ".join(str(step) for f in said.diagnosis.findings for fix in f.fixes for step in fix.steps)
    assert "the error names" not in words


@pytest.mark.parametrize(
    "address", [FITTING, f"{FITTING}#sha256=9f1c", f"file:///srv/{wheel('2.7.4.post1', '2.5', plus='%2B')}"]
)
def test_a_wheel_for_this_torch_is_no_finding(address):
    said = answer(frozen(address, "2.5.1"))
    assert said.roots == []
    assert said.unknown == []
    assert said.verdict.startswith("Nothing that these")


def test_the_tag_of_the_wheel_tells_python_and_the_system():
    said = answer(frozen(f"https://example.org/{wheel('2.8.3', '2.8', python='cp313', abi='TRUE')}", "2.8.0"))
    assert said.facts.interpreter.version == "3.13"
    assert said.facts.system.os == "linux"
    windows = wheel("2.8.3", "2.8", python="cp312", abi="TRUE").replace("linux_x86_64", "win_amd64")
    assert answer(frozen(f"https://example.org/{windows}", "2.8.0")).facts.system.os == "windows"


def test_two_wheels_of_different_pythons_tell_neither():
    one, other = wheel("2.8.3", "2.8", "cp311", "TRUE"), "xformers-0.0.32-cp312-cp312-manylinux_2_28_x86_64.whl"
    said = answer(f"torch==2.8.0\nflash-attn @ https://example.org/{one}\nxformers @ https://example.org/{other}\n")
    assert not isinstance(said.facts.interpreter.version, str)
