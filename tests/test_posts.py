"""Tables of posts: every row arrives with a status, nothing in it is run, and nothing leaks between what is trained on and what is not."""

import csv
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typed import Call

from decal.errors import DataError
from decal.posts import cleaning, media_column, reading, tables
from decal.posts.alike import Alikes
from decal.posts.buckets import buckets, drawn_bucket
from decal.posts.imagefolders import datasheet
from decal.posts.report import Report
from decal.posts.sides import Sides
from decal.records import Post, PostMedia, PostRow

HEAD = "id,date,likes,content,username,media,inferred company\n"
KNOWN = reading.Known({}, datetime(2026, 1, 1, tzinfo=UTC))


def post_of(**cells: object) -> Post:
    return reading.read(tables.Raw(1, {"content": "A pizza", "likes": 3, "date": "2020-12-12 00:47:00"} | cells), KNOWN)


def post(number: int, text: str, account: str = "a", date: str | None = None, likes: int | None = None) -> Post:
    return Post(number=number, id=str(number), status="kept", notes=(), original=text, text=text, account=account, date=date, likes=likes)


def rows_of(path: Path) -> list[tables.Raw]:
    return list(tables.read(path, {}).rows)


def test_a_quote_that_is_never_closed_costs_its_own_row_only(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text(HEAD + '1,,3,"a lost quote,x,,\n' + "".join(f"{n},,3,post {n},x,,\n" for n in range(2, 500)))
    rows = rows_of(tmp_path / "posts.csv")
    assert [row.number for row in rows] == list(range(1, 500))
    assert [row.fault for row in rows if row.fault] == ["a quote is not closed"]


def test_a_post_of_many_lines_is_one_row(tmp_path: Path) -> None:
    with (tmp_path / "posts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["content", "likes"], ["line\n" * 3000, 5], ["next", 6]])
    assert [row.cells["likes"] for row in rows_of(tmp_path / "posts.csv")] == ["5", "6"]


def test_bytes_of_two_encodings_in_one_table_are_both_read(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_bytes(b"content\ncaf\xc3\xa9\ncaf\xe9\nplain\n")
    rows = rows_of(tmp_path / "posts.csv")
    assert [row.cells["content"] for row in rows] == ["café", "café", "plain"]
    assert [row.notes for row in rows] == [(), ("text: bytes that are not UTF-8",), ()]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_tables_from_windows_are_read(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("tweet;like_count\nein Café;1,200\n", encoding)
    assert [row.cells for row in rows_of(tmp_path / "posts.csv")] == [{"content": "ein Café", "likes": "1,200"}]


def test_every_format_gives_the_same_posts(tmp_path: Path) -> None:
    for ending in ("csv", "jsonl", "xlsx", "parquet"):
        script = Path(__file__).parents[1] / "benchmarks/posts/invented.py"
        subprocess.run([sys.executable, script, "40", tmp_path / f"posts.{ending}"], check=True)
    kinds = ("csv", "jsonl", "xlsx", "parquet")
    read = [[reading.read(raw, KNOWN) for raw in rows_of(tmp_path / f"posts.{kind}")] for kind in kinds]
    assert len(read[0]) == 40
    assert read[1] == read[2] == read[3] == read[0]


def test_a_table_without_texts_names_its_columns(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("id,words\n1,hello\n")
    with pytest.raises(DataError, match=r"no column of texts .*\nIts columns are: id, words. Name it with  --column content=NAME"):
        tables.read(tmp_path / "posts.csv", {})
    assert [row.cells["content"] for row in tables.read(tmp_path / "posts.csv", {"content": "words"}).rows] == ["hello"]


def test_columns_are_known_in_other_languages_and_the_rest_is_named(tmp_path: Path, call: Call) -> None:
    (tmp_path / "posts.csv").write_text("Datum;Worte;Gefällt mir;Konto;Tag;Bild\n12.12.2020;Ein Kuchen;3;shop;x;1.png\n")
    _, out, _ = call("posts", "import", tmp_path / "posts.csv", "--column", "content=Worte")
    assert "date from 'Datum', likes from 'Gefällt mir', content from 'Worte', username from 'Konto', media from 'Bild'" in out
    assert "  not used: 'Tag'\n" in out
    (tmp_path / "it.csv").write_text("data;testo;mi piace;utente;immagine\n12.12.2020;Una torta;3;shop;1.png\n")
    out = call("posts", "import", tmp_path / "it.csv")[1]
    assert "date from 'data', likes from 'mi piace', content from 'testo', username from 'utente', media from 'immagine'" in out
    # Called again, and for new posts, the same names are known.
    assert "content from 'Worte'" in call("posts", "import", tmp_path / "posts.csv")[1]
    (tmp_path / "new.csv").write_text("Worte;Datum\n<hyperlink>;\n")
    assert "says anything that could be drawn" in call("posts", "draw", tmp_path / "new.csv", tmp_path / "posts")[2]


def test_a_damaged_workbook_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "posts.xlsx").write_bytes(b"PK\x03\x04 not a workbook")
    with pytest.raises(DataError, match="cannot be read as a workbook"):
        tables.read(tmp_path / "posts.xlsx", {})


def test_the_media_column_is_read_and_never_run() -> None:
    photo = "[Photo(previewUrl='https://p.example/1?name=small', fullUrl='https://p.example/1?name=large')]"
    film = (
        "[Video(thumbnailUrl='https://p.example/2.jpg', variants=[VideoVariant(contentType='video/mp4', url='u', bitrate=1)], views=None)]"
    )
    both = "[Photo(previewUrl='s', fullUrl='https://p.example/it\\'s'), Gif(thumbnailUrl='https://p.example/3', variants=[])]"
    assert media_column.read(photo) == (PostMedia(kind="photo", url="https://p.example/1?name=large"),)
    assert media_column.read(film) == (PostMedia(kind="video", url="https://p.example/2.jpg"),)
    assert [one.url for one in media_column.read(both)] == ["https://p.example/it's", "https://p.example/3"]
    hostile = [
        "__import__('os').system('x')",
        "[Photo(fullUrl=open('x').read())]",
        "[" * 10_000,
        "[Photo(fullUrl='x'",
        "lambda: 0",
        "'a'*9**9",
    ]
    for text in hostile:
        with pytest.raises(media_column.NotMedia):
            media_column.read(text)


def test_scraped_text_becomes_its_words() -> None:
    cleaned = cleaning.clean("RT @x: <mention> Get 20% off &amp; a #FreeCoffee ☕️ at www.x.example <hyperlink> #TimHortonsPH #ad")
    assert cleaned == cleaning.Cleaned("Get 20% off & a Free Coffee at", ("Free Coffee", "Tim Hortons PH", "ad"), ("hot beverage",))
    assert cleaning.clean("&lt;mention&gt; \u202eevil\u202c \x1b[31mred").text == "evil [31mred"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Enjoy a cup of coffee with your friends", "en"),
        ("Disfruta de la mejor pizza con los amigos", "es"),
        ("Wir feiern mit euch und das ist nicht alles", "de"),
        ("Новый кофе уже в продаже", "ru"),
        ("新しいコーヒー", "ja"),
        ("Bald geht's los", "de"),
        ("Endlich wieder da: Pistazieneis", "de"),
        ("Cioccolatini fatti a mano", "it"),
        ("Chegou o sorvete de morango", "pt"),
        ("Sneeuw in de bergen!", "nl"),
        ("A bald eagle", "und"),
        ("12345", "und"),
    ],
)
def test_languages_are_told(text: str, language: str) -> None:
    assert cleaning.language(text) == language


@pytest.mark.parametrize(
    ("likes", "read", "note"),
    [
        ("2,750", 2750, ()),
        ("1.2K", 1200, ()),
        ("1,2k", 1200, ()),
        ("2.750", 2750, ()),
        ("1 234 567", 1234567, ()),
        ("12.0", 12, ()),
        ("0.750", 0, ("likes: not whole, what follows the point is left out",)),
        ("1,5", 1, ("likes: not whole, what follows the point is left out",)),
        ("8.2M", 8_200_000, ()),
        ("3.000", None, ("likes: thousands or a fraction, as in 3.000",)),
        ("1.2.3", None, ("likes: not a number",)),
        (3.0, 3, ()),
        ("NaN", None, ("likes: not a number",)),
        (float("nan"), None, ("likes: not a number",)),
        (-3, None, ("likes: negative",)),
        (None, None, ("likes: missing",)),
        ("9" * 400, None, ("likes: not a number",)),
    ],
)
def test_likes_that_make_no_sense_are_left_out_and_said(likes: object, read: int | None, note: tuple[str, ...]) -> None:
    found = post_of(likes=likes)
    assert (found.likes, found.notes) == (read, note)


@pytest.mark.parametrize(
    ("date", "read", "notes"),
    [
        ("2020-12-12 00:47:00", "2020-12-12T00:47:00Z", ()),
        ("2020-12-12T02:47:00+02:00", "2020-12-12T00:47:00Z", ()),
        ("Sat Dec 12 00:47:00 +0000 2020", "2020-12-12T00:47:00Z", ()),
        (1607734020, "2020-12-12T00:47:00Z", ()),
        ("2999-01-01", None, ("date: in the future",)),
        ("12/11/10", None, ("date: not understood",)),
        ("2.1.2020, 13:05", "2020-01-02T13:05:00Z", ()),
        ("31.02.2020", None, ("date: not understood",)),
    ],
)
def test_dates_are_understood_or_left_out_and_said(date: object, read: str | None, notes: tuple[str, ...]) -> None:
    found = post_of(date=date)
    assert (found.date, found.notes) == (read, notes)


def test_a_post_of_ten_megabytes_is_kept_to_its_beginning() -> None:
    found = post_of(content="pizza " * 1_700_000)
    assert (found.status, len(found.original), found.notes) == ("kept", 20_000, ("text: longer than 20,000 characters, cut there",))


def test_a_company_that_is_a_small_part_of_the_name_is_doubtful_until_the_map_says() -> None:
    assert reading.settle_company("SimonHarrisTD", "td", {}) == ("td", True)
    assert reading.settle_company("TimHortonsPH", "tim hortons", {}) == ("tim hortons", False)
    assert reading.settle_company("SimonHarrisTD", "td", {"simonharristd": "simon harris"}) == ("simon harris", False)


def test_posts_that_nearly_repeat_others_are_found() -> None:
    texts = ["Get 20 % off every pizza in all our shops until Friday night", "Come and see the penguins in the harbour zoo today",
             "Get 20 % off every pizza in all our shops until Sunday night", "A new phone", "A new phone"]  # fmt: skip
    alikes = Alikes()
    for number, text in enumerate(texts, start=1):
        alikes.add(post(number, text))
    assert alikes.firsts() == {1: 1, 2: 2, 3: 1, 4: 4, 5: 4}


def test_no_account_no_later_day_and_no_repeat_leaks_into_training() -> None:
    sides = Sides(seed=0)
    posts = [
        post(n, f"post {n * 7919} about {n * 104729}", f"account{n % 20}", f"2020-01-{n % 28 + 1:02}T00:00:00Z") for n in range(1, 400)
    ]
    sides.add([*posts, *(one.model_copy(update={"number": 1000 + one.number, "account": "other"}) for one in posts[:50])])
    places = {place.number: place for place in sides.places()}
    train = [one for one in posts if places[one.number].side == "train"]
    out = [one for one in posts if places[one.number].side.startswith("unseen")]
    assert {one.account for one in train}.isdisjoint(one.account for one in out if places[one.number].side == "unseen account")
    assert max(str(one.date) for one in train) < min(str(one.date) for one in out if places[one.number].side == "unseen time")
    assert {places[one.number].alike for one in train}.isdisjoint(
        places[number].alike for number in places if places[number].side.startswith("un")
    )


def test_engagement_is_compared_within_the_account() -> None:
    sides = Sides(seed=0)
    sides.add(post(n, f"post {n * 7919}", "small", likes=n) for n in range(1, 31))
    sides.add(post(100 + n, f"post {n * 104729}", "large", likes=1000 * n) for n in range(1, 31))
    sides.add([post(200, "one more", "new", likes=10**9)])
    levels = {place.number: place.engagement for place in sides.places()}
    # Of 30 posts, those above the 60th and the 90th percentile of their own account.
    assert [levels[n] for n in (18, 19, 27, 28)] == ["low", "medium", "medium", "high"]
    assert [levels[100 + n] for n in (18, 19, 27, 28)] == ["low", "medium", "medium", "high"]
    assert levels[200] is None


def test_an_account_with_little_history_borrows_the_spread_of_others() -> None:
    likes = [*range(1, 31), *[1000] * 5, 3000, 300]
    accounts = ["long"] * 30 + ["short"] * 7
    found = buckets(accounts, [""] * 37, likes, [True] * 35 + [False] * 2)
    # Of five equal posts nothing could be told; three times or a third of the usual is far out among the rest.
    assert found[-2:] == ["high", "low"]
    assert buckets(["new"] * 4, [""] * 4, [1, 2, 3, 4], [True] * 4) == [None] * 4


@pytest.mark.parametrize(
    ("media", "read", "notes"),
    [
        ("1004.png", ["1004.png"], ()),
        ("['1007.jpg', 'film/still.webp']", ["1007.jpg", "film/still.webp"], ()),
        ("1.png; 2.jpg", ["1.png", "2.jpg"], ()),
        (["1007.jpg"], ["1007.jpg"], ()),
        ("['https://p.example/1', 'notes.txt']", ["https://p.example/1"], ("media: in part not understood",)),
        ({"kind": "poll"}, [], ("media: not understood",)),
        (1004, [], ("media: not understood",)),
        ("C:/x", [], ("media: not understood",)),
        (None, [], ()),
    ],
)
def test_files_are_media_and_what_is_not_understood_is_said(media: object, read: list[str], notes: tuple[str, ...]) -> None:
    found = post_of(media=media)
    assert ([one.url for one in found.media], found.notes) == (read, notes)


def test_the_import_names_rows_counts_accounts_without_case_and_says_what_is_kept_out() -> None:
    rows = [post_of(media=media, username=name) for media, name in (("odd", "Shop"), ("a.png", "shop"))]
    report = Report()
    report.add([row.model_copy(update={"number": 7 + place}) for place, row in enumerate(rows)])
    lines = report.lines()
    assert lines[0].endswith("; 1 account")
    assert lines[1:3] == [
        f"  {1:>9}  media: not understood (row 7)",
        f"  {1:>9}  accounts in several spellings of upper and lower case, each counted as one (Shop)",
    ]
    assert any("kept out: none (it takes 10 accounts" in line for line in lines)


def test_an_account_whose_posts_all_had_the_same_likes_has_no_low_ones() -> None:
    assert buckets(["quiet"] * 25, [""] * 25, [0] * 24 + [5], [True] * 24 + [False]) == [None] * 24 + ["high"]


def test_drawn_buckets_are_as_frequent_as_percentiles() -> None:
    told = [drawn_bucket(0, number) for number in range(10_000)]
    assert [round(told.count(name) / 10_000, 1) for name in ("low", "medium", "high")] == [0.6, 0.3, 0.1]


def hostile(path: Path) -> int:
    """A table with what strangers send; how many rows."""
    rows = [
        ["1", "2999-01-01", "NaN", "x" * 30_000, "a", "[Photo(", "b"],
        ["2", "", "-5", "", "", "", ""],
        ["3", "yesterday", "inf", "ok", "a", "", ""],
    ]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEAD.strip().split(","), *rows])
    with path.open("ab") as file:
        file.write(
            b'4,2020-01-01,1,caf\xe9,a,,\n5,too,few\n6,1,2,3,4,5,6,7,8,9\n7,,1,"open,a,,\n8,2020-01-01,2,last,a,,\n\xff\xfe\x00,,,\x00,,,\n'
        )
    return 9


