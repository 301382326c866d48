"""A zip -> a folder of what may be of use in it, unpacked as one should unpack what a stranger sends.

No links, no names that lead out, a limit on members, bytes and the ratio of packing; sizes are counted, since declared ones may be lies.
"""

import errno
import lzma
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from decal.errors import DataError
from decal.metadata import is_utf8, leaves_folder
from decal.sources import CHUNK_BYTES, MAX_RATIO, MIN_BOMB_BYTES
from decal.wording import counted

# A hundred times the largest sets people train a LoRA on.
MAX_MEMBERS = 100_000
MAX_BYTES = 8 * 2**30


def unpack(source: Path, folder: Path) -> list[str]:
    """Unpack what may be of use; the names that lead out of the archive, which are left there. Raises DataError."""
    outside: list[str] = []
    left = MAX_BYTES
    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise DataError(
                    f"{source} has {counted(len(members), 'member')}, the limit is {MAX_MEMBERS:,}.\nUnpack it, and name the folder."
                )
            for member in members:
                name = member.filename
                if leaves_folder(name) is not None or stat.S_ISLNK(member.external_attr >> 16):
                    outside.append(name)
                elif _is_of_use(name):
                    left -= _unpack_one(archive, member, folder, left)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError, OverflowError, OSError) as problem:
        # An offset or a stream that makes no sense; any other OSError is about the disk.
        if isinstance(problem, OSError) and problem.errno not in (None, errno.EINVAL):
            raise
        raise DataError(f"{source} is damaged ({problem}).\nGet it again, or name a folder of pictures.") from problem
    except (RuntimeError, NotImplementedError) as problem:  # encrypted, or packed in a way that Python does not know
        raise DataError(f"{source} cannot be unpacked ({problem}).\nUnpack it yourself, and name the folder after --from.") from problem
    return outside


def _is_of_use(name: str) -> bool:
    parts = PurePosixPath(name).parts
    is_hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return bool(parts) and not is_hidden and not name.endswith("/") and is_utf8(name) and all(ord(letter) >= 32 for letter in name)


def _unpack_one(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, left_bytes: int) -> int:
    """Unpack one member while counting its bytes, because the size that an archive declares may be a lie. Returns the count."""
    allowed = min(left_bytes, max(MIN_BOMB_BYTES, MAX_RATIO * member.compress_size))
    target = folder / PurePosixPath(member.filename)
    written = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as packed, target.open("xb") as file:
            while chunk := packed.read(CHUNK_BYTES):
                written += len(chunk)
                if written > allowed or member.file_size > allowed:
                    limit = f"{MAX_BYTES / 2**30:.0f} GiB in all" if allowed == left_bytes else f"{MAX_RATIO} times its packed size"
                    size = f"{max(written, member.file_size):,} bytes or more from {member.compress_size:,}"
                    raise DataError(
                        f"{archive.filename}: {member.filename!r} unpacks to {size}, the limit is {limit}.\n"
                        "Take it out of the archive, or unpack it yourself and name the folder after --from."
                    )
                file.write(chunk)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as problem:
        raise DataError(
            f"{archive.filename}: {member.filename!r} is there twice, or its name differs from another only in upper and lower case.\n"
            "Rename one of them, and pack it again."
        ) from problem
    return written
