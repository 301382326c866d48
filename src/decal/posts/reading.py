"""One raw row -> a Post: its text cleaned, its date and likes understood, its media column read, its company settled.

Nothing stops here: what makes no sense is left out of the post and said in its notes, and a row without any text keeps its place with a
status of its own. The company that a scraper inferred is often wrong, so a map from accounts to companies goes before it, and a name that
is only a small part of the account's is marked as doubtful.
"""

import csv
import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from decal.errors import DataError
from decal.posts import cleaning, media_column
from decal.posts.tables import Raw
from decal.records import Post, PostMedia

# Four times the longest that any network of short posts takes; what is longer is kept to here.
MAX_CHARACTERS = 20_000
MAX_NAME = 200
LIKES = re.compile(r"([+-]?)(\d[\d.,_'’\s]*?)\s*([KkMm]?)")
# As in 2,750 and 1 234 567; as in 2.750, which is no fraction, because likes are whole; as in 12.0 and 1.2K and 0.123.
GROUPED = re.compile(r"(?!0)\d{1,3}(?:[,_'’\s]\d{2,3})*[,_'’\s]\d{3}(?:\.\d+)?")
POINTED = re.compile(r"(?!0)\d{1,3}(?:\.\d{3})+(?:,\d+)?")
# Three thousand here and three there.
ROUND = re.compile(r"[+-]?(?!0)\d{1,3}\.000")
DECIMAL = re.compile(r"\d+(?:[.,]\d+)?")
TIMES = {"": 1, "k": 1_000, "m": 1_000_000}
# Day first, because nobody writes a month first between points.
DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:[ T,]+(.+))?")
# A company that covers less of the account's name than this is a chance match, as "td" is in SimonHarrisTD.
MIN_COVERED = 0.5
FIRST_YEAR = 1990


@dataclass(frozen=True)
class Known:
    """What is known beside the table. companies: by account, in lower case. now: when the import began; later dates are in the future."""

    companies: Mapping[str, str]
    now: datetime


def read(raw: Raw, known: Known) -> Post:
    """The post in a row."""
    if raw.fault:
        return Post(number=raw.number, id="", status="faulty", notes=(*raw.notes, f"row: {raw.fault}"), original=_safe(raw.text))
    notes = list(raw.notes)
    told = raw.cells.get("content")
    content = told if isinstance(told, str) else "" if told is None or told != told else str(told)
    if len(content) > MAX_CHARACTERS:
        content = content[:MAX_CHARACTERS]
        notes.append(f"text: longer than {MAX_CHARACTERS:,} characters, cut there")
    cleaned = cleaning.clean(content)
    if not cleaned.text and not cleaned.hashtags and not cleaned.emoji:
        notes.append("text: empty")
    account = name_of(raw.cells.get("username")).removeprefix("@")
    company, is_doubtful = settle_company(account, name_of(raw.cells.get("company")), known.companies)
    date, likes = _date(raw.cells.get("date"), known.now, notes), likes_of(raw.cells.get("likes"), notes)
    media = _media(raw.cells.get("media"), notes)
    return Post(
        number=raw.number,
        id=name_of(raw.cells.get("id")) or f"row-{raw.number}",
        status="kept" if cleaned.text or cleaned.hashtags or cleaned.emoji else "empty",
        notes=tuple(notes),
        original=_safe(content),
        text=cleaned.text,
        hashtags=cleaned.hashtags[:30],
        emoji=cleaned.emoji[:30],
        language=cleaning.language(cleaned.text),
        account=account,
        company=company,
        is_company_doubtful=is_doubtful,
        date=date,
        likes=likes,
        media=media,
    )


@functools.lru_cache(maxsize=65_536)
def _chance_match(account: str, inferred: str) -> bool:
    letters, named = (re.sub(r"[\W_]", "", text.casefold()) for text in (account, inferred))
    return bool(named) and bool(letters) and named in letters and len(named) < MIN_COVERED * len(letters)


def settle_company(account: str, inferred: str, companies: Mapping[str, str]) -> tuple[str, bool]:
    """The company of an account, and whether it is doubtful: the map's word first, then the table's."""
    if (known := companies.get(account.casefold())) is not None:
        return known, False
    return inferred, _chance_match(account, inferred)


