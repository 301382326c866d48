"""Candidates for new posts to an order with reasons: looked at, held against what the base draws, ranked, and written as variants."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from decal import extras, project, reading
from decal.events import Event, Progress, Told
from decal.pictures import load
from decal.posts import safety
from decal.posts.engagement import Ranker
from decal.posts.selection import Order, Placed, Seen, fits
from decal.posts.sides import known_company
from decal.project import Project
from decal.records import Cell, Post, PostVariant, PromptPlan
from decal.scores.looks import TONES
from decal.settings import Settings
from decal.viewing import Proofreader, Shown, Viewer
from decal.wording import counted
from decal.workflow.learning import engagement_of, rankers_of

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Drawn:
    """A candidate that is drawn. prompt: which of the anchors is its own."""

    post: Post
    plan: PromptPlan
    number: int
    cell: Cell
    file: Path
    prompt: int


@dataclass(frozen=True)
class Judged:
    """What was seen in candidates, and how they are ordered."""

    seen: list[Seen]
    order: Order
    told: str


def judge(at: Project, settings: Settings, drawn: Sequence[Drawn], anchors: Sequence[Sequence[Path]]) -> Iterator[Progress | Judged]:
    """Look at candidates; the last that is yielded says what was seen. anchors: for each prompt, pictures of it by the base."""
    viewer = Viewer(at.cache, settings.compare.embedder, settings.train.device)
    shown = [Shown(one.file, project.sha256(one.file)) for one in drawn]
    flat = [path for paths in anchors for path in paths]
    theirs = [Shown(path, project.sha256(path)) for path in flat]
    yield from viewer.fill([*shown, *theirs])
    looks, base = viewer.looks(shown), viewer.looks(theirs).content
    ends = np.cumsum([0, *map(len, anchors)]).tolist()
    means = np.array([base[first:last].mean(axis=0) for first, last in pairwise(ends)])
    fit = fits(looks.content, [one.prompt for one in drawn], means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9))
    lines = np.full(len(drawn), np.nan)
    if reading.is_installed():
        proofreader = Proofreader(at.cache)
        yield from proofreader.fill(shown)
        lines = proofreader.lines(shown)
    unsafe = np.full(len(drawn), np.nan)
    if safety.is_installed():
        guard = safety.Guard()
        for place, one in enumerate(drawn):
            yield Progress("looking whether pictures are safe", place, len(drawn))
            unsafe[place] = guard.unsafe(load(one.file, "white"))
    order, ranker, told = order_of(at, viewer.id)
    adds = np.full(len(drawn), np.nan) if ranker is None else ranker.scores(looks)
    contrast = looks.tone[:, TONES.index("contrast")]
    rows = np.stack([fit, adds, lines, unsafe, contrast], axis=1).tolist()
    looked_at = {"ocr": ("lettering", reading.is_installed()), "safety": ("safety", safety.is_installed())}
    if missing := {extra: what for extra, (what, is_there) in looked_at.items() if not is_there}:
        told += f"; {' and '.join(missing.values())} not looked at  ({extras.add(*missing)}  adds that)"
    yield Judged([Seen(*row) for row in rows], order, told)


def order_of(at: Project, embedder: str) -> tuple[Order, Ranker | None, str]:
    """How candidates are ordered, by whom, and why."""
    report, rankers = engagement_of(at), rankers_of(at)
    if report is None or not rankers:
        return Order(False), None, "ordered by fit alone: nothing was learnt of the audience (decal posts learn)"
    if report.embedder != embedder:
        return Order(False), None, "ordered by fit alone: the audience was learnt with another compare.embedder (decal posts learn)"
    if not report.is_told:
        return Order(False), rankers[0], "ordered by fit alone: what the audience likes cannot be told from pictures"
    told = "ordered by what the audience likes"
    told += f", learnt from {counted(report.published, 'published variant')} too" if report.published else ""
    return Order(True, rankers[0].medium, rankers[0].high), rankers[0], told


def variants(at: Project, drawing: str, drawn: Sequence[Drawn], judged: Judged, adapter: str) -> list[PostVariant]:
    """Every candidate with an id of its own, its rank and the reason, in the order of the posts and ranks."""
    by_post: dict[int, list[int]] = {}
    for place, one in enumerate(drawn):
        by_post.setdefault(one.post.number, []).append(place)
    found = []
    for places in by_post.values():
        placed = judged.order.place([judged.seen[place] for place in places])
        for at_place, where in sorted(zip(places, placed, strict=True), key=lambda pair: pair[1].rank):
            found.append(_variant(at, drawing, drawn[at_place], judged.seen[at_place], where, adapter))
    return found


def _variant(at: Project, drawing: str, one: Drawn, seen: Seen, where: Placed, adapter: str) -> PostVariant:
    return PostVariant(
        variant=project.fingerprint(one.post.original, one.post.account, project.to_json(one.cell), adapter)[:12],
        drawing=drawing,
        post=one.post.id,
        account=one.post.account,
        company=known_company(one.post),
        number=one.number,
        file=one.file.relative_to(at.folder).as_posix(),
        sha256=project.sha256(one.file),
        prompt=one.cell.prompt,
        seed=one.cell.seed,
        checkpoint=one.cell.checkpoint,
        fit=None if math.isnan(seen.fit) else round(seen.fit, 4),
        adds=None if math.isnan(seen.adds) else round(seen.adds, 4),
        rank=where.rank,
        standing=where.standing,
        bucket=where.bucket,
        reason=where.reason,
    )


def write(folder: Path, found: Sequence[PostVariant]) -> Iterator[Event]:
    """The variants as records, and as a table for whoever runs the test: an id for each, and a tag for its links."""
    project.write_lines(folder / "variants.jsonl", list(found))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["variant", "post", "account", "file", "rank", "standing", "utm_content", "reason"])
    for one in found:
        names = [f"'{name}" if name.startswith(("=", "+", "-", "@")) else name for name in (one.post, one.account)]
        table.writerow([one.variant, *names, one.file, one.rank, one.standing, f"decal-{one.variant}", one.reason])
    project.write_text(folder / "variants.csv", text.getvalue())
    counts: Mapping[str, int] = {name: sum(one.standing == name for one in found) for name in ("best", "good", "out")}
    posts = len({one.post for one in found})
    yield Told(f"a candidate that passes for {counts['best']} of {counted(posts, 'post')}; {counted(counts['out'], 'candidate')} out")