def test_no_row_is_lost_and_each_has_a_status(tmp_path: Path, call: Call) -> None:
    count = hostile(tmp_path / "posts.csv")
    code, out, _ = call("posts", "import", tmp_path / "posts.csv", tmp_path / "shop")
    lines = [json.loads(line) for line in (tmp_path / "shop/posts/rows/00000.jsonl").read_text("utf-8").splitlines()]
    assert (code, [line["number"] for line in lines]) == (0, list(range(1, count + 1)))
    assert [line["status"] for line in lines] == ["kept", "empty", "kept", "kept", "empty", "faulty", "faulty", "kept", "empty"]
    assert "9 rows read: 4 kept, 3 that say nothing, 2 faulty" in out


def test_a_second_import_writes_nothing_and_another_table_is_refused(tmp_path: Path, call: Call) -> None:
    hostile(tmp_path / "posts.csv")
    call("posts", "import", tmp_path / "posts.csv")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "posts/posts").glob("*/*.json*")}
    assert call("posts", "import", tmp_path / "posts.csv")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "posts/posts").glob("*/*.json*")} == before
    (tmp_path / "other.csv").write_text("content\nhello\n")
    code, _, err = call("posts", "import", tmp_path / "other.csv", tmp_path / "posts")
    assert (code, "another table" in err) == (1, True)


