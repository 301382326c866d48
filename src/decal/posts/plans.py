"""Drafts -> PromptPlans: fitted to the base, with captions, negatives, engagement, and what the seed's own sentence would have lost."""

import hashlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from decal.captions import Tokenizer, fill_slots
from decal.events import Stop
from decal.posts.cleaning import LANGUAGES
from decal.posts.fitting import Draft, Fitted, fit
from decal.posts.writers import Grammar, Writer, Written, seed_sentence
from decal.records import Engagement, Post, PromptPlan

# What is counted by language where no word of a post is known.
NOTHING = "nothing known in "
# In so many of a hundred captions the engagement is left out, so that a LoRA also knows what no word about it means.
UNSAID_PERCENT = 15


@dataclass(frozen=True)
class Frame:
    """What stands around every prompt.

    template: of captions, with {keyword} and {subject}. prompt: of prompts, with {subject}. negative: what to steer away from.
    has_negative: whether the base hears it; where it does not, every prompt ends with a clause against lettering.
    openings: what a caption begins with where engagement is a condition, by bucket: its first words are those that CLIP listens to most.
    """

    keyword: str
    template: str
    prompt: str
    negative: str
    has_negative: bool
    openings: Mapping[Engagement, str]

    def caption(self, subject: str) -> str:
        """The caption of a picture."""
        return fill_slots(self.template, {"keyword": self.keyword, "subject": subject})

    def draws(self, subject: str) -> str:
        """What a base is asked for."""
        return fill_slots(self.prompt, {"keyword": "", "subject": subject})

    def opening(self, engagement: Engagement | None) -> str:
        """What a caption begins with."""
        return self.openings.get(engagement, "") if engagement is not None else ""

    def conditions(self) -> tuple[str, ...]:
        """The conditions that depend on neither writer nor brand."""
        return () if self.has_negative else ("blank unlettered surfaces",)


def openings(own_words: Container[str]) -> dict[Engagement, str]:
    """What captions say of engagement: `highengagement` where that has tokens of its own (`train.pivotal_words`), else two plain words."""
    buckets: tuple[Engagement, ...] = ("low", "medium", "high")
    return {bucket: f"{bucket}engagement" if f"{bucket}engagement" in own_words else f"{bucket} engagement" for bucket in buckets}


@dataclass(frozen=True)
class Planner:
    """Makes plans of posts."""

    writer: Writer
    grammar: Grammar
    frame: Frame
    tokenizers: Sequence[Tokenizer]

    def plan(
        self, posts: Sequence[Post], engagement: Mapping[int, Engagement], stop: Stop, *, is_training: bool = True
    ) -> Iterator[PromptPlan]:
        """A plan for every post, in their order; those that say nothing are skipped with a reason.

        engagement: by number, where it is known. is_training: in a part of the captions it is left out. Raises StoppedError and
        LanguageError as the writer does.
        """
        said = [post for post in posts if post.status == "kept"]
        written = list(self.writer.write(said, stop))
        drafts = [
            self._framed(one, _said(post, engagement) if is_training else engagement.get(post.number))
            for post, one in zip(said, written, strict=True)
        ]
        fitted = iter(self._fit(drafts, written))
        seeds = [seed_sentence(post) for post in said]
        seed_tokens = iter(zip(seeds, self.tokenizers[0].counts(seeds) if seeds else [], strict=True))
        sources = iter(zip(written, drafts, strict=True))
        for post in posts:
            if post.status != "kept":
                reason = "the row cannot be read" if post.status == "faulty" else "the post says nothing"
                yield PromptPlan(number=post.number, status="skipped", reason=reason)
                continue
            (one, draft), fit_one, (sentence, tokens) = next(sources), next(fitted), next(seed_tokens)
            plan = self._plan(post, one, fit_one, tokens, self._lost(sentence, post, tokens))
            yield plan.model_copy(update={"caption": draft.opened(plan.caption)}) if draft.opening else plan

    def _framed(self, one: Written, engagement: Engagement | None) -> Draft:
        """A draft with the conditions of the frame; one that is not fitted stays as it is."""
        if not one.is_fitted:
            return one.draft
        return Draft(one.draft.clauses, (*one.draft.conditions, *self.frame.conditions()), self.frame.opening(engagement))

    def _fit(self, drafts: Sequence[Draft], written: Sequence[Written]) -> list[Fitted]:
        wrappings = (self.frame.caption, self.frame.draws)
        todo = [place for place, one in enumerate(written) if one.is_fitted]
        done = dict(zip(todo, fit([drafts[place] for place in todo], wrappings, self.tokenizers), strict=True))
        return [done.get(place) or Fitted(draft.text(), (), self.tokenizers[0].count(draft.text())) for place, draft in enumerate(drafts)]

    def _plan(self, post: Post, one: Written, fitted: Fitted, tokens: int, lost: tuple[str, ...]) -> PromptPlan:
        plan, brand = one.plan, self.grammar.brand(post)
        return PromptPlan(
            number=post.number,
            status="planned",
            goal=plan.goal,
            mood=plan.mood,
            subject=plan.subject,
            setting=plan.setting,
            palette=plan.palette,
            evidence=plan.evidence,
            prompt=self.frame.draws(fitted.subject) if one.is_fitted else fitted.subject,
            caption=self.frame.caption(fitted.subject) if one.is_fitted else fitted.subject,
            negative=", ".join(part for part in (self.frame.negative, brand.avoid) if part),
            tokens=fitted.tokens,
            cut=fitted.cut,
            writer=one.writer,
            fallback=one.fallback,
            seed_tokens=tokens,
            seed_lost=lost,
        )

    def _lost(self, sentence: str, post: Post, tokens: int) -> tuple[str, ...]:
        """Which parts of the seed's sentence an encoder never sees."""
        tokenizer = self.tokenizers[0]
        if tokens <= tokenizer.limit:
            return ()
        kept = len(sentence) - len(tokenizer.cut(sentence, tokenizer.limit))
        tail = sentence.rindex(" ;; written by ")
        on, got = sentence.rindex(" on "), sentence.rindex(" with got ")
        parts = (("text", tail), ("username", on), ("date", got), ("likes", len(sentence) - len(" likes")))
        return tuple(name for name, end in parts if end > kept)


