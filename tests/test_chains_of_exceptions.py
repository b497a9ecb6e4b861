"""The first exception of a chain is the cause of the later ones. Texts written by hand."""

from __future__ import annotations

import io

import pytest
from read_texts import READER, answer

from attn_doctor.logs.chains import Link, links

DURING = "\nDuring handling of the above exception, another exception occurred:\n\n"
CAUSED = "\nThe above exception was the direct cause of the following exception:\n\n"
FORK = "AssertionError: import FlashAttention error! Please install FlashAttention first."


def traceback(error: str, file: str = "/srv/p/load.py") -> str:
    return f'Traceback (most recent call last):\n  File "{file}", line 8, in <module>\n    load()\n{error}\n'


FIRST = {
    "libcudart-missing": "ImportError: libcudart.so.13: cannot open shared object file: No such file or directory",
    "abi-mismatch-torch-version": "ImportError: /srv/v/lib/python3.11/site-packages/flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so: undefined symbol: _ZN3c104cuda9SetDeviceEa",
    "glibc-too-old": "ImportError: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /srv/v/lib/python3.11/site-packages/"
    "flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so)",
}  # fmt: skip


@pytest.mark.parametrize(("slug", "error"), FIRST.items())
@pytest.mark.parametrize("joint", [DURING, CAUSED])
@pytest.mark.parametrize("headed", [True, False])
def test_the_assertion_of_the_fork_stands_below_the_first_exception(slug, error, joint, headed):
    later = traceback(FORK) if headed else f"{FORK}\n"
    said = answer(traceback(error) + joint + later)
    assert said.roots == [slug]
    assert said.finding("yolov12-demands-flash-attn").explained_by == said.finding(slug).code


def test_a_missing_flash_attn_is_still_the_demand_of_the_fork():
    """The failure mode of the later exception is known to explain the first one."""
    said = answer(traceback("ModuleNotFoundError: No module named 'flash_attn'") + DURING + traceback(FORK))
    assert said.roots == ["yolov12-demands-flash-attn"]


def test_two_exceptions_without_a_chain_are_two_causes():
    said = answer(traceback(FIRST["libcudart-missing"]) + "\n" + traceback(FORK))
    assert set(said.roots) == {"libcudart-missing", "yolov12-demands-flash-attn"}


def of(text: str) -> list[Link]:
    return list(links(READER.read(io.BytesIO(text.encode()), "log")))


def test_the_lines_of_a_chain_of_three():
    text = traceback("AError: a") + DURING + traceback("BError: b") + CAUSED + traceback("CError: c")
    assert of(text) == [Link(1, 6, 12), Link(1, 13, 18)]


def test_a_caught_traceback_above_is_no_part_of_a_chain():
    text = traceback("AError: a") + "going on\n" + traceback("BError: b") + DURING + traceback("CError: c")
    assert [link.first for link in of(text)] == [6]


def test_a_joint_at_the_end_of_a_cut_log_links_nothing():
    assert of(traceback("AError: a") + DURING) == []
