"""The file of embeddings beside a LoRA that was trained with some: what it is called, and whether it is the one that belongs there.

The header of the LoRA names it with its hash, so whatever knows the LoRA by its bytes knows both.
"""

from pathlib import Path

from decal import numbering, project

FILE = "learned_embeds.safetensors"
"""As diffusers calls it in a folder."""
KEY = "decal.embeddings"
"""In the header of the LoRA: the name of the file beside and its sha256, hex."""


def beside(lora: Path) -> Path | None:
    """The file of embeddings that a LoRA needs, whether it is there or not; None where it needs none."""
    name, _, _ = numbering.header(lora).get(KEY, "").partition(" ")
    # What a stranger wrote is not followed out of the folder.
    return lora.with_name(Path(name).name or FILE) if name else None


def is_whole(lora: Path) -> bool:
    """Whether what a LoRA needs beside it is there, byte for byte."""
    path = beside(lora)
    _, _, sha256 = numbering.header(lora).get(KEY, "").partition(" ")
    return path is None or (path.is_file() and project.sha256(path) == sha256)
