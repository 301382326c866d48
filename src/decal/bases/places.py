"""Where the files of a base are: a folder, a single file that is unpacked, or a hub id that is first brought onto the disk.

So from there on every base is a folder and its fingerprint is that of its files. A known base is fetched at a pinned revision, so that it
is the same one next year; what is on the disk already serves where the hub cannot be reached.
"""

import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from decal.errors import BaseModelError
from decal.presets import DEAD_IDS, BasePreset, base_preset
from decal.single_files import is_single

logger = logging.getLogger(__name__)

WEIGHTS = {
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "text_encoder": "text_encoder/model.safetensors",
    "text_encoder_2": "text_encoder_2/model.safetensors",
}
FILES = ["*.json", "tokenizer*/*", *WEIGHTS.values()]


@cache
def locate(model: str) -> Path:
    """The folder of a model, fetched from the hub where it is an id. Raises BaseModelError that says what to do."""
    preset = base_preset(model)
    folder = Path(preset.where).expanduser()
    if folder.is_dir():
        return folder
    if is_single(preset.where):
        from decal.bases.unpacking import unpacked

        return unpacked(folder)
    problems: dict[str, Exception] = {}
    for where, revision in _places(preset):
        try:
            found = Path(snapshot_download(where, revision=revision, allow_patterns=FILES))
        # The client passes on the errors of the HTTP library that it happens to be built on, so they cannot be named.
        except Exception as problem:
            problems.setdefault(where, problem)
            continue
        if where in problems:
            logger.warning("%s is not to be had at its pinned revision; what is there, or on this machine, is used", where)
        return found
    raise BaseModelError(f"The base model {model!r} cannot be had: {told(problems)}")


def weights_of(folder: Path, part: str) -> Path:
    """The file with the weights of a part; in half precision where only that is there."""
    whole = folder / WEIGHTS[part]
    half = whole.with_suffix(f".fp16{whole.suffix}")
    return half if half.is_file() and not whole.is_file() else whole


def told(problems: dict[str, Exception]) -> str:
    """Why a base cannot be had, and what to do. problems: by hub id, at least one."""
    reasons = [_why(where, problem) for where, problem in problems.items()]
    remedies = dict.fromkeys(remedy for _, remedy in reasons)
    return f"{'; '.join(reason for reason, _ in reasons)}.\n{' '.join(remedies)} Or name a folder with the model; mini needs no hub."


def first_line(problem: Exception) -> str:
    """What an error says first, or else what it is."""
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]


def _places(preset: BasePreset) -> Iterator[tuple[str, str | None]]:
    """Hub ids with the revision to ask for, the best first."""
    if preset.revision is not None:
        yield preset.where, preset.revision
    yield from ((where, None) for where in (preset.where, *preset.mirrors))


def _why(where: str, problem: Exception) -> tuple[str, str]:
    """What is wrong with a hub id, and what to do about it."""
    if isinstance(problem, GatedRepoError):
        return f"{where} is gated", f"Accept its licence on https://huggingface.co/{where} and log in with  hf auth login."
    if isinstance(problem, RevisionNotFoundError):
        return f"{where} has lost its pinned revision", "Take a newer release of Decal, or a mirror."
    if isinstance(problem, RepositoryNotFoundError):
        instead = f" {where} has left the hub: write {DEAD_IDS[where]}." if where in DEAD_IDS else ""
        return f"{where} is not on the hub, or private", f"Check the spelling, and log in with  hf auth login  where it is yours.{instead}"
    if isinstance(problem, HFValidationError):
        return f"{where} is neither a folder here nor a hub id", "Check the spelling."
    if isinstance(problem, LocalEntryNotFoundError):
        return f"{where} is not on this machine, and the hub cannot be reached", "Go online once (HF_HUB_OFFLINE unset), and it is kept."
    return f"{where}: {first_line(problem)}", "Check the network and the space on the disk."
