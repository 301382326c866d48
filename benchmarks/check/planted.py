"""Planted faults: what each check finds of them, and how often it cries wolf on clean pictures.

    python benchmarks/check/planted.py WORK [--quick]      prints a table and writes WORK/planted.json; --quick leaves the closer look out
    python benchmarks/check/planted.py WORK --style glossy --seed 1      on a set that thresholds may be chosen on

200 clean stickers of a set that no threshold was chosen on (Streamline Emojis), and five more of it with each fault, all from one seed.
Recall is the share of the planted that their check names; false alarms are clean pictures that it names, of 200. Faults of a whole set are
five small sets each. Needs npm, resvg-py 0.5.0 and, for photographs among stickers, scikit-learn's two; see README.md.
"""

import argparse
import importlib.util
import json
import random
import re
import shutil
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "recipes" / "mini"), str(ROOT / "benchmarks")]

from data import render  # noqa: E402
from mini.styles import STYLES  # noqa: E402
from packs import DEVELOPMENT_PACK, PACKS, Icons, fetch  # noqa: E402

from decal import reading, workflow  # noqa: E402
from decal.captions import Tokenizer  # noqa: E402
from decal.checks import whole  # noqa: E402
from decal.project import Project  # noqa: E402
from decal.records import Source  # noqa: E402
from decal.settings import parse  # noqa: E402

SEED = 20261128
STYLE = "streamline-emojis"
SIDE_PX = 512
CLEAN, EACH = 200, 5
# Signs that are text, numbered variants of one drawing and clocks are no clean stickers: the checks would be right to name them.
NOT_CLEAN = re.compile(
    r"button|sign|symbol|square|letter|clock|keycap|input|japanese|hundred|atm|squared|calendar|flag|-\d+$"
    r"|skin-tone|-(light|medium|dark)\b|-tone\d|-facing-right|-thirty"
)
RUSSIAN = (
    "zorb стикер рыжая лиса крепко спит на пушистом облаке",
    "zorb наклейка весёлый кот в шляпе едет на велосипеде",
    "zorb style ein kleiner Hund mit einem roten Ball und einer Mütze sticker",
    "zorb style un renard roux qui dort sur un nuage avec une étoile sticker",
    "zorb style una estrella con los ojos cerrados en el cielo de la noche sticker",
)
WORDS = ("SALE 50%", "HELLO", "Good morning", "wow 2024", "OPEN")


@dataclass(frozen=True)
class Plant:
    """A fault. check: which must name it. picture: what is done to a cut-out sticker; None leaves it. row: what is done to its line."""

    check: str
    name: str
    picture: Callable[[Image.Image, int], Image.Image | None] | None = None
    row: Callable[[dict[str, Any], int, list[dict[str, Any]]], list[dict[str, Any]]] | None = None
    ending: str = "png"
    save: Callable[[Path, int], object] | None = None


def flat(picture: Image.Image, ground: str = "white") -> Image.Image:
    """A sticker on a ground."""
    whole_ground = Image.new("RGBA", picture.size, ground)
    whole_ground.alpha_composite(picture.convert("RGBA"))
    return whole_ground.convert("RGB")


def haloed(picture: Image.Image, _number: int) -> Image.Image:
    """Cut out of a ground of the other brightness, whose colour stays in the edge."""
    alpha = picture.getchannel("A")
    outline = ImageChops.subtract(alpha, alpha.filter(ImageFilter.MinFilter(9))).point([0] * 250 + [255] * 6)
    grey = picture.convert("L").histogram(outline)
    dark = sum(grey[:128]) >= sum(grey[128:])
    spoilt = flat(picture, "white" if dark else "black").convert("RGBA")
    spoilt.putalpha(alpha)
    return spoilt


def jagged(picture: Image.Image, _number: int) -> Image.Image:
    """The outline cut without soft pixels."""
    cut = picture.copy()
    cut.putalpha(picture.getchannel("A").point([0] * 128 + [255] * 128))
    return cut


def hidden(picture: Image.Image, _number: int) -> Image.Image:
    """Colours under what is transparent."""
    noise = Image.effect_noise(picture.size, 90).convert("RGB")
    mixed = Image.composite(picture.convert("RGB"), noise, picture.getchannel("A").point([0] + [255] * 255)).convert("RGBA")
    mixed.putalpha(picture.getchannel("A"))
    return mixed


