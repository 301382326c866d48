"""Models that look at pictures and say in a few words what is to be seen, behind one protocol.

What they say takes the place of {subject} in the caption's template, so keyword, kind and style stand in every caption whatever a model
says. Their words are untrusted: one short line of plain text, without the phrases that captioners like to begin with.
"""

import importlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, cast

from decal.descriptions import tidy
from decal.errors import SettingsError
from decal.events import Stop
from decal.language import plain_text
from decal.settings import Settings

MAX_WORDS = 40
# "arafed" is a word that BLIP invented; it stands in many of its captions and means nothing.
INVENTED = re.compile(r"\b(?:araf\w*)\s+", re.IGNORECASE)
OPENINGS = re.compile(r"^(?:there (?:is|are)|this is|the (?:image|picture|sticker) shows|(?:it|this) shows) ", re.IGNORECASE)


class Captioner(Protocol):
    """Says what is to be seen in pictures. Made with `(settings, cache)`: all settings, and the folder for what may be deleted."""

    def look(self, files: Sequence[Path], stop: Stop) -> Iterator[tuple[Path, str]]:
        """Each picture with its words; pictures that nothing of use can be said about are left out."""


def load(settings: Settings, cache: Path) -> Captioner:
    """The captioner named by `caption.captioner`. Raises SettingsError where there is none of that name."""
    name = settings.caption.captioner
    built_in = {"endpoint": "decal.captioners.endpoint:EndpointCaptioner", "local": "decal.captioners.local:LocalCaptioner"}
    module, _, kind = built_in.get(name, name).partition(":")
    try:
        part = vars(importlib.import_module(module))[kind]
    except (ImportError, KeyError, ValueError) as problem:
        raise SettingsError(
            f"caption.captioner = {name!r} cannot be loaded ({problem}).\nWrite names, endpoint, local, or module:Name of your own."
        ) from problem
    return cast(Captioner, part(settings, cache))


def words_of(text: str) -> str:
    """What a model said of a picture, as the subject of a caption. Raises ValueError where it is of no use."""
    line = INVENTED.sub("", plain_text(text))
    content = tidy(OPENINGS.sub("", tidy(line)))
    words = content.split()
    if not 1 <= len(words) <= MAX_WORDS:
        raise ValueError(f"it has {len(words)} words, not 1 to {MAX_WORDS}")
    if any(words.count(word) > 4 for word in words):
        raise ValueError("it repeats itself")
    return content
