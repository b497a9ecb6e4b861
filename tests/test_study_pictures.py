"""The pictures of a study: each dot, line, band and zone lies where its number is."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import msgspec
import pytest
from little_studies import epoch, pairs, study, training

from attn_doctor.report import html
from attn_doctor.report.pictures import Bars, Differences, Learning
from attn_doctor.report.study_outline import pictures
from attn_doctor.study.comparisons import compared


def by_caption(made) -> dict:
    return {picture.caption: picture for picture in pictures(made, compared(made))}


def drawn(picture) -> ET.Element:
    """Return the figure of a picture in the page, as a tree."""
    figure = re.search(r"<figure.*?</figure>", html.render([], "t", [picture]), re.DOTALL)
    return ET.fromstring(figure[0])


def percent(element: ET.Element, name: str) -> float:
    assert element.get(name).endswith("%")
    return float(element.get(name)[:-1])


def curves(values: dict[str, list[list[float]]]):
    """Return a study with mAP50-95 by epoch: arm -> seed -> epoch."""
    cells = []
    for arm, seeds in values.items():
        for seed, of_epochs in enumerate(seeds):
            made = tuple(epoch(n, value) for n, value in enumerate(of_epochs, 1))
            cells.append(msgspec.structs.replace(training(arm, seed), epochs=made))
    return study(cells, tuple(values))


def test_a_difference_stands_over_its_margin():
    made = pairs([0.50, 0.52, 0.48], [0.51, 0.51, 0.48])  # mean 0, spread 0.01: the interval is ±0.0248
    picture = by_caption(made)["mAP50-95: difference from eager, over seeds"]
    assert isinstance(picture, Differences)
    half = 4.302653 * 0.01 / 3**0.5
    edge = 1.1 * half
    figure = drawn(picture)
    zone = next(e for e in figure.iter("rect"))
    assert percent(zone, "x") == pytest.approx(50 - 50 * 0.01 / edge, abs=0.02)
    assert percent(zone, "width") == pytest.approx(100 * 0.01 / edge, abs=0.03)
    whole, *ends = [e for e in figure.iter("line") if "range" in e.get("class")]
    assert (percent(whole, "x1"), percent(whole, "x2")) == (
        pytest.approx(50 - 50 / 1.1, abs=0.02),
        pytest.approx(50 + 50 / 1.1, abs=0.02),
    )
    assert len(ends) == 2
    assert percent(next(figure.iter("circle")), "cx") == pytest.approx(50, abs=0.01)
    assert figure.find(".//th/span[@class='remark warn']").text == "cannot tell with 3 seeds: about 11 are needed"
    assert [text for _, text in picture.ticks] == ["−0.02", "0", "+0.02"]
    marks = [percent(text, "x") for text in figure.find("table/tfoot").iter("text")]
    assert marks == [pytest.approx(50 + 50 * k * 0.02 / edge, abs=0.02) for k in (-1, 0, 1)]


def test_a_learning_curve_has_its_mean_and_its_band():
    made = curves({"eager": [[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]], "sdpa-flash": [[0.2, 0.4, 0.4]]})
    picture = by_caption(made)["mAP50-95 by epoch"]
    assert isinstance(picture, Learning)
    assert [(p.x, p.value) for p in picture.curves[0].points] == [
        (1, pytest.approx(0.15)),
        (2, pytest.approx(0.35)),
        (3, pytest.approx(0.55)),
    ]
    # Two seeds: the standard error is 0.05, the quantile of one degree of freedom 12.706; an mAP is never below 0 or above 1.
    assert (picture.curves[0].points[0].low, picture.curves[0].points[0].high) == (
        0.0,
        pytest.approx(0.15 + 0.6353, abs=1e-3),
    )
    low, high = picture.ticks[0][0], picture.ticks[-1][0]
    assert (low, high) == (0.0, 1.0)
    figure = drawn(picture)
    lines = list(figure.iter("polyline"))
    assert len(lines) == 2
    corners = [tuple(map(float, corner.split(","))) for corner in lines[0].get("points").split()]
    assert [x for x, _ in corners] == [8.0, 52.0, 96.0]
    assert [y for _, y in corners] == [pytest.approx(6 + 82 * (1.0 - v), abs=0.02) for v in (0.15, 0.35, 0.55)]
    (band,) = figure.iter("polygon")  # one seed has no band
    assert len(band.get("points").split()) == 6
    assert band.get("points").split()[-1] == f"8,{picture.down(0.0):g}"
    cells = ["".join(cell.itertext()) for cell in figure.iter("td")]
    assert any("0.15 (0 to 0.785" in cell for cell in cells)  # the numbers stand in a table too
    assert [text for _, text in picture.ticks] == ["0", "0.5", "1"]


def test_a_curve_that_never_changes_can_be_drawn():
    made = curves({"eager": [[0.0, 0.0], [0.0, 0.0]], "sdpa-flash": [[0.0, 0.0], [0.0, 0.0]]})
    picture = by_caption(made)["mAP50-95 by epoch"]
    assert drawn(picture).find(".//polyline") is not None
    same = by_caption(curves({"eager": [[0.3, 0.3], [0.3, 0.3]]}))["train/box_loss by epoch"]
    assert drawn(same).find(".//polyline") is not None


def test_epochs_are_named_without_crowding():
    for count, marks in (
        (2, (1, 2)),
        (12, (1, 3, 5, 7, 9, 12)),
        (100, (1, 16, 31, 46, 61, 76, 91, 100)),
        (8, (1, 2, 3, 4, 5, 6, 7, 8)),
    ):
        picture = by_caption(curves({"eager": [[0.1] * count]}))["mAP50-95 by epoch"]
        assert picture.marks == marks


def test_costs_are_bars_with_their_intervals():
    cells = [training("eager", s, seconds=10.0 + s) for s in range(3)]
    cells += [training("sdpa-flash", s, seconds=8.0 + s) for s in range(3)]
    picture = by_caption(study(cells))["Time an epoch"]
    assert isinstance(picture, Bars)
    (_, (eager, flash)) = picture.groups[0]
    half = 4.302653 / 3**0.5
    assert (eager.value, eager.low, eager.high) == (
        11.0,
        pytest.approx(11 - half, abs=1e-4),
        pytest.approx(11 + half, abs=1e-4),
    )
    assert (flash.text, flash.between) == ("9.00 s", "(6.52–11.48)")
    assert picture.most == pytest.approx(11 + half, abs=1e-4)


def test_what_has_no_numbers_is_left_out():
    assert pictures(study([], ("eager",)), ()) == ()
    made = study([training("eager", 0, epochs=1), training("sdpa-flash", 0, state="failed", epochs=0)])
    assert [picture.caption for picture in pictures(made, compared(made))] == []


def test_no_band_leaves_what_a_score_can_be():
    """Two seeds far apart: the interval of their mean is wider than 0 to 1."""
    made = by_caption(curves({"eager": [[0.1, 0.2], [0.1, 0.95]], "sdpa": [[0.1, 0.5], [0.1, 0.6]]}))[
        "mAP50-95 by epoch"
    ]
    last = made.curves[0].points[-1]
    assert (last.low, last.high) == (0.0, 1.0)
    assert made.ticks[-1][0] == 1.0
