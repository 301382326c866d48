"""What checkpoints are compared on: prompts, probes, seeds and references, frozen before anything is scored.

A run and its settings come in, a `Suite` goes out. Prompts are those of `compare_prompts.txt` first; the rest is filled up with everyday
subjects and with the grammar, or a language model where one is configured. A suite only grows: what was drawn for it stays of use, and
`differences` says what else has changed since it was frozen.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from decal import grid, project
from decal.captions import Tokenizer
from decal.descriptions import Table, by_grammar, by_model
from decal.events import Progress, Stop, Told
from decal.grid import content_words
from decal.language import Client
from decal.presets import public_name
from decal.records import Cell, Description, Group, Record, Reference, Rival, Suite, SuitePrompt
from decal.settings import Resolved, ResolvedCompare, Settings, resolve_describe
from decal.subjects import QUANTITIES, SUBJECTS
from decal.wording import counted

BASE_SEEDS = 4
"""Seeds of the base, at least: adherence is measured from the mean of its other pictures of a prompt."""
FRESH_SEED = 1_000_000
"""The first of the seeds that did not choose; far from any that a person writes."""
FRESH_SEEDS = 1
MAX_TRAINED = 1_000
"""Pictures trained on that are compared with: style and copying hold them against each other, so twice as many cost four times as much."""
DRIFT_PROMPTS, COPY_PROMPTS, PROBE_SEEDS = 4, 4, 2
SHOWN = 4
"""Steps that are named one by one."""
LEAD_WORDS = frozenset({"a", "an", "the", "of", "with"})


@dataclass(frozen=True)
class Frame:
    """What all captions say before and after what is in the picture."""

    before: str
    after: str

    @classmethod
    def of(cls, captions: Sequence[str], template: str, keyword: str) -> "Frame":
        """The words that all captions begin and end with, where the keyword is among them; else those of the template."""
        rows = [caption.split() for caption in captions]
        before, after = _common(rows), _common([row[::-1] for row in rows])[::-1]
        while before and before[-1].casefold() in LEAD_WORDS - {"of"}:
            before = before[:-1]
        if rows and keyword and keyword in before + after and len(before) + len(after) < min(map(len, rows)):
            # A comma that ends the picture's own words belongs to what follows.
            comma = ", " if after and all(row[-len(after) - 1].endswith(",") for row in rows) else " "
            return cls(" ".join(before) + " " if before else "", comma + " ".join(after) if after else "")
        first, _, last = template.replace("{keyword}", keyword).partition("{subject}")
        return cls(first, last)

    def put(self, content: str) -> str:
        """The prompt that asks for something in the style."""
        return " ".join(f"{self.before}{content}{self.after}".split())

    def take(self, prompt: str) -> str:
        """What a prompt asks for, without the frame as far as it has it."""
        return prompt.removeprefix(self.before.strip()).removesuffix(self.after.strip()).strip(" ,")


def fill(
    own: Sequence[str], kept: Sequence[SuitePrompt], count: int, *, settings: Settings, known: Sequence[str], avoid: Sequence[str]
) -> "Filling":
    """What is needed to bring a list of prompts to that many. known: training captions. avoid: prompts that stay for something else."""
    caption = settings.caption
    return Filling(list(own), list(kept), count, settings, Frame.of(known, caption.template, caption.keyword), list(known), list(avoid))


@dataclass
class Filling:
    """Prompts under way: the user's own, those of an earlier suite, and what is added."""

    own: list[str]
    kept: list[SuitePrompt]
    count: int
    settings: Settings
    frame: Frame
    known: list[str]
    avoid: list[str]

    def run(self, client: Client | None, stop: Stop) -> Iterator[SuitePrompt | Progress | Told]:
        """All the prompts in their order; fewer than asked for, and told, where nothing more is new."""
        prompts = [SuitePrompt(text=text, scored=self._scored(text), group="own") for text in self.own]
        prompts += [prompt for prompt in self.kept if prompt.text not in self.own][: max(0, self.count - len(prompts))]
        yield from prompts
        wanted = self.count - len(prompts)
        if wanted <= 0:
            return
        taken = [*self.avoid, *(prompt.text for prompt in prompts)]
        plain: list[str] = [] if client else list(self._subjects(taken, (wanted + 1) // 2))
        written: list[str] = []
        for event in self._written(wanted - len(plain), [*taken, *map(self.frame.put, plain)], client, stop):
            if isinstance(event, Description):
                written.append(event.content)
            else:
                yield event
        plain += self._subjects([*taken, *map(self.frame.put, [*plain, *written])], wanted - len(plain) - len(written))
        # Everyday subjects and what the grammar says take turns, so that every round of the race sees both.
        mixed = [content for pair in _in_turns(plain, written) for content in pair]
        # Words with embeddings of their own are a part of what is judged, so they are said as in training.
        asked = grid.saying([self.frame.put(text) for text in mixed], list(self.settings.train.pivotal_words), self.known)
        for text, prompt in zip(mixed, asked, strict=True):
            yield SuitePrompt(text=prompt, scored=text, group=self._group(text))
        if len(mixed) < wanted:
            yield Told(f"  only {counted(len(prompts) + len(mixed), 'prompt')} of {self.count}: nothing more is new to your captions")

    def _subjects(self, taken: Sequence[str], count: int) -> Iterator[str]:
        """Everyday subjects that no caption or prompt shows; two together once the single ones are used up."""
        used = [*self.known, *taken]
        pairs = (f"{one} and {other}" for one, other in zip(SUBJECTS, list(SUBJECTS)[7:], strict=False))
        for subject in (*SUBJECTS, *pairs):
            if count <= 0:
                return
            if not grid.seen([subject], used, [QUANTITIES]):
                used.append(subject)
                count -= 1
                yield subject

    def _written(self, count: int, taken: Sequence[str], client: Client | None, stop: Stop) -> Iterator[Description | Progress | Told]:
        if count <= 0:
            return
        describing, tokenizer = resolve_describe(self.settings), Tokenizer.of_base(self.settings.base.model)
        table = Table(describing, self.settings.caption, tokenizer, [*self.known, *taken], [], [])
        lines = by_grammar(table, count) if client is None else by_model(table, count, client, api=self.settings.language.api, stop=stop)
        for line in lines:
            # A caption that holds all words of a prompt shows it; then the prompt is not new.
            if not isinstance(line, Description) or not grid.seen([line.content], [*self.known, *self.avoid], self._ignored()):
                yield line

    def _group(self, content: str) -> Group:
        words, captions = content_words(content, self._ignored()), [content_words(text, self._ignored()) for text in self.known]
        if any(words & caption for caption in captions):
            return "in-domain"
        return "new subject" if content in SUBJECTS else "new combination"

    def _scored(self, prompt: str) -> str:
        """The prompt without keyword, kind and style words, as a model that knows no keyword understands it."""
        text = self.frame.take(prompt)
        for word in self._ignored():
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", " ", text, flags=re.IGNORECASE) if word else text
        text = re.sub(r"\s+([,.;])", r"\1", " ".join(text.split()))
        return re.sub(r"^(?:style|of|in|,|\s)+|[,\s]+$", "", text) or prompt

    def _ignored(self) -> list[str]:
        caption = self.settings.caption
        return [caption.keyword, *caption.kind_words, *caption.style_words, *self.settings.train.pivotal_words]


def base_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """The seeds of the base: those of the checkpoints, and more where they are few."""
    more = (seed for seed in range(BASE_SEEDS + len(seeds)) if seed not in seeds)
    return (*seeds, *(seed for seed, _ in zip(more, range(BASE_SEEDS - len(seeds)), strict=False)))


def freeze(
    prompts: Sequence[SuitePrompt], resolved: Resolved, records: Iterable[Record], rivals: Sequence[Rival], **made_with: object
) -> Suite:
    """The suite of a run.

    records: the pictures of the run that are there; of very many, a part is compared with.
    made_with: base_sha256, embedder, reader and versions of the suite.
    """
    compare: ResolvedCompare = resolved.compare
    compared = references(records)
    trained = sorted({reference.caption for reference in compared if reference.split == "train" and reference.caption.strip()})
    every = max(1, len(trained) // COPY_PROMPTS)
    side = resolved.data.resolution
    table = {
        "frozen": datetime.now(UTC).isoformat(timespec="seconds"),
        "prompts": tuple(prompts),
        "drift_probe": tuple(prompt.scored for prompt in prompts[:DRIFT_PROMPTS]),
        "copy_probe": tuple(trained[::every][:COPY_PROMPTS]),
        "seeds": compare.seeds,
        "base_seeds": base_seeds(compare.seeds),
        "fresh_seeds": tuple(range(FRESH_SEED, FRESH_SEED + FRESH_SEEDS)),
        "probe_seeds": base_seeds(compare.seeds)[:PROBE_SEEDS],
        "guidance": compare.guidance,
        "strength": 1.0,
        "sampler": compare.sampler,
        "steps": compare.steps,
        "negative": compare.negative,
        "width_px": side,
        "height_px": side,
        "ground": resolved.data.ground,
        "fit": resolved.data.fit,
        "references": tuple(compared),
        "rivals": tuple(rivals),
        "base": public_name(resolved.base.model),
    }
    return Suite.model_validate(table | made_with)


def references(records: Iterable[Record]) -> list[Reference]:
    """The pictures to compare with, in their order: all that are held out, and of those trained on as many as can be compared in pairs."""
    every = list(records)
    trained = sorted(one.sha256 for one in every if one.split == "train")
    last = trained[MAX_TRAINED - 1] if len(trained) > MAX_TRAINED else ""
    return [
        Reference(file=one.file, sha256=one.sha256, caption=one.caption, split=one.split)
        for one in every
        if one.split == "holdout" or not last or one.sha256 <= last
    ]


def fingerprint(of: Suite) -> str:
    """Hash of all that decides what is drawn and how it is scored."""
    return project.fingerprint(of.model_dump(mode="json", exclude={"frozen", "versions"}))


MAY_GROW = {"prompts", "rivals"}
IRRELEVANT = {"frozen", "versions", "base"}


def differences(before: Suite, now: Suite) -> list[str]:
    """What has changed since a suite was frozen, one sentence each; prompts and checkpoints that came in addition are no change."""
    found = []
    texts, weights = {one.text for one in now.prompts}, {one.checkpoint: one.sha256 for one in now.rivals}
    gone = [one for one in before.prompts if one.text not in texts]
    if gone:
        found.append(f"{counted(len(gone), 'prompt')} gone or changed")
    anew = [str(one.checkpoint) for one in before.rivals if weights.get(one.checkpoint, one.sha256) != one.sha256]
    if anew:
        found.append(f"step {', '.join(anew)} trained anew")
    out = sorted(one.checkpoint for one in before.rivals if one.checkpoint not in weights)
    if out:
        steps = ", ".join(f"{step:,}" for step in out[:SHOWN]) + (", ..." if len(out) > SHOWN else "")
        found.append(f"{counted(len(out), 'checkpoint')} left out (step {steps}); with all of them, nothing is drawn again")
    old, new = ({(one.file, one.sha256, one.split) for one in suite.references} for suite in (before, now))
    if old != new:
        found.append(f"{counted(len(old ^ new), 'picture')} of yours changed, gone or new")
    for name in Suite.model_fields.keys() - MAY_GROW - IRRELEVANT - {"references"}:
        if getattr(before, name) != getattr(now, name):
            found.append(f"{name}: {getattr(before, name)!r} -> {getattr(now, name)!r}")
    return sorted(found)


def cell(suite: Suite, prompt: str, seed: int, checkpoint: int, *, guidance: float | None = None, strength: float | None = None) -> Cell:
    """One picture of the suite, at its own guidance and strength unless others are given."""
    return Cell(
        prompt=prompt,
        negative=suite.negative,
        guidance=suite.guidance if guidance is None else guidance,
        seed=seed,
        steps=suite.steps,
        sampler=suite.sampler,
        width_px=suite.width_px,
        height_px=suite.height_px,
        checkpoint=checkpoint,
        # The base has no adapter; one spelling, so that its pictures are drawn once.
        lora_strength=(suite.strength if strength is None else strength) if checkpoint else 1.0,
    )


def _common(rows: Sequence[Sequence[str]]) -> list[str]:
    """The words that all rows begin with."""
    shared: list[str] = []
    for words in zip(*rows, strict=False):
        if len(set(words)) > 1:
            break
        shared.append(words[0])
    return shared


def _in_turns(first: Sequence[str], second: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for place in range(max(len(first), len(second))):
        yield (*first[place : place + 1], *second[place : place + 1])
