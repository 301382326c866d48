"""How numbers of things, articles and words of strangers are said to a person, the same everywhere."""

import re
import shutil
import sys
import textwrap

# Exceptions to "an before a vowel" that open common subjects.
SPOKEN_WITH_A = re.compile(r"(uni([cdfopqstv]|$)|use|usu|uti|eu|ewe|one\b|once)", re.IGNORECASE)
# A narrower column than the rest of this share is no room for a sentence.
MOST_HANGING = 0.55
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


def shown(text: str) -> str:
    """Text as standard output is to have it: lines folded to the width of a terminal, and left as they are elsewhere."""
    if not sys.stdout.isatty():
        return text
    columns = shutil.get_terminal_size().columns
    return "\n".join(part for line in text.splitlines() for part in folded(line, columns))


def folded(line: str, width: int) -> list[str]:
    """A line as lines of at most so many columns, the further ones under the last column of a table that it has, or its first word.

    Columns stand two blanks apart; a word longer than a line stays whole.
    """
    if len(line) <= width:
        return [line]
    arrow = re.match(r" *-> ", line)
    starts = [gap.end() for gap in re.finditer(r" {2,}", line) if gap.end() <= width * MOST_HANGING]
    hanging = arrow.end() if arrow else max(starts, default=0)
    lead = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line.lstrip(), width, initial_indent=lead, subsequent_indent=" " * hanging, break_long_words=False, break_on_hyphens=False
    )


def with_article(article: str, word: str) -> str:
    """A word behind the form of a, an, A or An that goes with it; "" for no word."""
    if not word:
        return ""
    is_an = bool(SPOKEN_WITH_AN.match(word)) or (word[0].lower() in "aeiou" and not SPOKEN_WITH_A.match(word))
    return f"{article[0]}{'n' if is_an else ''} {word}"