def read_companies(path: Path) -> dict[str, str]:
    """The map from accounts to companies in a CSV file with the columns username and company; none where there is no file.

    Raises DataError that names the line which has no account.
    """
    if not path.is_file():
        return {}
    companies: dict[str, str] = {}
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            # The mark keeps spreadsheets from running what a stranger wrote.
            cells = [re.sub(r"^'(?=[=+@-])", "", cell.strip()) for cell in row]
            if not any(cells) or cells[0].startswith("#") or (number == 1 and cells[0].casefold() in ("username", "account")):
                continue
            if len(cells) < 2 or not cells[0]:
                raise DataError(f"{path}, line {number} is not of the form  TimHortonsPH,tim hortons\nWrite an account and its company.")
            companies[cells[0].removeprefix("@").casefold()] = cells[1]
    return companies


def name_of(value: object) -> str:
    """A cell that names something, on one line; "" for what is no name."""
    if value is None or value != value or isinstance(value, bool | list | dict):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # Spreadsheets keep ids as floating-point numbers.
    text = " ".join(cleaning.UNSEEN.sub("", str(value)).split())[:MAX_NAME]
    return "" if text.casefold() in ("nan", "none", "null") else text


def likes_of(value: object, notes: list[str]) -> int | None:
    """A number of likes from a cell; None, with a note, where it makes none."""
    if value is None or value == "":
        notes.append("likes: missing")
        return None
    if isinstance(value, str):
        if ROUND.fullmatch(value.strip()):
            notes.append("likes: thousands or a fraction, as in 3.000")
            return None
        value = _number(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        notes.append("likes: not a number")
        return None
    if value < 0 or value > 10**12:
        notes.append("likes: negative" if value < 0 else "likes: more than there are people")
        return None
    if value != int(value):
        notes.append("likes: not whole, what follows the point is left out")
    return int(value)


def _number(text: str) -> float | None:
    """A number as people write it; None where it is none."""
    match = LIKES.fullmatch(text)
    if match is None:
        return None
    sign, digits, unit = match.groups()
    if GROUPED.fullmatch(digits):
        digits = re.sub(r"[,_'’\s]", "", digits)
    elif POINTED.fullmatch(digits) and not unit:
        digits = digits.replace(".", "").replace(",", ".")
    elif not DECIMAL.fullmatch(digits):
        return None
    number = float(sign + digits.replace(",", ".")) * TIMES[unit.lower()]
    # 8.2 million is no 8,199,999.
    return round(number) if unit and math.isfinite(number) else number


def _date(value: object, now: datetime, notes: list[str]) -> str | None:
    """A date as ISO 8601 in UTC, to the second; None, with a note, where it makes none or lies in the future."""
    if value is None or value == "":
        notes.append("date: missing")
        return None
    moment = _moment(value)
    if moment is None or moment.year < FIRST_YEAR:
        notes.append("date: not understood")
        return None
    if moment > now + timedelta(days=1):
        notes.append("date: in the future")
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(value: object) -> datetime | None:
    try:
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            # Seconds or milliseconds since 1970.
            moment = datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
        elif isinstance(value, str) and re.match(r"\d{4}-\d\d", text := value.strip()):
            moment = datetime.fromisoformat(text)
        elif isinstance(value, str) and (match := DAY_FIRST.fullmatch(value.strip())):
            number, month, year, clock = match.groups()
            moment = datetime.fromisoformat(f"{year}-{month:0>2}-{number:0>2}T{clock or '00:00'}")
        elif isinstance(value, str) and (match := re.fullmatch(r"(\w{3}) (\w{3}) (\d\d) ([\d:]{8}) ([+-]\d{4}) (\d{4})", value.strip())):
            day, month, number, clock, zone, year = match.groups()  # As Twitter's interface writes it.
            moment = parsedate_to_datetime(f"{day}, {number} {month} {year} {clock} {zone}")
        else:
            return None
    except (ValueError, OverflowError, OSError, TypeError):
        return None
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def _media(value: object, notes: list[str]) -> tuple[PostMedia, ...]:
    try:
        if isinstance(value, str):
            return media_column.read(value)
        if isinstance(value, list | dict):
            return media_column.read_json(value)
    except media_column.NotMedia as problem:
        notes.append("media: in part not understood" if problem.found else "media: not understood")
        return problem.found
    if value is not None and value == value:
        notes.append("media: not understood")
    return ()


def _safe(text: str) -> str:
    """Text that UTF-8 can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
