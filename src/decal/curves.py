"""The losses of a training as a strip of plots, drawn with Pillow alone.

Steps go in, one picture comes out, or none where nothing was measured. The held-out loss and the training loss have each their own plot
and scale, one under the other: the training loss is measured on other pictures and other noise, so on one axis their distance would seem
to mean something, and the small differences that tell checkpoints apart would vanish.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from decal.lettering import LINE_HEIGHT, width_px, wrap, write
from decal.records import Step

PAPER = "#ffffff"
TEXT = "#1f2328"
QUIET = "#6e7781"
RULE = "#e3e6ea"
ACCENT = "#1f6feb"
THIN = "#8c96a3"

# Plots are drawn this much larger and then reduced, because Pillow's lines have no smooth edges.
OVERSAMPLING = 4


@dataclass(frozen=True)
class Plot:
    """Where things lie on the strip, in px from its left edge.

    inset_px: from the plot's edges to step 0 and to the last step. unit: factor on the size of letters and lines.
    """

    label_width_px: int
    left_px: int
    right_px: int
    inset_px: int
    unit: float

    def of(self, length: float) -> int:
        """A length at this unit."""
        return round(length * self.unit)

    def x(self, step: float, last: int) -> float:
        """Where a step lies, from the plot's left edge."""
        return self.inset_px + step / last * (self.right_px - self.left_px - 2 * self.inset_px)


@dataclass(frozen=True)
class _Curve:
    label: str
    explanation: str
    points: list[tuple[int, float]]
    colour: str
    thickness: float
    height_px: int
    has_dots: bool


def draw_losses(steps: Sequence[Step], plot: Plot, *, marks: Sequence[int], best: int | None) -> Image.Image | None:
    """The held-out loss, the training loss beneath it and their common axis of steps; None where no loss was measured twice.

    marks: steps that get a line and a number, the checkpoints. best: the one among them with the lowest held-out loss.
    """
    holdout = [(step.step, step.holdout_loss) for step in steps if step.holdout_loss is not None]
    losses = [(step.step, step.loss) for step in steps if step.loss is not None]
    # An odd number, so that as many steps count before as after.
    window = len(losses) // 50 * 2 + 1
    smoothing = f", mean over {window} steps" if window > 1 else ""
    curves = [
        _Curve(
            "held-out loss",
            "mean squared error on pictures kept out of training, with the same noise every time; lower is better",
            holdout,
            ACCENT,
            2.0,
            plot.of(210),
            has_dots=True,
        ),
        _Curve("training loss", f"mean squared error{smoothing}", _smooth(losses, window), THIN, 1.2, plot.of(96), has_dots=False),
    ]
    curves = [curve for curve in curves if len(curve.points) > 1]
    if not curves:
        return None
    last = max(step.step for step in steps)
    between, axis_height = plot.of(20), plot.of(56)
    strip = Image.new("RGB", (plot.right_px + 1, sum(curve.height_px + between for curve in curves) + axis_height), PAPER)
    y = 0
    for curve in curves:
        _draw_curve(strip, y, curve, plot, (last, marks, best))
        y += curve.height_px + between
    _draw_axis(strip, y - between, plot, last, marks)
    return strip


def _draw_curve(strip: Image.Image, top: int, curve: _Curve, plot: Plot, scale: tuple[int, Sequence[int], int | None]) -> None:
    last, marks, best = scale
    pen = ImageDraw.Draw(strip)
    # The numbers of the axis need room to the left of the plot.
    room = plot.label_width_px - plot.of(24)
    below = write(pen, (0, top), wrap(curve.label, plot.of(15), room), plot.of(15), TEXT)
    write(pen, (0, below), wrap(curve.explanation, plot.of(13), room), plot.of(13), QUIET)

    values = [value for _, value in curve.points]
    low, high = min(values), max(values)
    margin = (high - low) * 0.12 or abs(high) * 0.01 or 1.0
    low, high = low - margin, high + margin
    width = plot.right_px - plot.left_px

    def y(value: float) -> float:
        return (high - value) / (high - low) * curve.height_px

    canvas = Image.new("RGB", ((width + 1) * OVERSAMPLING, (curve.height_px + 1) * OVERSAMPLING), PAPER)
    ink = ImageDraw.Draw(canvas)
    hair = OVERSAMPLING * plot.of(1)
    places, decimals = ticks(low, high, curve.height_px / plot.of(28))
    for tick in places:
        ink.line(_scaled([(0, y(tick)), (width, y(tick))]), RULE, hair)
    for mark in marks:
        ink.line(_scaled([(plot.x(mark, last), 0), (plot.x(mark, last), curve.height_px)]), RULE, hair)
    points = [(plot.x(step, last), y(value)) for step, value in curve.points]
    ink.line(_scaled(points), curve.colour, round(OVERSAMPLING * curve.thickness * plot.unit), joint="curve")
    for (step, _), (x_px, y_px) in zip(curve.points, points, strict=True):
        if curve.has_dots and (step in marks or len(points) <= 60):
            radius = (5.5 if step == best else 3.5) * plot.unit
            box = _scaled([(x_px - radius, y_px - radius), (x_px + radius, y_px + radius)])
            ink.ellipse(box, fill=curve.colour if step == best else PAPER, outline=curve.colour, width=round(OVERSAMPLING * 2 * plot.unit))
    strip.paste(canvas.reduce(OVERSAMPLING), (plot.left_px, top))
    for tick in places:
        number = f"{tick:.{decimals}f}"
        at = (plot.left_px - plot.of(8) - width_px(number, plot.of(12)), top + y(tick) - plot.of(12) * 0.64)
        write(pen, at, [number], plot.of(12), QUIET)


def _draw_axis(strip: Image.Image, top: int, plot: Plot, last: int, marks: Sequence[int]) -> None:
    """The numbers of the checkpoints' steps, as many as fit, and what they are."""
    pen = ImageDraw.Draw(strip)
    size = plot.of(12)
    pen.line((plot.left_px, top, plot.right_px, top), THIN, plot.of(1))
    free_from = -math.inf
    for mark in marks or (0, last):
        middle = plot.left_px + plot.x(mark, last)
        half = width_px(str(mark), size) / 2
        if middle - half >= free_from:
            write(pen, (middle - half, top + plot.of(6)), [str(mark)], size, QUIET)
            free_from = middle + half + plot.of(10)
    named = "optimizer step"
    middle = (plot.left_px + plot.right_px - width_px(named, size)) / 2
    write(pen, (middle, top + plot.of(6) + size * LINE_HEIGHT + plot.of(4)), [named], size, QUIET)


def _smooth(points: Sequence[tuple[int, float]], window: int) -> list[tuple[int, float]]:
    """Means over a window of points around each; none near the ends, where a shorter window would be noisier than the rest."""
    half = window // 2
    return [
        (points[middle][0], statistics.fmean(value for _, value in points[middle - half : middle + half + 1]))
        for middle in range(half, len(points) - half)
    ]


def ticks(low: float, high: float, at_most: float) -> tuple[list[float], int]:
    """Round numbers between two values, and how many decimals they need."""
    rough = (high - low) / at_most
    power = math.floor(math.log10(rough))
    factor = next(factor for factor in (1, 2, 5, 10) if factor * 10.0**power >= rough)
    distance = factor * 10.0**power
    places = [number * distance for number in range(math.ceil(low / distance), math.floor(high / distance) + 1)]
    return places, max(0, -power - (factor == 10))


def _scaled(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x * OVERSAMPLING, y * OVERSAMPLING) for x, y in points]
