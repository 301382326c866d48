"""Checks of captions: one function a check, rows in, findings out. Where a picture has several captions, each comes as a row of its own."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from decal.captions import Tokenizer, holds
from decal.checks.english import language_of, tidied, unscrambled
from decal.checks.saying import finding, short
from decal.dataset import METADATA, Listing, sidecar
from decal.grid import content_words
from decal.metadata import Row
from decal.records import Finding
from decal.settings import CaptionSettings
from decal.wording import counted

# Captions of so many words that share so many of all their words differ in a detail that training cannot use.
NEAR_WORDS = 8
NEAR_SHARE = 0.8
# A word in more than this share of the captions says nothing about one picture.
COMMON_SHARE = 0.8
TRANSLATE = "decal caption --translate  asks the model of [language] for English; or write it anew."


def each_caption(rows: Iterable[Row]) -> list[Row]:
    """The rows with one caption each: where a picture has several, one row for each that is different."""
    return [Row(row.file, caption, row.line, repeats=row.repeats) for row in rows for caption in dict.fromkeys((row.caption, *row.others))]


def repeated_row(rows: Sequence[Row]) -> Iterator[Finding]:
    """Pictures that two lines of the metadata name, which count double. rows: as the metadata has them."""
    first: dict[str, int | None] = {}
    for row in rows:
        if row.file in first:
            reason = f"line {row.line} of {METADATA} names it again (first in line {first[row.file]}), so it counts double"
            remedy = "decal check --fix  joins the lines; repeats says that a picture should count more."
            yield finding("warning", "repeated_row", row.file, reason, remedy, row.line)
        first.setdefault(row.file, row.line)


def caption_there(rows: Sequence[Row]) -> Iterator[Finding]:
    """Rows without a caption, or with an empty one."""
    remedy = "decal caption  takes captions from .txt files and file names, with --by local from what is to be seen; or add one by hand."
    for row in rows:
        if row.caption is None:
            yield finding("error", "no_caption", row.file, "has no caption", remedy, row.line)
        elif not row.caption.strip():
            yield finding("error", "empty_caption", row.file, "has an empty caption", remedy, row.line)


def sidecars(folder: Path, listing: Listing) -> Iterator[Finding]:
    """`.txt` files beside pictures that say what `metadata.jsonl` does not; only the latter is trained on."""
    if not (folder / METADATA).is_file():
        return
    captions = {row.file: " ".join(" ".join(row.captions).split()) for row in listing.rows}
    for file in listing.files:
        texts, caption = sidecar(folder / file), captions.get(file, "")
        if all(text in caption for text in texts):
            continue
        name = Path(file).with_suffix(".txt").name
        if caption:
            told = f"{name} says {short(' / '.join(texts))}, but its line in {METADATA} says {short(caption)}, which is what is trained on"
            yield finding("warning", "sidecar", file, told, "Write it into the line, or delete the .txt file.")
        else:
            reason = f"{name} is not trained on, only captions in {METADATA} are"
            yield finding("warning", "sidecar", file, reason, "decal caption  takes it up.")


def repeated(rows: Sequence[Row]) -> Iterator[Finding]:
    """Captions that several rows share, one finding a caption."""
    for same in _by_words(rows).values():
        if len(same) > 1:
            others = ", ".join(row.file for row in same[1:4]) + (f" and {len(same) - 4:,} more" if len(same) > 4 else "")
            reason = f"has the same caption as {others}: {short(same[0].caption)}"
            yield finding("warning", "repeated_caption", same[0].file, reason, "Say what is different in each picture.", same[0].line)


def nearly_repeated(rows: Sequence[Row], settings: CaptionSettings) -> Iterator[Finding]:
    """Captions of different pictures that say the same in other words or another order, or differ in little of much."""
    firsts = [same[0] for same in _by_words(rows).values()]
    ignored = [settings.keyword, *settings.kind_words, *settings.style_words, "style"]
    content = [content_words(row.caption or "", ignored) for row in firsts]
    counts = Counter(word for words in content for word in words)
    # What nearly all captions say, such as a style, is no likeness of two.
    common = {word for word, count in counts.items() if len(firsts) >= 8 and count > COMMON_SHARE * len(firsts)}
    told: list[tuple[frozenset[str], Row]] = []
    by_word: dict[str, list[int]] = defaultdict(list)
    for row, words in zip(firsts, (words - common for words in content), strict=True):
        # Two sets that share so much share one of the rarest words of either, so only those are looked up.
        rarest = sorted(words, key=lambda word: (counts[word], word))
        for near in sorted({number for word in rarest[: len(words) - round(NEAR_SHARE * len(words)) + 1] for number in by_word[word]}):
            known, other = told[near]
            if other.file != row.file and _are_near(known, words):
                reason = f"has nearly the same caption as {other.file}: {short(row.caption)} and {short(other.caption)}"
                yield finding("warning", "near_caption", row.file, reason, "Say what is different in each picture.", row.line)
                break
        for word in rarest[: len(words) - round(NEAR_SHARE * len(words)) + 1]:
            by_word[word].append(len(told))
        told.append((words, row))


def shared_by_posts(rows: Sequence[Row]) -> Iterator[Finding]:
    """Captions that several posts share, all of them in one finding: they come from what the posts are about, and no hand mends them."""
    shared = sorted((same for same in _by_words(rows).values() if len(same) > 1), key=len, reverse=True)
    if shared:
        pictures, most = sum(map(len, shared)), shared[0]
        reason = (
            f"{pictures:,} of {len(rows):,} pictures share {counted(len(shared), 'caption')}, as posts about one thing do; "
            f"the commonest has {len(most):,}, the first {most[0].file}: {short(most[0].caption)}"
        )
        remedy = f'Nothing; {METADATA} has them all, and a language model (posts.writer = "llm") tells more of a post apart.'
        yield finding("note", "repeated_caption", None, reason, remedy)


def words_there(rows: Sequence[Row], settings: CaptionSettings) -> Iterator[Finding]:
    """Captions without the keyword, without a word for the kind or the style of picture, or with too few words."""
    keyword, kinds, styles = settings.keyword.strip(), settings.kind_words, settings.style_words
    for row in _captioned(rows):
        text = row.caption or ""
        if keyword and not holds(text, (keyword,), ending=""):
            reason = f"the keyword {keyword} is not in {short(text)}"
            remedy = f"Add {keyword} to the caption; `decal caption --add-keyword` puts it before all that lack it."
            yield finding("error", "no_keyword", row.file, reason, remedy, row.line)
        if kinds and not holds(text, kinds):
            reason = f"no kind of picture ({', '.join(kinds)}) in {short(text)}"
            yield finding("warning", "no_kind_word", row.file, reason, "Add one of caption.kind_words, or change that list.", row.line)
        # Without style words the keyword is the word for the style.
        if styles and not holds(text, styles):
            reason = f"no word for the style ({', '.join(styles)}) in {short(text)}"
            yield finding("warning", "no_style_word", row.file, reason, "Add one of caption.style_words, or change that list.", row.line)
        if len(text.split()) < settings.min_words:
            reason = f"has {counted(len(text.split()), 'word')}, fewer than {settings.min_words}: {short(text)}"
            remedy = "Say what is in the picture, or lower caption.min_words."
            yield finding("warning", "short_caption", row.file, reason, remedy, row.line)


def tidy(rows: Sequence[Row]) -> Iterator[Finding]:
    """Captions with characters that cannot be seen or with stray white space, and those saved in the wrong encoding."""
    for row in _captioned(rows):
        text = row.caption or ""
        if (meant := unscrambled(text)) is not None:
            reason = f"is scrambled: {short(text)} was {short(meant)} before it was saved in the wrong encoding"
            yield finding("warning", "scrambled_caption", row.file, reason, "decal check --fix  mends it.", row.line)
        elif tidied(text) != text:
            reason = f"has stray white space or characters that cannot be seen in its caption: {ascii(text)[:60]}"
            yield finding("note", "untidy_caption", row.file, reason, "decal check --fix  tidies it.", row.line)


def in_english(rows: Sequence[Row], tokenizer: Tokenizer) -> Iterator[Finding]:
    """Captions in other languages, with the tokens that they cost."""
    for row in _captioned(rows):
        language = language_of(unscrambled(row.caption or "") or row.caption or "")
        if language is not None:
            words, tokens = len((row.caption or "").split()), tokenizer.count(row.caption or "")
            reason = f"is not in English ({language}): its {counted(words, 'word')} are {tokens} tokens, and the base hardly knows them"
            yield finding("warning", "not_english", row.file, reason, TRANSLATE, row.line)


def spelt(rows: Sequence[Row], words: Mapping[str, int]) -> list[Row]:
    """The rows with as many words for each word as it has tokens of its own, so that tokens are counted right."""
    for word, tokens in words.items():
        rows = [replace(row, caption=row.caption and row.caption.replace(word, " ".join(["x"] * tokens))) for row in rows]
    return list(rows)


def too_long(rows: Sequence[Row], tokenizer: Tokenizer, model: str) -> Iterator[Finding]:
    """Captions of more tokens than the base's text encoder sees, with the words it would lose."""
    captioned = _captioned(rows)
    for row, count in zip(captioned, tokenizer.counts([row.caption or "" for row in captioned]), strict=True):
        if count > tokenizer.limit:
            lost = short(tokenizer.cut(row.caption or "", tokenizer.limit))
            reason = f"the caption has {count} tokens, the limit of {model} is {tokenizer.limit}; lost would be {lost}"
            yield finding("error", "long_caption", row.file, reason, "Shorten it, or move what matters to the front.", row.line)


def _captioned(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.caption is not None and row.caption.strip()]


def _by_words(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows with a caption by its words, without case and spacing."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in _captioned(rows):
        found[" ".join((row.caption or "").casefold().split())].append(row)
    return found


def _are_near(one: frozenset[str], other: frozenset[str]) -> bool:
    if one == other:
        return bool(one)
    return min(len(one), len(other)) >= NEAR_WORDS and len(one & other) >= NEAR_SHARE * len(one | other)
