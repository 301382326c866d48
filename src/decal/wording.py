"""How a number of things is said to a person, the same everywhere."""


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 picture`, `1,200 pictures`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
