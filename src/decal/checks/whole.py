"""Checks of the set as a whole: how many pictures for how much training, the keyword, and where the pictures come from."""

from collections.abc import Iterator, Sequence

from decal.captions import Tokenizer
from decal.checks.saying import finding, short
from decal.dataset import METADATA, MIN_PICTURES_FOR_HOLDOUT
from decal.metadata import Row
from decal.presets import base_preset
from decal.records import Finding, Source
from decal.settings import Settings
from decal.wording import counted

# The presets show each of 20 to 50 pictures 50 to 400 times; 833 pictures were shown 18 times in diffusers' own example.
FEWEST_TIMES = 8
MOST_TIMES = 600
MOST_KEYWORD_TOKENS = 5


def set_size(files: Sequence[str], settings: Settings) -> Iterator[Finding]:
    """What is wrong with the set as a whole: too few pictures, no keyword."""
    if not files:
        remedy = (
            f"Put pictures into dataset/ with a line each in {METADATA}, begin with  decal new FOLDER --from PICTURES, "
            "or have some made from descriptions:  decal describe"
        )
        yield finding("error", "no_pictures", None, "there are no pictures", remedy)
        return
    if len(files) == 1:
        reason = "there is one picture; the model will copy it instead of learning a style"
        yield finding("warning", "one_picture", None, reason, "Add pictures; 20 to 50 are a good set.")
    if len(files) < MIN_PICTURES_FOR_HOLDOUT and settings.data.holdout_share > 0:
        reason = f"fewer than {MIN_PICTURES_FOR_HOLDOUT} pictures ({len(files)}), so none is held out and no hold-out loss is measured"
        yield finding("note", "no_holdout", None, reason, "Add pictures, or set data.holdout_share = 0 to say that this is meant.")
    if not settings.caption.keyword.strip():
        reason = "caption.keyword is not set, so no word calls the style and captions are not checked for it"
        yield finding("note", "keyword_not_set", None, reason, "Set caption.keyword to a word that means nothing yet.")


def shown(count: int, settings: Settings) -> Iterator[Finding]:
    """Whether each of so many pictures is shown often enough to be learned, and not so often that it is copied."""
    preset, train = base_preset(settings.base.model), settings.train
    pictures_a_step = (train.batch or preset.batch) * train.accumulation
    if count < 2:
        return
    learnt = count - (round(settings.data.holdout_share * count) if count >= MIN_PICTURES_FOR_HOLDOUT else 0)
    times = train.epochs or (train.steps or preset.steps) * pictures_a_step / learnt
    often = f"about {times:,.0f} times" if times >= 1.5 else "about once" if times >= 1 else "less than once"
    said = f"{count:,} pictures, each shown {often} in training"
    if times < FEWEST_TIMES:
        enough = -(-20 * learnt // pictures_a_step)
        yield finding("warning", "shown_rarely", None, f"{said}: too rarely to be learned", f"Set train.steps = {enough} or more.")
    elif times > MOST_TIMES:
        enough = max(1, 200 * learnt // pictures_a_step)
        reason = f"{said}: they will be copied rather than learned"
        yield finding("warning", "shown_often", None, reason, f"Add pictures, or set train.steps = {enough} or fewer.")


def keyword(settings: Settings, tokenizer: Tokenizer) -> Iterator[Finding]:
    """A keyword that is a word of its own for the base, or that takes many tokens of every caption."""
    word = settings.caption.keyword.strip()
    if not word:
        return
    pieces = tokenizer.split(word)
    if len(pieces) == 1:
        reason = f"the keyword {word} is one token, a word that the base was taught; its meaning will mix with your style"
        remedy = "Take one that means nothing yet, such as two syllables; decal check --keyword  draws what the base makes of it."
        yield finding("warning", "known_keyword", None, reason, remedy)
    elif len(pieces) > MOST_KEYWORD_TOKENS:
        reason = f"the keyword takes {len(pieces)} tokens of every caption: {short(' '.join(pieces))}"
        yield finding("note", "long_keyword", None, reason, "Nothing, or take a shorter one.")


def own_embeddings(rows: Sequence[Row], settings: Settings, tokenizer: Tokenizer) -> Iterator[Finding]:
    """What keeps words from having embeddings of their own (`train.pivotal`, `train.pivotal_words`). rows: one a caption."""
    keyword = settings.caption.keyword.strip()
    for word in own_tokens(settings, tokenizer) if rows else ():
        is_keyword = word == keyword and settings.train.pivotal > 0
        setting, name = ("train.pivotal", f"the keyword {word}") if is_keyword else ("train.pivotal_words", word)
        if tokenizer.knows(word):
            reason = f"{name} is a token of the base, and {setting} gives it tokens of its own"
            yield finding("error", "pivotal_keyword", None, reason, f"Take a word that means nothing yet, or leave {setting} out.")
        if not any(word in (row.caption or "") for row in rows):
            reason = f"no caption holds {name} in small letters, so its embeddings would learn nothing"
            yield finding("error", "pivotal_unused", None, reason, f"Put it into the captions, or leave {setting} out.")

    for word, start in settings.train.pivotal_words.items() if rows else ():
        for one in start.split():
            if len(pieces := tokenizer.split(one)) > 1:
                reason = f"{word} begins as {one}, which the base reads as {counted(len(pieces), 'token')}: {short(' '.join(pieces))}"
                yield finding("note", "pivotal_start", None, reason, "Nothing, or take a word that the base knows whole.")


def own_tokens(settings: Settings, tokenizer: Tokenizer) -> dict[str, int]:
    """The words that get tokens of their own, with how many."""
    train, keyword = settings.train, settings.caption.keyword.strip()
    found = {keyword: train.pivotal} if train.pivotal and keyword else {}
    return found | {word: max(1, len(tokenizer.split(start))) for word, start in train.pivotal_words.items()}


def licences(sources: Sequence[Source]) -> Iterator[Finding]:
    """Sources that state no licence."""
    for source in sources:
        if source.licence is None:
            reason = f"{source.where} states no licence for its {source.pictures:,} pictures"
            remedy = 'Nothing where they are yours; otherwise find out, and write "licence" into its line of the project\'s sources.jsonl.'
            yield finding("note", "unknown_licence", None, reason, remedy)
