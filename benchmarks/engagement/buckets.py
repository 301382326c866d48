"""Does the word for high engagement shift what a LoRA draws towards the taste, and further than buckets by lot do?

    python benchmarks/engagement/buckets.py WORK --seed SEED [--steps 800] [--lots 1] [--true]      JSON lines; may be stopped

LoRAs are trained on the same posts and pictures, one with real buckets in its captions, the others with shuffled ones
(`posts.buckets`), each by a lot of its own. The words are tokens of their own (`train.pivotal_words`). Each LoRA draws the 20 things with
"highengagement" and "lowengagement" from the same noise, once as usual and once with the other word as the negative prompt. The true taste
of the pictures is known; the shift is its mean difference, paired, and intervals are over whole things. What could be at most is printed
first: the difference in taste between the posts of both buckets, and that less the things they show.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from decal import bases
from decal.adapters import Swapper, read
from decal.generate import generate
from decal.presets import MINI

sys.path.insert(0, str(Path(__file__).parents[1]))
from engagement.audience import Followers, is_food, taste, tinted, warmth
from engagement.run import LIGHTS, POSTED, SEEDS, cell, draw, things_of

Numbers = NDArray[np.float64]
ACCOUNTS, TURNS, KEYWORD = 24, 3, "zorbfox"
# The base tells these apart better than words of engagement, and what they begin as is forgotten in training.
WORDS = '{ highengagement = "firefox", mediumengagement = "noto", lowengagement = "blob" }'
TRAINED = (
    "train.batch=4", "train.learning_rate=1e-3", "train.pivotal_learning_rate=2e-3", "train.pivotal_share=1",
    "train.timesteps=logit_normal", "train.timestep_mean=1", "train.validation_prompts=[]", "data.holdout_share=0", "data.faulty=keep",
)  # fmt: skip
# How often each picture is posted, each time by some account.
POSTINGS = 2


def main() -> None:
    """Post, train twice, draw, and print the shifts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, required=True, help="of the audience")
    parser.add_argument("--lots", type=int, default=1, help="so many controls, each with buckets by another lot (posts.seed)")
    parser.add_argument("--true", action="store_true", help="likes are the taste itself: the most that could be")
    arguments = parser.parse_args()
    work, things = arguments.work, things_of()
    pool = [tinted(one, light) for one in draw(things, POSTED, work / "posted.npy") for light in range(LIGHTS)]
    warm = np.array([warmth(one) for one in pool])
    usual = (float(warm.mean()), float(warm.std()))
    of_pool = np.repeat(np.arange(len(things)), SEEDS * LIGHTS)
    liked = taste(warm, np.array([float(is_food(things[thing])) for thing in of_pool]), usual)
    table(work, pool, liked, [things[thing] for thing in of_pool], arguments.seed, is_true=arguments.true)
    shifts: dict[str, Numbers] = {}
    lots = ["shuffled", *(f"shuffled {lot}" for lot in range(1, arguments.lots))]
    for buckets in ("real", *lots):
        at, lora = train(work, buckets, arguments.steps)
        print(json.dumps({"buckets": buckets, **ceiling(at, of_pool, liked)}), flush=True)
        print(json.dumps({"buckets": buckets, "the word moves what is predicted by": heard(things, lora)}), flush=True)
        for way in ("as usual", "against the other word"):
            file = work / f"buckets-{buckets}-{way}.npz".replace(" ", "-")
            if not file.is_file():
                high, low = (np.stack(drawn(things, level, lora, is_against=way != "as usual")) for level in ("high", "low"))
                np.savez(file, high=high, low=low)
            pictures = np.load(file)
            food = np.repeat([float(is_food(thing)) for thing in things], TURNS)
            worth = {level: taste(np.array([warmth(one) for one in pixels]), food, usual) for level, pixels in pictures.items()}
            shifts[f"{buckets}, {way}"] = (worth["high"] - worth["low"]).reshape(len(things), TURNS).mean(axis=1)
            print(json.dumps({f"{buckets}, {way}": interval(shifts[f"{buckets}, {way}"])}), flush=True)
    for way in ("as usual", "against the other word"):
        by_lot = np.mean([shifts[f"{lot}, {way}"] for lot in lots], axis=0)
        print(json.dumps({f"real less shuffled, {way}": interval(shifts[f"real, {way}"] - by_lot)}))


