"""What stands under a picture of the training data: the same thing said in many ways, as people would.

Most captions name the style, and many of those in the words that Decal's projects use ("noto style sticker of a cat face").
A caption is drawn anew each time a picture is trained on, so that no one wording is learnt by heart.
"""

import random

from data import Row
from looks import OUTLINED, TWO_TONED

STYLED_SHARE = 0.85
NUMBERS = {2: "two", 3: "three"}
PLURALS = {"mouse": "mice", "sheep": "sheep", "loaf": "loaves", "leaf": "leaves", "tooth": "teeth", "snowman": "snowmen"}
# A noun that tells more than itself ("a slice of pizza") stands before one of these.
JOINTS = (" of ", " with ", " from ", " for ", " in ", " on ", " at ", " cut ", " covering ", " spouting ", " behind ")

# What is said, and how often. thing: the noun phrase; bare: the same without article; an_style, an_bare: the article before that word.
STYLED = (
    ("{style} style sticker of {thing}", 40),
    ("{an_style} {style} style sticker of {thing}", 8),
    ("{thing}, {style} style sticker", 12),
    ("{thing}, {style} style", 8),
    ("sticker of {thing}, {style} style", 8),
    ("a sticker of {thing} in {style} style", 4),
    ("{style} style emoji of {thing}", 8),
    ("an emoji of {thing}, {style} style", 6),
    ("{style} sticker of {thing}", 6),
)
STYLED_SHORT = (("{an_style} {style} {bare} sticker", 6), ("{style} style {bare} sticker", 4))
PLAIN = (
    ("{thing}", 35),
    ("sticker of {thing}", 20),
    ("a sticker of {thing}", 15),
    ("an emoji of {thing}", 10),
    ("{thing} on a white background", 5),
    ("a picture of {thing}", 5),
)
PLAIN_SHORT = (("{an_bare} {bare} sticker", 10),)
# What is said of a picture in a look of its own, behind everything else.
LINES = ("thick outline", "black outline", "thick black outline", "bold outline")
TONES = ("{colour} and {other}", "two-tone", "{colour} and {other}, two-tone")


def caption(row: Row, rng: random.Random) -> str:
    """A caption of this picture, without a full stop and at most thirty tokens long."""
    thing = _thing(row, rng)
    bare = without_article(thing)
    is_short = row.count == 1 and bare != thing and len(bare.split()) <= 3 and not any(joint in thing for joint in JOINTS)
    general, short = (STYLED, STYLED_SHORT) if rng.random() < STYLED_SHARE else (PLAIN, PLAIN_SHORT)
    forms = general + short if is_short else general
    form = rng.choices([text for text, _ in forms], [weight for _, weight in forms])[0]
    said = form.format(style=row.style, thing=thing, bare=bare, an_style=article(row.style), an_bare=article(bare))
    return ", ".join([said, *_look(row, rng)])


def _look(row: Row, rng: random.Random) -> list[str]:
    tones = [rng.choice(TONES).format(colour=row.colour, other=row.other)] if row.look and row.look != OUTLINED else []
    lines = [rng.choice(LINES)] if row.look and row.look != TWO_TONED else []
    return tones + lines


def article(words: str) -> str:
    """The indefinite article that these words take."""
    # They sound like "you".
    as_you = words.startswith(("unicorn", "ufo", "uni"))
    return "an" if words[:1] in "aeiou" and not as_you else "a"


def without_article(thing: str) -> str:
    """A noun phrase without its article."""
    first, _, rest = thing.partition(" ")
    return rest if first in ("a", "an", "the") and rest else thing


def coloured(thing: str, colour: str) -> str:
    """A noun phrase with a colour before its noun: "a cat face" becomes "a green cat face"."""
    bare = without_article(thing)
    if thing == bare:
        return f"two {colour} {bare[4:]}" if bare.startswith("two ") else f"{colour} {bare}"
    return f"the {colour} {bare}" if thing.startswith("the ") else f"{article(colour)} {colour} {bare}"


def plural(thing: str) -> str:
    """The plural of a noun phrase with an article: "a slice of pizza" becomes "slices of pizza"."""
    bare = without_article(thing)
    cut = min((place for joint in JOINTS if (place := bare.find(joint)) >= 0), default=len(bare))
    *before, noun = bare[:cut].split()
    return " ".join([*before, _plural_of(noun)]) + bare[cut:]


def _plural_of(noun: str) -> str:
    if noun.endswith("fish"):
        return noun
    if noun in PLURALS:
        return PLURALS[noun]
    if noun.endswith(("s", "x", "ch", "sh")) or noun in ("tomato", "potato", "mango", "volcano"):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def _thing(row: Row, rng: random.Random) -> str:
    # The first name is the usual one.
    names = [name for name in row.names if row.count == 1 or name.startswith(("a ", "an "))]
    name = names[0] if rng.random() < 0.5 else rng.choice(names)
    if row.count > 1:
        return f"{NUMBERS[row.count]} {coloured(plural(name), row.colour) if row.colour else plural(name)}"
    return coloured(name, row.colour) if row.colour else name
