"""A data set of the Hugging Face hub -> Items, streamed: `hf:owner/name[@revision][/config][:split]`.

Only what is asked for travels: of a parquet file its description and the blocks that hold the rows, of a tar its beginning, of a folder of
pictures those pictures. Read are, in this order, the parquet files, tars or pictures of the repository at the revision, or else the branch
`refs/convert/parquet` that the hub makes of most data sets. `datasets` would do this too, with pandas, multiprocess and aiohttp behind it,
but opens local paths that a parquet file names; huggingface_hub is here anyway.
"""

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from decal.errors import DataError
from decal.metadata import METADATA, caption_cell, leaves_folder, sidecar_captions, text_lines
from decal.pictures import MAX_FILE_BYTES, SUFFIXES
from decal.sources import Item, Opened, Shard, Told, parquets, tars, to_row
from decal.sources.folders import CSV, csv_lines
from decal.wording import counted

PREFIX = "hf:"
CONVERTED = "refs/convert/parquet"
ADDRESS = re.compile(
    r"hf:(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>refs/[\w.-]+/[\w.-]+|[\w.-]+))?(/(?P<config>[^/:@]+))?(:(?P<split>[\w.-]+))?"
)
MAX_METADATA_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Address:
    """A data set on the hub. revision: None for the newest."""

    repo: str
    revision: str | None
    config: str | None
    split: str | None

    @property
    def where(self) -> str:
        parts = (("@", self.revision), ("/", self.config), (":", self.split))
        return PREFIX + self.repo + "".join(mark + part for mark, part in parts if part)


def parse(text: str) -> Address:
    """An address from what was typed. Raises DataError where it is none."""
    match = ADDRESS.fullmatch(text)
    if match is None:
        raise DataError(
            f"{text} is not the address of a data set on the hub.\n"
            "Write  hf:owner/name[@revision][/config][:split]  , for instance  hf:lambdalabs/naruto-blip-captions:train"
        )
    return Address(match["repo"], match["revision"], match["config"], match["split"])


def read(address: Address) -> Opened:
    """The rows of a data set on the hub. Raises DataError, in one sentence, where it cannot be had; so do the rows."""
    with said(address.where):
        repo = _Repo(address, address.revision)
        licence = repo.licence
        files = repo.files
        opened = _own(repo, address)
        if opened is None and address.revision is None:
            repo = _Repo(address, CONVERTED, base=repo)
            opened = _own(repo, address)
            if opened is not None:
                opened.told.notes.append(f"read from the hub's own conversion to parquet ({CONVERTED})")
        if opened is None:
            endings = ", ".join(sorted({PurePosixPath(file).suffix for file in files} - {""})[:12]) or "none"
            raise DataError(
                f"{address.where} has no parquet files, tars or pictures ({counted(len(files), 'file')}, with the endings {endings}), "
                "and the hub has not converted it to parquet.\nDownload it, and name the folder after --from."
            )
    items = _safely(opened.items, address.where)
    return replace(opened, kind="hub", where=address.where, revision=repo.commit, licence=licence or opened.licence, items=items)


class _Repo:
    """One revision of a data set: its files with their sizes, and what its card says. base: where the revision was found missing."""

    def __init__(self, address: Address, revision: str | None, base: "_Repo | None" = None):
        from huggingface_hub import HfApi, HfFileSystem
        from huggingface_hub.errors import RevisionNotFoundError

        self.address = address
        api = HfApi()
        self.files: dict[str, int] = {}
        self.commit: str | None = None
        self.card: Mapping[str, Any] = {}
        self._system = HfFileSystem(endpoint=api.endpoint)
        try:
            info = api.dataset_info(address.repo, revision=revision, files_metadata=True)
        except RevisionNotFoundError:
            if base is None:
                raise
            return
        self.commit = info.sha
        self.files = {file.rfilename: int(file.size or 0) for file in info.siblings or []}
        self.card = dict(info.card_data.to_dict()) if info.card_data is not None else {}  # type: ignore[no-untyped-call]

    @property
    def licence(self) -> str | None:
        found = self.card.get("license")
        names = found if isinstance(found, list) else [found]
        return ", ".join(str(name) for name in names if name) or None

    def shard(self, file: str) -> Shard:
        """A file of the repository, fetched block by block as it is read."""
        return Shard(f"{self.address.where}: {file}", self.files[file], f"hf://{self._path(file)}")

    def download(self, file: str, limit_bytes: int) -> bytes:
        """A whole file. Raises DataError where it is larger than the limit."""
        if self.files[file] > limit_bytes:
            raise DataError(
                f"{self.address.where}: {file} has {self.files[file]:,} bytes, the limit is {limit_bytes:,}.\n"
                "Download the data set, and name the folder after --from."
            )
        with self._system.open(self._path(file), "rb", block_size=0) as opened:
            return bytes(opened.read())

    def _path(self, file: str) -> str:
        return f"datasets/{self.address.repo}@{self.commit}/{file}"