def ceiling(at: Path, of_pool: NDArray[np.intp], liked: Numbers) -> dict[str, float]:
    """How much more the posts of the bucket high are to the taste than those of low, in the captions; and that within each thing."""
    levels: dict[str, list[int]] = {"high": [], "low": []}
    for line in (at / "dataset/metadata.jsonl").read_text("utf-8").splitlines():
        told = json.loads(line)
        word = told["text"].partition("engagement, ")[0]
        if word in levels:
            levels[word].append(int(told["provenance"]["post"]) % len(liked))
    within = liked - (np.bincount(of_pool, liked) / np.bincount(of_pool))[of_pool]
    high, low = (np.array(levels[level]) for level in ("high", "low"))
    found = {"posts high": float(len(high)), "posts low": float(len(low)), "taste high less low": liked[high].mean() - liked[low].mean()}
    return {name: round(float(one), 3) for name, one in (found | {"within a thing": within[high].mean() - within[low].mean()}).items()}


def heard(things: list[str], lora: Path) -> list[float]:
    """How far the words move what the UNet predicts, as a share of how far another thing does: with the base, with the LoRA."""
    found = []
    for adapter in (None, lora):
        base = bases.load("mini", device=torch.device("cpu"), dtype=torch.float32)
        if adapter is not None:
            Swapper(base.parts).put_on(read(adapter, base.parts), 1.0)
        side = MINI.resolution // base.stride
        noise = torch.randn(len(things), base.latent_channels, side, side, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            time = torch.full((len(things),), 700)
            high, low = (base.predict(noise, time, base.encode_prompts([asked(level, one) for one in things])) for level in ("high", "low"))
            other = base.predict(noise, time, base.encode_prompts([asked("high", one) for one in things[1:] + things[:1]]))
        found.append(round(float((high - low).norm() / (high - other).norm()), 4))
    return found


def asked(level: str, thing: str) -> str:
    """The caption of a thing under a bucket."""
    return f"{level}engagement, {KEYWORD} style sticker of {thing}"


def table(work: Path, pool: list[NDArray[np.uint8]], liked: Numbers, told: list[str], seed: int, *, is_true: bool) -> None:
    """Each picture so many times, each time posted by some account. seed: of the followers. is_true: likes are the taste."""
    folder = work / "pictures"
    folder.mkdir(exist_ok=True)
    dice = np.random.default_rng(seed)
    shown = np.tile(np.arange(len(pool)), POSTINGS)
    followers, owner = Followers.of(ACCOUNTS, dice), dice.integers(0, ACCOUNTS, len(shown))
    likes = followers.likes(owner, liked[shown], dice)
    if is_true:
        likes = (1_000 * (liked[shown] - liked.min())).round().astype(np.int64)
    for number, pixels in enumerate(pool):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    with (work / "posts.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "likes", "content", "username", "media"])
        for number, picture in enumerate(shown.tolist()):
            words = f"Look at {told[picture]} {number * 7919} and {number * 104729}"
            writer.writerow([number, likes[number], words, f"account{owner[number]}", f"https://p.example/{picture}.png"])


def train(work: Path, buckets: str, steps: int) -> tuple[Path, Path]:
    """A project of these posts, and a LoRA with real or shuffled buckets in its captions; what an earlier call made is kept.

    buckets: `real`, `shuffled`, or `shuffled 1` and so on for other lots.
    """
    at = work / f"shop-{buckets}".replace(" ", "-")
    kind, _, lot = buckets.partition(" ")
    words = f"train.pivotal_words={WORDS}"
    told = ['posts.conditions=["engagement"]', f"posts.buckets={kind}", f"posts.seed={lot or 0}", words]
    given = [part for one in told for part in ("--set", one)]
    fast = [f"train.steps={steps}", f"train.checkpoint_every={steps}", words, *TRAINED]
    path = at / f"runs/run-01/checkpoints/step-{steps:06}/pytorch_lora_weights.safetensors"
    commands = (
        ["posts", "import", str(work / "posts.csv"), str(at), "--keyword", KEYWORD],
        ["posts", "plan", str(at), *given],
        ["posts", "media", str(at), "--from", str(work / "pictures")],
        ["posts", "build", str(at), *given],
        ["train", str(at), *[part for one in fast for part in ("--set", one)]],
    )
    for call in commands if not path.is_file() else ():
        subprocess.run([sys.executable, "-m", "decal", *call], check=True, stdout=sys.stderr)
        if call[1] == "import" and kind == "shuffled" and not (at / "cache").exists():
            # All learn from the same pictures, which are encoded once.
            shutil.copytree(work / "shop-real/cache", at / "cache")
    return at, path


def drawn(things: list[str], level: str, lora: Path, *, is_against: bool) -> list[NDArray[np.uint8]]:
    """Pictures of each thing under a bucket, [things x TURNS]. is_against: the other bucket is the negative prompt."""
    base = bases.load("mini", device=torch.device("cpu"), dtype=torch.float32)
    negative = f"{'low' if level == 'high' else 'high'}engagement, {KEYWORD} style sticker" if is_against else ""
    cells = [
        cell(asked(level, thing), 90_000 + TURNS * place + turn).model_copy(update={"checkpoint": 1, "negative": negative})
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
