"""Lines of a hand-in."""

from typing import Literal

from decal.records.line import Line

Mark = Literal["pass", "fail", "not checked"]


class Point(Line):
    """One point of the checklist of a hand-in.

    mark: not checked where something is missing that could tell. told: what was found, with the figure. remedy: what to do; "" where it
    passes.
    """

    name: str
    mark: Mark
    told: str
    remedy: str = ""


class HandIn(Line):
    """`hand-in.json`, what a hand-in holds. fingerprint: of all it was made from. files: sha256 by name, of all but this one."""

    run: str
    checkpoint: int
    fingerprint: str
    points: tuple[Point, ...]
    files: dict[str, str]
