"""Is the taste of a synthetic audience recovered, does the best of several raise what they like, and is nothing claimed without taste?

    python benchmarks/engagement/run.py WORK [--posts 3000] [--repeats 20]        one JSON line a question

The embedded base draws 20 things; pictures of them, in three lights, are what accounts post, and `audience.py` says how many like each. A
quarter of the accounts is never learnt from. Candidates for their posts are other drawings of the base. Whoever is asked about them knows
the taste exactly; the ranker only knows likes. Without taste, everything is repeated with new followers.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from decal import bases
from decal.generate import generate
from decal.posts.audience import Audience
from decal.posts.engagement import Learnt, learn
from decal.presets import MINI
from decal.records import Cell, Post, PostMedia, Side
from decal.scores.looks import Looks, look
from decal.vision import Embedder

# As a script, only its own folder can be imported from.
sys.path.insert(0, str(Path(__file__).parents[1]))
from engagement.audience import Followers, is_food, taste, tinted, warmth

Numbers = NDArray[np.float64]
STEPS, SEEDS, LIGHTS = 8, 8, 3
POSTED, DRAWN = 5_000, 70_000
UNSEEN = 4


def main() -> None:
    """Draw, post, learn, and print the answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--posts", type=int, default=3_000)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    things = things_of()
    pool = [tinted(one, light) for one in draw(things, POSTED, arguments.work / "posted.npy") for light in range(LIGHTS)]
    drawn = draw(things, DRAWN, arguments.work / "drawn.npy")
    seen, candidates = seen_in(pool), seen_in(list(drawn))
    of_pool = np.repeat(np.arange(len(things)), SEEDS * LIGHTS)
    warm = np.array([warmth(one) for one in pool])
    usual = (float(warm.mean()), float(warm.std()))
    food = np.array([float(is_food(things[thing])) for thing in of_pool])
    liked = taste(warm, food, usual)
    learnt, accounts = posted(seen, liked, [things[thing] for thing in of_pool], arguments.posts, 0, strength=1.0)
    say("with taste", learnt, arguments.posts)
    scores = learnt.ranker.scores(seen)
    design = np.stack([np.ones(len(warm)), (warm - usual[0]) / usual[1], (food - 0.5) * 2], axis=1)
    weights = np.linalg.lstsq(design, scores, rcond=None)[0]
    print(json.dumps({
        "recovered": {"warmth": round(float(weights[1]), 3), "food": round(float(weights[2]), 3)},
        "rank correlation with the true taste, posted pictures": round(rank_correlation(scores, liked), 3),
    }))  # fmt: skip
    of_drawn = np.repeat([float(is_food(thing)) for thing in things], SEEDS)
    liked_drawn = taste(np.array([warmth(one) for one in drawn]), of_drawn, usual)
    best_of(learnt, candidates, liked_drawn, Followers.of(accounts, np.random.default_rng(0)).strengths[::UNSEEN])
    told = []
    for repeat in range(arguments.repeats):
        size = min(arguments.posts, 1_000)
        told.append(posted(seen, liked, [things[thing] for thing in of_pool], size, 100 + repeat, strength=0.0)[0].report.is_told)
    print(json.dumps({"without taste": len(told), "cannot be told": told.count(False)}), flush=True)


def things_of() -> list[str]:
    """What the base knows."""
    path = Path(__file__).parents[1] / "posts" / "concepts.jsonl"
    return [json.loads(line)["concept"] for line in path.read_text("utf-8").splitlines()]


def draw(things: Sequence[str], seed: int, kept: Path) -> NDArray[np.uint8]:
    """Pictures of each thing, [things x SEEDS, S, S, 3]; those of an earlier call are read."""
    if not kept.exists():
        cells = [cell(f"sticker of {thing}", seed + SEEDS * place + turn) for place, thing in enumerate(things) for turn in range(SEEDS)]
        base = bases.load("mini", device=torch.device("cpu"), dtype=torch.float32)
        found = {one.cell: one.pixels for one in generate(base, cells, adapters={}, images={}, batch=10)}
        np.save(kept, np.stack([found[one] for one in cells]))
    return np.asarray(np.load(kept))


