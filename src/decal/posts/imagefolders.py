"""Posts, plans and pictures -> an imagefolder with a datasheet: `dataset/NNNNN/` for each shard, then one `metadata.jsonl` over all.

Only posts of the side `train` are put in; the others give the prompts that checkpoints are compared on, so those are new by construction.
A shard's pictures come into their folder in one rename, and `metadata.jsonl` is written once every shard is whole.
"""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from decal import pictures, project
from decal.grid import seen
from decal.posts import crops
from decal.posts.fitting import SEPARATOR
from decal.records import Engagement, Post, PostPicture, PostPlace, PostRow, PromptPlan
from decal.wording import counted, printable

STAGED = ".staging-"
# A picture that is shown more often than that is learnt by heart.
MOST_REPEATS = 8
ORIGIN = ("number", "post", "account", "company", "date", "engagement", "came_from", "cut")


@dataclass(frozen=True)
class Building:
    """How pictures come into the data set. is_cut: to the shapes of social networks. ground: behind transparent pixels of those."""

    engagement: Mapping[int, Engagement | None]
    is_cut: bool
    ground: str


def rows(
    shard: int, posts: Sequence[Post], plans: Mapping[int, PromptPlan], places: Mapping[int, PostPlace], found: Mapping[int, PostPicture]
) -> tuple[list[tuple[Post, PromptPlan, PostPicture, str]], Counter[str]]:
    """The posts of a shard that go into the data set, each with its file below `dataset/`, and why the others do not."""
    kept, left = [], Counter[str]()
    for post in posts:
        plan, place, picture = plans[post.number], places[post.number], found.get(post.number)
        if plan.status != "planned":
            left[plan.reason] += 1
        elif not plan.is_understood:
            left["no word of its text is known (posts/words-unknown.csv)"] += 1
        elif place.side != "train":
            left[f"kept out of training: {place.side}"] += 1
        elif picture is None:
            left["no picture"] += 1
        elif picture.status != "there":
            left[f"picture {picture.status}: {picture.reason}"[:80]] += 1
        else:
            suffix = Path(picture.file).suffix
            kept.append((post, plan, picture, f"{shard:05d}/{post.number:07d}{suffix}"))
            left["in the data set"] += 1
    return kept, left


def fill(
    dataset: Path,
    shard: int,
    kept: Sequence[tuple[Post, PromptPlan, PostPicture, str]],
    files: Path,
    how: Building,
) -> list[PostRow]:
    """Put the pictures of a shard into `dataset/NNNNN/` in one rename; their rows. files: where the pictures of the posts lie."""
    target, staged = dataset / f"{shard:05d}", dataset / f"{STAGED}{shard:05d}"
    shutil.rmtree(staged, ignore_errors=True)
    written = []
    with project.writing(staged):
        staged.mkdir(parents=True)
        for post, plan, picture, file in kept:
            path, window, shown = _put(files / picture.file, staged / Path(file).name, how)
            written.append(
                PostRow(
                    number=post.number,
                    file=f"{shard:05d}/{path.name}",
                    sha256=picture.sha256,
                    width_px=shown.width,
                    height_px=shown.height,
                    caption=plan.caption,
                    post=post.id,
                    account=post.account,
                    company="" if post.is_company_doubtful else post.company,
                    date=post.date,
                    engagement=how.engagement.get(post.number),
                    came_from=picture.came_from,
                    shape=crops.nearest_shape(*shown.size),
                    cut=window,
                    crops=crops.crops(shown),
                )
            )
        project.sync_all([*staged.iterdir(), staged])
        if target.exists():
            shutil.rmtree(target)
        if kept:
            staged.rename(target)
        else:
            os.rmdir(staged)
    return written


def _put(picture: Path, file: Path, how: Building) -> tuple[Path, crops.Box | None, Image.Image]:
    """Put a picture into the data set, cut where that is wanted; its file, the window, and what is in the data set then."""
    shown = pictures.load(picture, how.ground)
    window = crops.cut(shown) if how.is_cut else None
    if window is None:
        shutil.copyfile(picture, file)
        return file, None, shown
    shown = shown.crop(window)
    if file.suffix in (".jpg", ".jpeg"):
        shown.save(file, "JPEG", quality=95, subsampling=0)
    else:
        file = file.with_suffix(".png")
        shown.save(file)
    return file, window, shown


