"""The brand kit of a team: `posts/brands.csv`, a line a company with its colours, its look and what it never shows.

company,palette,look,avoid
tim hortons,red and white,warm cafe photograph,people
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from decal.errors import DataError

MAX_CHARACTERS = 80
COLUMNS = ("company", "palette", "look", "avoid")


@dataclass(frozen=True)
class Brand:
    """How pictures of a company look. avoid: goes into the negative prompt."""

    palette: str = ""
    look: str = ""
    avoid: str = ""


def read(path: Path) -> dict[str, Brand]:
    """The brands by company in lower case; none where there is no file. Raises DataError that names a column that is missing."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.DictReader(file)
        names = [name.strip().casefold() for name in rows.fieldnames or []]
        if "company" not in names:
            raise DataError(f"{path} has no column company.\nIts first line must be  {','.join(COLUMNS)}")
        rows.fieldnames = names
        found = {}
        for row in rows:
            cells = {name: " ".join((row.get(name) or "").split())[:MAX_CHARACTERS] for name in COLUMNS}
            found[cells["company"].casefold()] = Brand(cells["palette"], cells["look"], cells["avoid"])
    return found


def of(company: str, is_doubtful: bool, brands: Mapping[str, Brand]) -> Brand:
    """The brand of a post; an empty one where the company is not known for sure."""
    return Brand() if is_doubtful else brands.get(company.casefold(), Brand())
