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
from decal.records import Cell, Engagement, Post, PostDrawing, PostVariant, PromptPlan
from decal.settings import Resolved, Settings, resolve
from decal.wording import counted, printable
from decal.workflow import ranking
from decal.workflow.choice import Choice, chosen, trained
from decal.workflow.planning import exemplars_of, planner_of, table_of
from decal.workflow.ranking import Drawn, Judged

# New posts are looked at one by one, so these are already more than anybody chooses from.
MAX_POSTS = 500
POSTS_A_SHEET = 8
SEEDS_A_POST = 1000
# Far from those of candidates, so that no picture is held against itself.
ANCHOR_SEED = 900_000_000
ANCHORS = 2
SHOWN_CHARACTERS = 220
NAMED = 8


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
    resolved, lora = drawn_with(at, settings, choice, wish.step)
    # Where likes are a condition, new posts are drawn for what is aimed at.
    aims: dict[int, Engagement] = {post.number: settings.posts.aim for post in posts} if lora.step else {}
    planner = planner_of(at, settings, resolved.train.pivotal_words, exemplars_of(at, settings, posts))
    plans = list(planner.plan(posts, aims, stop, is_training=False))
    planned = [(post, plan) for post, plan in zip(posts, plans, strict=True) if plan.status == "planned"]
    if not planned:
        raise DataError(f"No row of {wish.table} says anything that could be drawn.\nName a table of posts with texts.")
    skipped = f", {counted(len(posts) - len(planned), 'row')} left out that say nothing" if len(planned) < len(posts) else ""
    yield Told(f"{counted(len(planned), 'new post')}{skipped}; {counted(wish.count, 'candidate')} of each with {lora.told}")
    if not_understood := [post.number for post, plan in planned if not plan.is_understood]:
        yield Told(
            f"  of {counted(len(not_understood), 'post')} no word is known (row {', '.join(map(str, not_understood[:NAMED]))}"
            f"{', ...' * (len(not_understood) > NAMED)}), so any picture would do: write the English of their words into\n  "
            f'{at.posts / "words.csv"} (word,english), or let a language model word the prompts (posts.writer = "llm")'
        )
    wanted = [
        (post, plan, number, cell_of(plan, wish.seed + SEEDS_A_POST * place + number, lora.step, resolved))
        for place, (post, plan) in enumerate(planned)
        for number in range(1, wish.count + 1)
    ]
    # What the base draws for the prompt alone says what was asked for; a candidate is held against that.
    prompts = {plan.prompt: (post, plan) for post, plan in reversed(planned)}
    anchors = {
        prompt: [(post, plan, 0, cell_of(plan, ANCHOR_SEED + turn, 0, resolved)) for turn in range(ANCHORS)]
        for prompt, (post, plan) in prompts.items()
    }
    base = public_name(resolved.base.model)
    there = drawn_cells(at, base, lora.sha256)
    every = [*wanted, *(one for cells in anchors.values() for one in cells)]
    yield from draw_cells(at, resolved, [one for one in every if (hash_of(one[0]), one[3]) not in there], lora, stop)
    found = drawn_cells(at, base, lora.sha256)
    places = {prompt: place for place, prompt in enumerate(anchors)}
    drawn = [Drawn(*one, found[hash_of(one[0]), one[3]], places[one[1].prompt]) for one in wanted if (hash_of(one[0]), one[3]) in found]
    theirs = [[found[hash_of(one[0]), one[3]] for one in cells if (hash_of(one[0]), one[3]) in found] for cells in anchors.values()]
    judged: Judged | None = None
    for event in ranking.judge(at, settings, drawn, theirs):
        if isinstance(event, Judged):
            judged = event
        else:
            stop_if(stop, "what is drawn is kept, and the same command goes on")
            yield event
    assert judged is not None, "judging ends with what was seen"
    folder = at.posts / "new" / project.fingerprint(project.sha256(wish.table), wish.count, base, lora.sha256, wish.seed)[:8]
    variants = ranking.variants(at, folder.name, drawn, judged, lora.sha256)
    for first in range(0, len(planned), POSTS_A_SHEET):
        part = planned[first : first + POSTS_A_SHEET]
        numbers = {post.number for post, _ in part}
        cells = [cell for post, _, _, cell in wanted if post.number in numbers]
        rows = []
        for post, plan in part:
            own = [one for one in variants if (one.post, one.account) == (post.id, post.account)]
            asked = plan.caption if lora.step else plan.prompt
            rows.append(
                (_shown(post), f"{_plan_told(plan, asked)}. {_order_told(own)}", {one.variant: at.folder / one.file for one in own})
            )
        title = f"Candidates for posts {first + 1} to {first + len(part)} of {wish.table.name}"
        sheet = sheets.posts_sheet(rows, cells, title=title, base=lora.told)
        yield gallery.write_sheet(folder / f"sheet-{first // POSTS_A_SHEET + 1:02d}.png", sheet, len(cells))
    project.write_lines(folder / "plans.jsonl", [plan for _, plan in planned])
    yield Told(judged.told)
    yield from ranking.write(folder, variants)
    yield Told(f"sheets, plans.jsonl and variants.csv in {folder}")


