"""Does a picture show what its post is about? Posts around 20 things that the embedded base knows, drawn through each kind of prompt.

    python benchmarks/posts/fit.py WORK [--endpoint URL --api chat]      pictures, a sheet and one JSON line a kind of prompt

`concepts.jsonl` has two invented posts for each thing. SqueezeNet's content vectors of pictures drawn from the thing's own name (seeds that
are used for nothing else) give a centroid for each of the 20 things; a picture counts as right where the nearest centroid is that of the
thing its post is about, so chance is 1 in 20. `name` is what the base can reach at best; a writer that names the thing in the same words
gets the same pictures, so its share is that of the posts whose thing it finds. Intervals resample whole things, 10,000 times.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from decal import bases, lettering
from decal.captions import Tokenizer
from decal.generate import generate
from decal.language import Client
from decal.posts import reading, tables
from decal.posts.plans import Frame, Planner
from decal.posts.writers import Grammar, Model, Writer, seed_sentence
from decal.presets import MINI
from decal.records import Cell, Post, PromptPlan
from decal.settings import LanguageSettings, PostsSettings
from decal.vision import Embedder

REFERENCES, REFERENCE_SEED, SEED = 4, 9_000, 100
TEMPLATE = "sticker of {subject}"
NEGATIVE = ""


def main() -> None:
    """Draw, look, and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--endpoint", default="")
    parser.add_argument("--api", default="completion")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    concepts, posts = read()
    kinds = prompts(concepts, posts, arguments.endpoint, arguments.api, arguments.work)
    (arguments.work / "prompts.json").write_text(json.dumps(kinds, indent=1, ensure_ascii=False))
    names = list(dict.fromkeys(concepts))
    references = [cell(TEMPLATE.format(subject=name), REFERENCE_SEED + turn) for name in names for turn in range(REFERENCES)]
    seen = {"references": look(draw(references, arguments.work / "references.npy"))}
    centroids = seen["references"].reshape(len(names), REFERENCES, -1).mean(axis=1)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    pages = {}
    for kind, told in kinds.items():
        pages[kind] = draw([cell(prompt, SEED + place) for place, prompt in enumerate(told)], arguments.work / f"{kind}.npy")
        nearest = (look(pages[kind]) @ centroids.T).argmax(axis=1)
        right = np.array([names[found] == concept for found, concept in zip(nearest, concepts, strict=True)])
        print(json.dumps({"prompt": kind, "pictures": len(right)} | share(right.reshape(len(names), -1)), sort_keys=True), flush=True)
    sheet(posts, pages, arguments.work / "sheet.png", 1)
    sheet(posts, pages, arguments.work / "part.png", 7)


def read() -> tuple[list[str], list[Post]]:
    """The thing that each post is about, and the posts."""
    known = reading.Known({}, datetime.now(UTC))
    lines = [json.loads(line) for line in (Path(__file__).parent / "concepts.jsonl").read_text("utf-8").splitlines()]
    pairs = [(line["concept"], text) for line in lines for text in line["posts"]]
    cells = {"username": "ShopUK", "date": "2020-12-12 00:47:00", "likes": 21}
    return [concept for concept, _ in pairs], [
        reading.read(tables.Raw(number, {"content": text} | cells), known) for number, (_, text) in enumerate(pairs, start=1)
    ]


def prompts(concepts: Sequence[str], posts: Sequence[Post], endpoint: str, api: str, work: Path) -> dict[str, list[str]]:
    """The prompts of each kind, one a post."""
    grammar = Grammar(PostsSettings(), MINI.detail, {})
    kinds = {
        "name": [TEMPLATE.format(subject=concept) for concept in concepts],
        "raw": [post.original for post in posts],
        "raw in the template": [TEMPLATE.format(subject=post.text) for post in posts],
        "seed": [seed_sentence(post) for post in posts],
        "grammar": [plan.prompt for plan in plans(grammar, grammar, posts)],
    }
    if endpoint:
        settings = LanguageSettings.model_validate({"endpoint": endpoint, "api": api, "retries": 2, "concurrency": 1, "temperature": 0.3})
        written = plans(Model(Client(settings, work), api, grammar), grammar, posts)
        kinds["llm"] = [plan.prompt for plan in written]
        fallen = [plan.fallback for plan in written if plan.fallback]
        print(
            json.dumps(
                {"llm_worded": len(written) - len(fallen), "fallbacks": {why: fallen.count(why) for why in set(fallen)}}, sort_keys=True
            )
        )
    return kinds


def plans(writer: Writer, grammar: Grammar, posts: Sequence[Post]) -> list[PromptPlan]:
    """What a writer makes of the posts for the embedded base."""
    frame = Frame("", TEMPLATE, TEMPLATE, NEGATIVE, has_negative=True, openings={})
    return list(Planner(writer, grammar, frame, [Tokenizer.of_base("mini")]).plan(posts, {}, lambda: False))


def cell(prompt: str, seed: int) -> Cell:
    """A picture to draw as `decal draw` does."""
    return Cell(
        prompt=prompt, negative=NEGATIVE, guidance=MINI.guidance, seed=seed, steps=MINI.sampling_steps, sampler="ddim",
        width_px=MINI.resolution, height_px=MINI.resolution, checkpoint=0,
    )  # fmt: skip


def draw(cells: Sequence[Cell], kept: Path) -> NDArray[np.uint8]:
    """The pictures of the cells in their order, [N, S, S, 3]; those of an earlier call are read."""
    about = kept.with_suffix(".json")
    wanted = json.dumps([one.model_dump(mode="json") for one in cells])
    if not kept.exists() or about.read_text() != wanted:
        base = bases.load("mini", device=torch.device("cpu"), dtype=torch.float32)
        found = {one.cell: one.pixels for one in generate(base, cells, adapters={}, images={}, batch=10)}
        np.save(kept, np.stack([found[one] for one in cells]))
        about.write_text(wanted)
    return np.asarray(np.load(kept))


def look(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What is in the pictures, [N, C]."""
    return Embedder.load(torch.device("cpu")).embed(Image.fromarray(one) for one in pixels).content


def share(right: NDArray[np.bool_]) -> dict[str, float]:
    """The share of right pictures [things, posts] with its 95 % interval."""
    dice = np.random.default_rng(0)
    drawn = right.mean(axis=1)[dice.integers(0, len(right), (10_000, len(right)))].mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return {"share": round(float(right.mean()), 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def sheet(posts: Sequence[Post], pages: Mapping[str, NDArray[np.uint8]], path: Path, every: int) -> None:
    """Posts with their pictures, a column for each kind of prompt. every: so many posts are passed over for one that is shown."""
    side, left, top, gap = MINI.resolution, 330, 40, 8
    shown = range(0, len(posts), every)
    page = Image.new("RGB", (left + len(pages) * (side + gap) + 16, top + len(shown) * (side + gap) + 8), "white")
    pen = ImageDraw.Draw(page)
    for column, (kind, pictures) in enumerate(pages.items()):
        x = left + column * (side + gap)
        lettering.write(pen, (x, 12), [kind], 15, "#555b66")
        for row, place in enumerate(shown):
            page.paste(Image.fromarray(pictures[place]), (x, top + row * (side + gap)))
    for row, place in enumerate(shown):
        text = lettering.wrap(posts[place].text, 15, left - 40)
        lettering.write(pen, (16, top + row * (side + gap) + 8), text, 15, "#1b1f27")
    page.save(path)


if __name__ == "__main__":
    main()
