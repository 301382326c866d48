"""What pictures for posts reach: kept-out posts drawn in every way, judged, held against the declared targets, and written as a page."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from decal import project, report
from decal.errors import DataError, SettingsError
from decal.events import Event, Stop, Told, stop_if
from decal.posts import appraisal
from decal.posts.appraisal import Way
from decal.posts.engagement import Ranker
from decal.posts.plans import Planner
from decal.posts.selection import fits
from decal.posts.shards import Stage
from decal.posts.sides import too_few
from decal.presets import public_name
from decal.project import Project
from decal.records import Appraisal, AppraisedPost, Cell, Engagement, Post, PostPlace, PromptPlan, Record
from decal.scores.looks import Looks
from decal.settings import Resolved, Settings
from decal.viewing import Shown, Viewer
from decal.wording import counted, printable
from decal.workflow.answering import ANCHOR_SEED, ANCHORS, SEEDS_A_POST, Worn, cell_of, draw_cells, drawn_cells, drawn_with, hash_of
from decal.workflow.choice import Choice
from decal.workflow.learning import engagement_of, rankers_of
from decal.workflow.planning import exemplars_of, planner_of, rows_of
from decal.workflow.published import observed_of

# Raised whenever the same pictures would be judged otherwise.
APPRAISING = 3
SHOWN_POSTS = 8
ROOM = 20


@dataclass(frozen=True)
class Report:
    """What is reported on. posts: kept-out ones to draw for. count: candidates of each way. control: a run with shuffled buckets."""

    posts: int
    count: int
    step: int | None
    control: str | None


@dataclass(frozen=True)
class _Wanted:
    """A picture to judge: the way, the place of the post, and what is drawn."""

    way: str
    place: int
    drawing: tuple[Post, PromptPlan, int, Cell]


def report_posts(at: Project, settings: Settings, choice: Choice, wish: Report, stop: Stop) -> Iterator[Event]:
    """Draw kept-out posts in every way, say what is reached, missed and cannot be told, and write `posts/report.html`.

    Raises DataError where too few posts were kept out, SettingsError where the control is none, and StoppedError where `stop` says so.
    """
    posts = _kept_out(at, wish.posts)
    if wish.control is not None and choice.name is None:
        # The control is trained after what it is held against, so it is the newest as a rule.
        others = [run.name for run in at.runs() if run.name != wish.control and not run.is_control]
        choice = Choice(others[-1] if others else wish.control)
    resolved, worn = drawn_with(at, settings, choice, wish.step)
    lacks = [] if worn.step else ["no checkpoint, so only the base is drawn with"]
    aims: dict[int, Engagement] = {post.number: settings.posts.aim for post in posts} if worn.step else {}
    planner = planner_of(at, settings, resolved.train.pivotal_words, exemplars_of(at, settings, posts))
    plans = list(planner.plan(posts, aims, stop, is_training=False))
    if lost := [post for post, plan in zip(posts, plans, strict=True) if not plan.is_understood]:
        # A stand-in is easily drawn, and would pass for a picture that fits its post.
        yield Told(f"{counted(len(lost), 'kept-out post')} of which no word is known left out (posts/words.csv)")
        posts, plans = [post for post in posts if post not in lost], [plan for plan in plans if plan.is_understood]
        if few := too_few(len(posts)):
            raise DataError(
                f"{at.folder}: of these, {few}.\nWrite words of theirs into {at.posts / 'words.csv'}, or draw for more with --posts."
            )
    wanted = _ways(posts, plans, planner, worn, wish.count, resolved)
    control = _control(at, settings, choice, worn, wish)
    if control is not None:
        wanted += [
            _Wanted("control", one.place, (*one.drawing[:3], one.drawing[3].model_copy(update={"checkpoint": control.step})))
            for one in wanted
            if one.way == "both"
        ]
    prompts = {plan.prompt: (post, plan) for post, plan in zip(posts, plans, strict=True)}
    turns = [ANCHOR_SEED + turn for turn in range(ANCHORS)]
    anchors = [(post, plan, 0, cell_of(plan, seed, 0, resolved)) for post, plan in prompts.values() for seed in turns]
    told = ", ".join(dict.fromkeys(one.way for one in wanted))
    yield Told(f"{counted(len(posts), 'kept-out post')}, {counted(wish.count, 'candidate')} of each in these ways: {told}; {worn.told}")
    yield from _told_of_control(at, str(choice.name), worn, wish, control)
    base = public_name(resolved.base.model)
    files: list[Path] = []
    theirs: list[Path] = []
    for group, lora in ((("none", "prompt", "LoRA", "both"), worn), (("control",), control)):
        if lora is not None:
            own = [one.drawing for one in wanted if one.way in group]
            own += anchors if lora is worn else []
            there = drawn_cells(at, base, lora.sha256)
            yield from draw_cells(at, resolved, [one for one in own if (hash_of(one[0]), one[3]) not in there], lora, stop)
            there = drawn_cells(at, base, lora.sha256)
            files += [there[hash_of(one.drawing[0]), one.drawing[3]] for one in wanted if one.way in group]
            theirs += [there[hash_of(one[0]), one[3]] for one in anchors] if lora is worn else []
    viewer = Viewer(at.cache, settings.compare.embedder, settings.train.device)
    shown = [Shown(path, project.sha256(path)) for path in (*files, *theirs)]
    learnt, rankers = engagement_of(at), rankers_of(at)
    is_told = learnt is not None and learnt.is_told and len(rankers) == 3 and learnt.embedder == viewer.id
    reason = "nothing was learnt of the audience (decal posts learn)" if learnt is None else learnt.reason
    if learnt is not None and learnt.embedder != viewer.id:
        reason = "the audience was learnt with another compare.embedder (decal posts learn)"
    goals = {"high": settings.posts.target_high, "fit": settings.posts.target_fit}
    made_of = project.fingerprint(
        APPRAISING, [one.key for one in shown], [one.way for one in wanted], goals, learnt.made_of if learnt else "", str(observed_of(at))
    )
    before = appraisal_of(at)
    if before is None or before.made_of != made_of or not (at.posts / "report.html").is_file():
        for event in viewer.fill(shown):
            stop_if(stop, "what is drawn is kept, and the same command goes on")
            yield event
        looks = viewer.looks(shown)
        found = _judged(wanted, looks, len(files), list(prompts), plans, rankers)
        last = found["both" if worn.step else "prompt"]
        before = Appraisal(
            posts=len(posts),
            candidates=wish.count,
            drawn_with=worn.told,
            is_told=is_told,
            reason="; ".join([reason.removesuffix("."), *lacks]),
            targets=appraisal.targets(last, goals, is_told=is_told, reason=reason),
            ways=appraisal.ways(found, is_told=is_told),
            differences=appraisal.differences(found, is_told=is_told),
            shown=_shown(at, posts, plans, wanted, files, found),
            made_of=made_of,
        )
        project.write_text(at.posts / "appraisal.json", project.to_json(before) + "\n")
        project.write_text(at.posts / "report.html", report.posts_page(at, before, learnt, observed_of(at)))
    yield from (Told(line) for line in _lines(before))
    yield Told(f"page: {at.posts / 'report.html'}")


def appraisal_of(at: Project) -> Appraisal | None:
    """What was found last; None where nothing was, or by an earlier Decal."""
    path = at.posts / "appraisal.json"
    return Appraisal.model_validate(project.read_json(path)) if path.is_file() else None


def _kept_out(at: Project, count: int) -> list[Post]:
    """So many of the posts that are kept out of training, spread evenly by their hash."""
    found = []
    for one in rows_of(at):
        sides = {place.number: place.side for place in Stage(at.posts / "places", "").read(one.shard, PostPlace)}
        for post in Stage(at.posts / "rows", "").read(one.shard, Post):
            if post.status == "kept" and sides[post.number].startswith("unseen"):
                found.append(post)
    if few := too_few(len(found)):
        raise DataError(f"{at.folder}: {few}.\nImport a table with more posts into a project of its own.")
    found.sort(key=lambda post: hashlib.sha256(f"{post.id} {post.number}".encode()).digest())
    return sorted(islice(found, count), key=lambda post: post.number)


def _ways(
    posts: Sequence[Post], plans: Sequence[PromptPlan], planner: Planner, worn: Worn, count: int, resolved: Resolved
) -> list[_Wanted]:
    """What is drawn in each way; the same seeds in all of them."""
    wanted = []
    for place, (post, plan) in enumerate(zip(posts, plans, strict=True)):
        words = " ".join(post.text.split()) or plan.subject
        # Room for the template around it; the encoder would cut the rest silently.
        text = words.removesuffix(planner.tokenizers[0].cut(words, planner.tokenizers[0].limit - ROOM)).strip()
        plain = plan.model_copy(update={"prompt": planner.frame.draws(text), "caption": planner.frame.caption(text)})
        for way, asked, step in (("none", plain, 0), ("prompt", plan, 0), ("LoRA", plain, worn.step), ("both", plan, worn.step)):
            if step or way in ("none", "prompt"):
                for number in range(1, count + 1):
                    cell = cell_of(asked, SEEDS_A_POST * place + number, step, resolved)
                    wanted.append(_Wanted(way, place, (post, asked, number, cell)))
    return wanted


def _told_of_control(at: Project, run: str, worn: Worn, wish: Report, control: Worn | None) -> Iterator[Told]:
    """What is said where the control was trained for another number of steps than the run, or one is there and not named."""
    controls = [one.name for one in at.runs() if one.is_control]
    if control is None and worn.step and controls and run not in controls:
        yield Told(f"  {controls[-1]} is a control; --control {controls[-1]} holds these pictures against its own")
    if control is not None and control.step != worn.step:
        yield Told(f"{wish.control} is drawn at step {control.step} and {run} at step {worn.step}; what differs may come of that")


def _control(at: Project, settings: Settings, choice: Choice, worn: Worn, wish: Report) -> Worn | None:
    """The LoRA of the control run; None where none is named. Raises SettingsError where it is none."""
    if wish.control is None:
        return None
    if "engagement" not in settings.posts.conditions:
        raise SettingsError(
            f"posts.conditions of {at.folder} names no engagement, so nothing would be drawn with the word that a control is about.\n"
            'Write  conditions = ["brand", "engagement"]  under [posts] in decal.toml, or pass the --set that it was trained with.'
        )
    if not worn.step or choice.name == wish.control:
        raise SettingsError(
            f"{wish.control} is what is reported on, and cannot be its own control.\nName another run after --control or --run."
        )
    _, control = drawn_with(at, settings, Choice(wish.control), None)
    real, shuffled = ({one.file: one for one in project.read(at.run(name).dataset, Record)} for name in (str(choice.name), wish.control))
    is_same = {file: one.sha256 for file, one in real.items()} == {file: one.sha256 for file, one in shuffled.items()}
    if not is_same or all(real[file].captions == one.captions for file, one in shuffled.items()):
        why = "the same captions" if is_same else "other pictures"
        raise SettingsError(
            f"{wish.control} was trained on {why} and is no control: it takes the same pictures with buckets by lot.\n"
            f"Call  decal posts plan, build  with  --set posts.buckets=shuffled, and  decal train {at.folder} --new-run"
        )
    return control


def _judged(
    wanted: Sequence[_Wanted], looks: Looks, files: int, prompts: Sequence[str], plans: Sequence[PromptPlan], rankers: Sequence[Ranker]
) -> Mapping[str, Way]:
    """What was seen, by way. The anchors stand behind the candidates."""
    base = looks.content[files:].reshape(len(prompts), ANCHORS, -1).mean(axis=1)
    base = base / np.maximum(np.linalg.norm(base, axis=1, keepdims=True), 1e-9)
    own = looks.rows(slice(0, files))
    fit = fits(own.content, [prompts.index(plans[one.place].prompt) for one in wanted], base)
    nothing = np.full(files, np.nan)
    scores = [ranker.scores(own) for ranker in rankers] if len(rankers) == 3 else [nothing] * 3
    high = (rankers[1].high, rankers[2].high) if len(rankers) == 3 else (np.inf, np.inf)
    found = {}
    for way in dict.fromkeys(one.way for one in wanted):
        rows = np.array([place for place, one in enumerate(wanted) if one.way == way])
        shape = (len(plans), -1)
        halves = (scores[1][rows].reshape(shape), scores[2][rows].reshape(shape))
        found[way] = Way(fit[rows].reshape(shape), scores[0][rows].reshape(shape), halves, high)
    return found


def _shown(
    at: Project,
    posts: Sequence[Post],
    plans: Sequence[PromptPlan],
    wanted: Sequence[_Wanted],
    files: Sequence[Path],
    found: Mapping[str, Way],
) -> tuple[AppraisedPost, ...]:
    """The first posts with what is chosen for each in every way."""
    by = {(one.way, one.place, one.drawing[2]): path for one, path in zip(wanted, files, strict=True)}
    chosen = {way: judged.chosen()[0] for way, judged in found.items()}
    return tuple(
        AppraisedPost(
            post=post.id,
            text=post.text,
            prompt=plan.caption if "both" in found else plan.prompt,
            files={way: by[way, place, int(chosen[way][place]) + 1].relative_to(at.folder).as_posix() for way in found},
        )
        for place, (post, plan) in islice(enumerate(zip(posts, plans, strict=True)), SHOWN_POSTS)
    )


def _lines(found: Appraisal) -> Iterator[str]:
    for target in found.targets:
        value = "" if target.value is None else f"{target.value:.0%} ({target.low:.0%} to {target.high:.0%}), "
        yield f"target {target.name} {target.wanted:.0%}: {target.outcome}; {value}{target.reason.removeprefix('Cannot be told: ')}"
    for one in found.differences:
        value = "not measured" if one.value is None else f"{one.value:+.2f} ({one.low:+.2f} to {one.high:+.2f})"
        yield f"  {one.name:34} {one.measure:5} {value:28} {one.outcome}"
    if not found.is_told:
        yield printable(found.reason)
