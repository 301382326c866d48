"""Lists of numbers as A1111 users write them: `1, 2, 5-8`, `75-300 (+75)`, `1-10 [5]`.

A text goes in, numbers come out in the order in which they are written. `a-b (+c)` counts from a to b in steps of c; `a-b [n]` takes n
values, evenly spaced, both ends included. Source of the spelling: the X/Y/Z plot of AUTOMATIC1111/stable-diffusion-webui.
"""

import re
from collections.abc import Sequence

from decal.errors import SettingsError

NUMBER = r"\d+(?:\.\d+)?"
RANGE = re.compile(rf"({NUMBER})\s*-\s*({NUMBER})\s*(?:\(\s*([+-]\s*{NUMBER})\s*\)|\[\s*(\d+)\s*\])?")
MOST = 1000


def numbers(text: str, option: str) -> list[float]:
    """The numbers that a text lists. option: whose value it is, for the message. Raises SettingsError where it is not understood."""
    found: list[float] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found += _part(part, option)
    if not found:
        raise SettingsError(f'{option} "{text}" lists nothing.\nWrite numbers such as  75, 150  or  75-300 (+75)  or  1-10 [5]')
    return list(dict.fromkeys(found))


def steps(text: str, there: Sequence[int]) -> list[int]:
    """The checkpoints that a text lists, in order. A plain range takes those that are there; what is named must be.

    Raises SettingsError that says which there are.
    """
    chosen: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        plain = RANGE.fullmatch(part)
        if plain is not None and plain[3] is None and plain[4] is None:
            low, high = sorted((float(plain[1]), float(plain[2])))
            listed = [float(step) for step in there if low <= step <= high]
        elif plain is not None and plain[4] is not None:
            # Evenly spaced values hit checkpoints by chance only; each stands for the one that is nearest.
            listed = [float(_nearest(there, value)) for value in _spaced(plain, "--checkpoints")]
        else:
            listed = _part(part, "--checkpoints")
        missing = [f"{value:g}" for value in listed if value not in there]
        if missing or not listed:
            raise SettingsError(
                f"--checkpoints {text}: there is no checkpoint at step {', '.join(missing) or part}.\n"
                f"There are: {', '.join(map(str, there))}."
            )
        chosen += [int(value) for value in listed]
    if not chosen:
        raise SettingsError(f'--checkpoints "{text}" lists nothing.\nThere are: {", ".join(map(str, there))}.')
    return sorted(set(chosen))


def _nearest(there: Sequence[int], value: float) -> int:
    return min(there, key=lambda step: abs(step - value))


def _part(part: str, option: str) -> list[float]:
    if re.fullmatch(NUMBER, part):
        return [float(part)]
    match = RANGE.fullmatch(part)
    if match is None:
        raise SettingsError(f'{option}: "{part}" is not understood.\nWrite numbers such as  75, 150  or  75-300 (+75)  or  1-10 [5]')
    first, last = float(match[1]), float(match[2])
    if match[4] is not None:
        is_whole = first.is_integer() and last.is_integer()
        return [float(round(value)) if is_whole else round(value, 6) for value in _spaced(match, option)]
    step = float(match[3].replace(" ", "")) if match[3] else (1.0 if last >= first else -1.0)
    if step == 0 or (last - first) * step < 0 or abs(last - first) / abs(step) >= MOST:
        raise SettingsError(f"{option}: {part} never gets there, or takes more than {MOST} values.\nMend the step in ( ).")
    return [round(first + step * place, 6) for place in range(int((last - first) / step + 1e-9) + 1)]


def _spaced(match: re.Match[str], option: str) -> list[float]:
    """The values of `a-b [n]`."""
    first, last, count = float(match[1]), float(match[2]), int(match[4])
    if not 1 <= count <= MOST:
        raise SettingsError(f"{option}: {match[0]} asks for {count} values; 1 to {MOST} can be had.")
    return [first + (last - first) * place / max(1, count - 1) for place in range(count)]
