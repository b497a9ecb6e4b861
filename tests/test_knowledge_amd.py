"""The table of overrides of AMD GPUs, and the questions asked of it."""

import pytest

from attn_doctor.knowledge import amd


@pytest.mark.parametrize(
    ("gfx", "override"),
    [
        ("gfx902", "9.0.0"),
        ("gfx1031", "10.3.0"),
        ("gfx1034", "10.3.0"),
        ("gfx90c", "9.0.0"),
        ("gfx1102", "11.0.0"),
        ("gfx1103", None),
    ],
)
def test_the_override_of_a_gpu(gfx, override):
    row = amd.override(gfx)
    assert row is not None
    assert row.as_version == override


@pytest.mark.parametrize("gfx", ["gfx942", "gfx1030", "gfx1100", "gfx1201"])
def test_what_every_build_holds_has_none(gfx):
    assert amd.override(gfx) is None


@pytest.mark.parametrize(
    ("card", "gfx"),
    [
        ("AMD Radeon RX 6700 XT", "gfx1031"),
        ("Radeon RX 6600", "gfx1032"),
        ("AMD Radeon 780M Graphics", "gfx1103"),
        ("AMD Radeon RX 7900 XTX", "gfx1100"),
        ("AMD Radeon RX 7700S", "gfx1102"),
        ("AMD Instinct MI300X", "gfx942"),
        ("AMD Radeon Pro WX 5100", "gfx803"),
        ("AMD Radeon RX Vega 64", "gfx900"),
        ("AMD Radeon VII", "gfx906"),
        ("AMD Radeon Vega 8 Graphics", None),
    ],
)
def test_the_number_of_a_card_by_its_name(card, gfx):
    assert amd.gfx_of(card) == gfx


def test_no_override_that_hangs_a_machine_is_listed():
    assert "gfx1103" not in amd.overrides()
    assert amd.overrides().startswith("gfx902, gfx90c: 9.0.0; gfx1010")