def lettered(picture: Image.Image, number: int) -> Image.Image:
    """A word across the sticker."""
    words = flat(picture)
    pen, font = ImageDraw.Draw(words), ImageFont.load_default((40, 56, 72, 48, 64)[number])
    pen.text((256, (120, 256, 400, 300, 200)[number]), WORDS[number], "black", font, anchor="mm", stroke_width=4, stroke_fill="white")
    return words


def cropped(picture: Image.Image, number: int) -> Image.Image:
    """A part of it, at a place and of a size of its own."""
    dice = random.Random(f"crop {number} {zlib.crc32(picture.tobytes())}")
    share = dice.uniform(0.7, 0.88)
    left, top = (int(dice.uniform(0.2, 0.8) * (1 - share) * SIDE_PX) for _ in range(2))
    return flat(picture).crop((left, top, left + int(share * SIDE_PX), top + int(share * SIDE_PX))).resize((SIDE_PX, SIDE_PX))


def photograph(picture: Image.Image, number: int) -> Image.Image:
    """A piece of a photograph."""
    found = importlib.util.find_spec("sklearn")
    assert found is not None, "pip install scikit-learn"
    files = sorted(Path(str(found.origin)).parent.glob("datasets/images/*.jpg"))
    dice = random.Random(f"photo {number} {zlib.crc32(picture.tobytes())}")
    with Image.open(files[number % len(files)]) as photo:
        side = dice.randint(300, 420)
        left, top = dice.randint(0, photo.width - side), dice.randint(0, photo.height - side)
        return photo.crop((left, top, left + side, top + side)).resize((SIDE_PX, SIDE_PX)).convert("RGB")


def turned(path: Path, number: int) -> None:
    """Save the picture again, lying, with the way up in its EXIF."""
    exif = Image.Exif()
    exif[0x0112] = (6, 8, 3, 6, 8)[number]
    with Image.open(path) as picture:
        turn = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 3: Image.Transpose.ROTATE_180}[exif[0x0112]]
        picture.convert("RGB").transpose(turn).save(path, exif=exif)


def animate(path: Path, _number: int) -> None:
    """Save the picture again as two frames."""
    with Image.open(path) as picture:
        first = picture.convert("RGB")
    first.save(path, save_all=True, append_images=[ImageOps.mirror(first)])


def caption(text: Callable[[str, int], object]) -> Callable[[dict[str, Any], int, list[dict[str, Any]]], list[dict[str, Any]]]:
    """A plant that changes only what the caption says."""
    return lambda row, number, _clean: [{**row, "text": text(row["text"], number)}]


