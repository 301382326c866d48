"""Pictures for new posts: planned, drawn with the base or a checkpoint, and put on labelled sheets to choose by."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from decal import gallery, grid, project, runs, sheets
from decal.errors import DataError
from decal.events import Event, Progress, Stop, Told, stop_if
from decal.posts import reading, tables
from decal.presets import public_name
from decal.project import Project
from decal.records import Cell, Engagement, Post, PostDrawing, PromptPlan
from decal.settings import Resolved, Settings, resolve
from decal.wording import counted, printable
from decal.workflow.choice import Choice, chosen, trained
from decal.workflow.planning import planner_of

# New posts are looked at one by one, so these are already more than anybody chooses from.
MAX_POSTS = 500
POSTS_A_SHEET = 8
SEEDS_A_POST = 1000
SHOWN_CHARACTERS = 220


@dataclass(frozen=True)
class PostWish:
    """What new posts are drawn with.

    count: candidates of each. step: of the checkpoint; 0 for the base alone, None for the last there is, or the base where there is none.
    """

    table: Path
    columns: Mapping[str, str]
    count: int
    step: int | None
    seed: int


def draw_posts(at: Project, settings: Settings, choice: Choice, wish: PostWish, stop: Stop) -> Iterator[Event]:
    """Draw candidates for each post of a table; what was drawn is never drawn again.

    Raises DataError where the table has no post that says anything, and StoppedError where `stop` says so; what is drawn by then is kept.
    """
    posts = _read(at, wish)
    resolved, lora = _drawn_with(at, settings, choice, wish.step)
    # Where likes are a condition, new posts are drawn for what is aimed at.
    aims: dict[int, Engagement] = {post.number: settings.posts.aim for post in posts} if lora.step else {}
    plans = list(planner_of(at, settings).plan(posts, aims, stop, is_training=False))
    planned = [(post, plan) for post, plan in zip(posts, plans, strict=True) if plan.status == "planned"]
    if not planned:
        raise DataError(f"No row of {wish.table} says anything that could be drawn.\nName a table of posts with texts.")
    skipped = f", {counted(len(posts) - len(planned), 'row')} left out that say nothing" if len(planned) < len(posts) else ""
    yield Told(f"{counted(len(planned), 'new post')}{skipped}; {counted(wish.count, 'candidate')} of each with {lora.told}")
    wanted = [
        (post, plan, number, _cell(plan, wish.seed + SEEDS_A_POST * place + number, lora.step, resolved))
        for place, (post, plan) in enumerate(planned)
        for number in range(1, wish.count + 1)
    ]
    base = public_name(resolved.base.model)
    there = _there(at, base, lora.sha256)
    yield from _draw(at, resolved, [one for one in wanted if (_hash(one[0]), one[3]) not in there], lora, stop)
    found = _there(at, base, lora.sha256)
    folder = at.posts / "new" / project.fingerprint(project.sha256(wish.table), wish.count, base, lora.sha256, wish.seed)[:8]
    for first in range(0, len(planned), POSTS_A_SHEET):
        part = planned[first : first + POSTS_A_SHEET]
        numbers = {post.number for post, _ in part}
        cells = [cell for post, _, _, cell in wanted if post.number in numbers]
        rows = [
            (
                _shown(post),
                _plan_told(plan),
                [found.get((_hash(post), cell)) for other, _, _, cell in wanted if other.number == post.number],
            )
            for post, plan in part
        ]
        title = f"Candidates for posts {first + 1} to {first + len(part)} of {wish.table.name}"
        sheet = sheets.posts_sheet(rows, cells, title=title, base=lora.told)
        yield gallery.write_sheet(folder / f"sheet-{first // POSTS_A_SHEET + 1:02d}.png", sheet, len(cells))
    project.write_lines(folder / "plans.jsonl", [plan for _, plan in planned])
    yield Told(f"plans and sheets in {folder}")


def _read(at: Project, wish: PostWish) -> list[Post]:
    known = reading.Known(reading.read_companies(at.posts / "companies.csv"), datetime.now(UTC))
    posts = []
    for raw in tables.read(wish.table, wish.columns).rows:
        posts.append(reading.read(raw, known))
        if len(posts) > MAX_POSTS:
            raise DataError(f"{wish.table} has more than {MAX_POSTS} posts to draw.\nTake a part of it.")
    return posts


@dataclass(frozen=True)
class _Lora:
    """What is put on the base: the file of the LoRA, its hash and its step; nothing for the base alone. told: what all that is called."""

    file: Path | None
    sha256: str
    step: int
    told: str


def _drawn_with(at: Project, settings: Settings, choice: Choice, step: int | None) -> tuple[Resolved, _Lora]:
    if step == 0 or (step is None and not at.runs()):
        resolved = resolve(settings, 1)
        return resolved, _Lora(None, "", 0, public_name(resolved.base.model))
    run, resolved, checkpoints = trained(at, settings, choice)
    checkpoint = chosen(run, checkpoints, step).checkpoint
    told = f"{public_name(resolved.base.model)}, {run.name} step {checkpoint.step}"
    return resolved, _Lora(runs.verified(run, checkpoint), checkpoint.sha256, checkpoint.step, told)


def _cell(plan: PromptPlan, seed: int, step: int, resolved: Resolved) -> Cell:
    # The keyword means nothing to the base alone.
    return Cell(
        prompt=plan.caption if step else plan.prompt,
        negative=plan.negative if resolved.compare.guidance > 1 else "",
        guidance=resolved.compare.guidance,
        seed=seed,
        steps=resolved.grid.steps,
        sampler=resolved.grid.sampler,
        width_px=resolved.data.resolution,
        height_px=resolved.data.resolution,
        checkpoint=step,
    )


def _draw(
    at: Project,
    resolved: Resolved,
    missing: Sequence[tuple[Post, PromptPlan, int, Cell]],
    lora: "_Lora",
    stop: Stop,
) -> Iterator[Told | Progress | PostDrawing]:
    """Draw what is missing; each picture's record is appended once its file is whole."""
    if not missing:
        yield Told("  all of them are there already")
        return
    yield Progress("loading the base")
    import torch

    from decal.bases import load, told_when_full
    from decal.generate import finite, generate
    from decal.train import choose_device

    device = choose_device(resolved.train)
    is_half = device.type == "cuda" and resolved.train.precision != "fp32"
    base = load(resolved.base.model, device=device, dtype=torch.float16 if is_half else torch.float32)
    owners = {cell: (post, number) for post, _, number, cell in missing}
    tensors = None if lora.file is None else grid.tensors_sha256(lora.file)
    named = None if lora.file is None else f"{resolved.caption.keyword or 'lora'}-{lora.step:06d}"
    remedy = f"Draw fewer pictures at a time (now {resolved.grid.batch}): lower grid.batch."
    with project.lock(at.posts / "drawn.jsonl", "drawing posts"), told_when_full("drawing", remedy):
        adapters = {} if lora.file is None else {lora.step: lora.file}
        drawn = finite(generate(base, list(owners), adapters=adapters, images={}, batch=resolved.grid.batch))
        for done, picture in enumerate(drawn, start=1):
            post, number = owners[picture.cell]
            info = grid.png_text(picture.cell, base=public_name(resolved.base.model), lora=named, lora_sha256=tensors)
            path = at.posts / "drawn" / f"{_hash(post)[:12]}-{number}-{project.fingerprint(_told(picture.cell), lora.sha256)[:8]}.png"
            project.write_bytes(path, gallery.to_png(Image.fromarray(picture.pixels), info))
            record = PostDrawing(
                post=_hash(post),
                number=number,
                cell=picture.cell,
                base=public_name(resolved.base.model),
                adapter=lora.sha256,
                file=path.relative_to(at.folder).as_posix(),
                sha256=project.sha256(path),
            )
            project.append(at.posts / "drawn.jsonl", record)
            yield record
            yield Progress("drawing", done, len(missing))
            stop_if(stop, f"{done} of {counted(len(missing), 'picture')} drawn, the same command draws the rest")


def _there(at: Project, base: str, adapter: str) -> dict[tuple[str, Cell], Path]:
    """The pictures that are drawn and undamaged, by post and cell."""
    found: dict[tuple[str, Cell], Path] = {}
    for one in project.read(at.posts / "drawn.jsonl", PostDrawing):
        path = at.folder / one.file
        is_ours = re.fullmatch(r"posts/drawn/[0-9a-f]+-\d+-[0-9a-f]+\.png", one.file) and (one.base, one.adapter) == (base, adapter)
        if is_ours and path.is_file() and project.sha256(path) == one.sha256:
            found[one.post, one.cell] = path
    return found


def _hash(post: Post) -> str:
    return project.fingerprint(post.original, post.account)


def _told(cell: Cell) -> str:
    return project.to_json(cell)


def _shown(post: Post) -> str:
    text = " ".join(part for part in (post.text, *(f"#{tag}" for tag in post.hashtags)) if part) or " ".join(post.emoji)
    return printable(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}...")


def _plan_told(plan: PromptPlan) -> str:
    parts = [plan.goal, plan.mood, f"subject from {plan.evidence}", f"by {plan.writer}", counted(plan.tokens, "token")]
    return f"{printable(plan.caption)}  ({', '.join(part for part in parts if part)})"
