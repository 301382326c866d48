"""Descriptions of stickers from a built-in grammar: subjects x moods or colours x what goes with them; no network and no model.

A subject is a face, a heart, something that can act (animals), something that gets a face (food, plants, the sky) or a thing, whose colour
takes the place of a mood. Everything is written out by hand, so that what comes together also makes sense. `proposals` gives all there is;
which of them make a good table is decided in `descriptions`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from decal.settings import Detail
from decal.subjects import SUBJECTS, Kind
from decal.wording import with_article

COLOURS = ("red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink")

# {x} is the subject with its article, {n} without it.
CHARACTERS: dict[str, tuple[str, ...]] = {
    "cheerful": (
        "{x} jumping for joy", "{x} waving hello", "{x} on a swing", "{x} blowing soap bubbles", "{x} under a small rainbow",
        "{x} holding a bunch of daisies", "a laughing {n} with closed eyes",
    ),
    "loving": (
        "{x} hugging a big heart", "{x} with heart eyes", "{x} holding a love letter", "{x} blowing a kiss",
        "{x} floating with a heart-shaped balloon", "{x} with hearts above its head",
    ),
    "sleepy": (
        "{x} napping on a small cloud", "{x} asleep under a patchwork quilt", "a yawning {n} in a striped nightcap",
        "{x} asleep on a pile of books", "{x} curled up in a teacup", "{x} hugging a pillow", "{x} asleep on a crescent moon",
    ),
    "grumpy": (
        "{x} under a tiny rain cloud", "a grumpy {n} with crossed arms", "a grumpy {n} with a cup of coffee",
        "a frowning {n} in an itchy sweater", "a sulking {n} in a cardboard box", "a grumpy {n} with a bandaged nose",
    ),
    "sad": (
        "{x} with one big tear", "{x} beside a dropped ice cream cone", "{x} holding a burst balloon", "{x} looking at a wilted flower",
        "{x} waiting in the rain under a leaf",
    ),
    "surprised": (
        "a startled {n} with wide eyes", "{x} jumping out of a gift box", "{x} with its mouth wide open", "{x} finding a golden egg",
        "{x} with an apple falling on its head",
    ),
    "shy": (
        "{x} peeking out of a flower pot", "a blushing {n} behind a leaf", "a blushing {n} with one small flower",
        "{x} peeking around a corner", "{x} covering its eyes",
    ),
    "silly": (
        "{x} with a bucket on its head", "{x} with a fake moustache", "{x} juggling three oranges", "{x} riding a tiny tricycle",
        "{x} in a banana costume", "{x} with a rubber duck on its head", "{x} doing a handstand",
    ),
    "cool": (
        "{x} in round sunglasses", "{x} on a skateboard", "{x} in a leather jacket", "{x} with big headphones",
        "{x} playing an electric guitar", "{x} riding a scooter", "{x} surfing on a wave",
    ),
    "proud": (
        "{x} holding a golden trophy", "{x} with a medal around its neck", "{x} on a winner's podium", "{x} in a crown and a red cape",
        "{x} on top of a tall stack of books", "{x} with a freshly baked cake",
    ),
    "curious": (
        "{x} looking through a magnifying glass", "{x} with a big map", "{x} looking through a telescope", "{x} in a tiny submarine",
        "{x} with its nose in a book", "{x} peeking into a teapot", "{x} following a butterfly",
    ),
    "cosy": (
        "{x} in a long knitted scarf", "{x} with a mug of cocoa", "{x} wrapped in a checked blanket", "{x} in a bubble bath",
        "{x} sitting by a campfire", "{x} in woolly slippers", "{x} in a yellow raincoat",
    ),
    "busy": (
        "{x} typing on a laptop", "{x} painting at an easel", "{x} watering a flower", "{x} baking cookies", "{x} with a stack of parcels",
        "{x} carrying a basket of apples", "{x} knitting a sock",
    ),
    "brave": (
        "{x} in a superhero cape", "{x} with a wooden sword", "{x} in an astronaut helmet", "{x} in a pirate hat",
        "{x} rowing a tiny boat", "{x} riding on a paper plane", "{x} climbing a ladder to the stars",
    ),
    "festive": (
        "{x} in a party hat", "{x} popping out of a birthday cake", "{x} with three balloons", "{x} throwing confetti",
        "{x} carrying a wrapped gift", "{x} in a flower crown", "{x} holding a sparkler",
    ),
}  # fmt: skip

WITH_A_FACE: dict[str, tuple[str, ...]] = {
    "cheerful": ("a smiling {n} with rosy cheeks", "{x} with a big grin", "a laughing {n} with closed eyes", "a dancing {n}"),
    "loving": ("{x} with heart eyes", "{x} blowing a kiss", "{x} hugging a tiny heart", "{x} with hearts floating around it"),
    "sleepy": (
        "a sleeping {n} in a striped nightcap", "a yawning {n} with a teddy bear", "a drowsy {n} with half-closed eyes",
        "{x} asleep under a tiny blanket",
    ),
    "grumpy": (
        "a grumpy {n} with thick eyebrows", "a pouting {n} with puffed cheeks", "a frowning {n} with crossed arms",
        "{x} rolling its eyes",
    ),
    "sad": ("{x} with one big tear", "a sad {n} with a trembling lip", "a sad {n} with a bandage"),
    "surprised": ("a startled {n} with round eyes", "a gasping {n} with its hands on its cheeks"),
    "shy": ("a blushing {n} looking away", "a blushing {n} peeking between its fingers"),
    "silly": ("{x} with a curly moustache", "{x} sticking its tongue out", "{x} with crossed eyes", "{x} balancing on one leg"),
    "cool": ("{x} in dark sunglasses", "{x} with big headphones", "{x} on roller skates", "{x} in a backwards cap"),
    "proud": ("{x} in a top hat and a bow tie", "{x} with a tiny crown", "{x} flexing its muscles", "{x} with a gold medal"),
    "cosy": ("{x} in a knitted scarf", "{x} in fuzzy slippers", "{x} wearing earmuffs", "{x} in a bobble hat"),
    "brave": ("{x} in a superhero cape", "{x} in a pirate hat", "{x} in a cowboy hat"),
    "festive": ("{x} in a party hat", "{x} with a big ribbon bow", "{x} in a shower of confetti", "{x} shaking two maracas"),
}  # fmt: skip

FACES: dict[str, tuple[str, ...]] = {
    "cheerful": ("a beaming face with rosy cheeks", "a face with tears of joy", "a grinning face with one missing tooth"),
    "loving": ("a smiling face with heart eyes", "a face blowing a kiss", "a face in a ring of tiny hearts"),
    "sleepy": ("a yawning face with a hand over its mouth", "a drooling face fast asleep", "a drowsy face in a nightcap"),
    "grumpy": ("a frowning face with steam from its nose", "a pouting face with puffed cheeks", "a face rolling its eyes"),
    "sad": ("a pleading face with big wet eyes", "a face with a trembling lip", "a gloomy face under a rain cloud"),
    "surprised": ("a gasping face with raised eyebrows", "a face with its jaw on the floor", "a startled face with spiral eyes"),
    "shy": ("a face peeking between its fingers", "a bashful face looking away", "a nervous face with one drop of sweat"),
    "silly": ("a zany face with one big eye", "a face with a red clown nose", "an upside-down smiling face"),
    "cool": ("a smirking face in dark sunglasses", "a face with a toothpick in its mouth", "a face with big headphones"),
    "proud": ("a face with a golden halo", "a smug face with a monocle", "a star-struck face with stars for eyes"),
    "curious": ("a thinking face with a hand on its chin", "a face with one raised eyebrow", "a nerdy face with round glasses"),
    "cosy": ("a face in a woolly hat", "a calm face with cucumber slices on its eyes", "a face with a milk moustache"),
    "festive": ("a face in a party hat", "a face with a party horn", "a face covered in confetti"),
}  # fmt: skip

# {c} is a colour.
HEARTS = (
    "a {c} heart with a satin bow", "a {c} heart made of roses", "a {c} heart with a bandage", "a {c} heart pierced by an arrow",
    "a {c} heart with little wings", "a {c} patchwork heart", "a {c} heart in a snow globe", "a melting {c} heart",
    "two small {c} hearts tied with a string", "a {c} heart-shaped lollipop", "a {c} heart on fire", "a {c} heart with sparkles",
)  # fmt: skip
THINGS: dict[str, tuple[str, ...]] = {
    "a gift box": (
        "a {c} gift box with a huge bow", "an open {c} gift box with stars flying out", "a {c} gift box with cat ears peeking out",
    ),
    "an umbrella": ("a {c} umbrella with raindrops bouncing off", "a {c} umbrella turned inside out by the wind"),
    "a rocket": ("a {c} rocket above a puff of smoke", "a {c} toy rocket flying past a star"),
    "a pair of sunglasses": ("a pair of {c} heart-shaped sunglasses", "a pair of {c} sunglasses with palm trees in the lenses"),
    "a guitar": ("a {c} guitar with music notes flying off", "a {c} guitar with a lightning bolt on it"),
    "a light bulb": ("a glowing {c} light bulb", "a {c} light bulb with a tiny plant inside"),
    "a bicycle": ("a {c} bicycle with a basket of flowers", "a {c} bicycle with a balloon tied to it"),
    "a key": ("a {c} key with a heart-shaped handle", "an old {c} key on a ribbon"),
    "a crown": ("a {c} crown with round gems", "a {c} crown on a velvet cushion"),
    "an alarm clock": ("a {c} alarm clock ringing wildly", "a {c} alarm clock wearing earmuffs"),
    "a balloon": ("a {c} balloon carrying a tiny house", "a {c} balloon with a long curly string"),
    "a sailing boat": ("a {c} sailing boat on one small wave", "a {c} sailing boat in a bottle"),
    "a teapot": ("a {c} teapot with a pattern of daisies", "a {c} teapot with heart-shaped steam"),
    "a paper plane": ("a {c} paper plane with a curly trail", "a {c} paper plane above a small cloud"),
    "a candle": ("a {c} candle with a dancing flame", "a melting {c} candle in a seashell"),
    "a hot air balloon": ("a striped {c} hot air balloon among small clouds", "a {c} hot air balloon with a teddy bear in the basket"),
    "a suitcase": ("a {c} suitcase covered in patches", "an open {c} suitcase with a tiny beach inside"),
    "a radio": ("an old {c} radio with music notes", "a {c} radio with two round knobs and a long antenna"),
    "a skateboard": ("a {c} skateboard with a flame pattern", "a {c} skateboard with little wings"),
    "a lighthouse": ("a striped {c} lighthouse on a rock", "a {c} lighthouse with a seagull on top"),
}  # fmt: skip

# One word a mood, for bases that draw no more than that.
PLAIN = {
    "cheerful": "smiling", "sleepy": "sleepy", "grumpy": "grumpy", "sad": "sad", "surprised": "surprised", "shy": "blushing",
    "silly": "winking", "proud": "proud", "loving": "kissing", "curious": "curious",
}  # fmt: skip
PLAIN_FACES: dict[str, tuple[str, ...]] = {
    "cheerful": ("a smiling face", "a grinning face", "a face with tears of joy", "a beaming face with smiling eyes"),
    "loving": ("a face with heart eyes", "a face blowing a kiss", "a kissing face with closed eyes"),
    "sleepy": ("a sleepy face", "a yawning face"),
    "grumpy": ("a frowning face", "a pouting face", "a face with steam from its nose", "an unamused face"),
    "sad": ("a sad face", "a weary face", "a pleading face"),
    "surprised": ("an astonished face", "a flushed face", "an exploding face"),
    "shy": ("a relieved face", "an anxious face with sweat", "a shushing face"),
    "silly": ("a zany face", "an upside-down face", "a face with crossed eyes", "a clown face"),
    "cool": ("a face with sunglasses", "a smirking face", "a cowboy hat face"),
    "proud": ("a face with a halo", "a star-struck face", "a nerd face"),
    "curious": ("a thinking face", "a face with a raised eyebrow", "a face with a monocle"),
    "festive": ("a partying face", "a face with a party hat"),
}  # fmt: skip
PLAIN_HEARTS = ("a {c} heart", "a {c} heart with a ribbon", "a {c} heart with an arrow", "a sparkling {c} heart")

# What a body without arms or hands cannot do.
ARMLESS = frozenset({"snail", "butterfly", "ladybug", "whale", "owl", "duckling", "penguin"})
NEEDS_ARMS = re.compile(r"crossed arms|juggling|typing|playing|handstand|knitting|covering its eyes|throwing|rowing|climbing|cup of|easel")
# A subject that is a mood already is taken without it.
BARE = {"a sleeping cat": "a cat", "an evergreen tree": "a fir tree", "a crescent moon": "a moon"}


@dataclass(frozen=True)
class Proposal:
    """One thing to draw. aspect: its mood or colour. pattern: what it was made from, the same for all subjects. content: as words."""

    kind: str
    subject: str
    aspect: str
    pattern: str
    content: str


def proposals(detail: Detail, kinds: Sequence[Kind], own: Sequence[str] = ()) -> Iterator[Proposal]:
    """Everything the grammar can say, in a fixed order.

    own: subjects to use instead of the everyday ones, such as `a red fox`; each is taken for something that can act.
    """
    for subject, kind in [(name, "animal") for name in own] if own else [*SUBJECTS.items(), ("a face", "face"), ("a heart", "heart")]:
        if kind not in kinds and not own:
            continue
        if kind in ("face", "heart"):
            # The everyday ones among them are moods and colours of these two.
            yield from _faces(detail) if subject == "a face" else _hearts(detail) if subject == "a heart" else ()
        elif kind == "thing":
            patterns = THINGS.get(subject, ()) if detail == "rich" else (_coloured(subject),)
            yield from _in_colours(kind, subject, patterns)
        else:
            yield from _acting(kind, subject, detail)


def _faces(detail: Detail) -> Iterator[Proposal]:
    for mood, contents in (FACES if detail == "rich" else PLAIN_FACES).items():
        yield from (Proposal("face", "a face", mood, content, content) for content in contents)


def _hearts(detail: Detail) -> Iterator[Proposal]:
    yield from _in_colours("heart", "a heart", HEARTS if detail == "rich" else PLAIN_HEARTS)


def _in_colours(kind: str, subject: str, patterns: Sequence[str]) -> Iterator[Proposal]:
    for pattern in patterns:
        yield from (Proposal(kind, subject, colour, pattern, _put(pattern, c=colour)) for colour in COLOURS)


def _acting(kind: str, subject: str, detail: Detail) -> Iterator[Proposal]:
    whole = BARE.get(subject, subject)
    noun = re.sub(r"^(an?|the|some|my) ", "", whole)
    moods = CHARACTERS if kind == "animal" else WITH_A_FACE
    if detail == "plain":
        moods = {mood: (f"a {word} {{n}}",) for mood, word in PLAIN.items()}
    for mood, patterns in moods.items():
        for pattern in patterns:
            is_itself = any(word in pattern for word in noun.split())
            if not is_itself and not (noun in ARMLESS and NEEDS_ARMS.search(pattern)):
                yield Proposal(kind, subject, mood, pattern, _put(pattern, x=whole, n=noun))


def _coloured(subject: str) -> str:
    """A thing with its colour before the noun: `a pair of {c} sunglasses`, `a {c} key`."""
    return re.sub(r"^((?:an?|the)(?: \w+ of)?) ", r"\1 {c} ", subject)


def _put(pattern: str, **words: str) -> str:
    text = re.sub(r"\{(\w)\}", lambda match: words[match.group(1)], pattern)
    return re.sub(r"\b(an?) (?=(\w+))", lambda match: with_article("a", match.group(2)).removesuffix(match.group(2)), text)
