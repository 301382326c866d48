"""A table of descriptions for pictures that are not there yet: unique, new, within the token budget, of spread subjects and moods.

The grammar proposes, `plan` chooses so that subjects, moods and colours come up equally often, and a language model, where there is one,
words what was planned; whatever it says that is of no use falls back to the grammar's own words. What makes a description fit to be kept
is decided in one place, `Table.why_not`, whoever wrote it.
"""

import heapq
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from decal import grammar
from decal.captions import Tokenizer, fill_slots, holds
from decal.errors import AnswerError
from decal.events import Progress, Stop, Told
from decal.grammar import Proposal
from decal.grid import content_words, seen
from decal.language import Client, Phrase, Prompt, plain_text
from decal.records import Description
from decal.settings import CaptionSettings, ResolvedDescribe
from decal.wording import counted

# Stickers show no lettering, and one picture is no collection of pictures.
UNWANTED = re.compile(
    r"\b(text|words?|letters?|lettering|captions?|slogan|logo|watermark|signature|saying|says|reads|written|typography|speech bubble"
    r"|collage|sticker sheet|set of|several stickers|stickers?|photo|photograph|background)\b|[\"“”«»#@<>{}\[\]|\\]|https?:",
    re.IGNORECASE,
)
MIN_WORDS, MAX_WORDS = 2, 24
# Two descriptions that share this much of their words would give the same picture.
NEARLY = 0.7
# How many animals come to one heart: what people like on stickers.
SHARES = {"animal": 3.0, "food": 2.0, "face": 2.0, "thing": 2.0}
CELLS_A_QUESTION = 6
EXAMPLES = 5
ROUNDS = 3

SYSTEM = (
    "You describe pictures for stickers. Each description is one short English noun phrase of 5 to 12 words: the subject, what it does or "
    "wears, and one visible detail that shows the mood. Nothing about art style, no lettering, no names of people or brands, one subject a "
    "picture, simple enough to draw. Every description must differ from the others in what happens."
)


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int
    subject: Phrase
    description: Phrase


class _Writing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    descriptions: list[_Written]


@dataclass
class Table:
    """Descriptions under way, and what a new one must not be.

    known: captions and prompts that are in use already. prompts: those that must stay new against every caption that is made.
    """

    describe: ResolvedDescribe
    caption: CaptionSettings
    tokenizer: Tokenizer
    known: Sequence[str]
    prompts: Sequence[str]
    lines: list[Description]
    refused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._ignored = [self.caption.keyword, *self.caption.kind_words, *self.caption.style_words, "style"]
        self._ignored.append(re.sub(r"\{\w+\}", " ", self.caption.template))
        self._taken = [content_words(text, self._ignored) for text in (*self.known, *self.prompts, *(line.content for line in self.lines))]

    def why_not(self, content: str) -> str | None:
        """Why a description is not fit to be kept; None where it is."""
        words = content_words(content, self._ignored)
        caption, prompt = self._caption(content), self._prompt(content)
        if not MIN_WORDS <= len(content.split()) <= MAX_WORDS or not words:
            return f"not {MIN_WORDS} to {MAX_WORDS} words"
        if UNWANTED.search(content):
            return "lettering, quotes or more than one picture"
        if max(self.tokenizer.count(caption), self.tokenizer.count(prompt)) > self.tokenizer.limit:
            return f"more than {self.tokenizer.limit} tokens"
        if any(_nearly(words, taken) for taken in self._taken):
            return "nearly the same as another"
        if seen(self.prompts, [caption], self._ignored):
            return "would show what a prompt asks for"
        return None

    def add(self, proposal: Proposal, content: str, writer: str) -> Description | None:
        """The description of that content, with its caption and prompt; None, and counted with the reason, where it is not fit."""
        why = self.why_not(content)
        if why is not None:
            self.refused[why] += 1
            return None
        caption = self._caption(content)
        line = Description(
            number=max((line.number for line in self.lines), default=0) + 1,
            kind=proposal.kind,
            subject=proposal.subject,
            aspect=proposal.aspect,
            content=content,
            caption=caption,
            prompt=self._prompt(content),
            tokens=self.tokenizer.count(caption),
            writer=writer,
        )
        self.lines.append(line)
        self._taken.append(content_words(content, self._ignored))
        return line

    def _caption(self, content: str) -> str:
        return fill_slots(self.caption.template, {"keyword": self.caption.keyword, "subject": content})

    def _prompt(self, content: str) -> str:
        return fill_slots(self.describe.prompt, {"keyword": "", "subject": content})


