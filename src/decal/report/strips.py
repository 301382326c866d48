"""Which pictures are worth looking at, and the rows and cards that show them.

Not the prettiest: the cells whose scores change most from one checkpoint to the next, and the worst of the chosen one. Scores decide, so
the same run always shows the same pictures.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from decal.records import Suspect
from decal.report.markup import Markup, element, join
from decal.report.matter import BASE, Cell, Matter
from decal.report.thumbnails import SMALL_PX, thumbnail
from decal.wording import counted

CHANGED, WORST, CARDS, PAIRS = 3, 3, 6, 8
"""Rows of the largest change and of the worst, cards of the worst, and suspected copies that are shown."""
GOOD = 0.9
"""Worth from which a picture is not among the worst, however few there are."""
COLUMNS = 5
MEASURED = ("style", "adherence")
CHANCE = 0.5


@dataclass(frozen=True)
class Row:
    """A cell and why it is shown."""

    cell: Cell
    why: str


def columns(matter: Matter) -> list[int]:
    """The base, the checkpoint before the chosen one, itself, the one after and the last; some in between where none was chosen."""
    steps = sorted({checkpoint for checkpoint, _ in matter.drawn} - {BASE})
    if matter.chosen in steps:
        place = steps.index(matter.chosen)
        wanted = [*steps[max(0, place - 1) : place + 2], *steps[-1:]]
    else:
        count = min(COLUMNS - 1, len(steps))
        wanted = [steps[round(number * (len(steps) - 1) / max(1, count - 1))] for number in range(count)]
    return [BASE, *dict.fromkeys(wanted)]


def merit(matter: Matter, checkpoint: int, cell: Cell) -> float | None:
    """What a single picture is worth, 0..1: the geometric mean of what was measured of it; None where nothing was."""
    values = [_scaled(measure, matter.scores.get((measure, checkpoint, cell))) for measure in MEASURED]
    known = [value for value in values if value is not None]
    return math.prod(known) ** (1 / len(known)) if known else None


def rows(matter: Matter, steps: Sequence[int]) -> list[Row]:
    """The cells with the largest change between neighbouring columns, then the worst of the chosen; without scores, the first ones."""
    found: list[Row] = []
    for _, cell, why in sorted(_changes(matter, steps), key=lambda change: -change[0]):
        if len(found) < CHANGED and cell.prompt not in {row.cell.prompt for row in found}:
            found.append(Row(cell, why))
    for cell, why in worst(matter):
        if len(found) < CHANGED + WORST and cell.prompt not in {row.cell.prompt for row in found}:
            found.append(Row(cell, why))
    if not found:
        prompts: set[str] = set()
        for cell in matter.cells:
            if cell.prompt not in prompts and len(found) < CHANGED + WORST:
                prompts.add(cell.prompt)
                found.append(Row(cell, ""))
    return found


def worst(matter: Matter) -> Iterator[tuple[Cell, str]]:
    """The cells of the chosen checkpoint, the worst first, each with the measure's reason."""
    if matter.chosen is None:
        return
    ranked = [
        (value, number, cell) for number, cell in enumerate(matter.cells) if (value := merit(matter, matter.chosen, cell)) is not None
    ]
    for value, _, cell in sorted(ranked):
        yield cell, f"Worth {value:.2f}: {_complaint(matter, matter.chosen, cell)}"


def table(matter: Matter, shown: Sequence[Row], steps: Sequence[int]) -> Markup:
    """Rows of pictures under the names of the checkpoints."""
    heads = [element("th", _head(matter, step), scope="col", class_="chosen" if step == matter.chosen else None) for step in steps]
    body = [
        element(
            "tr",
            element("th", element("span", row.cell.prompt, class_="prompt"), _note(row), scope="row"),
            *[
                element(
                    "td",
                    thumbnail(matter.drawn.get((step, row.cell)), f"{_name(step)}: {row.cell.prompt}"),
                    class_="chosen" if step == matter.chosen else None,
                    data_label=_name(step),
                )
                for step in steps
            ],
        )
        for row in shown
    ]
    head = element("thead", element("tr", element("td"), *heads))
    return element(
        "div",
        element("table", head, element("tbody", *body), class_="strip"),
        class_="scroll",
        tabindex="0",
        role="group",
        aria_label="Pictures by checkpoint",
    )


def cards(matter: Matter) -> Markup:
    """The worst pictures of the chosen checkpoint with the reason beneath."""
    shown: list[Markup] = []
    for cell, why in worst(matter):
        if len(shown) < CARDS and (merit(matter, matter.chosen or BASE, cell) or 0.0) < GOOD:
            caption = element("figcaption", element("span", cell.prompt, class_="prompt"), element("span", why, class_="note"))
            shown.append(element("figure", thumbnail(matter.drawn.get((matter.chosen or BASE, cell)), cell.prompt), caption))
    return element("div", *shown, class_="cards") if shown else Markup("")


