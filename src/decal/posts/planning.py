"""A post -> what to draw for it, by rules: the subject it names, where and when, its mood, its goal, the colours of its brand.

Only words of `scenes` and of the brand kit ever reach a prompt, never words of the post itself, so nothing that a post says can steer
anything but the choice among them. What its text names comes before what its emoji show, and that before its hashtags; where none of them
names what can be seen, a small base draws a face among the emoji; then its topic stands in for it, and where there is none, its mood. Where
there is not even a mood, nothing is known of the post, and the plan says so. The same post always gives the same plan; what is free to
choose depends on a hash of its words.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from decal.posts import scenes
from decal.posts.brands import Brand
from decal.posts.scenes import Thing, stem, words_of
from decal.records import Post
from decal.settings import Detail, PostsSettings
from decal.wording import with_article

Goal = Literal["announce", "promo", "event", "greeting", "mood", "plain"]
Evidence = Literal["text", "hashtag", "emoji", "topic", "mood", "nothing"]
WEIGHTS: Mapping[Evidence, float] = {"text": 3.0, "hashtag": 2.0, "emoji": 2.2, "topic": 0.0, "mood": 0.0, "nothing": 0.0}


@dataclass(frozen=True)
class Plan:
    """What to draw.

    evidence: what of the post the subject was found in; nothing where it only stands for one. clauses: what a prompt is made of, the most
    important first.
    """

    goal: Goal
    mood: str
    subject: str
    setting: str
    palette: str
    evidence: Evidence
    clauses: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    thing: Thing
    words: str
    weight: float
    place: int
    evidence: Evidence
    colour: str = ""
    number: str = ""
    name: tuple[str, ...] = ()


def plan(post: Post, settings: PostsSettings, detail: Detail, brand: Brand, usual: str = "") -> Plan:
    """What to draw for a post. usual: where it is set if the post names no place; "" for a usual place of its kind."""
    words = words_of(post.text)
    tags = [word for tag in post.hashtags for word in words_of(tag)]
    everything = [stem(word) for word in (*words, *tags)]
    mood = _mood(everything, post.emoji)
    goal = _goal(everything, post, settings)
    found = sorted(_things(words, "text") + _things(tags, "hashtag") + _emoji(post.emoji), key=lambda one: (-one.weight, one.place))
    dice = _Dice(f"{settings.seed} {post.text} {' '.join(post.hashtags)}")
    if found:
        subject, evidence, kind = _worded(found, detail), found[0].evidence, found[0].thing.kind
    elif detail == "plain" and (face := _face(post.emoji)):
        subject, evidence, kind = face, "emoji", "topic"
    elif (topic := _commonest(everything, scenes.TOPIC_OF)) is not None:
        rich, _, simple = topic.partition(" ~ ")
        subject, evidence, kind = (rich if detail == "rich" else simple), "topic", "topic"
    else:
        subject, evidence, kind = _of_mood(mood, detail), "mood" if mood else "nothing", "topic"
    if detail == "plain":
        return Plan(goal, mood, subject, "", brand.palette, evidence, (subject,))
    is_a_scene = evidence in ("topic", "mood", "nothing") and re.search(r" (in|on|beside|behind|at) ", subject) is not None
    setting = "" if is_a_scene else _commonest(everything, scenes.PLACE_OF) or usual or dice.one(scenes.USUAL_PLACES[kind])
    time, composition = _commonest(everything, scenes.TIME_OF), dice.one(scenes.COMPOSITIONS[goal])
    clauses = [f"{subject} {setting}".strip(), settings.medium, composition, time or "", scenes.LIGHT.get(mood, "soft daylight")]
    return Plan(goal, mood, subject, setting, brand.palette, evidence, tuple(clause for clause in clauses if clause))


def _things(words: Sequence[str], evidence: Evidence) -> list[_Found]:
    """What the words name, the longest names first; a name that is followed at once by another describes it (a strawberry cake)."""
    stems = [stem(word) for word in words]
    found: list[_Found] = []
    place = 0
    while place < len(words):
        for length in range(min(scenes.LONGEST, len(words) - place), 0, -1):
            name = tuple(stems[place : place + length])
            thing = scenes.THINGS.get(name)
            before = words[place - 1] if place else ""
            if thing is not None and not (length == 1 and name[0] in scenes.LOOSE_STEMS and before not in scenes.BEFORE_A_THING):
                colour = before if before in scenes.COLOURS else ""
                number = next((word for word in words[max(0, place - 2) : place] if word in ("two", "three")), "")
                found.append(
                    _Found(thing, " ".join(words[place : place + length]), WEIGHTS[evidence], place, evidence, colour, number, name)
                )
                place += length - 1
                break
        place += 1
    heads: list[_Found] = []
    for one in found:
        if (
            heads
            and one.evidence == "text"
            and heads[-1].place + len(heads[-1].name) == one.place
            and heads[-1].thing.kind == one.thing.kind
        ):
            last = heads.pop()
            described = Thing(_described(one.thing.subject, stem(last.words)), one.thing.kind, one.thing.plain)
            one = _Found(described, one.words, one.weight + 0.5, last.place, evidence, last.colour, last.number, one.name)
        heads.append(one)
    return heads


def _described(subject: str, by: str) -> str:
    """`a birthday cake`, strawberry -> `a strawberry cake`."""
    return with_article("a", f"{by} {subject.split()[-1]}")


def _emoji(names: Sequence[str]) -> list[_Found]:
    return [
        _Found(one.thing, one.words, WEIGHTS["emoji"], 1000 + place, "emoji", name=one.name)
        for place, name in enumerate(names)
        for one in _things(words_of(f"a {name}"), "emoji")[:1]
        # A face is how something is said, and not what it is about; that of a dog is a dog.
        if one.thing.kind != "face" and "face with" not in name
    ]


def _face(names: Sequence[str]) -> str:
    """The first face among emoji; for a base that draws little but faces, it is the best that a post without things has."""
    name = next((name for name in names if name.endswith("face") or name.startswith(("face with", "smiling face"))), "")
    return with_article("a", name.replace("-", " "))


def _worded(found: Sequence[_Found], detail: Detail) -> str:
    """The subject, with its colour and number; in rich detail with a second thing beside it where the post itself names one."""
    first = found[0]
    subject = first.thing.subject if detail == "rich" else first.thing.plain
    head = subject.partition(" ")[2] if subject.split()[0] in ("a", "an", "the") else ""
    if first.colour and head and first.colour not in subject:
        subject = with_article("a", f"{first.colour} {head}")
    elif first.number and head and detail == "rich" and " of " not in subject:
        subject = f"{first.number} {head}" + ("" if head.endswith("s") else "s")
    if detail == "rich":
        others = [one for one in found[1:] if one.evidence == "text" and one.thing.subject != first.thing.subject]
        if others and first.evidence == "text":
            subject = f"{subject} beside {others[0].thing.subject}"
    return subject


def _mood(stems: Sequence[str], emoji: Sequence[str]) -> str:
    votes: dict[str, float] = {}
    for word in stems:
        if (mood := scenes.MOOD_OF.get(word)) is not None:
            votes[mood] = votes.get(mood, 0) + 1
    for name in emoji:
        for words, mood in scenes.EMOJI_MOODS.items():
            if words in name:
                votes[mood] = votes.get(mood, 0) + 1.5
                break
    return max(votes, key=lambda mood: votes[mood]) if votes else ""


def _goal(stems: Sequence[str], post: Post, settings: PostsSettings) -> Goal:
    if settings.goal != "auto":
        return settings.goal
    votes: dict[str, float] = {}
    for place, word in enumerate(stems):
        if (goal := scenes.GOAL_OF.get(word)) is not None:
            votes[goal] = votes.get(goal, 0) + (2 if place < 3 else 1)
    if "%" in post.text:
        votes["promo"] = votes.get("promo", 0) + 2
    goals: tuple[Goal, ...] = ("announce", "promo", "event", "greeting")
    best = max(goals, key=lambda goal: votes.get(goal, 0))
    return best if votes.get(best, 0) > 0 else "mood" if post.emoji else "plain"


def _of_mood(mood: str, detail: Detail) -> str:
    if detail == "plain":
        return scenes.FACES.get(mood, "a slightly smiling face")
    return (
        "a person seen from behind looking at a wide landscape" if mood in ("", "calm", "sad", "curious") else "friends laughing together"
    )


def _commonest(stems: Sequence[str], table: Mapping[str, str]) -> str | None:
    votes: dict[str, int] = {}
    for word in stems:
        if (value := table.get(word)) is not None:
            votes[value] = votes.get(value, 0) + 1
    return max(votes, key=lambda value: votes[value]) if votes else None


class _Dice:
    """Choices that depend on a text alone."""

    def __init__(self, text: str) -> None:
        self._number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big")

    def one(self, options: Sequence[str]) -> str:
        self._number, place = divmod(self._number, len(options))
        return options[place]
