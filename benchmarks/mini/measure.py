"""The six measures of a base. Each takes what it needs, writes sheets to look at, and yields figures for the table.

Pictures are compared at the base's own size. README.md says what each figure means and which goals there are.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from decal.generate import generate
from decal.wording import counted
from mini import figures, sheets, taught
from mini.drawn import BATCH, Candidate
from mini.figures import Spread
from mini.looks import Looks, Vectors
from mini.sheets import Row
from mini.truth import NAMES, Gallery

GUIDANCES = (1.0, 3.0, 5.0, 7.5)
SHOWN = 14
TINY_PX = 32
NEAR_PERCENTILE = 5
TIMED_PICTURES = 30
TIMED_STEPS = 400


@dataclass(frozen=True)
class Figure:
    """A number of the table. unit: %, dB, s, or nothing; goal: the least that is hoped for, None where there is no goal."""

    name: str
    value: Spread
    unit: str
    goal: float | None = None


@dataclass(frozen=True)
class Scope:
    """How much is drawn: concepts for the prompts, for guidance, and for the styles that a LoRA should leave alone.

    changes: settings of the training over those of the preset.
    """

    prompted: int
    guided: int
    spared: int
    changes: tuple[str, ...]


FULL = Scope(prompted=200, guided=60, spared=24, changes=())
QUICK = Scope(prompted=16, guided=12, spared=4, changes=("train.steps=40", "train.checkpoint_every=40"))


@dataclass(frozen=True)
class Drawn:
    """What a base drew for the prompts, beside the true pictures. asked: a true picture for each drawn one; true: all true pictures."""

    asked: Gallery
    pixels: NDArray[np.uint8]
    true: Gallery


def reconstruction(base: Candidate, galleries: Sequence[Gallery]) -> Iterator[Figure]:
    """How well the VAE keeps pictures of each style."""
    rows = []
    for gallery in galleries:
        true = gallery.at(base.size_px)
        made = base.through_vae(true.pixels)
        value = figures.mean(figures.psnr(true.pixels, made), true.concepts)
        name = str(true.styles[0]) if len(set(true.styles)) == 1 else "its own seven styles"
        yield Figure(f"VAE: {name}", value, "dB")
        shown = _spread_out(len(true), SHOWN)
        rows += [Row(f"{name}, true", true.pixels[shown]), Row(f"through the VAE, {value.value:.1f} dB", made[shown])]
    sheets.write(base.work / "vae.png", f"{base.name}: pictures through the VAE, {base.size_px} px", rows)


def draw_prompts(base: Candidate, true: Gallery, count: int) -> Drawn:
    """Draw the same sample of concepts in all styles that have a true picture of them."""
    here = true.at(base.size_px)
    concepts = [concept for concept in NAMES if concept in set(here.concepts)]
    chosen = sorted(np.random.default_rng(0).choice(len(concepts), size=min(count, len(concepts)), replace=False))
    asked = here.of([concepts[place] for place in chosen])
    return Drawn(asked, base.draw([base.cell(prompt, seed) for prompt, seed in _prompts(asked)]), here)


def prompts(base: Candidate, drawn: Drawn, looks: Looks) -> Iterator[Figure]:
    """Whether the concept and the style that were asked for are on the pictures."""
    asked, copies = drawn.asked, base.through_vae(drawn.asked.pixels)
    for what, find, goal in (("concept", _concepts_found, 0.8), ("style", _styles_found, 0.95)):
        found, ceiling = find(drawn.pixels, asked, drawn.true, looks), find(copies, asked, drawn.true, looks)
        yield Figure(f"prompt: {what} found", figures.mean(found, asked.concepts), "%")
        yield Figure(f"prompt: {what}, true pictures through the VAE", figures.mean(ceiling, asked.concepts), "%")
        yield Figure(f"prompt: {what}, share of that", figures.ratio(found, ceiling, asked.concepts), "%", goal)
    shown = [concept for concept in NAMES if concept in set(asked.concepts)][:SHOWN]
    rows: list[Row] = []
    for style in dict.fromkeys(drawn.true.styles.tolist()):
        for name, pixels in (("true", asked.pixels), ("drawn", drawn.pixels)):
            rows.append(Row(f"{style}, {name}", _in_columns(pixels, asked, str(style), shown), [] if rows else shown))
    sheets.write(
        base.work / "prompts.png",
        f"{base.name}: guidance {base.sampling.guidance:g}, {counted(base.sampling.steps, 'step')}, one seed, not chosen",
        rows,
    )


def lora(base: Candidate, pictures: Gallery, drawn: Drawn, looks: Looks, scope: Scope) -> Iterator[Figure]:
    """What a LoRA of thirty pictures does: to the style gap, to concepts it was not taught, and to the other styles."""
    material = taught.split(pictures.at(base.size_px))
    made = taught.train(base, material, scope.changes)
    untaught, style = material.untaught, material.style
    cells = [base.cell(material.prompt(str(concept)), seed) for seed, concept in enumerate(untaught.concepts)]
    off, on, copies = base.draw(cells), base.draw(cells, made.file), base.through_vae(untaught.pixels)

    count = len(untaught)
    for name, pixels, goal in (("", on, 0.6), (", true pictures through the VAE", copies, None)):
        closed = _gap_closed(looks.style(untaught.pixels), looks.style(off), looks.style(pixels))
        yield Figure(f"LoRA {style}: style gap closed{name}", closed, "%", goal)
    for name, pixels in (("concept found", on), ("concept found without LoRA", off), ("concept, true pictures through the VAE", copies)):
        found = _concepts_found(pixels, untaught, untaught, looks)
        yield Figure(f"LoRA {style}: {name}, of {count}", figures.mean(found, untaught.concepts), "%")

    kept = list(dict.fromkeys(drawn.asked.concepts.tolist()))[: scope.spared]
    others = drawn.asked.of(kept)
    cells = [base.cell(prompt, seed) for prompt, seed in _prompts(others)]
    plain, leaked = base.draw(cells), base.draw(cells, made.file)
    found_off, found_on = (_styles_found(pixels, others, drawn.true, looks) for pixels in (plain, leaked))
    yield Figure(f"LoRA {style}: other styles found, without LoRA", figures.mean(found_off, others.concepts), "%")
    yield Figure(f"LoRA {style}: other styles found", figures.mean(found_on, others.concepts), "%")
    yield Figure(f"LoRA {style}: other styles, share of that", figures.ratio(found_on, found_off, others.concepts), "%")
    yield Figure(f"time: {TIMED_STEPS} LoRA steps, {style}", _known(TIMED_STEPS * made.step_seconds), "s")

    shown = _spread_out(count, SHOWN)
    heads = untaught.concepts[shown].tolist()
    pairs = (("true, not trained on", untaught.pixels), ("without LoRA", off), ("with LoRA", on))
    title = f"{base.name}: {material.prompt('cat-face')!r} and the like, concepts that the LoRA was not taught"
    rows = [Row("trained on", material.learnt.pixels[:SHOWN])]
    rows += [Row(name, pixels[shown], heads if name.startswith("true") else []) for name, pixels in pairs]
    sheets.write(base.work / f"lora-{style}.png", title, rows)
    rows = []
    for word in dict.fromkeys(others.styles.tolist()):
        rows += [Row(f"{word}, {name}", _in_columns(some, others, word, kept[:SHOWN])) for name, some in (("off", plain), ("on", leaked))]
    sheets.write(base.work / f"lora-{style}-others.png", f"{base.name}: other styles with the LoRA of {style} off and on", rows)


def guidance(base: Candidate, drawn: Drawn, looks: Looks, count: int) -> Iterator[Figure]:
    """What guidance does to colours, ground and concept."""
    asked = _one_style_each(drawn.asked, count)
    rows = [Row("true", asked.pixels[:SHOWN], asked.concepts[:SHOWN].tolist())]
    sets = [("true pictures", asked.pixels)]
    for scale in GUIDANCES:
        pixels = base.draw([base.cell(prompt, seed, scale) for prompt, seed in _prompts(asked)])
        sets.append((f"guidance {scale:g}", pixels))
        rows.append(Row(f"guidance {scale:g}", pixels[:SHOWN]))
    for name, pixels in sets:
        yield Figure(f"{name}: clipped", figures.mean(figures.clipped(pixels), asked.concepts), "%")
        yield Figure(f"{name}: white ground", figures.mean(figures.white_rim(pixels), asked.concepts), "%")
        if name != "true pictures":
            found = _concepts_found(pixels, asked, drawn.true, looks)
            yield Figure(f"{name}: concept found", figures.mean(found, asked.concepts), "%")
    sheets.write(base.work / "guidance.png", f"{base.name}: guidance", rows)


def memory(base: Candidate, drawn: Drawn, looks: Looks) -> Iterator[Figure]:
    """How near drawn pictures are to true ones, against how near true pictures are to each other."""
    asked, true = drawn.asked, drawn.true
    copies = base.through_vae(asked.pixels)
    is_itself = (asked.concepts[:, None] == true.concepts) & (asked.styles[:, None] == true.styles)
    for name, vectors in (("features", looks.content), ("pixels", _tiny)):
        gallery = vectors(true.pixels)
        apart, _ = figures.nearest_distance(vectors(asked.pixels), gallery, is_itself)
        far, place = figures.nearest_distance(vectors(drawn.pixels), gallery, None)
        copied, _ = figures.nearest_distance(vectors(copies), gallery, None)
        level = float(np.percentile(apart, NEAR_PERCENTILE))
        for whose, distances in (("drawn to true", far), ("true to another true", apart), ("true through the VAE", copied)):
            yield Figure(f"memory, {name}: {whose}, nearest", figures.mean(distances, asked.concepts), "")
        yield Figure(f"memory, {name}: nearer than all but {NEAR_PERCENTILE} % of true", figures.mean(far < level, asked.concepts), "%")
        found = is_itself[np.arange(len(place)), place]
        yield Figure(f"memory, {name}: nearest is the picture asked for", figures.mean(found, asked.concepts), "%")
        order = np.argsort(far)
        rows = []
        for what, chosen in (
            ("nearest", order[:SHOWN]),
            ("from nearest to farthest", order[_spread_out(len(order), SHOWN)]),
            ("farthest", order[-SHOWN:]),
        ):
            rows += [Row(f"{what}: drawn", drawn.pixels[chosen], asked.concepts[chosen].tolist())]
            rows += [Row(f"{what}: true", true.pixels[place[chosen]])]
        sheets.write(base.work / f"memory-{name}.png", f"{base.name}: drawn pictures above their nearest true ones, by {name}", rows)


def timing(base: Candidate, drawn: Drawn) -> Iterator[Figure]:
    """How long thirty pictures take, three times over, with everything loaded."""
    cells = [base.cell(prompt, seed) for prompt, seed in _prompts(drawn.asked.only(_spread_out(len(drawn.asked), TIMED_PICTURES)))]
    taken = []
    for wanted in (cells[:1], cells, cells, cells):
        begun = time.perf_counter()
        list(generate(base.base, wanted, adapters={}, images={}, batch=BATCH))
        taken.append(time.perf_counter() - begun)
    low, middle, high = sorted(taken[1:])
    yield Figure(f"time: {len(cells)} pictures", Spread(middle, low, high), "s")


def style_sheet(path: Path, gallery: Gallery, columns: int = 16) -> None:
    """All pictures of a style with their concepts, to check the table by eye."""
    rows = []
    for first in range(0, len(gallery), columns):
        part = gallery.only(np.arange(first, min(first + columns, len(gallery))))
        rows.append(Row("", part.pixels, part.concepts.tolist()))
    sheets.write(path, f"{gallery.styles[0]}: {len(gallery)} concepts", rows)


def _prompts(asked: Gallery) -> Iterator[tuple[str, int]]:
    """The prompt of each picture, and a seed that is the same for a concept in every style."""
    seeds = {concept: seed for seed, concept in enumerate(NAMES)}
    for concept, style in zip(asked.concepts.tolist(), asked.styles.tolist(), strict=True):
        yield f"{style} style sticker of {NAMES[concept]}", seeds[concept]


def _concepts_found(pixels: NDArray[np.uint8], asked: Gallery, true: Gallery, looks: Looks) -> NDArray[np.bool_]:
    """Whether the true picture of the style asked for that is most alike in content shows the concept asked for."""
    allowed = asked.styles[:, None] == true.styles
    place = figures.nearest(looks.content(pixels), looks.content(true.pixels), allowed)
    return np.asarray(true.concepts[place] == asked.concepts)


def _styles_found(pixels: NDArray[np.uint8], asked: Gallery, true: Gallery, looks: Looks) -> NDArray[np.bool_]:
    """Whether the true picture of another concept that is most alike in style has the style asked for."""
    allowed = asked.concepts[:, None] != true.concepts
    place = figures.nearest(looks.style(pixels), looks.style(true.pixels), allowed)
    return np.asarray(true.styles[place] == asked.styles)


def _gap_closed(true: Vectors, before: Vectors, after: Vectors) -> Spread:
    """How much of the gap from the base's pictures to the true ones is gone. Each [C, D], in the order of the same concepts."""
    gap = figures.Gap(true, before)
    far, near, rest = gap.of(before), gap.of(after), gap.between_halves()
    return figures.over_concepts(lambda weights: (far(weights) - near(weights)) / (far(weights) - rest), len(true))


