"""What an import found: rows, notes, languages, media, companies, repeats and sides, as lines to print, as JSON, and as a table to mend."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from decal.posts.cleaning import LANGUAGES
from decal.posts.sides import MIN_ACCOUNTS, MIN_POSTS, too_few
from decal.records import Post, PostPlace
from decal.wording import counted, printable

# How many of each are told; the file has all.
TOLD = 8
# So many rows are named for each thing that is odd.
NAMED = 3
KEPT_OUT = {"unseen account": "of whole accounts", "unseen time": "of the latest days", "apart": "that nearly repeat one of these"}


@dataclass
class Report:
    """Counts over the posts that were added."""

    rows: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    media: Counter[str] = field(default_factory=Counter)
    accounts: Counter[str] = field(default_factory=Counter)
    doubtful: Counter[tuple[str, str]] = field(default_factory=Counter)
    sides: Counter[str] = field(default_factory=Counter)
    engagement: Counter[str] = field(default_factory=Counter)
    reported: int = 0
    repeats: int = 0
    repeated_ids: int = 0
    _ids: set[int] = field(default_factory=set)
    _silent: set[int] = field(default_factory=set)
    _rows: dict[str, list[int]] = field(default_factory=dict)
    _spellings: dict[str, str] = field(default_factory=dict)
    _several: set[str] = field(default_factory=set)

    def add(self, posts: Iterable[Post]) -> None:
        """More posts."""
        for post in posts:
            self.rows += 1
            self.statuses[post.status] += 1
            if post.status != "kept":
                self._silent.add(post.number)
            for note in {note[:60] for note in post.notes}:
                self.notes[note] += 1
                if self.notes[note] <= NAMED:
                    self._rows.setdefault(note, []).append(post.number)
            if post.status == "faulty":
                continue
            known = hash(post.id)
            self.repeated_ids += known in self._ids
            self._ids.add(known)
            account = post.account.casefold()
            self.accounts[account] += 1
            if self._spellings.setdefault(account, post.account) != post.account:
                self._several.add(account)
            if post.status == "kept":
                self.languages[post.language] += 1
            self.media[post.media[0].kind if post.media else "none"] += 1
            if post.is_company_doubtful:
                self.doubtful[post.account, post.company] += 1

    def place(self, places: Sequence[PostPlace]) -> None:
        """Where the posts stand."""
        self.repeats = sum(place.alike != place.number for place in places)
        self.sides = Counter(place.side for place in places)
        self.reported = sum(place.side.startswith("unseen") and place.number not in self._silent for place in places)
        self.engagement = Counter(place.engagement or "not known" for place in places)

    def lines(self) -> list[str]:
        """What a person wants to know, in a few lines."""
        lines = [
            f"{counted(self.rows, 'row')} read: {self.statuses['kept']:,} kept, {self.statuses['empty']:,} that say nothing, "
            f"{self.statuses['faulty']:,} faulty; {self._accounts_told()}"
        ]
        lines += [f"  {count:>9,}  {printable(note)} ({self._named(note)})" for note, count in self.notes.most_common(TOLD)]
        if len(self.notes) > TOLD:
            lines.append(f"  {'':>9}  and {len(self.notes) - TOLD} more kinds of notes, in posts/report.json")
        if self._several:
            told = ", ".join(printable(self._spellings[account]) for account in sorted(self._several)[:NAMED])
            lines.append(f"  {len(self._several):>9,}  accounts in several spellings of upper and lower case, each counted as one ({told})")
        lines.append(f"  {self.repeats:>9,}  nearly repeat an earlier post; {self.repeated_ids:,} have the id of another")
        languages = Counter({LANGUAGES.get(name, name): count for name, count in self.languages.items()})
        lines.append(f"  languages  {_listed(languages)} (guessed from letters and common short words)")
        lines.append(f"  media      {_listed(self.media)}")
        kept_out = [f"{self.sides[side]:,} {what}" for side, what in KEPT_OUT.items() if self.sides[side]]
        told = ", ".join(kept_out) or f"none (it takes {MIN_ACCOUNTS} accounts or {MIN_POSTS} posts with dates, and {MIN_POSTS} rows)"
        lines.append(f"  training   {self.sides['train']:,} rows may be trained on; kept out: {told}")
        if few := too_few(self.reported):
            lines.append(f"             {few}")
        lines.append(f"  engagement within the account  {_listed(self.engagement)}")
        if self.doubtful:
            told = ", ".join(f"{printable(account)} as {printable(company)}" for (account, company), _ in self.doubtful.most_common(3))
            lines.append(
                f"  {sum(self.doubtful.values()):>9,}  of a doubtful company ({told});\n"
                "             mend posts/companies-doubtful.csv, save it as posts/companies.csv, and import again"
            )
        return lines

    def _accounts_told(self) -> str:
        """How many accounts there are, and how many rows name none."""
        told = counted(len(self.accounts) - ("" in self.accounts), "account")
        return told + (f", {self.accounts['']:,} of the rows name none" if self.accounts[""] else "")

    def _named(self, note: str) -> str:
        """The first rows with a note."""
        rows = self._rows[note]
        return f"row{'s' * (len(rows) > 1)} {', '.join(map(str, rows))}" + (", ..." if self.notes[note] > len(rows) else "")

    def doubtful_csv(self) -> str:
        """The accounts whose company is doubtful, to be mended and saved as `companies.csv`."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["username", "company", "posts"])
        writer.writerows((_cell(account), _cell(company), count) for (account, company), count in self.doubtful.most_common())
        return text.getvalue()

    def to_json(self) -> str:
        """All counts as one JSON object."""
        counts = ("statuses", "notes", "languages", "media", "sides", "engagement")
        table: dict[str, object] = {name: dict(getattr(self, name).most_common()) for name in counts}
        table |= {"rows": self.rows, "accounts": len(self.accounts), "repeats": self.repeats, "repeated_ids": self.repeated_ids}
        table["reported"] = self.reported
        table["first_rows"] = self._rows
        table["doubtful_companies"] = sum(self.doubtful.values())
        return json.dumps(table, sort_keys=True, ensure_ascii=False, indent=1)


def _cell(text: str) -> str:
    """A stranger's word as a cell that no spreadsheet takes for a formula; `reading.read_companies` takes the mark off again."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _listed(counts: Counter[str]) -> str:
    told = ", ".join(f"{name} {count:,}" for name, count in counts.most_common(TOLD))
    return told + (f", {len(counts) - TOLD} more" if len(counts) > TOLD else "")