def copies(matter: Matter, suspects: Sequence[Suspect]) -> Markup:
    """Drawn pictures beside the training pictures that they may repeat."""
    captions = {record.file: record.caption for record in matter.records}
    shown = []
    for suspect in suspects[:PAIRS]:
        drawn = matter.drawn.get((suspect.checkpoint, Cell(suspect.prompt, suspect.seed)))
        sure = "far nearer than chance allows" if suspect.is_certain else "nearer than chance allows"
        pair = element(
            "div",
            thumbnail(drawn, f"Drawn by step {suspect.checkpoint:,}: {suspect.prompt}"),
            thumbnail(matter.own(suspect.file), f"Training picture {suspect.file}: {captions.get(suspect.file, '')}"),
            class_="pair",
        )
        told = element(
            "span", f"Step {suspect.checkpoint:,}, seed {suspect.seed}, beside {suspect.file}: {sure} ({suspect.ratio:.2f}).", class_="note"
        )
        shown.append(element("figure", pair, element("figcaption", element("span", suspect.prompt, class_="prompt"), told)))
    return element("div", *shown, class_="cards wide-cards")


def glimpses(matter: Matter) -> Markup:
    """What was drawn while training: a row a prompt, a column a checkpoint."""
    steps = sorted({step for step, _ in matter.glimpses})
    steps = [steps[round(number * (len(steps) - 1) / max(1, min(COLUMNS, len(steps)) - 1))] for number in range(min(COLUMNS, len(steps)))]
    cells = list(dict.fromkeys(cell for _, cell in matter.glimpses))
    heads = [element("th", f"step {step:,}", scope="col") for step in steps]
    body = [
        element(
            "tr",
            element("th", element("span", cell.prompt, class_="prompt"), scope="row"),
            *[
                element("td", thumbnail(matter.glimpses.get((step, cell)), f"Step {step:,}: {cell.prompt}"), data_label=_name(step))
                for step in steps
            ],
        )
        for cell in cells[: CHANGED + WORST]
    ]
    head = element("thead", element("tr", element("td"), *heads))
    return element(
        "div",
        element("table", head, element("tbody", *body), class_="strip"),
        class_="scroll",
        tabindex="0",
        role="group",
        aria_label="Pictures by step",
    )


def small(matter: Matter, file: str, alt: str) -> Markup:
    """One of the user's pictures, small."""
    return thumbnail(matter.own(file), alt, SMALL_PX)


def _changes(matter: Matter, steps: Sequence[int]) -> Iterator[tuple[float, Cell, str]]:
    """How much every cell changes between two neighbouring columns, the base left out: everything changes there."""
    for before, after in pairwise(steps[1:]):
        for cell in matter.cells:
            old, new = merit(matter, before, cell), merit(matter, after, cell)
            if old is not None and new is not None and (before, cell) in matter.drawn and (after, cell) in matter.drawn:
                way = "better" if new > old else "worse"
                yield abs(new - old), cell, f"Gets {way} from step {before:,} to {after:,}: worth {old:.2f}, then {new:.2f}."


def _complaint(matter: Matter, checkpoint: int, cell: Cell) -> str:
    """What is worst about a picture, in words."""
    style, adherence = (_scaled(measure, matter.scores.get((measure, checkpoint, cell))) for measure in MEASURED)
    falls = {measure: _beside_mean(matter, measure, checkpoint, cell) for measure in MEASURED}
    if adherence is not None and (style is None or falls["adherence"] <= falls["style"]):
        others = len({one.prompt for one in matter.cells}) - 1
        # Not of the scaled value, which ends at chance.
        better = round((1 - matter.scores["adherence", checkpoint, cell]) * others)
        return (
            f"{better} of {counted(others, 'other prompt')} fit{'s' if better == 1 else ''} it better than its own."
            if better
            else "it shows what was asked for."
        )
    assert style is not None, "a cell with a merit has a measure"
    return f"its style is {style:.0%} of the way from the base's to yours."


def _beside_mean(matter: Matter, measure: str, checkpoint: int, cell: Cell) -> float:
    """A picture's value over the mean of the checkpoint's; 1 where there is none to compare with."""
    values = {one: _scaled(measure, matter.scores.get((measure, checkpoint, one))) for one in matter.cells}
    known = [value for value in values.values() if value is not None]
    mean = sum(known) / len(known) if known else 0.0
    return (values.get(cell) or 0.0) / mean if mean > 0 else 1.0


def _scaled(measure: str, value: float | None) -> float | None:
    if value is None:
        return None
    return min(max((value - CHANCE) / (1 - CHANCE) if measure == "adherence" else value, 0.0), 1.0)


def _head(matter: Matter, step: int) -> Markup:
    standing = matter.standing(step)
    place = element("span", standing.place, class_="place") if standing is not None else Markup("")
    return join(_name(step), place)


def _note(row: Row) -> Markup:
    seed = f"Seed {row.cell.seed}. "
    return element("span", seed + row.why, class_="note")


def _name(step: int) -> str:
    return "base" if step == BASE else f"step {step:,}"