def _one_style_each(asked: Gallery, count: int) -> Gallery:
    """One picture of each concept, the styles taking turns as far as they have the concept."""
    places = []
    for turn, concept in enumerate(list(dict.fromkeys(asked.concepts.tolist()))[:count]):
        there = np.flatnonzero(asked.concepts == concept)
        places.append(int(there[turn % len(there)]))
    return asked.only(np.array(places))


def _in_columns(pixels: NDArray[np.uint8], asked: Gallery, style: str, concepts: Sequence[str]) -> NDArray[np.uint8]:
    """The pictures of a style by concept; a white one where the style lacks it."""
    blank = np.full(pixels.shape[1:], 255, np.uint8)
    there = {str(asked.concepts[place]): pixels[place] for place in np.flatnonzero(asked.styles == style)}
    return np.stack([there.get(concept, blank) for concept in concepts])


def _tiny(pixels: NDArray[np.uint8]) -> Vectors:
    """Vectors whose distance is the root mean square difference of pixels, 0..1, of pictures so small that a slight shift counts little."""
    small = [np.asarray(Image.fromarray(one).resize((TINY_PX, TINY_PX), Image.Resampling.BOX), np.float32) for one in pixels]
    flat = np.stack(small).reshape(len(small), -1) / 255
    return np.asarray(flat / np.sqrt(flat.shape[1]), np.float32)


def _spread_out(count: int, wanted: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).astype(np.int64))


def _known(value: float) -> Spread:
    return Spread(value, value, value)