def _read(at: Project, wish: PostWish) -> list[Post]:
    known = reading.Known(reading.read_companies(at.posts / "companies.csv"), datetime.now(UTC))
    # A team's tables have the same columns week after week.
    before = table_of(at)
    posts = []
    for raw in tables.read(wish.table, wish.columns, earlier=before.columns if before is not None else None).rows:
        posts.append(reading.read(raw, known))
        if len(posts) > MAX_POSTS:
            raise DataError(f"{wish.table} has more than {MAX_POSTS} posts to draw.\nTake a part of it.")
    return posts


@dataclass(frozen=True)
class Worn:
    """What is put on the base: the file of the LoRA, its hash and its step; nothing for the base alone. told: what all that is called."""

    file: Path | None
    sha256: str
    step: int
    told: str


def drawn_with(at: Project, settings: Settings, choice: Choice, step: int | None) -> tuple[Resolved, Worn]:
    """With what pictures are drawn: the settings of the run, or the project's where there is none, and the LoRA."""
    if step == 0 or (step is None and not at.runs()):
        resolved = resolve(settings, 1)
        return resolved, Worn(None, "", 0, public_name(resolved.base.model))
    run, resolved, checkpoints = trained(at, settings, choice)
    checkpoint = chosen(run, checkpoints, step).checkpoint
    told = f"{public_name(resolved.base.model)}, {run.name} step {checkpoint.step}"
    return resolved, Worn(runs.verified(run, checkpoint), checkpoint.sha256, checkpoint.step, told)


def cell_of(plan: PromptPlan, seed: int, step: int, resolved: Resolved) -> Cell:
    """A picture of a plan, by the base alone where step is 0."""
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


def draw_cells(
    at: Project,
    resolved: Resolved,
    missing: Sequence[tuple[Post, PromptPlan, int, Cell]],
    lora: "Worn",
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
            worn = (named, tensors) if picture.cell.checkpoint else (None, None)
            info = grid.png_text(picture.cell, base=public_name(resolved.base.model), lora=worn[0], lora_sha256=worn[1])
            adapter = lora.sha256 if picture.cell.checkpoint else ""
            path = at.posts / "drawn" / f"{hash_of(post)[:12]}-{number}-{project.fingerprint(_told(picture.cell), adapter)[:8]}.png"
            project.write_bytes(path, gallery.to_png(Image.fromarray(picture.pixels), info))
            record = PostDrawing(
                post=hash_of(post),
                number=number,
                cell=picture.cell,
                base=public_name(resolved.base.model),
                adapter=adapter,
                file=path.relative_to(at.folder).as_posix(),
                sha256=project.sha256(path),
            )
            project.append(at.posts / "drawn.jsonl", record)
            yield record
            yield Progress("drawing", done, len(missing))
            stop_if(stop, f"{done} of {counted(len(missing), 'picture')} drawn, the same command draws the rest")


def drawn_cells(at: Project, base: str, adapter: str) -> dict[tuple[str, Cell], Path]:
    """The pictures that are drawn with the base or the adapter and undamaged, by post and cell."""
    found: dict[tuple[str, Cell], Path] = {}
    for one in project.read(at.posts / "drawn.jsonl", PostDrawing):
        path = at.folder / one.file
        is_ours = re.fullmatch(r"posts/drawn/[0-9a-f]+-\d+-[0-9a-f]+\.png", one.file) is not None
        is_same = (one.base, one.adapter) == (base, adapter if one.cell.checkpoint else "")
        if is_ours and is_same and path.is_file() and project.sha256(path) == one.sha256:
            found[one.post, one.cell] = path
    return found


def hash_of(post: Post) -> str:
    """Says whether a post was drawn before."""
    return project.fingerprint(post.original, post.account)


def _told(cell: Cell) -> str:
    return project.to_json(cell)


def _shown(post: Post) -> str:
    text = " ".join(part for part in (post.text, *(f"#{tag}" for tag in post.hashtags)) if part) or " ".join(post.emoji)
    return printable(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}...")


def _order_told(own: Sequence[PostVariant]) -> str:
    """Why the first is first, and why others are out."""
    # Where neither likes nor fit can be told, nothing is better than another.
    is_told = any(one.adds is not None or one.fit is not None for one in own)
    best = [f"1 {'is best' if is_told else 'stands first'}: {one.reason}" for one in own if one.standing == "best"]
    out = [(one.rank, one.reason.removeprefix("out: ").partition(" (")[0]) for one in own if one.standing == "out"]
    whys = dict.fromkeys(why for _, why in out)
    return ". ".join([*best, *(f"Out: {', '.join(str(rank) for rank, other in out if other == why)}, {why}" for why in whys)])


def _plan_told(plan: PromptPlan, asked: str) -> str:
    """asked: what the pictures were drawn from, with the keyword or without."""
    found = f"subject from {plan.evidence}" if plan.is_understood else "no word of it is known"
    parts = [plan.goal, plan.mood, found, f"by {plan.writer}", counted(plan.tokens, "token")]
    return f"{printable(asked)}  ({', '.join(part for part in parts if part)})"