def _own(repo: _Repo, address: Address) -> Opened | None:
    """The rows of a revision; None where it holds nothing that Decal reads."""
    data = [file for file in sorted(repo.files) if not any(part.startswith(".") for part in PurePosixPath(file).parts)]
    pictures = [file for file in data if PurePosixPath(file).suffix.lower() in SUFFIXES]
    tables = [file for file in data if file.endswith(".parquet") and PurePosixPath(file).name != "metadata.parquet"]
    archives = [file for file in data if file.lower().endswith(tars.ENDINGS)]
    # A few pictures beside tables illustrate the card.
    if tables:
        return parquets.read([repo.shard(file) for file in _chosen(tables, repo, address)], address.where)
    if archives:
        return tars.read([repo.shard(file) for file in _chosen(archives, repo, address)], address.where)
    if pictures:
        told = Told()
        chosen = set(_chosen(pictures, repo, address))
        return Opened("hub", address.where, _folder(repo, data, chosen, told), told)
    return None


def _chosen(files: Sequence[str], repo: _Repo, address: Address) -> list[str]:
    """The files of the configuration and the split that were asked for. Raises DataError that names those that are there."""
    told = {file: place for file in files if (place := _place(file, repo.card)) is not None} or dict.fromkeys(files, ("default", "train"))
    configs = list(dict.fromkeys(config for config, _ in told.values()))
    config = address.config or ("default" if "default" in configs else configs[0] if len(configs) == 1 else None)
    if config not in configs:
        what = f"no configuration {address.config!r}" if address.config else f"{counted(len(configs), 'configuration')}"
        raise DataError(f"{address.where} has {what}.\nThere are: {', '.join(configs[:20])}; write  {PREFIX}{address.repo}/CONFIGURATION")
    splits = list(dict.fromkeys(split for file, (one, split) in told.items() if one == config))
    split = address.split or ("train" if "train" in splits else splits[0] if len(splits) == 1 else None)
    if split not in splits:
        what = f"no split {address.split!r}" if address.split else f"{counted(len(splits), 'split')}"
        raise DataError(f"{address.where} has {what}.\nThere are: {', '.join(splits[:20])}; write  {PREFIX}{address.repo}:SPLIT")
    return [file for file, place in told.items() if place == (config, split)]


def _place(file: str, card: Mapping[str, Any]) -> tuple[str, str] | None:
    """Configuration and split of a file: as the data card lists them, or else as its name says; None where the card leaves it out.

    Names are `config/split/0000.parquet` in the converted branch, `config/split-00000-of-00002.parquet` or `data/split-...` elsewhere.
    """
    listed = card.get("configs")
    if isinstance(listed, list) and listed:
        return next(
            (
                (str(one.get("config_name", "default")), split)
                for one in listed
                if isinstance(one, dict)
                for split, pattern in _patterns(one.get("data_files"))
                if fnmatch.fnmatch(file, pattern)
            ),
            None,
        )
    parts = PurePosixPath(file).parts
    if len(parts) == 3 and re.fullmatch(r"\d{4}\.parquet", parts[2]):
        return parts[0], parts[1].removeprefix("partial-")
    match = re.match(r"(train|test|validation|valid|val|dev|eval)(?![a-z])", parts[-1]) or (
        re.fullmatch(r"(train|test|validation|valid|val|dev|eval)", parts[-2]) if len(parts) > 1 else None
    )
    named = re.match(r"([\w.]+?)-\d{5}-of-\d{5}", parts[-1])
    split = match.group(1) if match else named.group(1) if named else "train"
    is_config = len(parts) > 1 and parts[0] not in ("data", split) and named is not None
    return (parts[0] if is_config else "default"), split


