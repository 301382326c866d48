"""The unit of work on posts: a part of a stage that is made, checked and renamed as a whole.

`NNNNN.jsonl` holds the lines of shard N, `NNNNN.json` what they were made from and how, with the hash of the lines. A shard counts where
both agree with what is wanted now; so a stage that was killed makes only what is missing, a second run makes nothing, and several
processes, or machines on one file system, may work on one stage: a lock a shard keeps them from doing the same thing twice.
"""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from decal import project
from decal.records import Shard

Kept = TypeVar("Kept", bound=BaseModel)

ROWS = 2_000


@dataclass(frozen=True)
class Stage:
    """One step on the way of the posts: its folder, and the hash of how it is done."""

    folder: Path
    config_sha256: str

    def lines(self, shard: int) -> Path:
        """The file of a shard's lines."""
        return self.folder / f"{shard:05d}.jsonl"

    def about(self, shard: int) -> Path:
        """The file that says what a shard was made from, and that it is whole."""
        return self.folder / f"{shard:05d}.json"

    def whole(self, shard: int, input_sha256: str) -> Shard | None:
        """The shard, where it is there, undamaged, and made from this input in this way."""
        try:
            about = Shard.model_validate_json(self.about(shard).read_bytes())
        except (OSError, ValidationError):
            return None
        if (about.input_sha256, about.config_sha256) != (input_sha256, self.config_sha256) or not self.lines(shard).is_file():
            return None
        return about if project.sha256(self.lines(shard)) == about.sha256 else None

    def earlier(self, shard: int, input_sha256: str, kind: type[Kept]) -> list[Kept]:
        """The lines of a shard that was made from this input in whatever way; none where there is no such, or it is damaged."""
        try:
            about = Shard.model_validate_json(self.about(shard).read_bytes())
        except (OSError, ValidationError):
            return []
        as_then = Stage(self.folder, about.config_sha256)
        return self.read(shard, kind) if as_then.whole(shard, input_sha256) is not None else []

    def there(self) -> list[int]:
        """The numbers of the shards that lie here, whatever they were made from."""
        return sorted(int(path.stem) for path in self.folder.glob("*.json") if path.stem.isdigit())

    def write(self, shard: int, input_sha256: str, lines: Iterable[BaseModel], counts: Counter[str]) -> Shard:
        """Write a shard: its lines first, then what says that they are whole."""
        written = [project.to_json(line).encode() + b"\n" for line in lines]
        data = b"".join(written)
        project.write_bytes(self.lines(shard), data)
        about = Shard(
            shard=shard,
            rows=len(written),
            input_sha256=input_sha256,
            config_sha256=self.config_sha256,
            sha256=hashlib.sha256(data).hexdigest(),
            counts=dict(sorted(counts.items())),
        )
        project.write_bytes(self.about(shard), project.to_json(about).encode() + b"\n")
        return about

    def read(self, shard: int, kind: type[Kept]) -> list[Kept]:
        """The lines of a shard."""
        return project.read(self.lines(shard), kind)

    def drop_beyond(self, count: int) -> None:
        """Take away shards that a longer table left."""
        for shard in self.there():
            if shard >= count:
                self.about(shard).unlink(missing_ok=True)
                self.lines(shard).unlink(missing_ok=True)

    @contextlib.contextmanager
    def claimed(self, shard: int) -> Iterator[bool]:
        """Whether this process has the shard to itself while the block lasts; false at once where another has it."""
        with project.writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(self.folder / f".{shard:05d}.lock")
        try:
            held.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            held.release()