PLANTS = (
    Plant("blurred", "blurred", lambda p, n: flat(p).filter(ImageFilter.GaussianBlur((1.5, 2, 2.5, 3, 4)[n]))),
    Plant("blurred", "enlarged four times", lambda p, n: flat(p).resize((128, 128)).resize((512, 512), Image.Resampling.BICUBIC)),
    Plant("low_contrast", "faded", lambda p, n: Image.blend(flat(p), Image.new("RGB", p.size, "white"), (0.8, 0.82, 0.85, 0.9, 0.95)[n])),
    Plant("rotated", "turned by EXIF", lambda p, n: flat(p), ending="jpg", save=turned),
    Plant("hidden_colour", "colour under alpha", hidden),
    Plant("jagged", "jagged outline", jagged),
    Plant("haloed", "haloed outline", haloed),
    Plant("unusual_ratio", "banner", lambda p, n: flat(p).resize((512, (100, 128, 160, 200, 240)[n]))),
    Plant("text", "text", lettered),
    Plant("duplicate", "the same picture", None),
    Plant("near_duplicate", "saved smaller as JPEG", lambda p, n: flat(p).resize((300, 300)), ending="jpg"),
    Plant("near_duplicate", "mirrored", lambda p, n: ImageOps.mirror(flat(p))),
    Plant("near_duplicate", "a crop of it", cropped),
    Plant("other_style", "photograph", photograph),
    Plant("tiny", "tiny", lambda p, n: p.resize((200, 200))),
    Plant("small", "small", lambda p, n: p.resize((400, 400))),
    Plant("animated", "animated", lambda p, n: flat(p), ending="gif", save=animate),
    Plant("truncated", "truncated", save=lambda path, n: path.write_bytes(path.read_bytes()[: 2000 + 500 * n])),
    Plant("unreadable", "not a picture", save=lambda path, n: path.write_bytes((b"<html>", b"", b"x" * 99, b"{}", b"%PDF")[n])),
    Plant("extreme_ratio", "strip", lambda p, n: flat(p).resize((512, 20 + n))),
    Plant("no_caption", "no caption", row=lambda row, n, _: [{"file_name": row["file_name"]}]),
    Plant("empty_caption", "empty caption", row=caption(lambda text, n: " " * n)),
    Plant("no_keyword", "no keyword", row=caption(lambda text, n: text.replace("zorb", "nice"))),
    Plant("no_kind_word", "no kind word", row=caption(lambda text, n: text.replace("sticker", "drawing"))),
    Plant("short_caption", "short caption", row=caption(lambda text, n: f"zorb sticker {n}")),
    Plant("long_caption", "too many tokens", row=caption(lambda text, n: text + " and a very small thing beside it" * (12 + n))),
    Plant("not_english", "another language", row=caption(lambda text, n: RUSSIAN[n])),
    Plant("scrambled_caption", "wrong encoding", row=caption(lambda text, n: (text + ", café naïve").encode().decode("latin-1"))),
    Plant(
        "untidy_caption",
        "stray characters",
        row=caption(lambda t, n: (t + " ", t + "\u200b", "\t" + t, t.replace(" of", "  of"), t + "\u202e")[n]),
    ),
    Plant("repeated_caption", "repeated caption", row=lambda row, n, clean: [{**row, "text": clean[n]["text"].upper()}]),
    Plant(
        "near_caption",
        "words in another order",
        row=lambda row, n, clean: [{**row, "text": f"{clean[n + 9]['text'][21:]}, zorb style sticker"}],
    ),
    Plant("repeated_row", "named twice", row=lambda row, n, _: [row, {**row, "text": row["text"] + " again"}]),
    Plant("no_row", "no line", row=lambda row, n, _: []),
    Plant(
        "missing_file", "line without picture", row=lambda row, n, _: [row, {"file_name": f"gone-{n}.png", "text": "zorb style sticker"}]
    ),
    Plant("bad_caption", "caption that is no text", row=caption(lambda text, n: (7, True, {"a": 1}, 1.5, ["x", 3])[n])),
    Plant("sidecar", ".txt says otherwise", save=lambda path, n: path.with_suffix(".txt").write_text(f"something else {n}")),
)


def drawings(style: str, seed: int, count: int) -> dict[str, Image.Image]:
    """So many different stickers as cut-outs by name, in the order of the seed."""
    pack = next(pack for pack in (*STYLES, *PACKS, DEVELOPMENT_PACK) if pack.style == style)
    icons: Icons = fetch(pack)
    names = [name for name in sorted(icons._content["icons"]) if not NOT_CLEAN.search(name)]
    random.Random(seed).shuffle(names)
    drawn = {}
    for name in names[:count]:
        icon = {**{key: icons._content[key] for key in ("width", "height") if key in icons._content}, **icons._content["icons"][name]}
        side, border = max(icon["width"], icon["height"]), max(icon["width"], icon["height"]) * 0.06
        box = f"{icon.get('left', 0) - border:g} {icon.get('top', 0) - border:g} {side + 2 * border:g} {side + 2 * border:g}"
        space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        drawn[name] = render(f'<svg {space} viewBox="{box}">{icon["body"]}</svg>', SIDE_PX)
    return drawn


