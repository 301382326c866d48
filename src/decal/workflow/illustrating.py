"""Pictures for posts: those that posts had, as a data set, and new ones, drawn from plans."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from decal import grid, project
from decal.errors import DataError, ProjectError
from decal.events import Event, Progress, Stop, Told
from decal.posts import imagefolders, pictures
from decal.posts.downloads import Downloader
from decal.posts.plans import openings
from decal.posts.shards import Stage
from decal.project import Project
from decal.records import Post, PostPicture, PostPlace, PostRow, PromptPlan, Shard, Source
from decal.settings import Settings
from decal.wording import counted
from decal.workflow.planning import plans_of, rows_of, shared, too_few_kept_out

# Raised whenever a data set would come out otherwise than before.
BUILDING = 2
GRID_PROMPTS, COMPARE_PROMPTS = 10, 8


def get_pictures(at: Project, folder: Path | None, downloader: Downloader, stop: Stop) -> Iterator[Event]:
    """Take the pictures of the posts from a folder, or download them where there is none; those that are there are left alone.

    Raises SettingsError where the folder is not there, DataError where it has no pictures; nothing that a host does ends the work.
    """
    imported = rows_of(at)
    files = pictures.Files(at.posts / "files")
    given = None if folder is None else pictures.Folder.of(folder)
    # Files may be added to a folder at any time, so what was not there is looked for again; so is what failed.
    stage = Stage(
        at.posts / "pictures", project.fingerprint("folder", str(folder.resolve())) if folder else project.fingerprint("download")
    )
    where = f"from {folder}" if folder else "from their addresses, with a pause at each host"
    yield Told(f"pictures of {counted(sum(one.rows for one in imported), 'post')}, {where}")

    def make(one: Shard) -> Iterator[Shard | Progress]:
        posts = Stage(at.posts / "rows", "").read(one.shard, Post)
        # Whoever has a part in a folder downloads the rest.
        there = stage.earlier(one.shard, one.sha256, PostPicture)
        found = [picture for picture in there if picture.status == "there" and (files.folder / picture.file).is_file()]
        posts = [post for post in posts if post.number not in {picture.number for picture in found}]
        asked = pictures.downloaded(posts, downloader, files, stop) if given is None else pictures.from_folder(posts, given, files)
        for picture in asked:
            found.append(picture)
            if len(found) % 100 == 0:
                yield Progress(f"getting pictures, shard {one.shard + 1} of {len(imported)}", len(found), len(posts))
        counts = Counter(picture.status for picture in found) + Counter(
            f"{picture.status}: {picture.reason}" for picture in found if picture.reason
        )
        found.sort(key=lambda picture: picture.number)
        yield stage.write(one.shard, one.sha256, found, counts)

    def again(shard: Shard) -> bool:
        return shard.counts.get("failed", 0) > 0 or (given is not None and shard.counts.get("gone", 0) > 0)

    found: Counter[str] = Counter()
    rows = asked = 0
    size = {one.shard: one.rows for one in imported}
    for event in shared(stage, imported, lambda one: one.sha256, make, stop, again=again):
        yield event
        if isinstance(event, Shard):
            found.update(event.counts)
            rows, asked = rows + size[event.shard], asked + event.rows
    yield Told(_pictures_told(found, rows - asked))


def build_posts(at: Project, settings: Settings, stop: Stop) -> Iterator[Event]:
    """Put the pictures of posts with their captions into `dataset/`; several processes may share the shards.

    Raises ProjectError where plans or pictures are missing, or where somebody edited the metadata since, and DataError where nothing is
    left.
    """
    imported = rows_of(at)
    planned, stage = (
        plans_of(at, settings),
        Stage(at.posts / "built", project.fingerprint(BUILDING, settings.posts.crop, settings.data.ground)),
    )
    inputs = {one.shard: _build_input(at, one, planned) for one in imported}

    def make(one: Shard) -> Iterator[Shard | Progress]:
        posts = Stage(at.posts / "rows", "").read(one.shard, Post)
        plans = {plan.number: plan for plan in planned.read(one.shard, PromptPlan)}
        places = {place.number: place for place in Stage(at.posts / "places", "").read(one.shard, PostPlace)}
        found = {picture.number: picture for picture in Stage(at.posts / "pictures", "").read(one.shard, PostPicture)}
        kept, counts = imagefolders.rows(one.shard, posts, plans, places, found)
        engagement = {number: place.engagement for number, place in places.items()}
        how = imagefolders.Building(engagement, settings.posts.crop == "social", settings.data.ground)
        written = imagefolders.fill(at.dataset, one.shard, kept, at.posts / "files", how)
        yield stage.write(one.shard, inputs[one.shard], written, counts)

    whole: list[Shard] = []
    for event in shared(stage, imported, lambda one: inputs[one.shard], make, stop):
        if isinstance(event, Shard):
            whole.append(event)
            yield event
            yield Progress("building", len(whole), len(imported))
    counts = sum((Counter(shard.counts) for shard in whole), Counter[str]())
    for name, count in counts.most_common(12):
        yield Told(f"  {count:>9,}  {name}")
    if len(whole) < len(imported):
        yield Told(
            f"{counted(len(imported) - len(whole), 'shard')} under way in other processes; the same command finishes once they are done"
        )
        return
    if not counts["in the data set"]:
        raise DataError(f"No post of {at.folder} has both a prompt and a picture, so there is no data set.\nSee the counts above.")
    yield from _assemble(at, settings, stage, whole, counts)


def _assemble(at: Project, settings: Settings, stage: Stage, whole: Sequence[Shard], counts: Counter[str]) -> Iterator[Event]:
    """Write `metadata.jsonl`, the datasheet and the prompts over all shards, unless they are there."""
    with project.lock(at.folder / "metadata", "building the data set"):
        is_control = settings.posts.makes_control
        done, wanted = at.built, project.fingerprint(*(shard.sha256 for shard in whole), *(["control"] if is_control else []))
        path = at.dataset / "metadata.jsonl"
        before = project.read_json(done) if done.exists() else {}
        if before.get("input") == wanted and path.is_file():
            yield Told(f"{counted(counts['in the data set'], 'picture')} in {at.dataset}, all there already")
            return
        if path.is_file() and before.get("metadata") != project.sha256(path):
            raise ProjectError(
                f"{path} was changed since it was built, so it is left alone.\nMove it away, and call again to have it written anew."
            )
        rows = [row for shard in whole for row in stage.read(shard.shard, PostRow)]
        captions = [row.caption for row in rows]
        project.write_bytes(path, imagefolders.metadata(rows, settings.train.pivotal_words))
        told = {
            "prompts": settings.posts.writer,
            "caption": settings.caption.template,
            "base": settings.base.model,
            "kept out": "whole accounts, the latest posts, and near repeats of both",
        } | ({"engagement words": "by lot, so that what is trained with them is a control"} if is_control else {})
        project.write_text(at.dataset / "README.md", imagefolders.datasheet(at.folder.name, counts, rows, told))
        project.write_lines(at.sources, [Source(kind="posts", where=_table_of(at), revision=None, licence=None, pictures=len(rows))])
        # How posts did says nothing of what is in a picture, so no prompt is new by such a word.
        own = settings.train.pivotal_words
        ignored = [settings.caption.keyword, *settings.caption.kind_words, *openings(own).values(), *own]
        fresh = imagefolders.new_prompts(captions, _kept_out(at, settings), ignored, GRID_PROMPTS + COMPARE_PROMPTS)
        few = min(COMPARE_PROMPTS, len(fresh) // 2)
        filled = 0
        for prompts, count, file in ((fresh[:few], COMPARE_PROMPTS, at.compare_prompts), (fresh[few:], GRID_PROMPTS, at.prompts)):
            if not file.exists():
                frame = settings.caption
                others = grid.propose(captions, frame.keyword, frame.template, max(0, count - len(prompts)), [*ignored, *fresh])
                filled += len(others)
                fresh += others
                project.write_text(file, "\n".join([*prompts, *grid.saying(others, list(own), captions)]) + "\n")
        about = {"input": wanted, "is_control": is_control, "metadata": project.sha256(path)}
        project.write_text(done, project.to_json_object(about) + "\n")
    of_control = "; buckets by lot, so what is trained on it is a control" if is_control else ""
    yield Told(f"{counted(len(rows), 'picture')} in {at.dataset}, with metadata.jsonl and README.md{of_control}")
    if filled:
        yield Told(
            f"  too few posts are kept out to make all prompts of them, so {filled} in {at.prompts.name} and {at.compare_prompts.name}\n"
            "  are about other everyday things"
        )
    if few_told := too_few_kept_out(at):
        yield Told(f"  {few_told}")


def _kept_out(at: Project, settings: Settings) -> Iterator[str]:
    """Captions of the posts that are not trained on, shard by shard."""
    planned = plans_of(at, settings)
    for shard in rows_of(at):
        places = Stage(at.posts / "places", "").read(shard.shard, PostPlace)
        sides = {place.number: place.side for place in places}
        for plan in planned.read(shard.shard, PromptPlan):
            if plan.status == "planned" and plan.is_understood and sides[plan.number].startswith("unseen"):
                yield plan.caption


def _build_input(at: Project, one: Shard, planned: Stage) -> str:
    """The hash of all that a shard of the data set is made from. Raises ProjectError where its plans or pictures are not there."""
    hashes = [one.sha256]
    pictures, places = Stage(at.posts / "pictures", ""), Stage(at.posts / "places", "")
    for stage, command, missing in ((planned, "plan", "plans"), (pictures, "media", "pictures"), (places, "import", "posts")):
        about = stage.about(one.shard)
        if not about.is_file():
            raise ProjectError(
                f"{at.folder} has no {missing} for its part {one.shard} yet.\nCall  decal posts {command} {at.folder}  first."
            )
        shard = Shard.model_validate_json(about.read_bytes())
        if command == "plan" and shard.config_sha256 != planned.config_sha256:
            raise ProjectError(f"The plans of {at.folder} were made with other settings.\nCall  decal posts plan {at.folder}  first.")
        hashes.append(shard.sha256)
    return project.fingerprint(*hashes)


def _table_of(at: Project) -> str:
    return str(project.read_json(at.posts / "import.json").get("where", ""))


def _pictures_told(found: Counter[str], without: int) -> str:
    """without: posts that name no picture, and of which there is none by their id."""
    lines = [f"{found['there']:,} there, " + ", ".join(f"{found[name]:,} {name}" for name in ("gone", "noai", "refused", "failed"))]
    lines[0] += f"; {counted(without, 'post')} without one" if without else ""
    lines += [f"  {count:>9,}  {name}" for name, count in found.most_common() if ": " in name][:8]
    if found["failed"]:
        lines.append("  what failed is asked for again by the same command")
    return "\n".join(lines)
