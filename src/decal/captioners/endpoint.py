"""A captioner behind the endpoint of `[language]`: pictures go there as data URLs in chat messages.

They are reduced and encoded anew first, so neither place nor camera of a photograph leaves the machine with it.
"""

import base64
import io
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from decal import pictures
from decal.captioners import words_of
from decal.errors import AnswerError
from decal.events import Stop
from decal.language import Client, Prompt
from decal.settings import Settings
from decal.wording import printable

logger = logging.getLogger(__name__)

SIDE_PX = 512
SYSTEM = (
    "You say what is to be seen in a picture, for training an image model: one short English noun phrase of 4 to 15 words with the "
    "subject, what it does, and its most visible details. No art style, no opinion, no guess of what is not to be seen."
)


class _Seen(BaseModel):
    model_config = ConfigDict(extra="forbid")

    description: Annotated[str, AfterValidator(words_of)]


class EndpointCaptioner:
    """Asks a model that sees, several pictures at a time; implements `decal.captioners.Captioner`."""

    def __init__(self, settings: Settings, cache: Path) -> None:
        self._client = Client(settings.language, cache)
        self._ground = settings.data.ground

    def look(self, files: Sequence[Path], stop: Stop) -> Iterator[tuple[Path, str]]:
        """Each picture with its words; those without a usable answer are left out, with a warning."""
        questions = [partial(self._ask, file) for file in files]
        for number, answer in self._client.in_parallel(questions, stop):
            if isinstance(answer, AnswerError):
                logger.warning("%s: %s", printable(files[number].name), answer.reason)
            else:
                yield files[number], answer

    def _ask(self, file: Path) -> str:
        try:
            seen = data_url(file, self._ground)
        except pictures.PictureError as problem:
            raise AnswerError(str(problem), problem.reason) from problem
        return self._client.complete(Prompt(SYSTEM, "What is to be seen?", (seen,)), _Seen).description


def data_url(file: Path, ground: str) -> str:
    """A picture of at most 512 px as a JPEG inside a URL, without its metadata."""
    small = pictures.load(file, ground).convert("RGB")
    small.thumbnail((SIDE_PX, SIDE_PX))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
