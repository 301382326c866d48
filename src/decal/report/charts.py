"""Plots as SVG inside the page: lines with bands over steps, and points with whiskers on two axes.

Numbers go in, `Markup` comes out. Colours are left to the page's style sheet, so that a plot is right in the dark and on paper too. Each
plot is made twice, wide and narrow, of which the page shows one: scaled letters would be too small on a telephone.
"""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from decal.curves import ticks
from decal.report.markup import Markup, element, join

WIDE_PX, NARROW_PX = 880, 358
LETTER_PX = 6.6
"""Mean width of a digit at the size that the style sheet sets numbers in."""


@dataclass(frozen=True)
class Point:
    """A value at a step. low, high: of its interval, where it has one. name: for whoever points at it or hears the page."""

    step: int
    value: float
    low: float | None = None
    high: float | None = None
    name: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Panel:
    """One plot of a column that shares its steps. level: a line at this height.

    points: joined by a line. dotted: whether each has a dot. whiskers: draw intervals as whiskers too, not only as a band.
    """

    title: str
    note: str
    points: Sequence[Point]
    height_px: int
    level: float | None = None
    is_dotted: bool = True
    has_whiskers: bool = False
    kind: str = "main"


@dataclass(frozen=True)
class Mark:
    """A step that is marked through all panels. kind: chosen or rejected. text: beside it."""

    step: int
    kind: str
    text: str


@dataclass(frozen=True)
class Spot:
    """A point of a trade-off, with whiskers. label: written beside it."""

    label: str
    kind: str
    x: Point
    y: Point
    is_on_front: bool = False


@dataclass(frozen=True)
class _Frame:
    """Where a plot lies in its drawing, in px, and what its edges mean."""

    left: float
    right: float
    top: float
    bottom: float
    across: tuple[float, float]
    up: tuple[float, float] = field(default=(0.0, 1.0))

    def x(self, value: float) -> float:
        low, high = self.across
        return self.left + (value - low) / (high - low or 1) * (self.right - self.left)

    def y(self, value: float) -> float:
        low, high = self.up
        return self.bottom - (min(max(value, low), high) - low) / (high - low or 1) * (self.bottom - self.top)


def columns(panels: Sequence[Panel], marks: Sequence[Mark], steps: Sequence[int], told: str) -> Markup:
    """Panels one under the other over a common axis of steps.

    steps: that get a number. told: what there is to see, for whom it is read out.
    """
    shown = [panel for panel in panels if panel.points]
    return _both(lambda width: _columns(shown, marks, steps, told, width))


def trade_off(spots: Sequence[Spot], across: str, up: str, told: str) -> Markup:
    """Points on two axes, more is better on both. across, up: what the axes are called."""
    return _both(lambda width: _trade_off(spots, (across, up), told, width))


def _both(draw: Callable[[int], Markup]) -> Markup:
    return join(element("div", draw(WIDE_PX), class_="plot wide"), element("div", draw(NARROW_PX), class_="plot narrow"))


def _columns(panels: Sequence[Panel], marks: Sequence[Mark], steps: Sequence[int], told: str, width: int) -> Markup:
    last = max([point.step for panel in panels for point in panel.points] + [mark.step for mark in marks], default=1)
    parts, y = [], 0.0
    for panel in panels:
        notes = [panel.note] if width == WIDE_PX else _wrapped(panel.note, width)
        head = 20.0 if width == WIDE_PX else 20.0 + 17 * len(notes)
        y += head + (18 if y == 0 else 36)
        values = [value for point in panel.points for value in (point.value, point.low, point.high) if value is not None]
        frame = _Frame(46, width - 14, y, y + panel.height_px, (0, last), _room(values))
        parts.append(_title(panel.title, notes, y - head, is_wide=width == WIDE_PX))
        parts.append(_panel(panel, frame, marks))
        y += panel.height_px + 8
    bottom = y - 8
    frame = _Frame(46, width - 14, 0, bottom, (0, last))
    parts.append(_numbers(frame, steps, bottom))
    flags = [
        element("text", mark.text, class_=f"flag {mark.kind}", x=_inside(frame.x(mark.step), mark.text, width), y=bottom + 34)
        for mark in marks
        if mark.kind == "chosen"
    ]
    return _drawing(width, bottom + 44, told, *parts, *flags)


