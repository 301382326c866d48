"""A captioner on this machine: any image-to-text model that transformers can load, such as BLIP.

Models with a chat template are asked in their own words, the others go on from nothing, as BLIP does. Greedy search, so the same picture
always gets the same words.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import snapshot_download
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from decal import pictures
from decal.captioners import words_of
from decal.errors import BaseModelError
from decal.events import Stop, stop_if
from decal.settings import Settings
from decal.wording import printable

logger = logging.getLogger(__name__)

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()

BATCH = 8
FILES = ["*.json", "*.txt", "*.jinja", "*.model", "*.safetensors"]
MAX_NEW_TOKENS = 40
QUESTION = "Say in one short phrase what is to be seen: the subject, what it does, its most visible details."


class LocalCaptioner:
    """Weights for transformers, a hub id or a folder; implements `decal.captioners.Captioner`.

    Raises BaseModelError where they cannot be had or loaded.
    """

    def __init__(self, settings: Settings, cache: Path) -> None:
        del cache  # The hub keeps its own.
        self._name, self._ground = settings.caption.captioner_model, settings.data.ground
        device = settings.train.device
        self._device = torch.device("cuda" if device == "auto" and torch.cuda.is_available() else "cpu" if device == "auto" else device)
        folder = Path(self._name).expanduser()
        try:
            # A hub id is brought onto the disk in one piece; else every file is asked for again and again where there is no network.
            where = str(folder) if folder.is_dir() else snapshot_download(self._name, allow_patterns=FILES)
            self._processor: Any = AutoProcessor.from_pretrained(where)
            self._model: Any = AutoModelForImageTextToText.from_pretrained(where, use_safetensors=True)
        # The hub, its HTTP library and the model classes raise whatever they like.
        except Exception as problem:
            raise BaseModelError(
                f"caption.captioner_model {self._name!r} cannot be loaded ({str(problem).strip().splitlines()[0][:200]}).\n"
                "Name a hub id or a folder of an image-to-text model with safetensors weights, or caption by endpoint."
            ) from problem
        self._model.requires_grad_(False).eval().to(self._device)

    def look(self, files: Sequence[Path], stop: Stop) -> Iterator[tuple[Path, str]]:
        """Each picture with its words; those about which the model says nothing of use are left out, with a warning."""
        for first in range(0, len(files), BATCH):
            stop_if(stop, "what was captioned by then is kept, and the same command goes on")
            chunk: list[tuple[Path, Image.Image]] = []
            for file in files[first : first + BATCH]:
                try:
                    chunk.append((file, pictures.load(file, self._ground).convert("RGB")))
                except pictures.PictureError as problem:
                    logger.warning("%s: %s", printable(file.name), problem.reason)
            said = self._say([image for _, image in chunk]) if chunk else []
            for (file, _), text in zip(chunk, said, strict=True):
                try:
                    yield file, words_of(text)
                except ValueError as problem:
                    logger.warning("%s: the model said nothing of use (%s)", printable(file.name), problem)

    @torch.no_grad()
    def _say(self, images: Sequence[Image.Image]) -> list[str]:
        is_chat = bool(vars(self._processor).get("chat_template"))
        if is_chat:
            content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
            asked = self._processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
            inputs = self._processor(images=[[image] for image in images], text=[asked] * len(images), padding=True, return_tensors="pt")
        else:
            inputs = self._processor(images=list(images), return_tensors="pt")
        inputs = inputs.to(self._device)
        ids = self._model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False, num_beams=1)
        if is_chat:
            ids = ids[:, inputs["input_ids"].shape[1] :]
        said: list[str] = self._processor.batch_decode(ids, skip_special_tokens=True)
        return said
