"""How numbers of things and words of strangers are said to a person, the same everywhere."""


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 picture`, `1,200 pictures`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """Text that cannot move the cursor or colour the terminal: captions and names come from strangers."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
