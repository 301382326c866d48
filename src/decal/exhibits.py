"""Sheets that show why: prompt x checkpoint page by page, the worst cells of the winner, suspected copies beside their twin.

A bench, its evidence and a verdict go in, pictures come out. Which cells are shown follows from the scores and not from their looks.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from decal import gallery, project, scores, sheets, suite
from decal.compare.contest import CEILING
from decal.events import Sheet
from decal.judging import Bench
from decal.records import Cell, Generation, Verdict
from decal.scores.evidence import BASE, Evidence
from decal.scores.looks import Numbers
from decal.scores.statistic import resampled
from decal.viewing import Shown, Square
from decal.wording import counted, printable

PROMPTS_A_SHEET = 8
WORST = 8
PAIRS = 12


def pages(case: Bench, drawn: Mapping[str, Generation], verdict: Verdict) -> Iterator[Sheet]:
    """One row a prompt, one column a checkpoint, the first seed; a few prompts a sheet."""
    of, table = case.suite, case.table()
    steps = project.read_steps(case.run.steps)
    for first in range(0, len(of.prompts), PROMPTS_A_SHEET):
        part = table.prompts[first : first + PROMPTS_A_SHEET]
        cells = [table.cell(of, prompt, of.seeds[0], checkpoint) for checkpoint in (BASE, *table.checkpoints) for prompt in part]
        found = files(case, drawn, cells)
        picture = sheets.compare_sheet(cells, found, steps=steps, run=case.run.name, base=of.base, chosen=verdict.checkpoint)
        number = first // PROMPTS_A_SHEET + 1
        yield gallery.write_sheet(case.run.sheets / f"compare{f'-{number}' if number > 1 else ''}.png", picture, len(found))


def worst(case: Bench, drawn: Mapping[str, Generation], evidence: Evidence, verdict: Verdict) -> Iterator[Sheet]:
    """The worst cells of the chosen checkpoint, beside the base's and the reason; nothing where none is chosen."""
    chosen, path = verdict.checkpoint, case.run.sheets / "worst.png"
    if chosen is None:
        # A sheet of an earlier verdict would show a checkpoint that is not kept.
        path.unlink(missing_ok=True)
        return
    fitted = scores.fit(evidence, resampled(evidence.sizes(), 200, np.random.default_rng(0)))
    there: dict[str, Numbers] = {}
    scaled: list[Numbers] = []
    for measure in (*fitted.objectives, *fitted.doubtful):
        values = measure.values(chosen)
        if values is not None:
            there[measure.name] = values
            # The style of a cell is on its scale already.
            scaled.append(np.clip(values if measure.name == "style" else measure.scale(values), 0, CEILING))
    if not there:
        return
    worth = np.prod(scaled, axis=0) ** (1 / len(scaled))
    order = [tuple(place) for place in np.argwhere(np.isfinite(worth)).tolist()]
    order.sort(key=lambda place: float(worth[place]))
    rows, cells = [], []
    for prompt, seed in order[:WORST]:
        mine, base = (suite.cell(case.suite, evidence.prompts[prompt], evidence.seeds[seed], step) for step in (chosen, BASE))
        found = files(case, drawn, [mine, base])
        rows.append(
            (evidence.prompts[prompt], f"seed {evidence.seeds[seed]}: {_why(there, prompt, seed)}", [found.get(base), found.get(mine)])
        )
        cells.append(mine)
    title = f"{case.run.name}: the worst of step {chosen}"
    picture = sheets.rows_sheet(rows, ["base", f"step {chosen}"], cells, title=title, base=case.suite.base)
    yield gallery.write_sheet(path, picture, len(rows))


def copies(case: Bench, drawn: Mapping[str, Generation], verdict: Verdict) -> Iterator[Sheet]:
    """Suspected copies beside the training picture that they may repeat; nothing where there is none."""
    hashes = {one.file: one.sha256 for one in case.suite.references}
    square = Square(case.suite.width_px, case.suite.fit, case.suite.ground)
    rows: list[tuple[str, str, list[Path | Image.Image | None]]] = []
    cells = []
    for suspect in verdict.suspects[:PAIRS]:
        cell = suite.cell(case.suite, suspect.prompt, suspect.seed, suspect.checkpoint)
        twin = Shown(case.at.dataset / suspect.file, hashes.get(suspect.file, ""), square).open()
        said = f"step {suspect.checkpoint}, seed {suspect.seed}: {'surely' if suspect.is_certain else 'maybe'} {printable(suspect.file)}"
        rows.append(
            (suspect.prompt, f"{said} (distance {suspect.ratio:.2f} of the next ones')", [files(case, drawn, [cell]).get(cell), twin])
        )
        cells.append(cell)
    path = case.run.sheets / "copies.png"
    if not rows:
        # A sheet of an earlier verdict would accuse pictures that are cleared.
        path.unlink(missing_ok=True)
        return
    title = f"{case.run.name}: drawn pictures that may repeat one of yours"
    picture = sheets.rows_sheet(rows, ["drawn", "yours"], cells, title=title, base=case.suite.base)
    yield gallery.write_sheet(path, picture, len(rows))


def files(case: Bench, drawn: Mapping[str, Generation], cells: list[Cell]) -> dict[Cell, Path]:
    """The files of cells that were drawn and can be shown."""
    found = {}
    for cell in cells:
        generation = drawn.get(case.fingerprint(cell))
        if generation is not None and not generation.is_broken:
            found[cell] = case.run.folder / generation.file
    return found


def _why(values: Mapping[str, Numbers], prompt: int, seed: int) -> str:
    said = []
    if "style" in values:
        style = float(values["style"][prompt, seed])
        said.append(f"style {style:.2f}, usual {np.nanmedian(values['style']):.2f}")
    if "adherence" in values:
        better = round((1 - float(values["adherence"][prompt, seed])) * (len(values["adherence"]) - 1))
        said.append(f"{counted(better, 'other prompt')} fit{'s' * (better == 1)} it better" if better else "no other prompt fits it better")
    return ", ".join(said)