def metadata(written: Sequence[PostRow], openings: Container[str]) -> bytes:
    """The lines of `metadata.jsonl`. openings: words that captions begin with of which none should be rarer than others in training."""
    firsts = [row.caption.partition(SEPARATOR)[0] for row in written]
    said = [first if first in openings else None for first in firsts]
    counts = Counter(said)
    most = max((count for word, count in counts.items() if word is not None), default=0)
    lines = []
    for row, word in zip(written, said, strict=True):
        table = row.model_dump(mode="json")
        told = {"file_name": table.pop("file"), "text": table.pop("caption")} | {key: table[key] for key in ("crops", "shape")}
        repeats = 1 if word is None else min(MOST_REPEATS, max(1, round(most / counts[word])))
        told |= {"repeats": repeats} if repeats > 1 else {}
        origin = {"made_by": "taken from a post", "licence": "unknown: whatever the post's author allows"}
        origin |= {key: table[key] for key in ORIGIN if table[key] is not None}
        lines.append(json.dumps(told | {"provenance": origin}, ensure_ascii=False).encode() + b"\n")
    return b"".join(lines)


def new_prompts(captions: Sequence[str], wanted: Iterable[str], ignored: Sequence[str], count: int) -> list[str]:
    """The first so many prompts that are new against the captions and against each other."""
    found: list[str] = []
    for prompt in dict.fromkeys(wanted):
        if not seen([prompt], [*captions, *found], ignored):
            found.append(prompt)
        if len(found) == count:
            break
    return found


def datasheet(title: str, counts: Mapping[str, int], written: Sequence[PostRow], settings: Mapping[str, str]) -> str:
    """What is in the data set, where it comes from and what it is not for, as Markdown."""
    # As each was spelt first; upper and lower case do not tell accounts apart.
    spelt = {row.account.casefold(): row.account for row in reversed(written)}
    accounts, shapes = Counter(spelt[row.account.casefold()] for row in written), Counter(row.shape for row in written)
    cuts = sum(row.cut is not None for row in written)
    engagement = Counter(str(row.engagement or "not known") for row in written)
    dates = sorted(row.date for row in written if row.date)

    def listed(found: Mapping[str, int], most: int = 12) -> str:
        told = ", ".join(f"{_plain(name) or 'none'} {count:,}" for name, count in sorted(found.items(), key=lambda one: -one[1])[:most])
        return told + (f" and {len(found) - most:,} more" if len(found) > most else "")

    inside = counts.get("in the data set", 0)
    left = {name: count for name, count in counts.items() if name != "in the data set"}
    return "\n".join(
        [
            f"# {title}",
            "",
            f"{inside:,} pictures of posts with captions, written by `decal posts build`.",
            "",
            "## Composition",
            "",
            f"- Accounts: {listed(accounts)}",
            f"- Time: {dates[0]} to {dates[-1]}" if dates else "- Time: not known",
            f"- Shapes: {listed(shapes)}. {counted(cuts, 'picture')} cut to the nearest, where it has the most detail; "
            "`crops` has the windows of all three.",
            f"- Engagement within the own account: {listed(engagement)}",
            "- One caption a picture, made from the text of its post and not from the picture, so a caption may miss what is shown.",
            "",
            "## What was left out",
            "",
            *(f"- {count:,}: {_plain(name)}" for name, count in sorted(left.items(), key=lambda one: -one[1])),
            "",
            "## How it was made",
            "",
            *(f"- {name}: {value}" for name, value in settings.items()),
            "",
            "## Before it is used",
            "",
            "The pictures belong to whoever posted them. No licence comes with a post, and hosts that ask not to be trained on were left",
            "out only where they say so in their headers. Do not publish the data set or what is trained on it without the right to.",
            "Likes say more of an account than of a picture; `engagement` compares within an account, and says nothing of why.",
            "",
        ]
    )


def _plain(text: str) -> str:
    """A stranger's word without what Markdown would make of it."""
    return printable(re.sub(r"[<>\[\]`|*\\]", " ", text)).strip()