def by_grammar(table: Table, count: int) -> Iterator[Description]:
    """Add descriptions in the grammar's own words until the table has that many, or nothing more is fit."""
    for proposal in plan(table, count):
        line = table.add(proposal, proposal.content, "grammar")
        if line is not None:
            yield line


def by_model(table: Table, count: int, client: Client, *, api: str, stop: Stop) -> Iterator[Description | Progress | Told]:
    """Add descriptions in a language model's words until the table has that many.

    What the model does not word well after a few rounds is taken from the grammar; with a theme, which the grammar cannot follow, it stays
    away. Raises LanguageError where the model cannot be asked.
    """
    theme = table.describe.theme
    fallen_back = 0
    for _ in range(ROUNDS if theme else 1):
        cells = list(plan(table, count, is_only_moods=bool(theme)))
        questions = _by_chat(table, cells, client) if api == "chat" else _by_examples(table, cells, client)
        if questions:
            yield Progress("asking the language model", 0, len(questions))
        for number, answer in client.in_parallel([ask for _, ask in questions], stop):
            if isinstance(answer, AnswerError):
                table.refused[answer.reason] += 1
            lines = list(_settled(table, questions[number][0], {} if isinstance(answer, AnswerError) else answer, client.name))
            fallen_back += sum(line.writer == "grammar" for line in lines)
            yield from lines
            yield Progress("asking the language model", number + 1, len(questions))
    if fallen_back:
        told = ", ".join(f"{number} {why}" for why, number in table.refused.most_common(4))
        yield Told(f"{counted(fallen_back, 'description')} worded by the grammar, because the model's were of no use ({told})")
    if not theme:
        # Where a description of the model took the place of another plan, the grammar makes the table full.
        yield from by_grammar(table, count)


def _settled(table: Table, wanted: Sequence[Proposal], worded: "_Worded", writer: str) -> Iterator[Description]:
    """Add what a model made of some proposals; in the grammar's own words, where it has any, what is not fit."""
    for cell in wanted:
        proposal, content = worded.get(cell, (cell, ""))
        line = table.add(proposal, content, writer) if content else None
        if line is None and cell.content:
            line = table.add(cell, cell.content, "grammar")
        if line is not None:
            yield line


def plan(table: Table, count: int, *, is_only_moods: bool = False) -> Iterator[Proposal]:
    """Proposals that bring the table to that many lines, each the one that spreads subjects, moods, colours and patterns best.

    Only those that are fit now are given; a line added between two of them counts. The same table and seed give the same plan.
    is_only_moods: the subjects are left to the language model.
    """
    describe = table.describe
    there = list(grammar.proposals(describe.detail, describe.kinds, describe.subjects))
    if is_only_moods:
        moods = dict.fromkeys(proposal.aspect for proposal in grammar.proposals("rich", ("animal",)))
        there = [Proposal("theme", "", mood, f"{mood} {turn}", "") for mood in moods for turn in range(count)]
    random.Random(describe.seed).shuffle(there)
    used = _Use(table.lines)
    planned: list[frozenset[str]] = []
    wanted = count - len(table.lines)
    # What a proposal costs only rises as others are taken, so the cheapest is found by looking again at the one that was cheapest before.
    waiting = [(used.cost(proposal), place) for place, proposal in enumerate(there)]
    heapq.heapify(waiting)
    while wanted > 0 and waiting:
        cost, place = heapq.heappop(waiting)
        best, now = there[place], used.cost(there[place])
        if now > cost:
            heapq.heappush(waiting, (now, place))
            continue
        if not is_only_moods:
            words = content_words(best.content)
            if table.why_not(best.content) is not None or any(_nearly(words, other) for other in planned):
                continue
            planned.append(words)
        used.add(best)
        wanted -= 1
        yield best


