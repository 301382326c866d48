"""Masks in a folder of their own: names of files in, the picture of each out.

`masks/pear.png` is of `pear.jpg`, or of `pictures/pear.jpg` in a folder beside it; `masks/10_fox/pear.png` of `10_fox/pear.png`. Which of
them are masks at all only their pixels and captions say, so that is asked elsewhere.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from decal import masks

FOLDERS = ("masks", "mask")


def candidates(files: Iterable[str]) -> list[str]:
    """The files that lie in a folder of masks, if that is what it holds."""
    return [file for file in files if _place(file) is not None]


def pictures_of(candidates: Iterable[str], files: Iterable[str]) -> dict[str, str]:
    """The one picture whose mask each candidate is by its place and name; the others are left out. files: the pictures."""
    same: dict[str, list[str]] = {}
    beside: dict[str, list[str]] = {}
    for file in files:
        parts = PurePosixPath(file).with_suffix("").parts
        same.setdefault("/".join(parts), []).append(file)
        for at in range(len(parts) - 1):
            beside.setdefault("/".join(parts[:at] + parts[at + 1 :]), []).append(file)
    found: dict[str, str] = {}
    taken: set[str] = set()
    for mask in candidates:
        place = _place(mask) or ""
        pictures = same.get(place) or beside.get(place, [])
        if len(pictures) == 1 and pictures[0] not in taken:
            found[mask] = pictures[0]
            taken.add(pictures[0])
    return found


def _place(file: str) -> str | None:
    """The place of a file without the folder of masks that it lies in, and without its ending; None where it lies in none."""
    path = PurePosixPath(file)
    at = next((at for at, part in enumerate(path.parts[:-1]) if part.casefold() in FOLDERS), None)
    if at is None:
        return None
    return "/".join([*path.parts[:at], *path.parts[at + 1 : -1], path.stem.removesuffix(masks.LABEL)])
