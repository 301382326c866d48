"""What the keyword means to the base already: drawn, and held against words that mean nothing.

The base alone draws a few subjects with the keyword, without it, and with invented words, and the words alone. A word is known to it that
does more than every invented one in two of three ways: it moves what is drawn, it moves how, its own pictures are alike. Nobody can tell
that from the tokens. By chance an unknown word does so about once in twenty.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from decal import gallery, project, sheets
from decal.errors import SettingsError
from decal.events import Event, Progress, Stop, Told, stop_if
from decal.presets import public_name
from decal.project import Project
from decal.records import Cell
from decal.settings import Resolved, Settings, resolve

SUBJECTS = ("a smiling face", "a red heart", "a green tree")
INVENTED = ("blimmo", "qwyxel", "tarvond", "vuxler", "krelm", "drusk")
SEEDS_WITH, SEEDS_ALONE = 2, 4
SHEET = "keyword.png"


@dataclass(frozen=True)
class Meaning:
    """How far a word moves pictures in content and in style, and how far those of the word alone are from each other; 0..2."""

    word: str
    content: float
    style: float
    variety: float


def draw_keyword(at: Project, settings: Settings, stop: Stop) -> Iterator[Event]:
    """Draw what the base makes of the keyword, and say whether it knows it. What is drawn is kept in `cache/keyword/`."""
    keyword = settings.caption.keyword.strip()
    if not keyword:
        raise SettingsError(f"There is no keyword to draw.\nWrite caption.keyword in {at.settings}.")
    resolved = resolve(settings, 1)
    controls = [word for word in INVENTED if word != keyword.casefold()]
    cells = _cells(resolved, ["", keyword, *controls])
    base = public_name(resolved.base.model)
    files = {cell: at.cache / "keyword" / f"{project.fingerprint(base, project.to_json(cell))[:32]}.png" for cell in cells.values()}
    yield Told(f"{len(files)} pictures with {base} alone: {keyword}, nothing, and {', '.join(controls)}")
    if missing := sum(not path.is_file() for path in files.values()):
        price = "about a minute of one CPU core" if base == "mini" else "minutes on a GPU, hours on a CPU"
        yield Told(f"{missing} are to be drawn in {resolved.grid.steps} steps: {price}; Ctrl-C stops, and what is drawn is kept")
    yield from _draw(resolved, files, stop)
    yield Progress("looking at the pictures")
    meanings = _meanings(cells, files, [keyword, *controls])
    rows = [(f"sticker of {what}, seed {seed}" if what else f"the word alone, seed {seed}", what, seed) for what, seed in _places()]
    heads = ["nothing", keyword, *controls]
    table = [(label, [_file(cells, files, word, what, seed) for word in ("", *heads[1:])]) for label, what, seed in rows]
    picture = sheets.words_sheet(table, heads, list(files), title=f"What the base makes of {keyword}", base=base)
    yield gallery.write_sheet(at.folder / SHEET, picture, len(files))
    yield Told(told(meanings[0], meanings[1:]))


def told(own: Meaning, controls: Sequence[Meaning]) -> str:
    """Whether a word is known, with the numbers behind it."""
    rest = [(one.content, one.style, one.variety) for one in controls]
    content, style, variety = ([values[place] for values in rest] for place in range(3))
    is_known = (own.content > max(content)) + (own.style > max(style)) + (own.variety < min(variety)) >= 2
    lines = [
        f"  {own.word} {name} {value:.2f}, invented words {min(others):.2f} to {max(others):.2f}"
        for name, value, others in (
            ("moves what is drawn by", own.content, content),
            ("moves how it is drawn by", own.style, style),
            ("alone gives pictures that differ by", own.variety, variety),
        )
    ]
    verdict = (
        f"the base seems to know {own.word}: take a word that means nothing yet, or its meaning mixes with your style"
        if is_known
        else f"the base does not seem to know {own.word}: it does no more than invented words do"
    )
    return "\n".join([*lines, verdict])


def _places() -> list[tuple[str, int]]:
    return [(what, seed) for what in SUBJECTS for seed in range(SEEDS_WITH)] + [("", seed) for seed in range(SEEDS_ALONE)]


def _cells(resolved: Resolved, words: Sequence[str]) -> dict[tuple[str, str, int], Cell]:
    """By word, subject and seed; no picture of nothing at all."""
    side, grid = resolved.data.resolution, resolved.grid
    return {
        (word, what, seed): Cell(
            prompt=" ".join(part for part in (word and f"{word} style", "sticker of", what) if part) if what else f"sticker of {word}",
            negative=grid.negative,
            guidance=resolved.compare.guidance,
            seed=seed,
            steps=grid.steps,
            sampler=grid.sampler,
            width_px=side,
            height_px=side,
            checkpoint=0,
        )
        for word in words
        for what, seed in _places()
        if word or what
    }


def _draw(resolved: Resolved, files: Mapping[Cell, Path], stop: Stop) -> Iterator[Event]:
    missing = [cell for cell, path in files.items() if not path.is_file()]
    if not missing:
        return
    yield Progress("loading the base")
    import torch

    from decal.bases import load, told_when_full
    from decal.generate import generate
    from decal.train import choose_device

    device = choose_device(resolved.train)
    is_half = device.type == "cuda" and resolved.train.precision != "fp32"
    base = load(resolved.base.model, device=device, dtype=torch.float16 if is_half else torch.float32)
    with told_when_full("drawing", f"Draw fewer pictures at a time (now {resolved.grid.batch}): lower grid.batch."):
        drawn = generate(base, missing, adapters={}, images={}, batch=resolved.grid.batch)
        for number, picture in enumerate(drawn):
            project.write_bytes(files[picture.cell], gallery.to_png(Image.fromarray(picture.pixels)))
            yield Progress("drawing", number + 1, len(missing))
            stop_if(stop, "what is drawn by then is kept, and the same command goes on")


def _meanings(cells: Mapping[tuple[str, str, int], Cell], files: Mapping[Cell, Path], words: Sequence[str]) -> list[Meaning]:
    import torch

    from decal.vision import Embedder

    places = list(cells)
    pictures = (Image.open(files[cells[place]]).convert("RGB") for place in places)
    seen = Embedder.load(torch.device("cpu")).embed(pictures)
    content, style = dict(zip(places, seen.content, strict=True)), dict(zip(places, seen.style, strict=True))
    found = []
    for word in words:
        with_subject = [(what, seed) for what, seed in _places() if what]
        moved = [
            float(np.mean([np.sqrt(max(0.0, 2 - 2 * float(of[word, what, seed] @ of["", what, seed]))) for what, seed in with_subject]))
            for of in (content, style)
        ]
        alone = np.stack([content[word, "", seed] for seed in range(SEEDS_ALONE)])
        apart = np.sqrt(np.maximum(0, 2 - 2 * alone @ alone.T))[np.triu_indices(SEEDS_ALONE, 1)]
        found.append(Meaning(word, moved[0], moved[1], float(apart.mean())))
    return found


def _file(cells: Mapping[tuple[str, str, int], Cell], files: Mapping[Cell, Path], word: str, what: str, seed: int) -> Path | None:
    cell = cells.get((word, what, seed))
    return None if cell is None else files[cell]
