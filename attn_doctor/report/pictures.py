"""Define the pictures that a page adds to an outline: the map of the machine, charts, and the map of a fleet.

Values only; a renderer draws them. The terminal and Markdown have no pictures: the tables of the outline have the same numbers.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from attn_doctor.model import foreign_text
from attn_doctor.report.blocks import Tone, each_text
from attn_doctor.system.printable import one_line

# "broken": an error was found here · "stopped": it does not work, and the cause is another link or no error
State = Literal["good", "broken", "stopped", "unknown", "not needed"]
Scale = Literal["linear", "log"]


class Link(NamedTuple):
    """Describe one link of the machine's chain, which goes from the system to the model."""

    name: str  # "CUDA"
    state: State
    has: str  # what is there: "12.8, inside torch"
    needs: tuple[str, ...] = ()  # from the links before it
    offers: tuple[str, ...] = ()  # to the links after it
    because: str = ""  # why it is broken, or not known, or not needed


class Chain(NamedTuple):
    """Hold the map of the machine: the links from the system to the model."""

    caption: str
    links: tuple[Link, ...]


class Bar(NamedTuple):
    """Hold one measured value with its interval, and the text beside the bar."""

    label: str
    value: float
    text: str
    low: float | None = None
    high: float | None = None
    between: str = ""  # the interval as text
    tone: Tone = ""
    remark: str = ""  # what the tone means: "another kernel ran"


class Bars(NamedTuple):
    """Hold a chart with a bar for each backend.

    On the linear scale bars begin at 0, and `most` is the right edge. On the log scale dots stand between `least` and
    `most`, which are powers of ten.
    """

    caption: str
    about: str  # how to read it, in one sentence
    groups: tuple[tuple[str, tuple[Bar, ...]], ...]  # (dtype, its bars)
    most: float
    least: float = 0.0
    scale: Scale = "linear"

    def place(self, value: float) -> float:
        """Return the place of a value between the left edge (0) and the right edge (100), in percent."""
        if self.scale == "log":
            if value <= self.least:
                return 0.0
            return round(min(100.0, 100 * math.log(value / self.least) / math.log(self.most / self.least)), 2)
        return round(min(100.0, 100 * value / self.most), 2) if self.most > 0 else 0.0

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Return the marks of the log scale, as (place in percent, text): at most six. The linear scale has none."""
        if self.scale == "linear":
            return ()
        first, last = round(math.log10(self.least)), round(math.log10(self.most))
        step = max(1, math.ceil((last - first) / 5))
        return tuple((self.place(10.0**power), power_of_ten(power)) for power in range(first, last + 1, step))


class Stack(NamedTuple):
    """Hold one bar that consists of pieces: a value for each part of its chart, and the text for the sum."""

    label: str
    values: tuple[float, ...]
    text: str


class Stacks(NamedTuple):
    """Hold a chart of bars that consist of the same parts. The bars begin at 0; `most` is the value at the right edge."""

    caption: str
    about: str
    parts: tuple[str, ...]
    rows: tuple[Stack, ...]
    most: float

    def pieces(self, row: Stack) -> tuple[tuple[int, float, float], ...]:
        """Return (part, left edge, width) of each visible piece. Both numbers are percent of the chart's width."""
        found, left = [], 0.0
        for part, value in enumerate(row.values):
            width = 100 * value / self.most if self.most > 0 else 0.0
            if width > 0:
                found.append((part, round(left, 2), round(width, 2)))
            left += width
        return tuple(found)


class Point(NamedTuple):
    """Hold one point of a curve, with its interval."""

    x: float  # the image size in pixels, or the number of the epoch
    value: float
    text: str
    low: float | None = None
    high: float | None = None


class Curve(NamedTuple):
    """Hold one curve of a chart."""

    label: str
    points: tuple[Point, ...]


class Curves(NamedTuple):
    """Hold a chart of a cost against the image size, both on a log scale. A straight line means a power law."""

    caption: str
    about: str
    curves: tuple[Curve, ...]
    ticks: tuple[tuple[float, str], ...]  # of the cost: (value, text), the lowest and the highest are the edges

    @property
    def sizes(self) -> tuple[float, ...]:
        """Return the image sizes, the smallest first."""
        return tuple(sorted({point.x for curve in self.curves for point in curve.points}))

    def across(self, x: float) -> float:
        """Return the place of an image size between the left edge (0) and the right edge (100), in percent.

        Both edges keep a margin.
        """
        first, last = math.log(self.sizes[0]), math.log(self.sizes[-1])
        return round(6 + 88 * (math.log(x) - first) / (last - first), 2)

    def down(self, value: float) -> float:
        """Return the place of a cost between the top (0) and the bottom (100), in percent.

        The bottom keeps a margin for the sizes.
        """
        low, high = math.log(self.ticks[0][0]), math.log(self.ticks[-1][0])
        return round(6 + 82 * (high - math.log(value)) / (high - low), 2)


