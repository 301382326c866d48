"""How numbers of things, articles and words of strangers are said to a person, the same everywhere."""

import re

# Exceptions to "an before a vowel" that open common subjects.
SPOKEN_WITH_A = re.compile(r"(uni([cdfopqstv]|$)|use|usu|uti|eu|ewe|one\b|once)", re.IGNORECASE)
SPOKEN_WITH_AN = re.compile(r"(hour|honest|honou?r|heir)", re.IGNORECASE)


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 picture`, `1,200 pictures`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def clock(seconds: float) -> str:
    """A time as on a clock: `0:05`, `2:15:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def printable(text: str) -> str:
    """Text that cannot move the cursor or colour the terminal: captions and names come from strangers."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def with_article(article: str, word: str) -> str:
    """A word behind the form of a, an, A or An that goes with it; "" for no word."""
    if not word:
        return ""
    is_an = bool(SPOKEN_WITH_AN.match(word)) or (word[0].lower() in "aeiou" and not SPOKEN_WITH_A.match(word))
    return f"{article[0]}{'n' if is_an else ''} {word}"
