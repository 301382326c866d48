"""Draw the pictures that the embedded base is taught on, and write down what is on each.

    python recipes/mini/data.py OUT [--size 128] [--concepts 300]

Needs npm on the PATH and resvg-py 0.5.0. Writes OUT/pictures.npy (uint8 [N, size, size, 3]) and OUT/rows.jsonl, in the order of `CONCEPTS`,
and the development pack in OUT/development.npy and .jsonl, which is never trained on. Besides the plain pictures there are some in one
clear colour, some with two or three of a kind, and each once or twice in another look. Which ones is drawn for each picture from the
seed: a longer list does not change them.
"""

import argparse
import dataclasses
import io
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from concepts import CONCEPTS, Concept, Kind
from looks import LOOKS, OUTLINED, looked
from numpy.typing import NDArray
from packs import DEVELOPMENT_PACK, PACKS, fetch
from PIL import Image
from recolour import recoloured

MARGIN = 0.06
COLOURED_SHARE = 0.55  # of the pictures without a colour in their name; many of them have no dominant hue
COUNTED_SHARE = 0.18  # of the pictures of which several are natural
# Left, top and side of each copy, in shares of the picture's side.
LAYOUTS = {
    2: (((0.0, 0.25, 0.5), (0.5, 0.25, 0.5)), ((0.02, 0.04, 0.54), (0.44, 0.42, 0.54)), ((0.44, 0.04, 0.54), (0.02, 0.42, 0.54))),
    3: (
        ((0.26, 0.03, 0.48), (0.02, 0.49, 0.48), (0.5, 0.49, 0.48)),
        ((0.02, 0.03, 0.48), (0.5, 0.03, 0.48), (0.26, 0.49, 0.48)),
        ((0.0, 0.33, 0.34), (0.33, 0.33, 0.34), (0.66, 0.33, 0.34)),
    ),
}


@dataclass(frozen=True)
class Row:
    """What is on a picture.

    index: its place in the array; colour: where it was made to show one; mirrors: a mirror image is right too; look: one of LOOKS, or
    empty; other: the second of its two tones.
    """

    index: int
    concept: str
    kind: Kind
    style: str
    names: tuple[str, ...]
    colour: str | None
    count: int
    mirrors: bool
    look: str = ""
    other: str | None = None

    @property
    def sort(self) -> str:
        """What was done to the picture: "looked", "counted", "coloured", or "plain" where nothing was."""
        return "looked" if self.look else "counted" if self.count > 1 else "coloured" if self.colour else "plain"


@dataclass(frozen=True)
class Picture:
    """pixels: uint8 [size, size, 3]."""

    pixels: NDArray[np.uint8]
    row: Row


def read_rows(path: Path) -> list[Row]:
    """The rows of a data set, in the order of its pictures."""
    rows = []
    for line in path.read_text("utf-8").splitlines():
        known = json.loads(line)
        rows.append(Row(**{**known, "names": tuple(known["names"])}))
    return rows


def render(svg: str, side_px: int) -> Image.Image:
    """Draw an SVG on a transparent square."""
    # Imported here because training reads rows and draws nothing.
    import resvg_py

    raw = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=side_px, height=side_px))
    return Image.open(io.BytesIO(raw)).convert("RGBA")


def on_white(drawing: Image.Image, size: int) -> NDArray[np.uint8]:
    """A drawing on white at the final size, uint8 [size, size, 3]."""
    ground = Image.new("RGBA", drawing.size, "white")
    ground.alpha_composite(drawing)
    return np.asarray(ground.convert("RGB").resize((size, size), Image.Resampling.BOX))


def several(drawing: Image.Image, layout: tuple[tuple[float, float, float], ...]) -> Image.Image:
    """Copies of a drawing side by side, on a transparent square of the same size."""
    side = drawing.width
    together = Image.new("RGBA", drawing.size)
    for left, top, share in layout:
        length = round(share * side)
        copy = drawing.resize((length, length), Image.Resampling.BOX)
        together.alpha_composite(copy, (min(round(left * side), side - length), min(round(top * side), side - length)))
    return together