def coverage(lines: Sequence[Description]) -> list[str]:
    """How often each mood or colour comes up with each kind of subject, as a table of lines; by subject where they are few."""
    subjects = Counter(line.subject for line in lines)
    by_subject = len(subjects) <= 6
    columns = sorted(subjects) if by_subject else list(dict.fromkeys(sorted(line.kind for line in lines)))
    cells = Counter((line.aspect, line.subject if by_subject else line.kind) for line in lines)
    aspects = sorted({line.aspect for line in lines}, key=lambda aspect: (aspect in grammar.COLOURS, aspect))
    label = max([len(aspect) for aspect in aspects] + [8])
    widths = [max(5, len(column)) for column in columns]

    def row(name: str, values: Iterable[str], total: str) -> str:
        told = "".join(f"  {value:>{width}}" for value, width in zip(values, widths, strict=True))
        return f"  {name:{label}}{told}  {total:>5}"

    body = [
        row(aspect, [str(cells[aspect, column] or "·") for column in columns], str(sum(cells[aspect, column] for column in columns)))
        for aspect in aspects
    ]
    totals = [str(sum(cells[aspect, column] for aspect in aspects)) for column in columns]
    head = f"{counted(len(lines), 'description')} of {counted(len(subjects), 'subject')} in {counted(len(aspects), 'mood or colour')}"
    return [head.replace("mood or colours", "moods and colours"), row("", columns, "all"), *body, row("all", totals, str(len(lines)))]


class _Use:
    """How often what was used in a table, and what one more proposal would cost."""

    def __init__(self, lines: Sequence[Description]) -> None:
        self._kinds = Counter(line.kind for line in lines)
        self._subjects = Counter(line.subject for line in lines)
        self._aspects = Counter(line.aspect for line in lines)
        self._pairs = Counter((line.kind, line.aspect) for line in lines)
        self._patterns: Counter[str] = Counter()

    def cost(self, proposal: Proposal) -> float:
        """How much of it is there already; a kind that people like may come up more often."""
        of_one = proposal.kind in ("face", "heart")
        return (
            4 * self._kinds[proposal.kind] / SHARES.get(proposal.kind, 1.0)
            + (0 if of_one else 6 * self._subjects[proposal.subject])
            + 2 * self._aspects[proposal.aspect]
            + 3 * self._pairs[proposal.kind, proposal.aspect]
            + 5 * self._patterns[proposal.pattern]
        )

    def add(self, proposal: Proposal) -> None:
        """Count one more."""
        self._kinds[proposal.kind] += 1
        self._subjects[proposal.subject] += 1
        self._aspects[proposal.aspect] += 1
        self._pairs[proposal.kind, proposal.aspect] += 1
        self._patterns[proposal.pattern] += 1


_Worded = dict[Proposal, tuple[Proposal, str]]
"""What a model made of each cell that it was asked for: the proposal as it understood it, and its words."""
_Question = tuple[list[Proposal], Callable[[], _Worded]]


