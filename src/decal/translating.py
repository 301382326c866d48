"""Captions in other languages -> captions in English, by the language model of `[language]`.

Only captions that the check takes for foreign are asked about. An answer counts where it is one line of English that still holds the
keyword; everything else stays as it was, and whoever asked is told why.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from decal.captions import holds
from decal.checks.english import language_of, unscrambled
from decal.errors import AnswerError
from decal.events import Stop
from decal.language import Client, Phrase, Prompt

SYSTEM = (
    "You translate captions of pictures, which an image model is trained with, into plain English of the same meaning and length. "
    "Add nothing and leave nothing out. Keep invented words exactly as they are."
)
# For models that only go on with a text.
EXAMPLES = (
    ("eine Katze mit blauem Hut", "a cat with a blue hat"),
    ("un chien qui court sous la pluie", "a dog that runs in the rain"),
    ("маленькая птица на ветке", "a small bird on a branch"),
    ("qwyx estilo pegatina de un zorro dormido", "qwyx style sticker of a sleeping fox"),
)
MAX_TOKENS = 120
# Chinese says in a character what English needs a word for.
MAX_LENGTH = 6


def foreign(captions: Sequence[str]) -> list[str]:
    """The captions that are not in English, each once."""
    return [text for text in dict.fromkeys(captions) if language_of(unscrambled(text) or text) is not None]


def translated(
    client: Client, captions: Sequence[str], keyword: str, *, api: Literal["chat", "completion"], stop: Stop
) -> Iterator[tuple[str, str | AnswerError]]:
    """Each caption with its English, or with why there is none, in their order. keyword: a word that stays as it is."""
    ask = _by_chat if api == "chat" else _by_completion
    questions = [partial(ask, client, text, keyword) for text in captions]
    for number, answer in client.in_parallel(questions, stop):
        yield captions[number], answer


def _by_chat(client: Client, text: str, keyword: str) -> str:
    kept = f"\nKeep the word {keyword} as it is." if keyword and holds(text, (keyword,), ending="") else ""

    class Translation(BaseModel):
        model_config = ConfigDict(extra="forbid")

        # In the type, so that a model is told what is wrong with its answer and asked again.
        english: Annotated[Phrase, AfterValidator(lambda english: _checked(english, text, keyword))]

    return client.complete(Prompt(SYSTEM, f"{unscrambled(text) or text}{kept}"), Translation).english


def _by_completion(client: Client, text: str, keyword: str) -> str:
    lines = [f"Caption: {given}\nEnglish: {meant}\n" for given, meant in EXAMPLES]
    asked = "\n".join([*lines, f"Caption: {unscrambled(text) or text}\nEnglish:"])
    return client.go_on(asked, lambda more: _checked(more, text, keyword), tokens=MAX_TOKENS)


def _checked(english: str, text: str, keyword: str) -> str:
    """The translation on one line. Raises ValueError where it is none."""
    line = " ".join(english.split()).strip("\"' ")
    if not line or language_of(line) is not None:
        raise ValueError("the answer is not in English")
    if keyword and holds(text, (keyword,), ending="") and not holds(line, (keyword,), ending=""):
        raise ValueError(f"the word {keyword} is missing")
    if len(line) > MAX_LENGTH * len(text) + 40:
        raise ValueError("the answer is much longer than the caption")
    return line