# "explains", "beside", "other": how near a differing fact is to a finding, as in `model.fleet.Weight` · "unknown": there is no report
Warmth = Literal["same", "explains", "beside", "other", "unknown"]


class HeatRow(NamedTuple):
    """Hold one row of the map of a fleet: nodes that differ from the others in the same way."""

    label: str
    nodes: int
    said: str  # the cause, or the standing
    tone: Tone
    cells: tuple[Warmth, ...]  # one for each column


class Heat(NamedTuple):
    """Hold a map with a row for each group of alike nodes and a column for each fact."""

    caption: str
    about: str
    columns: tuple[str, ...]
    rows: tuple[HeatRow, ...]


class Learning(NamedTuple):
    """Hold a chart of values against the epoch, both on a linear scale, with a band for the interval of each curve."""

    caption: str
    about: str
    curves: tuple[Curve, ...]
    ticks: tuple[tuple[float, str], ...]  # of the value: (value, text), the lowest and the highest are the edges

    @property
    def epochs(self) -> tuple[float, ...]:
        """Return the epochs, the first one first."""
        return tuple(sorted({point.x for curve in self.curves for point in curve.points}))

    @property
    def marks(self) -> tuple[float, ...]:
        """Return the epochs that are named below the chart: the first, the last, and at most six between."""
        first, last = self.epochs[0], self.epochs[-1]
        step = max(1, math.ceil((last - first) / 7))
        between = [first + k * step for k in range(int((last - first) / step) + 1)]
        return (*(mark for mark in between if last - mark >= step * 0.6), last)

    def across(self, x: float) -> float:
        """Return the place of an epoch between the left edge (0) and the right edge (100), in percent. Both edges have a margin."""
        first, last = self.epochs[0], self.epochs[-1]
        return round(8 + 88 * (x - first) / (last - first), 2)

    def down(self, value: float) -> float:
        """Return the place of a value between the top (0) and the bottom (100), in percent. The bottom has a margin for the epochs."""
        low, high = self.ticks[0][0], self.ticks[-1][0]
        return round(6 + 82 * (high - value) / (high - low), 2)

    def line(self, curve: Curve) -> str:
        """Return the points of a curve in SVG's form, in percent of the width and of the height."""
        return " ".join(f"{self.across(point.x):g},{self.down(point.value):g}" for point in curve.points)

    def band(self, curve: Curve) -> str:
        """Return the outline of the band between both ends of the intervals, in SVG's form; empty without intervals."""
        ends = [
            (point.x, point.low, point.high)
            for point in curve.points
            if point.low is not None and point.high is not None
        ]
        corners = [(x, high) for x, _, high in ends] + [(x, low) for x, low, _ in reversed(ends)]
        return " ".join(f"{self.across(x):g},{self.down(value):g}" for x, value in corners) if len(ends) > 1 else ""


class Differences(NamedTuple):
    """Hold a chart of differences from a base, with their intervals. A zone around 0 counts as no difference. The middle of the chart is 0."""

    caption: str
    about: str
    rows: tuple[Bar, ...]
    least: float
    most: float
    zone: tuple[float, float]
    ticks: tuple[tuple[float, str], ...]

    def place(self, value: float) -> float:
        """Return the place of a difference between the left edge (0) and the right edge (100), in percent."""
        return round(100 * (min(max(value, self.least), self.most) - self.least) / (self.most - self.least), 2)


Picture = Chain | Bars | Stacks | Curves | Heat | Learning | Differences


def power_of_ten(power: int) -> str:
    """Return 10 to a power as text, with raised digits."""
    raised = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return {0: "1", 1: "10"}.get(power, f"10{raised}")


def neutral(picture: Picture) -> Picture:
    """Return a picture with each text on one line and made harmless, because names of GPUs and models are foreign text."""
    return each_text(picture, lambda text: one_line(foreign_text.text(text)))