def _patterns(given: object) -> Iterator[tuple[str, str]]:
    """Splits and patterns of `data_files` in a card, in any of the forms that the hub knows."""
    for one in given if isinstance(given, list) else [given]:
        if isinstance(one, str):
            yield "train", one
        elif isinstance(one, dict) and "path" in one:
            paths = one["path"] if isinstance(one["path"], list) else [one["path"]]
            yield from ((str(one.get("split", "train")), str(path)) for path in paths)


def _folder(repo: _Repo, files: Sequence[str], chosen: set[str], told: Told) -> Iterator[Item]:
    """An imagefolder: the rows of its metadata with their pictures, then pictures that no row names, with their text files."""
    named: set[str] = set()
    metadata = [file for file in files if PurePosixPath(file).name in (METADATA, CSV)]
    for file in metadata:
        parent = PurePosixPath(file).parent
        data = repo.download(file, MAX_METADATA_BYTES)
        for line in text_lines(data) if file.endswith(METADATA) else csv_lines(data):
            row = to_row(line)
            name = None if row is None else row.get("file_name")
            if row is None or not isinstance(name, str) or leaves_folder(name) is not None:
                yield from [Item("", line=line, is_exact=True)] if line.strip() else []
                continue
            picture = (parent / name).as_posix()
            if picture in repo.files and picture not in chosen:
                named.add(picture)
                continue
            data_of = None if picture in named or picture not in repo.files else repo.download(picture, MAX_FILE_BYTES)
            named.add(picture)
            yield Item(picture, data_of, row={key: value for key, value in row.items() if key != "file_name"}, is_exact=True)
    for file in sorted(chosen - named):
        beside = PurePosixPath(file).with_suffix(".txt").as_posix()
        captions = sidecar_captions(repo.download(beside, MAX_FILE_BYTES)) if beside in repo.files else ()
        yield Item(file, repo.download(file, MAX_FILE_BYTES), row=caption_cell(captions), is_exact=True)
    told.ignored += sum(PurePosixPath(file).suffix.lower() not in (*SUFFIXES, ".txt") for file in files) - len(metadata)


def _safely(items: Iterator[Item], where: str) -> Iterator[Item]:
    with said(where):
        yield from items


@contextmanager
def said(where: str) -> Iterator[None]:
    """Turn what the hub's client raises into one sentence with what to do."""
    from huggingface_hub import errors

    try:
        yield
    except DataError:
        raise
    except errors.GatedRepoError as problem:
        raise DataError(
            f"{where} is gated: its owner wants to know who downloads it.\n"
            "Accept the terms on its page, log in with  hf auth login  , and call again."
        ) from problem
    except errors.RepositoryNotFoundError as problem:
        raise DataError(
            f"{where} is not on the hub, or private.\nCheck the spelling; where it is yours, log in with  hf auth login"
        ) from problem
    except errors.RevisionNotFoundError as problem:
        raise DataError(f"{where} has no such revision.\nName a branch, a tag or a commit of the data set.") from problem
    except errors.OfflineModeIsEnabled as problem:
        raise DataError(f"{where} cannot be had, because HF_HUB_OFFLINE is set.\nUnset it, or name a folder or a file.") from problem
    # The client passes on the errors of the HTTP library that it happens to be built on, so they cannot be named.
    except Exception as problem:
        why = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
        raise DataError(f"{where} cannot be had from the hub ({why}).\nCheck the network and call again, or name a folder.") from problem