def variants(concept: Concept, style: str, *, drawing: Image.Image, size: int, seed: int) -> Iterator[Picture]:
    """The plain picture, perhaps one in another colour and one with several, and one or two in another look; their index is still 0."""
    rng = random.Random(f"{seed} {concept.slug} {style}")
    row = Row(0, concept.slug, concept.kind, style, concept.names, None, 1, concept.mirrors)
    yield Picture(on_white(drawing, size), row)
    if not concept.has_colour and rng.random() < COLOURED_SHARE:
        found = recoloured(drawing, rng)
        if found:
            yield Picture(on_white(found.drawing, size), dataclasses.replace(row, colour=found.colour))
    if concept.is_countable and rng.random() < COUNTED_SHARE:
        count = rng.choice(tuple(LAYOUTS))
        together = several(drawing, rng.choice(LAYOUTS[count]))
        yield Picture(on_white(together, size), dataclasses.replace(row, count=count))
    # Their own, so that those above stay what they were before there were looks.
    rng = random.Random(f"{seed} {concept.slug} {style} looks")
    # "A blue red heart" would be nonsense.
    for look in (OUTLINED,) if concept.has_colour else rng.sample(LOOKS, 2):
        made = looked(drawing, look, rng)
        yield Picture(on_white(made.drawing, size), dataclasses.replace(row, colour=made.colour, look=look, other=made.other))


def draw(concepts: tuple[Concept, ...], size: int, seed: int) -> Iterator[Picture]:
    """All pictures of the training data, in the order of the concepts."""
    icons = {pack.style: fetch(pack) for pack in PACKS}
    for concept in concepts:
        for style, pack in icons.items():
            svg = pack.svg(concept.slug, MARGIN)
            if svg is not None:
                yield from variants(concept, style, drawing=render(svg, 2 * size), size=size, seed=seed)


def draw_development(concepts: tuple[Concept, ...], size: int) -> Iterator[Picture]:
    """The plain pictures of the development pack."""
    icons = fetch(DEVELOPMENT_PACK)
    for concept in concepts:
        svg = icons.svg(concept.slug, MARGIN)
        if svg is not None:
            row = Row(0, concept.slug, concept.kind, DEVELOPMENT_PACK.style, concept.names, None, 1, concept.mirrors)
            yield Picture(on_white(render(svg, 2 * size), size), row)


def write(pictures: list[Picture], array: Path, lines: Path) -> None:
    """Number the pictures and write them and their rows, whole or not at all."""
    rows = [dataclasses.asdict(dataclasses.replace(picture.row, index=index)) for index, picture in enumerate(pictures)]
    part = array.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, np.stack([picture.pixels for picture in pictures]))
    part.replace(array)
    part = lines.with_suffix(".part")
    part.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows), "utf-8")
    part.replace(lines)


def tell(pictures: list[Picture]) -> None:
    """Print how many pictures there are of each style, kind and sort."""
    rows = [picture.row for picture in pictures]
    sort, look = Counter(row.sort for row in rows), Counter(row.look for row in rows if row.look)
    colours = Counter(row.colour for row in rows if row.colour)
    for counted in (Counter(row.style for row in rows), Counter(row.kind for row in rows), sort, look, colours):
        print("  ".join(f"{name} {count}" for name, count in counted.most_common()))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Draw the pictures that the embedded base is taught on.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=128, help="side of a picture in px")
    parser.add_argument("--concepts", type=int, default=len(CONCEPTS), help="only the first so many")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    concepts = CONCEPTS[: given.concepts]
    pictures = list(draw(concepts, given.size, given.seed))
    write(pictures, given.out / "pictures.npy", given.out / "rows.jsonl")
    development = list(draw_development(concepts, given.size))
    write(development, given.out / "development.npy", given.out / "development.jsonl")
    tell(pictures)
    seconds = time.monotonic() - started
    print(f"{len(pictures)} pictures of {len(concepts)} concepts and {len(development)} for development, {seconds:.0f} s, in {given.out}")


if __name__ == "__main__":
    main()
