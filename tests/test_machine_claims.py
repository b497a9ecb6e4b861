"""What a log says of the machine that wrote it, held against facts: a sentence for what differs, none for what agrees."""

from __future__ import annotations

import io

import pytest
from whole_machines import RTX_4090, changed

from attn_doctor.logs.machine_claims import disagreements
from attn_doctor.logs.reader import Reader
from attn_doctor.logs.stated_facts import PATTERNS
from attn_doctor.model.facts import Toolkit, Unknown

# Python 3.12, torch 2.15, driver 580.95, CUDA 12.8
HERE = changed(RTX_4090, toolchain__toolkits=(Toolkit(root="/usr/local/cuda", found_by=("PATH",), version="12.8"),))
SAYS = {  # the line with a place for a version; what agrees; what does not; how the sentence names it
    "a folder of packages": ('  File "/venv/lib/python{}/site-packages/x.py", line 1', "3.12", "3.10", "Python 3.10, this machine has 3.12.3"),
    "the tag of a wheel": ("Downloading flash_attn-2.8.3-cp{0}-cp{0}-linux_x86_64.whl", "312", "310", "Python 3.10, this machine has 3.12.3"),
    "flash-attn's setup.py": ("torch.__version__  = {}", "2.15.0+cu132", "2.6.0+cu124", "torch 2.6.0+cu124, this machine has 2.15.0+cu132"),
    "the address of a wheel": ("Guessing wheel URL: https://x/flash_attn-2.8.3+cu12torch{}cxx11abiTRUE-x", "2.15", "2.6", "torch 2.6, this machine has 2.15.0+cu132"),
    "PyTorch's own build": ("The detected CUDA version ({}) mismatches", "12.8", "11.8", "the toolkit's CUDA 11.8, this machine has 12.8"),
    "nvidia-smi": ("| NVIDIA-SMI x   Driver Version: {}   |", "580.95.05", "535.183.01", "the driver 535.183.01, this machine has 580.95.05"),
}  # fmt: skip


def said(*lines: str, facts=HERE) -> tuple[str, ...]:
    text = "\n".join(["started", *lines, "ended"]) + "\n"
    return disagreements(facts, [Reader(PATTERNS).read(io.BytesIO(text.encode()), "build.log")])


@pytest.mark.parametrize("kind", SAYS)
def test_what_agrees_is_not_told(kind):
    line, same, _, _ = SAYS[kind]
    assert said(line.format(same)) == ()


@pytest.mark.parametrize("kind", SAYS)
def test_what_differs_is_told_with_both_and_the_line(kind):
    line, _, other, words = SAYS[kind]
    assert said(line.format(other)) == (
        f"build.log:2 shows {words}: the log is from another machine, or from an earlier time",
    )


def test_a_log_that_also_speaks_of_this_version_is_of_this_machine():
    line, same, other, _ = SAYS["a folder of packages"]
    assert said(line.format(other), line.format(same)) == ()


def test_what_is_not_known_here_contradicts_nothing():
    line, _, other, _ = SAYS["nvidia-smi"]
    assert said(line.format(other), facts=changed(HERE, graphics__driver=Unknown("no driver was asked"))) == ()


def test_several_claims_are_told_each():
    lines = [line.format(other) for line, _, other, _ in (SAYS["nvidia-smi"], SAYS["flash-attn's setup.py"])]
    assert len(said(*lines)) == 2
