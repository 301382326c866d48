"""Does the word for high engagement shift what a LoRA draws towards the taste, and further than buckets by lot do?

    python benchmarks/engagement/buckets.py WORK [--steps 120]     after run.py, whose pictures it posts; one JSON line

Two LoRAs are trained on the same posts and pictures, one with real buckets in its captions, one with shuffled ones (`posts.buckets`). Each
draws the 20 things with "high engagement" and with "low engagement" from the same noise. The true taste of the pictures is known; the
shift is its mean difference, paired, and intervals are over whole things.
"""

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from decal import bases
from decal.generate import generate

sys.path.insert(0, str(Path(__file__).parents[1]))
from engagement.audience import Followers, is_food, taste, tinted, warmth
from engagement.run import LIGHTS, POSTED, SEEDS, cell, draw, things_of

Numbers = NDArray[np.float64]
ACCOUNTS, TURNS, KEYWORD = 24, 2, "zorbfox"


def main() -> None:
    """Post, train twice, draw, and print the shifts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=120)
    arguments = parser.parse_args()
    work, things = arguments.work, things_of()
    pool = [tinted(one, light) for one in draw(things, POSTED, work / "posted.npy") for light in range(LIGHTS)]
    warm = np.array([warmth(one) for one in pool])
    usual = (float(warm.mean()), float(warm.std()))
    of_pool = np.repeat(np.arange(len(things)), SEEDS * LIGHTS)
    liked = taste(warm, np.array([float(is_food(things[thing])) for thing in of_pool]), usual)
    table(work, pool, liked, [things[thing] for thing in of_pool])
    shifts = {}
    for buckets in ("real", "shuffled"):
        lora = train(work, buckets, arguments.steps)
        pictures = {level: drawn(things, level, lora) for level in ("high", "low")}
        food = np.repeat([float(is_food(thing)) for thing in things], TURNS)
        worth = {level: taste(np.array([warmth(one) for one in pixels]), food, usual) for level, pixels in pictures.items()}
        shifts[buckets] = (worth["high"] - worth["low"]).reshape(len(things), TURNS).mean(axis=1)
        np.savez(work / f"buckets-{buckets}.npz", high=np.stack(pictures["high"]), low=np.stack(pictures["low"]))
    shifts["real less shuffled"] = shifts["real"] - shifts["shuffled"]
    print(json.dumps({name: interval(values) for name, values in shifts.items()}, sort_keys=True))


def table(work: Path, pool: list[NDArray[np.uint8]], liked: Numbers, told: list[str]) -> None:
    """Each picture once, posted by some account."""
    folder = work / "pictures"
    folder.mkdir(exist_ok=True)
    dice = np.random.default_rng(3)
    followers, owner = Followers.of(ACCOUNTS, dice), dice.integers(0, ACCOUNTS, len(pool))
    likes = followers.likes(owner, liked, dice)
    with (work / "posts.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "likes", "content", "username", "media"])
        for number, pixels in enumerate(pool):
            Image.fromarray(pixels).save(folder / f"{number}.png")
            words = f"Look at {told[number]} {number * 7919} and {number * 104729}"
            writer.writerow([number, likes[number], words, f"account{owner[number]}", f"https://p.example/{number}.png"])


def train(work: Path, buckets: str, steps: int) -> Path:
    """A LoRA of these posts with real or shuffled buckets in its captions."""
    at = work / f"shop-{buckets}"
    given = ["--set", 'posts.conditions=["engagement"]', "--set", f"posts.buckets={buckets}"]
    fast = [f"train.steps={steps}", f"train.checkpoint_every={steps}", "data.faulty=keep"]
    for words in (
        ["posts", "import", str(work / "posts.csv"), str(at), "--keyword", KEYWORD],
        ["posts", "plan", str(at), *given],
        ["posts", "media", str(at), "--from", str(work / "pictures")],
        ["posts", "build", str(at), *given],
        ["train", str(at), *[part for one in fast for part in ("--set", one)]],
    ):
        subprocess.run([sys.executable, "-m", "decal", *words], check=True, stdout=subprocess.DEVNULL)
    (path,) = at.glob(f"runs/run-01/checkpoints/step-{steps:06}/pytorch_lora_weights.safetensors")
    return path


def drawn(things: list[str], level: str, lora: Path) -> list[NDArray[np.uint8]]:
    """Pictures of each thing under a bucket, [things x TURNS]."""
    base = bases.load("mini", device=torch.device("cpu"), dtype=torch.float32)
    cells = [
        cell(f"{level} engagement, {KEYWORD} style sticker of {thing}", 90_000 + TURNS * place + turn).model_copy(update={"checkpoint": 1})
        for place, thing in enumerate(things)
        for turn in range(TURNS)
    ]
    found = {one.cell: one.pixels for one in generate(base, cells, adapters={1: lora}, images={}, batch=10)}
    return [found[one] for one in cells]


def interval(values: Numbers) -> list[float]:
    """The mean with the middle 95 % of its resamples over things."""
    dice = np.random.default_rng(0)
    again = values[dice.integers(0, len(values), (10_000, len(values)))].mean(axis=1)
    return [round(float(one), 3) for one in (values.mean(), *np.quantile(again, (0.025, 0.975)))]


if __name__ == "__main__":
    main()