def test_another_keyword_or_base_for_a_project_that_is_there_is_refused(tmp_path: Path, call: Call) -> None:
    (tmp_path / "posts.csv").write_text("content\nA pizza\n")
    assert call("posts", "import", tmp_path / "posts.csv", "--keyword", "shoplook")[0] == 0
    code, _, err = call("posts", "import", tmp_path / "posts.csv", "--keyword", "other", "--base", "sd1.5")
    assert (code, err.count("\n")) == (2, 3)
    assert "caption.keyword is 'shoplook' and not 'other'" in err
    assert "base.model is 'mini' and not 'sd1.5'" in err
    assert call("posts", "import", tmp_path / "posts.csv", "--keyword", "shoplook")[0] == 0


def test_exit_codes_tell_what_was_typed_from_the_data_and_from_an_earlier_command(tmp_path: Path, call: Call) -> None:
    (tmp_path / "posts.csv").write_text("content\nA pizza\n")
    (tmp_path / "bare.csv").write_text("id\n1\n")
    call("posts", "import", tmp_path / "posts.csv", tmp_path / "shop")
    typed = [
        ("import", tmp_path / "no.csv"),
        ("draw", tmp_path / "no.csv", tmp_path / "shop"),
        ("media", tmp_path / "shop", "--from", "no"),
        ("import", tmp_path / "posts.csv", tmp_path / "shop", "--column", "date=Nix"),
    ]
    too_early = [("build", tmp_path / "shop"), ("learn", tmp_path / "shop"), ("observe", tmp_path / "posts.csv", tmp_path / "shop")]
    data = [("import", tmp_path / "bare.csv"), ("report", tmp_path / "shop")]
    codes = [[call("posts", *words)[0] for words in calls] for calls in (typed, too_early, data)]
    assert codes == [[2] * 4, [1] * 3, [3] * 2]


