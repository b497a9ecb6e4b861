"""The charts of a trial: each bar, dot and curve that is drawn has the length of its number."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest

from attn_doctor.model.trials import Interval, Trial
from attn_doctor.report import html
from attn_doctor.report.charts import charts
from attn_doctor.report.pictures import Bars, Curves, power_of_ten

STEP = {"eager": (200.0, 190.0, 210.0), "sdpa-math": (250.0, 240.0, 260.0), "sdpa-flash": (100.0, 99.0, 104.0)}
ERRORS = {"eager": 2e-7, "sdpa-math": 5e-6, "sdpa-flash": 0.0}


def row(backend: str, imgsz: int = 640, times: float = 1.0, **changes) -> Trial:
    median, low, high = (value * times for value in STEP[backend])
    values = {
        "backend": backend,
        "status": "ok",
        "dtype": "float32",
        "model": "yolo12n.yaml",
        "imgsz": imgsz,
        "batch": 2,
        "forward_ms": Interval(median=median / 4, low=low / 4, high=high / 4, n=9),
        "step_ms": Interval(median=median, low=low, high=high, n=9),
        "peak_bytes": int(2**30 * median / 200),
        "output_error": ERRORS[backend],
        "gradient_error": ERRORS[backend] * 2,
        "attention_share": median / 1000,
        **changes,
    }
    return Trial(**values)


ROWS = tuple(row(backend) for backend in STEP)


def drawn(picture: Bars | Curves) -> ET.Element:
    """Return the figure of a picture in the page, as a tree."""
    page = html.render([], "t", [picture])
    figure = re.search(r"<figure.*?</figure>", page, re.DOTALL)
    return ET.fromstring(figure[0].replace('focusable="false"', ""))


def percent(element: ET.Element, name: str) -> float:
    assert element.get(name).endswith("%")
    return float(element.get(name)[:-1])


def lines_of(figure: ET.Element) -> dict[str, ET.Element]:
    return {
        line.find("th").text: line
        for line in figure.iter("tr")
        if line.find("td") is not None and line.find("th") is not None
    }


def by_caption(rows) -> dict[str, Bars | Curves]:
    return {picture.caption: picture for picture in charts(rows)}


def test_a_bar_is_as_long_as_its_time_and_its_line_as_its_interval():
    figure = drawn(by_caption(ROWS)["Time of a training step"])
    shown = lines_of(figure)
    assert list(shown) == list(STEP)
    for backend, (median, low, high) in STEP.items():
        bar = next(e for e in shown[backend].iter("rect"))
        whole, *ends = [e for e in shown[backend].iter("line") if "range" in e.get("class")]
        assert percent(bar, "x" if bar.get("x").endswith("%") else "width") == pytest.approx(
            100 * median / 260, abs=0.01
        )
        assert (percent(whole, "x1"), percent(whole, "x2")) == (
            pytest.approx(100 * low / 260, abs=0.01),
            pytest.approx(100 * high / 260, abs=0.01),
        )
        assert [percent(end, "x1") for end in ends] == [percent(whole, "x1"), percent(whole, "x2")]
    assert "".join(shown["sdpa-flash"].findall("td")[1].itertext()) == "100 ms (99.0–104)"


def test_memory_and_share_are_drawn_from_zero():
    made = by_caption(ROWS)
    memory = lines_of(drawn(made["Peak memory of a training step"]))
    assert percent(next(memory["sdpa-flash"].iter("rect")), "width") == pytest.approx(40, abs=0.01)
    share = lines_of(drawn(made["Attention's share of a training step"]))
    assert percent(next(share["eager"].iter("rect")), "width") == pytest.approx(20)
    assert "".join(share["eager"].findall("td")[1].itertext()) == "20%"


def test_errors_are_dots_on_a_scale_of_powers_of_ten():
    picture = by_caption(ROWS)["Error of attention's outputs"]
    assert (picture.least, picture.most) == (pytest.approx(1e-7), pytest.approx(1e-5))
    shown = lines_of(drawn(picture))
    for backend, error in ERRORS.items():
        dot = next(e for e in shown[backend].iter("circle"))
        place = 0.0 if error == 0 else 100 * (math.log10(error) + 7) / 2
        assert percent(dot, "cx") == pytest.approx(place, abs=0.01)
    assert ["".join(shown[b].findall("td")[1].itertext()) for b in ERRORS] == ["2.0 × 10⁻⁷", "5.0 × 10⁻⁶", "exact"]
    assert [text for _, text in picture.ticks()] == ["10⁻⁷", "10⁻⁶", "10⁻⁵"]


def test_several_image_sizes_are_curves_with_the_power_of_their_growth():
    rows = [row(b, size, (size / 320) ** 2) for size in (320, 640, 1280) for b in ("eager", "sdpa-flash")]
    made = by_caption(rows)
    assert "Time of a training step at 1280 pixels" in made
    picture = made["Time of a training step and the image size"]
    assert [curve.label for curve in picture.curves] == [
        "eager, float32: power 2.00",
        "sdpa-flash, float32: power 2.00",
    ]
    figure = drawn(picture)
    plot = figure.find("svg")
    dots = list(plot.iter("circle"))
    xs = [percent(dot, "cx") for dot in dots[:3]]
    assert xs == [6.0, 50.0, 94.0]  # equal steps: each size is twice the one before
    ys = [percent(dot, "cy") for dot in dots]
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.02)  # a power is a straight line
    assert ys[0] > ys[1] > ys[2]
    assert ys[3] - ys[0] == pytest.approx(ys[4] - ys[1], abs=0.02)  # half the time at each size
    for dot, line in zip(dots[1:3], [e for e in plot.iter("line") if "curve" in e.get("class")][:2], strict=True):
        assert (line.get("x2"), line.get("y2")) == (dot.get("cx"), dot.get("cy"))
    marks = [text for _, text in picture.ticks]
    assert (marks[0], marks[-1]) == ("50.0 ms", "5000 ms")  # the lowest interval begins at 99 ms
    memory = [text for _, text in made["Memory of a training step and the image size"].ticks]
    assert (memory[0], memory[-1]) == ("512 MiB", "16.0 GiB")
    cells = ["".join(cell.itertext()) for cell in figure.iter("td")]
    assert any("3200 ms" in cell for cell in cells)  # the numbers stand in a table too


def test_what_cannot_be_drawn_is_left_out():
    assert charts(()) == ()
    assert [p.caption for p in charts((ROWS[0],))] == ["Attention's share of a training step"]
    bare = Trial(backend="eager", status="failed", dtype="float32", reason="x")
    assert charts((bare, bare)) == ()
    alone = row("eager", shape="2x8x64x32", imgsz=None)
    assert charts((alone, alone)) == ()  # shapes of a grid: each row has another size


def test_a_row_that_is_not_right_says_so_in_words():
    rows = (ROWS[0], row("sdpa-math", status="wrong"), row("sdpa-flash", status="other-kernel"))
    shown = lines_of(drawn(by_caption(rows)["Time of a training step"]))
    assert shown["sdpa-math"].find("th/span").text == "wrong numbers"
    assert shown["sdpa-flash"].find("th/span").text == "another kernel ran"
    assert shown["sdpa-math"].find("td/svg").get("class") == "bad"


def test_each_dtype_has_its_own_rows():
    rows = (*ROWS, *(row(b, dtype="float16") for b in STEP))
    figure = drawn(by_caption(rows)["Time of a forward pass"])
    assert [e.find("tr/th").text for e in figure.iter("tbody")] == ["float32", "float16"]


def test_a_power_of_ten_is_written_with_raised_digits():
    assert [power_of_ten(p) for p in (-12, -1, 0, 1, 3)] == ["10⁻¹²", "10⁻¹", "1", "10", "10³"]
