"""Requirements and names of wheels that strangers wrote: what can be read is read, and nothing else raises."""

from __future__ import annotations

import pytest
from packaging.version import Version

from attn_doctor.model.requirements import (
    Requirement,
    SpecifierSet,
    allowed,
    allows,
    both_of,
    holds,
    oldest,
    read_requirement,
    read_wheel_name,
)
from attn_doctor.model.versions import parse, strict

LONG = "9" * 5000
STRANGE = [
    "",
    "²",
    LONG,
    "\x1b[2J",
    "-1",
    "torch==",
    f"torch=={LONG}",
    f"torch>=1!{LONG}",
    "torch (",
    "[",
    "a; " + "(" * 400 + "os_name == 'x'" + ")" * 400,
    "torch @ ",
    "torch==1.0; python_version >",
    "\ud800",
]


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_a_strange_text_is_no_requirement(text):
    assert read_requirement(text) is None
    assert read_wheel_name(text) is None
    assert read_wheel_name(f"{text}.whl") is None


def test_a_requirement_is_read():
    asked = read_requirement("torch[opt]>=2.8,<3; python_version > '3.9'")
    assert asked is not None
    assert (asked.name, str(asked.specifier)) == ("torch", "<3,>=2.8")
    assert holds(asked, {"python_version": "3.11"}) is True
    assert holds(asked, {"python_version": "3.9"}) is False
    assert holds(Requirement("torch"), {}) is True


@pytest.mark.parametrize("value", ["", "²", LONG, "3"])
def test_a_marker_that_cannot_be_judged_is_unknown_or_false_and_raises_nothing(value):
    asked = Requirement("torch; python_version >= '3.9'")
    assert holds(asked, {"python_version": value}) in (None, False)


def test_the_name_of_a_wheel_is_read_also_at_the_end_of_an_address():
    name = read_wheel_name("https://h.example/x/flash_attn-2.8.3%2Bcu12torch2.8-cp311-cp311-linux_x86_64.whl")
    assert name is not None
    assert (name.name, str(name.version)) == ("flash-attn", "2.8.3+cu12torch2.8")
    assert {str(tag) for tag in name.tags} == {"cp311-cp311-linux_x86_64"}


def test_the_tags_of_a_long_name_are_not_multiplied():
    """The tags of a name are all combinations of its three parts: 160 of each would be four million."""
    parts = ".".join(["a"] * 160)
    assert read_wheel_name(f"torch-1.0-{parts}-{parts}-{parts}.whl") is None


@pytest.mark.parametrize(
    ("specifier", "version", "answer"),
    [
        (">=2.6,<3", "2.8.0+cu128", True),
        (">=2.6", "2.5.1", False),
        (">=2.6", "2.7.0a0", True),  # as `pip check`
        (">=2.6", "2.0.0.nv23.05", None),
        (">=2.6", "", None),
        (">=2.6", LONG, None),
        ("²", "1.0", None),
        (f">={LONG}", "1.0", None),
        ("", "1.0", True),
    ],
)
def test_whether_a_version_is_allowed(specifier, version, answer):
    assert allowed(specifier, version) is answer


def test_a_specifier_with_a_long_number_answers_nothing():
    assert allows(SpecifierSet(f">={LONG}"), "1.0") is None


def test_two_specifiers_become_one_and_its_oldest_version_is_the_highest_lower_bound():
    both = both_of(SpecifierSet(">=1.23,<2"), SpecifierSet(">=1.9"))
    assert both is not None
    assert str(oldest(both)) == ">=1.23"
    assert oldest(SpecifierSet("<2")) is None


def test_a_version_is_read_by_pep_440_or_from_its_beginning():
    assert strict("2.8.0+cu128") == parse("2.8.0+cu128") == Version("2.8.0+cu128")
    assert strict("2.0.0.nv23.05") is None
    assert parse("2.0.0.nv23.05") == Version("2.0.0")
    assert strict(LONG) is parse(LONG) is strict("²") is parse("²") is None
    assert parse("٣.1") is None  # digits of another script are no version