def test_the_datasheet_counts_spellings_of_an_account_as_one() -> None:
    row = PostRow(
        number=1, file="1.png", sha256="0", width_px=8, height_px=8, caption="a pear", post="1", account="Shop", company="", date=None,
        engagement=None, came_from="1.png", shape="1:1", cut=None, crops={},
    )  # fmt: skip
    told = datasheet("shop", {"in the data set": 2}, [row, row.model_copy(update={"account": "shop"})], {})
    assert "- Accounts: Shop 2\n" in told


def test_a_damaged_shard_is_made_again_and_a_new_map_of_companies_is_used(tmp_path: Path, call: Call) -> None:
    (tmp_path / "posts.csv").write_text(HEAD + "1,2020-01-01,3,A new law,SimonHarrisTD,,td\n")
    call("posts", "import", tmp_path / "posts.csv")
    shard = tmp_path / "posts/posts/rows/00000.jsonl"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:50])
    call("posts", "import", tmp_path / "posts.csv")
    assert shard.read_bytes() == whole
    (tmp_path / "posts/posts/companies.csv").write_text("username,company\nSimonHarrisTD,the government\n")
    call("posts", "import", tmp_path / "posts.csv")
    assert json.loads(shard.read_text())["company"] == "the government"


def test_no_account_becomes_a_formula_of_a_spreadsheet(tmp_path: Path, call: Call) -> None:
    (tmp_path / "posts.csv").write_text(HEAD + "1,2020-01-01,3,A new law,=HYPERLINK(1)TD,,td\n")
    call("posts", "import", tmp_path / "posts.csv")
    doubtful = tmp_path / "posts/posts/companies-doubtful.csv"
    assert doubtful.read_text().splitlines()[1] == "'=HYPERLINK(1)TD,td,1"
    assert reading.read_companies(doubtful) == {"=hyperlink(1)td": "td"}