def cell(prompt: str, seed: int) -> Cell:
    """A picture to draw in few steps, which is enough for light and things."""
    return Cell(
        prompt=prompt, negative="", guidance=MINI.guidance, seed=seed, steps=STEPS, sampler="ddim", width_px=MINI.resolution,
        height_px=MINI.resolution, checkpoint=0,
    )  # fmt: skip


def seen_in(pictures: Sequence[NDArray[np.uint8]]) -> Looks:
    """What Decal sees in pictures."""
    from PIL import Image

    vectors = Embedder.load(torch.device("cpu")).embed(Image.fromarray(one) for one in pictures)
    return look(list(pictures), vectors.content, vectors.style)


def posted(seen: Looks, liked: Numbers, told: Sequence[str], posts: int, seed: int, *, strength: float) -> tuple[Learnt, int]:
    """What is learnt from posts of these pictures, and of how many accounts. strength: of the taste, times that of each account."""
    dice = np.random.default_rng(seed)
    accounts = max(16, posts // 50)
    followers = Followers.of(accounts, dice)
    owner, shown = dice.integers(0, accounts, posts), dice.integers(0, len(liked), posts)
    likes = followers.likes(owner, strength * liked[shown], dice)
    rows = [post(number, int(owner[number]), told[shown[number]], int(likes[number])) for number in range(posts)]
    sides: list[Side] = ["unseen account" if one % UNSEEN == 0 else "train" for one in owner]
    learnt = learn(Audience.of(rows, sides, seen.rows(shown.astype(np.intp))), "squeezenet", "")
    assert learnt is not None, "there are posts to learn from"
    return learnt, accounts


def post(number: int, account: int, thing: str, likes: int) -> Post:
    """A post about a thing."""
    told = {"number": number, "id": str(number), "status": "kept", "notes": (), "original": thing, "text": f"Look at {thing}, everybody"}
    media = (PostMedia(kind="photo", url=f"https://p.example/{number}.png"),)
    date = f"2020-{number % 12 + 1:02}-{number % 28 + 1:02}T{number % 24:02}:00:00Z"
    return Post.model_validate({**told, "account": f"account {account}", "likes": likes, "date": date, "media": media})


def say(name: str, learnt: Learnt, posts: int) -> None:
    """The figures that matter."""
    kept = {
        f"{one.split}, {one.predictor}": [round(one.value, 3), one.low and round(one.low, 3), one.high and round(one.high, 3)]
        for one in learnt.report.figures
        if one.measure == "spearman" and one.value is not None
    }
    print(json.dumps({"audience": name, "posts": posts, "told": learnt.report.is_told, "order within the account": kept}), flush=True)


def best_of(learnt: Learnt, candidates: Looks, liked: Numbers, strengths: Numbers) -> None:
    """What the best of four adds to the true log likes of held-out accounts, against one at random; intervals over whole things.

    liked: how much each candidate is to the taste; those of a thing follow one another. strengths: of the held-out accounts.
    """
    dice, things = np.random.default_rng(7), len(liked) // SEEDS
    expected = learnt.ranker.scores(candidates)
    leads = np.zeros((things, 2))
    for thing in range(things):
        for _ in range(50):
            four = thing * SEEDS + dice.choice(SEEDS, 4, replace=False)
            lead = strengths[dice.integers(0, len(strengths))] * (liked[four[expected[four].argmax()]] - liked[four].mean())
            most = liked[four].max() - liked[four].mean()
            leads[thing] += (lead / 50, most / 50)
    again = leads[:, 0][dice.integers(0, things, (10_000, things))].mean(axis=1)
    low, high = np.quantile(again, (0.025, 0.975)).round(3).tolist()
    print(json.dumps({
        "best of 4 against one at random, true log likes": [round(float(leads[:, 0].mean()), 3), low, high],
        "the most that could be": round(float(leads[:, 1].mean()), 3),
        "rank correlation with the true taste, candidates": round(rank_correlation(expected, liked), 3),
    }), flush=True)  # fmt: skip


def rank_correlation(one: Numbers, other: Numbers) -> float:
    """Spearman's."""
    return float(np.corrcoef(one.argsort().argsort(), other.argsort().argsort())[0, 1])


if __name__ == "__main__":
    main()
