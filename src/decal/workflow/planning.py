"""From imported posts to what is drawn for each: plans, shard by shard, shared between processes."""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence

from decal import project
from decal.captions import Tokenizer
from decal.errors import ProjectError
from decal.events import Event, Progress, Stop, Told, stop_if
from decal.language import Client
from decal.posts import brands, plans, sides, words
from decal.posts.buckets import drawn_bucket
from decal.posts.exemplars import Exemplars
from decal.posts.shards import Stage
from decal.posts.writers import NO_EXEMPLARS, Grammar, Model, Seed, Writer
from decal.project import Project
from decal.records import Post, PostPlace, PostTable, PromptPlan, Shard
from decal.settings import Settings, resolve, resolve_describe
from decal.wording import counted, printable

# Raised whenever a plan would come out otherwise than before.
PLANNING = 4
SHOWN = 5
# Shards that are looked through for words that the rules do not know; more of them would name the same.
LISTED_SHARDS = 20


def plan_posts(at: Project, settings: Settings, stop: Stop) -> Iterator[Event]:
    """Turn every imported post into a PromptPlan; shards that are there, or that another process is making, are left alone.

    Raises ProjectError where nothing was imported, and LanguageError where the language model cannot be asked.
    """
    imported = rows_of(at)
    planner = planner_of(at, settings, settings.train.pivotal_words)
    stage = plans_of(at, settings)
    limit = planner.tokenizers[0].limit
    yield Told(
        f"{counted(sum(one.rows for one in imported), 'post')} of {at.folder}, prompts by {settings.posts.writer} for {limit} tokens"
    )

    def make(one: Shard) -> Iterator[Shard | Progress]:
        posts = Stage(at.posts / "rows", one.config_sha256).read(one.shard, Post)
        places = project.read(at.posts / "places" / f"{one.shard:05d}.jsonl", PostPlace)
        engagement = {place.number: place.engagement for place in places if place.engagement is not None}
        if settings.posts.buckets == "shuffled":
            engagement = {number: drawn_bucket(settings.posts.seed, number) for number in engagement}
        made = list(planner.plan(posts, engagement, stop))
        yield stage.write(one.shard, _input(at, one), made, plans.counts(posts, made, limit))

    found: Counter[str] = Counter()
    for done, shard in enumerate(shared(stage, imported, lambda one: _input(at, one), make, stop), start=1):
        if isinstance(shard, Shard):
            found.update(shard.counts)
            yield shard
        yield Progress("planning", done, len(imported))
    yield Told("\n".join(plans.told(found)))
    if not_understood := sum(count for name, count in found.items() if name.startswith(plans.NOTHING)):
        _list_unknown(at, stage, imported)
        yield Told(
            f"  a stand-in is planned for {counted(not_understood, 'post')}, and build leaves them out: write everyday English\n"
            f"  beside the words in {at.posts / 'words-unknown.csv'}, save it as words.csv there, and plan again;\n"
            '  or let a language model word the prompts (posts.writer = "llm")'
        )
    left = len(imported) - sum(stage.whole(one.shard, _input(at, one)) is not None for one in imported)
    if left:
        yield Told(
            f"{counted(left, 'shard')} of {len(imported)} under way in other processes; the same command shows all once they are done"
        )
    yield from (Told(line) for line in _examples(at, stage, imported[0]))
    if few := too_few_kept_out(at):
        yield Told(few)
    if settings.posts.makes_control:
        yield Told("buckets are drawn by lot: what is built and trained with them is a control, and nothing else")
    elif "engagement" in settings.posts.conditions:
        word = plans.openings(settings.train.pivotal_words)["high"]
        known = (
            "moved what a LoRA of the small base draws, on one invented audience"
            if word in settings.train.pivotal_words
            else "did not move what a LoRA draws (with tokens of their own they did: docs/posts.md, Bucket words)"
        )
        yield Told(
            f'captions begin with how a post did, such as "{word}"; in trials such words {known};\n'
            "train the control too before you trust them (docs/posts.md, The control), and order candidates by  decal posts learn"
        )


def planner_of(at: Project, settings: Settings, own_words: Container[str], did_well: Exemplars = NO_EXEMPLARS) -> plans.Planner:
    """What makes plans with these settings and the brand kit of the project.

    own_words: those that have tokens of their own. did_well: what did well before, for new posts.
    """
    describing, resolved = resolve_describe(settings), resolve(settings, 1)
    grammar = Grammar(settings.posts, describing.detail, brands.read(at.posts / "brands.csv"), did_well, words.read(at.posts / "words.csv"))
    writer: Writer = grammar
    if settings.posts.writer == "seed":
        writer = Seed(grammar)
    elif settings.posts.writer == "llm":
        writer = Model(Client(settings.language, at.cache), settings.language.api, grammar)
    frame = plans.Frame(
        keyword=settings.caption.keyword,
        template=settings.caption.template,
        prompt=describing.prompt,
        negative=settings.posts.negative,
        has_negative=resolved.compare.guidance > 1,
        openings=plans.openings(own_words) if "engagement" in settings.posts.conditions else {},
    )
    return plans.Planner(writer, grammar, frame, [Tokenizer.of_base(settings.base.model)])


