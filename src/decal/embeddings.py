"""The files of embeddings beside a LoRA that was trained with some: what they are called, and whether they are those that belong there.

There is one a word, because A1111 and ComfyUI know a word by the name of its file. The header of the LoRA names each with its hash, so
whatever knows the LoRA by its bytes knows all of them.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from decal import numbering, project

FILE = "learned_embeds.safetensors"
"""As diffusers calls it in a folder: that of the keyword."""
KEY = "decal.embeddings"
"""In the header of the LoRA: by word, the name of the file beside and its sha256, hex, as JSON."""


@dataclass(frozen=True)
class Learnt:
    """A file of embeddings that a LoRA needs, whether it is there or not."""

    path: Path
    sha256: str


def named(word: str) -> str:
    """What the file of a word that is not the keyword is called."""
    return FILE.replace(".", f"-{word}.")


def header(files: Mapping[str, tuple[Path, bytes]]) -> dict[str, str]:
    """The entry of a header for these files and what is in them, by word; none for none."""
    told = {word: [path.name, hashlib.sha256(data).hexdigest()] for word, (path, data) in files.items()}
    return {KEY: json.dumps(told, sort_keys=True)} if told else {}


def beside(lora: Path) -> dict[str, Learnt]:
    """The files of embeddings that a LoRA needs, by word, the keyword first."""
    about = numbering.header(lora)
    told, keyword = about.get(KEY, ""), about.get("modelspec.trigger_phrase", "").strip()
    found: dict[str, Learnt] = {}
    try:
        entries = json.loads(told) if told else {}
        for word in sorted(entries, key=lambda word: (word != keyword, word)):
            name, sha256 = entries[word]
            # What a stranger wrote is not followed out of the folder.
            found[word] = Learnt(lora.with_name(Path(name).name or FILE), str(sha256))
    except (ValueError, TypeError):
        # Damaged, so that nothing fits; or of a time when there was the keyword only.
        name, _, sha256 = told.rpartition(" ")
        return {keyword: Learnt(lora.with_name(Path(name).name or FILE), sha256)}
    return found


def lost(lora: Path) -> list[Path]:
    """Files that a LoRA needs beside it and that are not there byte for byte."""
    return [one.path for one in beside(lora).values() if not one.path.is_file() or project.sha256(one.path) != one.sha256]
