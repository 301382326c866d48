"""What an audience likes: learnt from the posts that have pictures and likes, tested on others, and said with its intervals."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from decal import duplicates, pictures, project
from decal.errors import DataError, ProjectError
from decal.events import Event, Stop, Told, stop_if
from decal.pictures import Look, PictureError
from decal.posts.audience import Audience, Published
from decal.posts.engagement import MIN_ACCOUNTS, MIN_POSTS, SPLITS, Learnt, Ranker, learn
from decal.posts.observed import group_of
from decal.posts.shards import Stage
from decal.posts.sides import known_company
from decal.project import Project
from decal.records import EngagementFigure, EngagementReport, Post, PostPicture, PostPlace, Side
from decal.settings import Settings, resolve
from decal.viewing import Shown, Square, Viewer
from decal.wording import counted
from decal.workflow.planning import rows_of
from decal.workflow.published import likes_of, observed_of, variants_of

# Raised whenever the same posts would teach something else.
LEARNING = 7
# More would only take longer: what is left to say of a picture is less than what is uncertain of so many.
MAX_POSTS = 20_000
NAMES = ("posts/ranker.npz", "posts/ranker-half-1.npz", "posts/ranker-half-2.npz")


@dataclass(frozen=True)
class Liked:
    """Posts whose likes are known, the side of each, and where its picture lies.

    published: variants that were published, whose pictures stand behind those of the posts. kept_out: how many more are not learnt from,
    because their accounts are kept out, or are new and of a company with such accounts. came_back: posts left out because they are
    published variants, which would count twice.
    """

    posts: Sequence[Post]
    sides: Sequence[Side]
    published: Sequence[Published]
    shown: Sequence[Shown]
    kept_out: int
    came_back: int


def learn_posts(at: Project, settings: Settings, stop: Stop) -> Iterator[Event]:
    """Learn what the audience likes beyond who posts it, and say how surely; nothing where nothing changed since.

    Raises DataError where no post has both a picture and likes, and ProjectError where pictures were not looked for.
    """
    liked = _liked(at, settings)
    viewer = Viewer(at.cache, settings.compare.embedder, settings.train.device)
    told_of = [(post.number, post.likes, side) for post, side in zip(liked.posts, liked.sides, strict=True)]
    keys = [one.key for one in liked.shown]
    of_published = [(one.account, one.company, one.post, one.likes) for one in liked.published]
    wanted = project.fingerprint(LEARNING, viewer.id, told_of, keys, of_published)
    yield Told(f"{counted(len(liked.posts), 'post')} of {at.folder} with a picture and likes, seen by {settings.compare.embedder}")
    if liked.published or liked.kept_out:
        yield Told(
            f"{counted(len(liked.published), 'published variant')} more to learn from, held against others of the same post or account"
        )
    if liked.kept_out:
        yield Told(f"{liked.kept_out} of accounts that are kept out or new to a company of theirs, which are not learnt from")
    if liked.came_back:
        yield Told(f"{counted(liked.came_back, 'post')} left out that show published variants of the account, which count as those")
    before = engagement_of(at)
    if before is not None and before.made_of == wanted and all((at.folder / name).is_file() for name in NAMES):
        yield from (Told(line) for line in told(before))
        yield Told("nothing changed since this was learnt")
        return
    for event in viewer.fill(liked.shown):
        stop_if(stop, "what was seen is kept, and the same command goes on")
        yield event
    looks = viewer.looks(liked.shown)
    learnt = learn(Audience.of(liked.posts, liked.sides, looks, liked.published), viewer.id, wanted)
    if learnt is None:
        raise DataError(
            f"{at.folder} has {liked.sides.count('train')} posts with a picture and likes that may be trained on, and it takes "
            f"{2 * MIN_POSTS} to learn from, {MIN_ACCOUNTS} accounts of {MIN_POSTS} each to claim anything.\n"
            "Import more posts, or get their pictures with  decal posts media"
        )
    _write(at, learnt)
    yield from (Told(line) for line in told(learnt.report))
    if (observed := observed_of(at)) is not None:
        yield from (Told(line) for line in observed.lines())
    yield Told(f"written to {at.posts / 'engagement.json'}")


def engagement_of(at: Project) -> EngagementReport | None:
    """What was learnt last; None where nothing was."""
    path = at.posts / "engagement.json"
    return EngagementReport.model_validate(project.read_json(path)) if path.is_file() else None


def rankers_of(at: Project) -> list[Ranker]:
    """The ranker, and those of two halves of the accounts; none where nothing was learnt, or a file is damaged."""
    paths = [at.folder / name for name in NAMES]
    found = [Ranker.from_bytes(path.read_bytes()) for path in paths if path.is_file()]
    return [one for one in found if one is not None] if len(found) == len(NAMES) and None not in found else []


def looked_at(settings: Settings) -> Square:
    """How pictures of posts are looked at: the middle, as large as what is drawn."""
    resolved = resolve(settings, 1)
    return Square(resolved.data.resolution, "crop", resolved.data.ground)


def told(report: EngagementReport) -> Iterator[str]:
    """The figures as a table, each predictor beside the two that know nothing of a post."""
    by = {(one.split, one.predictor, one.measure): one for one in report.figures}
    for split in SPLITS:
        here = [one for one in report.figures if one.split == split]
        if not here:
            continue
        yield f"{split}: {counted(here[0].posts, 'post')} of {counted(here[0].accounts, 'account')}"
        yield f"  {'':16}  {'order within the account':24}  {'R2 of log likes':22}  beyond the account's mean"
        for name in dict.fromkeys(one.predictor for one in here):
            cells = [_cell(by.get((split, name, measure))) for measure in ("spearman", "r2", "gain")]
            yield f"  {name:16}  {cells[0]:24}  {cells[1]:22}  {cells[2]}".rstrip()
    yield report.reason


def _cell(figure: EngagementFigure | None) -> str:
    if figure is None or figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{_rounded(figure.value)} (few accounts)"
    return f"{_rounded(figure.value)} ({_rounded(figure.low)} to {_rounded(figure.high)})"


def _rounded(value: float) -> str:
    """With two digits, and without a sign before nothing."""
    return f"{round(value, 2) + 0.0:.2f}"


def _write(at: Project, learnt: Learnt) -> None:
    for name, ranker in zip(NAMES, (learnt.ranker, *learnt.halves), strict=True):
        project.write_bytes(at.folder / name, ranker.to_bytes())
    project.write_text(at.posts / "engagement.json", project.to_json(learnt.report) + "\n")


def _liked(at: Project, settings: Settings) -> Liked:
    """The posts with a picture and likes, of very many an even part. Raises DataError where there are none."""
    square = looked_at(settings)
    found: list[tuple[Post, Side, Shown]] = []
    known: set[str] = set()
    out: set[str] = set()
    companies_out: set[str] = set()
    for shard in rows_of(at):
        if not Stage(at.posts / "pictures", "").about(shard.shard).is_file():
            raise ProjectError(f"{at.folder} has no pictures of its posts yet.\nCall  decal posts media {at.folder}  first.")
        places = {place.number: place.side for place in Stage(at.posts / "places", "").read(shard.shard, PostPlace)}
        there = {one.number: one for one in Stage(at.posts / "pictures", "").read(shard.shard, PostPicture) if one.status == "there"}
        for post in Stage(at.posts / "rows", "").read(shard.shard, Post):
            known.add(post.account.casefold())
            if places[post.number] == "unseen account":
                out.add(post.account.casefold())
                companies_out.add(known_company(post))
            if post.status == "kept" and post.likes is not None and post.account and (picture := there.get(post.number)) is not None:
                found.append((post, places[post.number], Shown(at.posts / "files" / picture.file, picture.sha256, square)))
    if not found:
        raise DataError(f"No post of {at.folder} has both a picture and likes.\nCall  decal posts media {at.folder}  first.")
    published, shown = _published(at, square)
    # A new account has no side of its own, and may share campaigns with one that is kept out.
    observed = len(published)
    learnt = [
        place
        for place, one in enumerate(published)
        if one.account not in out and (one.account in known or not one.company or one.company not in companies_out)
    ]
    published, shown = [published[place] for place in learnt], [shown[place] for place in learnt]
    again = _came_back(found, published, shown)
    found = [one for one in found if one[0].number not in again]
    if len(found) > MAX_POSTS:
        found = sorted(found, key=lambda one: hashlib.sha256(f"{one[0].id} {one[0].number}".encode()).digest())[:MAX_POSTS]
        found.sort(key=lambda one: one[0].number)
    return Liked(
        [post for post, _, _ in found],
        [side for _, side, _ in found],
        published,
        [*(own for *_, own in found), *shown],
        observed - len(published),
        len(again),
    )


def _came_back(posts: Sequence[tuple[Post, Side, Shown]], published: Sequence[Published], shown: Sequence[Shown]) -> set[int]:
    """The numbers of posts that are variants which were published: the picture of one, posted by its account, perhaps saved anew."""
    own: dict[str, dict[str, Look]] = {}
    for one, picture in zip(published, shown, strict=True):
        own.setdefault(one.account, {}).update(_look(picture.path))
    theirs: dict[str, dict[str, Look]] = {}
    numbers: dict[tuple[str, str], list[int]] = {}
    for post, _, picture in posts:
        account = post.account.casefold()
        if account in own:
            theirs.setdefault(account, {}).update(_look(picture.path))
            # Accounts that post the same bytes share a file.
            numbers.setdefault((account, str(picture.path)), []).append(post.number)
    close_up = duplicates.close_ups(Path())
    return {
        number
        for account, looks in theirs.items()
        for file in duplicates.copies(own[account], looks, close_up)
        for number in numbers[account, file]
    }


def _look(path: Path) -> dict[str, Look]:
    """What a picture looks like, by its path; nothing where it cannot be read."""
    try:
        return {str(path): pictures.look(path)}
    except PictureError:
        return {}


def _published(at: Project, square: Square) -> tuple[list[Published], list[Shown]]:
    """The variants whose likes are known, and where the picture of each lies."""
    likes = {one.variant: one.likes for one in likes_of(at)}
    found, shown = [], []
    for one in variants_of(at):
        count, path = likes.get(one.variant), at.folder / one.file
        if count is not None and path.is_file():
            account, post = group_of(one)
            found.append(Published(account, one.company, post, count))
            shown.append(Shown(path, one.sha256, square))
    return found, shown