def plans_of(at: Project, settings: Settings) -> Stage:
    """The stage of the plans, as they come out with these settings."""
    kits = [project.sha256(kit) if kit.is_file() else None for kit in (at.posts / "brands.csv", at.posts / "words.csv")]
    model = settings.language.model_dump(mode="json") if settings.posts.writer == "llm" else None
    posts = settings.posts.model_dump(mode="json", exclude={"aim", "crop", "target_high", "target_fit"})
    told = (settings.caption.keyword, settings.caption.template, resolve_describe(settings).model_dump(mode="json"), settings.base.model)
    own = sorted(set(plans.openings(settings.train.pivotal_words).values()) & set(settings.train.pivotal_words))
    guidance = resolve(settings, 1).compare.guidance > 1
    return Stage(at.posts / "plans", project.fingerprint(PLANNING, posts, told, guidance, model, *kits, *own))


def exemplars_of(at: Project, settings: Settings, posts: Iterable[Post]) -> Exemplars:
    """What did well before for the accounts of new posts, as far as their posts are planned."""
    found = Exemplars(frozenset(post.account.casefold() for post in posts if post.account))
    if not found.accounts or not (at.posts / "report.json").is_file():
        return found
    planned = plans_of(at, settings)
    for one in rows_of(at):
        if planned.whole(one.shard, _input(at, one)) is not None:
            rows = Stage(at.posts / "rows", "").read(one.shard, Post)
            places = Stage(at.posts / "places", "").read(one.shard, PostPlace)
            found.add(rows, places, planned.read(one.shard, PromptPlan))
    return found


def table_of(at: Project) -> PostTable | None:
    """What is known of the table that the posts come from; None where nothing was imported."""
    path = at.posts / "import.json"
    return PostTable.model_validate(project.read_json(path)) if path.is_file() else None


def too_few_kept_out(at: Project) -> str:
    """That too few posts are kept out for a report; "" where there are enough, or where an earlier Decal did not count them."""
    kept_out = project.read_json(at.posts / "report.json").get("reported")
    return sides.too_few(kept_out) if isinstance(kept_out, int) else ""


def rows_of(at: Project) -> list[Shard]:
    """The shards of imported posts. Raises ProjectError where there are none, or where the import is not done."""
    stage = Stage(at.posts / "rows", "")
    if not (at.posts / "report.json").is_file():
        raise ProjectError(
            f"{at.folder} holds no posts, or its import was stopped.\nImport a table with  decal posts import TABLE {at.folder}"
        )
    return [Shard.model_validate_json(stage.about(shard).read_bytes()) for shard in stage.there()]


def shared(
    stage: Stage,
    sources: Sequence[Shard],
    wanted: Callable[[Shard], str],
    make: Callable[[Shard], Iterable[Shard | Progress]],
    stop: Stop,
    *,
    again: Callable[[Shard], bool] = lambda _: False,
) -> Iterator[Shard | Progress]:
    """The shards of a stage that are whole or that this process makes; those that another process has in hand are left out.

    wanted: the hash of the input of each. again: whether a whole one is to be made once more. Raises StoppedError between two shards where
    `stop` says so.
    """
    for one in sources:
        there = stage.whole(one.shard, wanted(one))
        there = None if there is not None and again(there) else there
        if there is None:
            stop_if(stop, "whole shards are kept, and the same command goes on")
            with stage.claimed(one.shard) as is_ours:
                if is_ours:
                    there = stage.whole(one.shard, wanted(one))
                    if there is None or again(there):
                        yield from make(one)
                        continue
        if there is not None:
            yield there


def _input(at: Project, one: Shard) -> str:
    place = Shard.model_validate_json((at.posts / "places" / f"{one.shard:05d}.json").read_bytes())
    return project.fingerprint(one.sha256, place.sha256)


def _list_unknown(at: Project, stage: Stage, imported: Sequence[Shard]) -> None:
    """Write the commonest words of posts of which no word is known, to be given their English."""
    lost: Counter[str] = Counter()
    understood: Counter[str] = Counter()
    for one in imported[:LISTED_SHARDS]:
        if stage.whole(one.shard, _input(at, one)) is not None:
            plans_there = {plan.number: plan for plan in stage.read(one.shard, PromptPlan)}
            posts = Stage(at.posts / "rows", "").read(one.shard, Post)
            lost.update(words.told(post for post in posts if not plans_there[post.number].is_understood))
            # What emoji and topics stand for says nothing of the words.
            understood.update(words.told(post for post in posts if plans_there[post.number].evidence in ("text", "hashtag")))
    project.write_text(at.posts / "words-unknown.csv", words.unknown_csv(words.unknown(lost, understood)))


def _examples(at: Project, stage: Stage, one: Shard) -> Iterator[str]:
    """A few posts with what would be drawn for them."""
    if stage.whole(one.shard, _input(at, one)) is None:
        return
    posts = {post.number: post for post in Stage(at.posts / "rows", "").read(one.shard, Post)}
    for plan in [plan for plan in stage.read(one.shard, PromptPlan) if plan.status == "planned"][:SHOWN]:
        text = printable(" ".join(posts[plan.number].text.split()))
        yield f"  {plan.number:6}  {text[:100]}{'...' if len(text) > 100 else ''}\n          -> {printable(plan.prompt)}"