def _title(title: str, notes: Sequence[str], top: float, *, is_wide: bool) -> Markup:
    """What a panel shows: its note beside the title where there is room, else beneath."""
    name = element("tspan", title, class_="title")
    if is_wide:
        return element("text", name, *[element("tspan", note, class_="note", dx="10") for note in notes], x=0.0, y=top)
    lines = [element("text", note, class_="note", x=0.0, y=top + 17 * (number + 1)) for number, note in enumerate(notes)]
    return join(element("text", name, x=0.0, y=top), *lines)


def _panel(panel: Panel, frame: _Frame, marks: Sequence[Mark]) -> Markup:
    parts = [_grid(frame, panel)]
    for mark in marks:
        x = frame.x(mark.step)
        if mark.kind == "rejected":
            parts.append(element("rect", class_="rejected", x=x - 7, y=frame.top, width="14", height=frame.bottom - frame.top))
        else:
            parts.append(element("line", class_=mark.kind, x1=x, x2=x, y1=frame.top, y2=frame.bottom))
    if panel.level is not None:
        parts.append(element("line", class_="level", x1=frame.left, x2=frame.right, y1=frame.y(panel.level), y2=frame.y(panel.level)))
    banded = [(point, point.low, point.high) for point in panel.points if point.low is not None and point.high is not None]
    if len(banded) > 1 and not panel.has_whiskers:
        above = [f"{frame.x(point.step):.1f},{frame.y(high):.1f}" for point, _, high in banded]
        below = [f"{frame.x(point.step):.1f},{frame.y(low):.1f}" for point, low, _ in reversed(banded)]
        parts.append(element("path", class_=f"band {panel.kind}", d=f"M{'L'.join([*above, *below])}Z"))
    line = "L".join(f"{frame.x(point.step):.1f},{frame.y(point.value):.1f}" for point in panel.points)
    if len(panel.points) > 1:
        parts.append(element("path", class_=f"curve {panel.kind}", d=f"M{line}"))
    for point in panel.points:
        x = frame.x(point.step)
        if panel.has_whiskers and point.low is not None and point.high is not None:
            parts.append(element("line", class_="whisker", x1=x, x2=x, y1=frame.y(point.low), y2=frame.y(point.high)))
        if panel.is_dotted or len(panel.points) == 1:
            parts.append(_dot(x, frame.y(point.value), point.kind, point.name))
    return join(*parts)


def _grid(frame: _Frame, panel: Panel) -> Markup:
    places, decimals = ticks(*frame.up, max(2.0, (frame.bottom - frame.top) / 26))
    parts = [
        join(
            element("line", class_="grid", x1=frame.left, x2=frame.right, y1=frame.y(place), y2=frame.y(place)),
            element("text", f"{place:.{decimals}f}", class_="tick end", x=frame.left - 8, y=frame.y(place) + 4),
        )
        for place in places
    ]
    return join(*parts)


def _numbers(frame: _Frame, steps: Sequence[int], bottom: float) -> Markup:
    """The steps that fit under the plot, and what they are."""
    parts = []
    free = -math.inf
    for step in steps:
        half = len(f"{step:,}") * LETTER_PX / 2
        if frame.x(step) - half >= free:
            parts.append(element("text", f"{step:,}", class_="tick middle", x=min(frame.x(step), frame.right + 12 - half), y=bottom + 17))
            free = frame.x(step) + half + 10
    named = element("text", "step", class_="tick", x=0.0, y=bottom + 17)
    return join(element("line", class_="axis", x1=frame.left, x2=frame.right, y1=bottom, y2=bottom), *parts, named)