def counts(posts: Iterable[Post], plans: Iterable[PromptPlan], limit: int) -> Counter[str]:
    """What is worth counting in a shard of posts and their plans. limit: of the tokenizer."""
    found: Counter[str] = Counter()
    for post, plan in zip(posts, plans, strict=True):
        found[plan.status] += 1
        if plan.status == "skipped":
            continue
        found[f"writer {plan.writer}"] += 1
        found[f"subject from {plan.evidence}"] += 1
        found[f"goal {plan.goal}"] += 1
        found["clauses cut"] += bool(plan.cut)
        found["over the limit"] += plan.tokens > limit
        found["seed over the limit"] += plan.seed_tokens > limit
        found.update(f"seed loses {name}" for name in plan.seed_lost)
        if not plan.is_understood:
            found[f"{NOTHING}{LANGUAGES.get(post.language, post.language)}"] += 1
        if plan.fallback:
            found[f"fallback {plan.fallback}"] += 1
    return found


def told(found: Mapping[str, int]) -> list[str]:
    """What was planned, and what the seed's sentence would have lost, as lines."""
    planned = found.get("planned", 0)

    def listed(prefix: str) -> str:
        names = sorted((name for name in found if name.startswith(prefix)), key=lambda name: -found[name])
        return ", ".join(f"{name.removeprefix(prefix)} {found[name]:,}" for name in names[:6] if found[name])

    def share(name: str) -> str:
        return f"{found.get(name, 0):,} ({found.get(name, 0) / max(1, planned):.0%})"

    lines = [
        f"{planned:,} planned, {found.get('skipped', 0):,} skipped; written by {listed('writer ') or 'nobody'}",
        f"  subject found in  {listed('subject from ')}",
        f"  goals             {listed('goal ')}",
        f"  tokens            {found.get('over the limit', 0):,} prompts over the limit; {share('clauses cut')} lost a clause to fit",
        f"  the seed's sentence would be over the limit for {share('seed over the limit')}:",
        f"    it loses the likes of {share('seed loses likes')}, the date of {share('seed loses date')}, "
        f"the account of {share('seed loses username')}, text of {share('seed loses text')}",
    ]
    if not_known := listed(NOTHING):
        lines.append(f"  no word known     of so many posts in these languages: {not_known}")
    if fallbacks := listed("fallback "):
        lines.append(f"  worded by the grammar, because the model's words were of no use: {fallbacks}")
    return lines


def _said(post: Post, engagement: Mapping[int, Engagement]) -> Engagement | None:
    """The engagement of a post, left out of a part of them."""
    number = int.from_bytes(hashlib.sha256(f"{post.id} {post.number}".encode()).digest()[:4], "big")
    return None if number % 100 < UNSAID_PERCENT else engagement.get(post.number)
