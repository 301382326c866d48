"""The pictures of posts: from a folder on this machine, or downloaded, into `posts/files/` by their hash.

What came of each address is kept as soon as it is known, so a stage that is killed asks for nothing twice; what failed is asked for again
by the next call, what is gone or refused is not. A file counts as a picture only once Decal has decoded it within its limits.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import ValidationError

from decal import pictures, project
from decal.errors import DataError, SettingsError
from decal.events import Stop, stop_if
from decal.pictures import PictureError
from decal.posts.downloads import Downloader
from decal.records import Post, PostPicture
from decal.sources import suffix_of

THREADS = 8
FINAL = ("there", "gone", "noai", "refused")


@dataclass(frozen=True)
class Folder:
    """Pictures on this machine, found by the last part of the address or by the id of the post."""

    names: Mapping[str, Path]

    @classmethod
    def of(cls, folder: Path) -> "Folder":
        """All pictures below a folder. Raises DataError where there are none, and SettingsError where there is no folder."""
        if not folder.is_dir():
            raise SettingsError(f"{folder} is not a folder.\nName the folder with the pictures of the posts after --from.")
        names: dict[str, Path] = {}
        root = folder.resolve()
        for parent, _, files in os.walk(folder):
            for name in sorted(files):
                path = Path(parent, name)
                if path.suffix.lower() in pictures.SUFFIXES and path.resolve().is_relative_to(root):
                    names.setdefault(name, path)
                    names.setdefault(path.stem, path)
        if not names:
            raise DataError(f"{folder} holds no pictures.\nName the folder with the pictures of the posts after --from.")
        return cls(names)

    def find(self, post: Post) -> Path | None:
        """The picture of a post."""
        for media in post.media[:1]:
            name = _last_part(media.url)
            for wanted in (name, PurePosixPath(name).stem):
                if wanted in self.names:
                    return self.names[wanted]
        return self.names.get(post.id)


class Files:
    """`posts/files/`: pictures by their hash, and what came of each address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, number: int, kind: str, came_from: str, data: bytes) -> PostPicture:
        """Keep a picture, unless it is none."""
        told = {"number": number, "kind": kind, "came_from": came_from}
        sha256 = hashlib.sha256(data).hexdigest()
        suffix = suffix_of(data)
        file = f"{sha256[:2]}/{sha256}{suffix}"
        path = self.folder / file
        if not path.exists():
            project.write_bytes(path.with_name(f"unseen-{sha256[:16]}-{number}{suffix}"), data)
            unseen = path.with_name(f"unseen-{sha256[:16]}-{number}{suffix}")
            try:
                look = pictures.look(unseen)
            except PictureError as problem:
                unseen.unlink(missing_ok=True)
                return PostPicture.model_validate(told | {"status": "refused", "reason": f"no picture: {problem.reason}"[:200]})
            unseen.replace(path)
        else:
            look = pictures.look(path)
        size = {"width_px": look.width_px, "height_px": look.height_px}
        return PostPicture.model_validate(told | {"status": "there", "file": file, "sha256": sha256} | size)

    def known(self, number: int, kind: str, url: str) -> PostPicture | None:
        """What came of an address before, where asking again would change nothing."""
        try:
            before = PostPicture.model_validate_json(self._about(url).read_bytes())
        except (OSError, ValidationError):
            return None
        if before.status not in FINAL or (before.status == "there" and not (self.folder / before.file).is_file()):
            return None
        return before.model_copy(update={"number": number, "kind": kind})

    def note(self, picture: PostPicture) -> None:
        """Keep what came of an address."""
        project.write_bytes(self._about(picture.came_from), project.to_json(picture).encode() + b"\n")

    def _about(self, url: str) -> Path:
        name = hashlib.sha256(url.encode()).hexdigest()
        return self.folder / "addresses" / name[:2] / f"{name}.json"


def from_folder(posts: Sequence[Post], folder: Folder, files: Files) -> Iterator[PostPicture]:
    """What a folder has for the posts that have media, and for those whose id is the name of a picture."""
    for post in posts:
        path = folder.find(post)
        if path is not None:
            yield files.take(post.number, post.media[0].kind if post.media else "photo", path.name, path.read_bytes())
        elif post.media:
            wanted = _last_part(post.media[0].url)
            reason = "not in the folder"
            yield PostPicture(number=post.number, kind=post.media[0].kind, status="gone", reason=reason, came_from=wanted)


def downloaded(posts: Sequence[Post], downloader: Downloader, files: Files, stop: Stop) -> Iterator[PostPicture]:
    """What the addresses of the posts give, in their order. Raises StoppedError once `stop` says so; what is there is kept."""

    def one(post: Post) -> PostPicture:
        media = post.media[0]
        if (before := files.known(post.number, media.kind, media.url)) is not None:
            return before
        got = downloader.get(media.url)
        if got.status == "there":
            picture = files.take(post.number, media.kind, media.url, got.data)
        else:
            picture = PostPicture(number=post.number, kind=media.kind, status=got.status, reason=got.reason, came_from=media.url)
        files.note(picture)
        return picture

    with ThreadPoolExecutor(THREADS) as pool:
        waiting: list[Future[PostPicture]] = [pool.submit(one, post) for post in posts if post.media]
        try:
            for future in waiting:
                stop_if(stop, "the pictures that came are kept, and the same command goes on")
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()


def _last_part(url: str) -> str:
    """The name of a picture in an address: `media/EpX?format=jpg` -> `EpX.jpg`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    name = PurePosixPath(unquote(parts.path)).name
    kind = parse_qs(parts.query).get("format", [""])[0]
    return name if "." in name or not kind.isalnum() else f"{name}.{kind}"