def _trade_off(spots: Sequence[Spot], names: tuple[str, str], told: str, width: int) -> Markup:
    side = min(width - 60, 420)
    across, up = (
        _room([value for point in points for value in (point.low, point.high, point.value) if value is not None])
        for points in ([spot.x for spot in spots], [spot.y for spot in spots])
    )
    frame = _Frame(46, width - 22, 30, 30 + side * 0.8, across, up)
    parts = []
    for place, decimals in _places(across, (frame.right - frame.left) / 80):
        x = frame.x(place)
        parts.append(element("line", class_="grid", x1=x, x2=x, y1=frame.top, y2=frame.bottom))
        parts.append(element("text", f"{place:.{decimals}f}", class_="tick middle", x=x, y=frame.bottom + 17))
    for place, decimals in _places(up, (frame.bottom - frame.top) / 56):
        y = frame.y(place)
        parts.append(element("line", class_="grid", x1=frame.left, x2=frame.right, y1=y, y2=y))
        parts.append(element("text", f"{place:.{decimals}f}", class_="tick end", x=frame.left - 8, y=y + 4))
    front = sorted((spot for spot in spots if spot.is_on_front), key=lambda spot: spot.x.value)
    if len(front) > 1:
        line = "L".join(f"{frame.x(spot.x.value):.1f},{frame.y(spot.y.value):.1f}" for spot in front)
        parts.append(element("path", class_="front", d=f"M{line}"))
    parts += [_cross(spot, frame) for spot in spots]
    parts += [_dot(frame.x(spot.x.value), frame.y(spot.y.value), spot.kind, spot.x.name) for spot in spots]
    parts += _labels(spots, frame)
    parts.append(element("text", element("tspan", names[1], class_="title"), x=0.0, y=14.0))
    parts.append(element("text", element("tspan", names[0], class_="title"), class_="end", x=frame.right, y=frame.bottom + 38))
    return _drawing(width, frame.bottom + 46, told, *parts)


def _labels(spots: Sequence[Spot], frame: _Frame) -> list[Markup]:
    """The names of the points, each beside its own and not on that of another where there is room."""
    taken: list[tuple[float, float, float, float]] = [
        (frame.x(spot.x.value) - 6, frame.y(spot.y.value) - 6, frame.x(spot.x.value) + 6, frame.y(spot.y.value) + 6) for spot in spots
    ]
    parts = []
    for spot in spots:
        x, y, width = frame.x(spot.x.value), frame.y(spot.y.value), len(spot.label) * LETTER_PX + 2
        places = [(x + 10, y - 8), (x + 10, y + 17), (x - 10 - width, y - 8), (x - 10 - width, y + 17), (x + 10, y - 24), (x + 10, y + 33)]
        inside = [place for place in places if place[0] >= frame.left and place[0] + width <= frame.right + 14] or places
        best = min(inside, key=lambda place: sum(_overlap((place[0], place[1] - 11, place[0] + width, place[1] + 2), one) for one in taken))
        taken.append((best[0], best[1] - 11, best[0] + width, best[1] + 2))
        parts.append(element("text", spot.label, class_=f"name {spot.kind}", x=best[0], y=best[1]))
    return parts


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, wide) * max(0.0, high)


def _cross(spot: Spot, frame: _Frame) -> Markup:
    x, y, parts = frame.x(spot.x.value), frame.y(spot.y.value), []
    if spot.x.low is not None and spot.x.high is not None:
        parts.append(element("line", class_="whisker", x1=frame.x(spot.x.low), x2=frame.x(spot.x.high), y1=y, y2=y))
    if spot.y.low is not None and spot.y.high is not None:
        parts.append(element("line", class_="whisker", x1=x, x2=x, y1=frame.y(spot.y.low), y2=frame.y(spot.y.high)))
    return join(*parts)


def _dot(x: float, y: float, kind: str, name: str) -> Markup:
    title = element("title", name) if name else Markup("")
    if kind == "rejected":
        return element("g", title, element("path", class_="dot rejected", d=f"M{x - 5:.1f},{y - 5:.1f}l10,10m0,-10l-10,10"))
    return element("g", title, element("circle", class_=f"dot {kind}", cx=x, cy=y, r=6.0 if kind == "chosen" else 4.5))


def _drawing(width: float, height: float, told: str, *parts: str) -> Markup:
    return element("svg", *parts, viewBox=f"0 0 {width:g} {height:g}", width=width, height=height, role="img", aria_label=told)


def _places(bounds: tuple[float, float], at_most: float) -> list[tuple[float, int]]:
    places, decimals = ticks(*bounds, max(2.0, at_most))
    return [(place, decimals) for place in places]


def _room(values: Sequence[float]) -> tuple[float, float]:
    """Bounds of an axis with some air above and below."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.12 or abs(high) * 0.05 or 1.0
    return (low - margin if low < 0 else max(0.0, low - margin)), high + margin


def _wrapped(words: str, width: float) -> list[str]:
    return textwrap.wrap(words, int(width / LETTER_PX))


def _inside(x: float, words: str, width: float) -> float:
    """Where words that are centred on x begin, so that they end inside the drawing."""
    half = len(words) * LETTER_PX / 2
    return min(max(x - half, 0.0), width - 2 * half - 2)