def plant(work: Path, style: str, seed: int) -> tuple[Project, dict[str, tuple[Plant, list[str]]], list[str]]:
    """Write the project; returns it with the files of each plant and the clean ones."""
    shutil.rmtree(work, ignore_errors=True)
    (work / "dataset").mkdir(parents=True)
    made = list(drawings(style, seed, CLEAN + len(PLANTS) * EACH).items())
    assert len(made) == CLEAN + len(PLANTS) * EACH, f"only {len(made)} stickers"
    rows: list[dict[str, Any]] = []
    for name, picture in made[:CLEAN]:
        picture.save(work / "dataset" / f"{name}.png")
        rows.append({"file_name": f"{name}.png", "text": f"zorb style sticker of a {name.replace('-', ' ')}"})
    clean = list(rows)
    planted: dict[str, tuple[Plant, list[str]]] = {}
    rest = iter(made[CLEAN:])
    for kind in PLANTS:
        files = []
        for number in range(EACH):
            name, picture = next(rest)
            # Copies are copies of clean pictures, and their names come later.
            is_copy = "duplicate" in kind.check
            source = made[10 * PLANTS.index(kind) % CLEAN + number][1] if is_copy else picture
            file = f"{'zz-' if is_copy else ''}{name}-{kind.name.replace(' ', '-').strip('.')}.{kind.ending}"
            changed = source if kind.picture is None else kind.picture(source, number)
            assert changed is not None, "every plant is a picture"
            changed.save(work / "dataset" / file)
            if kind.save is not None:
                kind.save(work / "dataset" / file, number)
            row = {"file_name": file, "text": f"zorb style sticker of a {name.replace('-', ' ')}"}
            rows += [row] if kind.row is None else kind.row(row, number, clean)
            files.append(f"gone-{number}.png" if kind.check == "missing_file" else file)
        planted[kind.name] = kind, files
    (work / "dataset" / "metadata.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    (work / "decal.toml").write_text('[base]\nmodel = "sd1.5"\n[caption]\nkeyword = "zorb"\n[train]\nsteps = 8000\n')
    return Project(work), planted, [row["file_name"] for row in clean]


def of_sets() -> list[tuple[str, int, int]]:
    """Faults of whole sets: name of the check, how many of five sets with it were named, how many of five without."""
    tokenizer = Tokenizer.of_base("sd1.5")

    def words(texts: tuple[str, ...]) -> int:
        return sum(any(whole.keyword(parse({"caption": {"keyword": text}}), tokenizer)) for text in texts)

    def times(counts: tuple[int, ...], check: str) -> int:
        return sum(any(one.check == check for one in whole.shown(count, parse({"base": {"model": "sd1.5"}}))) for count in counts)

    def known(licences: tuple[str | None, ...]) -> int:
        return sum(any(whole.licences([Source(kind="hub", where="x", licence=licence, pictures=1)])) for licence in licences)

    return [
        ("known_keyword", words(("fox", "anime", "style", "red", "picasso")), words(("zorbfox", "inkpop", "cobink", "qwyxel", "blimmo"))),
        ("shown_rarely", times((1500, 2000, 3000, 5000, 9999), "shown_rarely"), times((20, 30, 50, 100, 500), "shown_rarely")),
        ("shown_often", times((2, 4, 6, 9, 12), "shown_often"), times((20, 30, 50, 100, 500), "shown_often")),
        ("unknown_licence", known((None,) * 5), known(("cc0-1.0", "mit", "cc-by-4.0", "apache-2.0", "openrail"))),
    ]


def main() -> None:
    """Plant, check, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--style", default=STYLE, help="the set of stickers; another than the usual one is for choosing thresholds")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    at, planted, clean = plant(arguments.work, arguments.style, arguments.seed)
    settings = workflow.settings_of(at, [])
    cpu = time.process_time()
    checked = workflow.check(at, settings)
    quick_seconds = time.process_time() - cpu
    if not arguments.quick:
        for _ in workflow.look_closer(at, settings, checked, lambda: False):
            pass
        checked = workflow.complete(at, settings, checked)
    looked_seconds = time.process_time() - cpu - quick_seconds
    # Of pictures that share something, one finding names all, the first of them as its file.
    faulty = {file for _, files in planted.values() for file in files}
    named = {(one.check, file) for one in checked.findings for file in (one.file, *(name for name in faulty if name in one.reason))}
    named -= {(one.check, one.file) for one in checked.findings if one.file not in faulty and any(name in one.reason for name in faulty)}
    result: dict[str, Any] = {"pictures": len(checked.listing.files), "cpu_seconds": round(quick_seconds, 1)}
    result |= {"closer_cpu_seconds": round(looked_seconds, 1), "reader": reading.is_installed(), "planted": {}, "false_alarms": {}}
    print(f"{'fault':26} {'check':18} found  clean named")
    for kind, files in planted.values():
        found = sum((kind.check, file) in named for file in files)
        wrong = sorted(file for check, file in named if check == kind.check and file in set(clean))
        result["planted"][kind.name] = {
            "check": kind.check,
            "found": found,
            "of": EACH,
            "missed": [f for f in files if (kind.check, f) not in named],
        }
        result["false_alarms"][kind.check] = wrong
        print(f"{kind.name:26} {kind.check:18} {found}/{EACH}    {len(wrong)}/{CLEAN} {', '.join(wrong[:4])}")
    for check, found, wrong_sets in of_sets():
        result["planted"][check] = {"check": check, "found": found, "of": EACH, "wrong_sets": wrong_sets}
        print(f"{'a set: ' + check.replace('_', ' '):26} {check:18} {found}/{EACH}    {wrong_sets}/5")
    others = sorted({check for check, file in named if file in set(clean)} - {kind.check for kind in PLANTS})
    print(f"other checks that name clean pictures: {', '.join(others) or 'none'}")
    (arguments.work / "planted.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