def _by_chat(table: Table, cells: Sequence[Proposal], client: Client) -> list[_Question]:
    theme = table.describe.theme
    avoid = [line.content for line in table.lines[-40:]] if theme else []

    def question(part: Sequence[Proposal]) -> _Question:
        wanted = [
            f"{number}. " + (f"mood: {cell.aspect}" if theme else f"subject: {cell.subject}; mood or colour: {cell.aspect}")
            for number, cell in enumerate(part, start=1)
        ]
        told = [f"Theme of all pictures: {theme}. Take another subject or moment for each."] if theme else []
        told += ["Describe these pictures:", *wanted]
        told += ["They must differ from these:", *avoid] if avoid else []

        def ask() -> _Worded:
            writing = client.complete(Prompt(SYSTEM, "\n".join(told)), _Writing)
            worded: _Worded = {}
            for one in writing.descriptions:
                if 1 <= one.number <= len(part):
                    cell = part[one.number - 1]
                    subject = one.subject if theme else cell.subject
                    worded[cell] = (Proposal(cell.kind, subject, cell.aspect, cell.pattern, cell.content), tidy(one.description))
            return worded

        return list(part), ask

    return [question(cells[first : first + CELLS_A_QUESTION]) for first in range(0, len(cells), CELLS_A_QUESTION)]


def _by_examples(table: Table, cells: Sequence[Proposal], client: Client) -> list[_Question]:
    """For models that only go on with a text: a few lines of the kind that is wanted, and the beginning of the next."""
    everything = list(grammar.proposals("rich", ("animal", "food", "plant", "thing", "heart")))

    def question(cell: Proposal) -> _Question:
        others = [one for one in everything if one.aspect == cell.aspect and one.subject != cell.subject] or everything
        chosen = random.Random(f"{table.describe.seed} {cell.content}").sample(others, EXAMPLES)
        lines = [f"Sticker of {one.subject}, {one.aspect}: {one.content}" for one in chosen]
        text = "\n".join([*lines, f"Sticker of {cell.subject}, {cell.aspect}:"])

        def ask() -> _Worded:
            checked = client.go_on(text, lambda more: _check(tidy(plain_text(more)), cell, chosen), tokens=24)
            return {cell: (cell, checked)}

        return [cell], ask

    return [question(cell) for cell in cells]


def _check(content: str, cell: Proposal, examples: Sequence[Proposal]) -> str:
    """The words of a small model, if they are of use: about its subject, neither a loop nor a copy of an example."""
    words = content.lower().split()
    if not 3 <= len(words) <= 16:
        raise ValueError(f"it has {counted(len(words), 'word')}")
    noun = cell.subject.split()[-1]
    if not holds(content, [noun]):
        raise ValueError(f"it is not about {cell.subject}")
    if cell.aspect in grammar.COLOURS and not holds(content, [cell.aspect]):
        raise ValueError(f"it is not {cell.aspect}")
    stems = Counter(word.removesuffix("s")[:5] for word in re.findall(r"\w{4,}", content.lower()))
    if stems and max(stems.values()) > 1:
        raise ValueError("it repeats itself")
    runs = {tuple(words[place : place + 4]) for place in range(len(words) - 3)}
    for one in examples:
        copied = one.content.lower().split()
        if runs & {tuple(copied[place : place + 4]) for place in range(len(copied) - 3)}:
            raise ValueError("it copies an example")
    return content


def tidy(text: str) -> str:
    """A model's words as the content of a description: without what models put around it, beginning with a small letter."""
    text = re.sub(
        r"^\W*(?:an? )?(?:cute |kawaii )?(?:sticker|illustration|drawing|picture|image) (?:of|showing) ", "", text.strip(), flags=re.I
    )
    text = re.sub(r"^[\s\-–—•*\d.)\"'“”‘’]+|[\s.,;:!\"'“”‘’]+$", "", text)
    first = text.split(" ", 1)[0]
    return text[:1].lower() + text[1:] if first.lower() in ("a", "an", "the", "two", "three") or first.istitle() else text


def _nearly(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two descriptions would show the same: one holds all words of the other, or they share most of them."""
    if not one or not other:
        return False
    common = len(one & other)
    return common == min(len(one), len(other)) or common / len(one | other) >= NEARLY
