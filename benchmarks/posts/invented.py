"""A table of invented posts of any length, in the schema of scraped ones, with the faults that scraped ones have.

    python benchmarks/posts/invented.py 300000 posts.csv

The same number gives the same table. Shares follow what was measured on public tables of this kind: 52 % with characters beyond ASCII, 50 %
with hashtags, 30 % with mentions, 7 % with entities; media 63 % photos, 32 % films, 5 % moving pictures; likes with a long tail.
"""

import argparse
import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path

COMPANIES = ("tim hortons", "northwind", "bluebird bank", "pear phones", "velo works", "harbour zoo", "sunny side", "td", "house", "free")
PEOPLE = ("PH", "Canada", "News", "Support", "UK", "Daily", "HQ", "India")
OPENINGS = (
    "Introducing",
    "Enjoy",
    "Last chance for",
    "Good morning with",
    "Come and see",
    "Win",
    "Who wants",
    "Happy Friday with",
    "New in store:",
)
THINGS = (
    "a strawberry cake", "our new phone", "a fresh pizza", "the red bicycle", "a cup of coffee", "two penguins", "a lemon pie",
    "a green salad", "our savings plan", "the concert", "a pair of sunglasses", "the blue whale", "ice cream", "a burger",
    "the rainbow mug",
)  # fmt: skip
ENDINGS = (
    "this weekend only!", "in all our shops.", "with 20% off until Sunday", "and tell us what you think", "at the harbour",
    "for the whole family", "made by hand in our kitchen", "before everybody else does", "&amp; get one free", "– see you there!",
)  # fmt: skip
TAGS = ("#NationalCoffeeDay", "#MondayMotivation", "#sale", "#TimHortonsPH", "#weekend_vibes", "#Foodie", "#ad")
EMOJI = ("☕", "🍕", "🎉", "😍", "🔥", "❤️", "🐧", "🍓")
COLUMNS = ("id", "date", "likes", "content", "username", "media", "inferred company")


def rows(count: int) -> Iterator[list[object]]:
    """So many rows."""
    dice = random.Random(count)
    accounts = [f"{company.title().replace(' ', '')}{dice.choice(PEOPLE)}{number}" for number in range(240) for company in COMPANIES]
    for number in range(1, count + 1):
        account = accounts[int(len(accounts) * dice.random() ** 2)]
        yield [number, _date(dice), _likes(dice, account), _content(dice, number), account, _media(dice, number), _company(account)]


def write(path: Path, count: int) -> None:
    """The table as CSV, or as JSON lines, XLSX or parquet by its ending."""
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(rows(count))
    elif path.suffix == ".jsonl":
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False) + "\n" for row in rows(count))
    elif path.suffix == ".xlsx":
        import openpyxl

        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet()
        sheet.append(COLUMNS)
        for row in rows(count):
            sheet.append(row)
        book.save(path)
    else:
        import pyarrow
        from pyarrow import parquet

        columns = list(zip(*rows(count), strict=True))
        table = pyarrow.table({name: [str(cell) for cell in column] for name, column in zip(COLUMNS, columns, strict=True)})
        parquet.write_table(table, path)


def _date(dice: random.Random) -> str:
    return f"{dice.choice((2018, 2019, 2020))}-{dice.randint(1, 12):02}-{dice.randint(1, 28):02} {dice.randint(0, 23):02}:47:00"


def _likes(dice: random.Random, account: str) -> object:
    odd = dice.random()
    if odd < 0.002:
        return dice.choice(("NaN", "-3", "many", ""))
    return int(2.718 ** dice.gauss(2 + len(account) % 5, 0.9))


def _content(dice: random.Random, number: int) -> str:
    if dice.random() < 0.003:
        return dice.choice(("", "<hyperlink>", "<mention> <hyperlink>"))
    text = f"{dice.choice(OPENINGS)} {dice.choice(THINGS)} {dice.choice(ENDINGS)}"
    if dice.random() < 0.9:
        text += f" {dice.choice(OPENINGS)} {dice.choice(THINGS)}, {dice.choice(THINGS)} and number {number}."
    if dice.random() < 0.3:
        text = f"<mention> {text}"
    if dice.random() < 0.52:
        text += f" {dice.choice(EMOJI)}"
    if dice.random() < 0.5:
        text += " " + " ".join(dice.sample(TAGS, dice.randint(1, 3)))
    return f"{text} <hyperlink>"


def _media(dice: random.Random, number: int) -> str:
    where, kind = f"https://pictures.example/media/{number}", dice.random()
    if kind < 0.63:
        return f"[Photo(previewUrl='{where}?name=small', fullUrl='{where}?name=large')]"
    if kind < 0.95:
        variants = f"[VideoVariant(contentType='video/mp4', url='{where}.mp4', bitrate=2176000)]"
        return f"[Video(thumbnailUrl='{where}.jpg', variants={variants}, duration=12.3, views=None)]"
    return f"[Gif(thumbnailUrl='{where}.jpg', variants=[VideoVariant(contentType='video/mp4', url='{where}.mp4', bitrate=0)])]"


def _company(account: str) -> str:
    return next(company for company in COMPANIES if account.startswith(company.title().replace(" ", "")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int)
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    write(arguments.file, arguments.rows)
