"""In which language a caption seems to be, from its letters and its small words, and text that was saved in the wrong encoding.

The text encoders of Stable Diffusion learned English. Other alphabets fall apart into several tokens a word, and words of other languages
mean little to them. Small words are told apart by short lists of our own, without those that English has too; one alone proves nothing.
"""

import re
import unicodedata

ALPHABETS = {
    "CYRILLIC": "Cyrillic",
    "GREEK": "Greek",
    "ARABIC": "Arabic",
    "HEBREW": "Hebrew",
    "CJK": "Chinese or Japanese",
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "HANGUL": "Korean",
    "DEVANAGARI": "Devanagari",
    "THAI": "Thai",
}
# More letters of another alphabet than this share; a name or a word in quotes is less.
FOREIGN_SHARE = 0.3
FOREIGN_WORDS = 2
SMALL_WORDS = {
    "German": "der das und ein eine einen einem einer eines mit auf ist nicht für von zum zur im dem den vor unter über einem sich",
    "French": "le les des une avec dans sur est et aux qui pour du ses son sous une deux très",
    "Spanish": "el los las una con del en y sobre por para que su sus muy es un dos",
    "Italian": "il lo gli uno una con della dello del nel nella che sul sulla di e un due molto",
    "Portuguese": "os uma com da do das dos em na no que sobre por para um dois muito sua",
    "Dutch": "het een met op van voor naar bij zijn en onder naast haar twee",
    "Polish": "z na i w ze pod nad oraz jest dla się który przez dwa",
    "Turkish": "ve bir ile için olan üzerinde altında çok iki",
    "Swedish": "och ett med på som är till av under två",
}
UNSEEN = ("Cc", "Cf", "Co", "Cn")
# They decide how letters of some alphabets, and emoji, are put together.
JOINERS = "\u200c\u200d"
ENGLISH = frozenset("the a an of and with in on at is are to its his her from under over by for".split())


def language_of(text: str) -> str | None:
    """What a text is written in, such as `Cyrillic letters` or `German`; None where it may be English."""
    letters = [letter for letter in text if letter.isalpha()]
    foreign = [name for letter in letters if (name := _alphabet(letter)) is not None]
    if letters and len(foreign) > FOREIGN_SHARE * len(letters):
        name = max(sorted(set(foreign)), key=foreign.count)
        return f"{name} letters" if name else "letters of another alphabet"
    words = re.findall(r"[^\W\d_]+", text.casefold())
    english = sum(word in ENGLISH for word in words)
    counts = {name: sum(word in small.split() and word not in ENGLISH for word in words) for name, small in SMALL_WORDS.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] >= FOREIGN_WORDS and counts[best] > english else None


def unscrambled(text: str) -> str | None:
    """The text that a scrambled one was before UTF-8 was read as Windows-1252 or Latin-1; None where it is not scrambled."""
    if text.isascii():
        return None
    for encoding in ("cp1252", "latin-1"):
        try:
            mended = text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        # What comes out must be letters: a real text that happens to decode turns into marks and controls.
        if all(letter.isprintable() for letter in mended):
            return mended
    return None


def tidied(text: str) -> str:
    """A text on one line, in NFC, without characters that cannot be seen."""
    kept = "".join(letter for letter in text if letter.isspace() or letter in JOINERS or unicodedata.category(letter) not in UNSEEN)
    return " ".join(unicodedata.normalize("NFC", kept).split())


def _alphabet(letter: str) -> str | None:
    if ord(letter) < 0x370:
        return None
    first = unicodedata.name(letter, "").partition(" ")[0]
    return ALPHABETS.get(first, None if first in ("LATIN", "FULLWIDTH", "") else "")
