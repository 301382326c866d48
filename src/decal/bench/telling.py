"""Figures of several rounds, in words: the middle of each with its spread, and what the gaps between contenders are worth."""

from collections.abc import Callable, Sequence
from statistics import median

from decal.bench.measuring import Measured

Figure = Callable[[Measured], float | None]
# What is told of each contender: its heading, what it is, and how many digits it gets.
FIGURES: list[tuple[str, Figure, int]] = [
    ("samples/s", lambda one: one.samples_per_second, 2),
    ("host ms a step", lambda one: 1000 * one.step_cpu, 0),
    ("ms of one alone", lambda one: 1000 * one.middle_step_cpu, 0),
    ("imports s", lambda one: one.imports, 1),
    ("imports CPU s", lambda one: one.imports_cpu, 1),
    ("first step s", lambda one: one.first_step, 1),
    ("first step CPU s", lambda one: one.first_step_cpu, 1),
    ("whole run s", lambda one: one.whole, 1),
    ("whole run CPU s", lambda one: one.whole_cpu, 1),
    ("peak MiB", lambda one: None if one.peak_bytes is None else one.peak_bytes / 2**20, 0),
    ("GPU peak MiB", lambda one: None if one.cuda_bytes is None else one.cuda_bytes / 2**20, 0),
]
# Larger is better here; everywhere else smaller is.
LARGER = "samples/s"


def table(measured: Sequence[Measured]) -> list[str]:
    """For each length and contender a line a figure: the median of the rounds that were not the first, its spread, and the first one's."""
    lines = []
    for steps in sorted({one.steps for one in measured}):
        lines.append(f"{steps:,} steps")
        for name in _names(measured):
            of = [one for one in measured if one.contender == name and one.steps == steps]
            warm = [one for one in of if not one.is_cold] or of
            lines.append(f"  {name}: {len(warm)} rounds" if len(warm) > 1 else f"  {name}: one round")
            for heading, figure, digits in FIGURES:
                values = [value for one in warm if (value := figure(one)) is not None]
                if not values:
                    continue
                cold = [value for one in of if one.is_cold and one not in warm and (value := figure(one)) is not None]
                lines.append(f"    {heading:17}{_spread(values, digits):28}{f'cold {cold[0]:.{digits}f}' if cold else ''}".rstrip())
    return lines


def compared(measured: Sequence[Measured], ours: str, theirs: str) -> list[str]:
    """How often better ours is, figure by figure and round by round; a spread of rounds that holds 1 is a tie."""
    lines = []
    for steps in sorted({one.steps for one in measured}):
        for heading, figure, _ in FIGURES:
            pairs = [
                (mine, other)
                for one in measured
                for two in measured
                if (one.contender, two.contender) == (ours, theirs)
                and one.steps == two.steps == steps
                and one.round == two.round
                and not (one.is_cold or two.is_cold)
                if (mine := figure(one)) and (other := figure(two))
            ]
            if pairs:
                ratios = [mine / other if heading == LARGER else other / mine for mine, other in pairs]
                lines.append(f"  {heading:17}{_verdict(ratios)}")
        if lines:
            lines.insert(0, f"{ours} against {theirs}, {steps:,} steps, round by round")
            return lines + compared([one for one in measured if one.steps > steps], ours, theirs)
    return lines


def _verdict(ratios: Sequence[float]) -> str:
    """In words, from one ratio a round; above 1 is better."""
    low, high = min(ratios), max(ratios)
    if len(ratios) == 1:
        return f"{ratios[0]:.2f} x, one round only, so how much is chance is not known"
    if low <= 1 <= high:
        return f"a tie ({low:.2f} to {high:.2f} x)"
    return f"{median(ratios):.2f} x {'better' if low > 1 else '(worse)'} ({low:.2f} to {high:.2f})"


def _spread(values: Sequence[float], digits: int) -> str:
    middle = f"{median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _names(measured: Sequence[Measured]) -> list[str]:
    return list(dict.fromkeys(one.contender for one in measured))
