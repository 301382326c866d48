"""All sections together, and what contradicts itself across them."""

import re

from pydantic import model_validator

from decal.presets import DEAD_IDS, why_unknown
from decal.settings.dataset import BaseSettings, CaptionSettings, DataSettings, DescribeSettings
from decal.settings.drawing import CompareSettings, GridSettings
from decal.settings.posts import LanguageSettings, PostsSettings
from decal.settings.section import Section
from decal.settings.training import TrainSettings, impossible

SECTIONS: dict[str, type[Section]] = {
    "base": BaseSettings,
    "data": DataSettings,
    "caption": CaptionSettings,
    "train": TrainSettings,
    "compare": CompareSettings,
    "grid": GridSettings,
    "describe": DescribeSettings,
    "language": LanguageSettings,
    "posts": PostsSettings,
}
"""By the name of the table in `decal.toml`."""


class Settings(Section):
    """All of `decal.toml`."""

    base: BaseSettings = BaseSettings()
    data: DataSettings = DataSettings()
    caption: CaptionSettings = CaptionSettings()
    train: TrainSettings = TrainSettings()
    compare: CompareSettings = CompareSettings()
    grid: GridSettings = GridSettings()
    describe: DescribeSettings = DescribeSettings()
    language: LanguageSettings = LanguageSettings()
    posts: PostsSettings = PostsSettings()

    @model_validator(mode="after")
    def _contradictions(self) -> "Settings":
        problems: list[str] = []
        train = self.train
        if train.steps is not None and train.epochs is not None:
            problems.append("train.steps and train.epochs contradict each other. Keep one.")
        if train.precision == "fp16" and train.device == "cpu":
            problems.append('train.precision = "fp16" needs a GPU, and train.device is "cpu". Write "fp32" or "bf16".')
        problems += impossible(train)
        if train.stop == "auto" and self.data.holdout_share == 0:
            problems.append('train.stop = "auto" needs held-out pictures, and data.holdout_share is 0. Raise it, or write stop = "steps".')
        keyword = self.caption.keyword.strip()
        problems += _keyword_problems(train, keyword)
        if train.steps is not None and train.warmup_steps > train.steps:
            problems.append(f"train.warmup_steps ({train.warmup_steps}) is larger than train.steps ({train.steps}). Lower it.")
        if self.base.model in DEAD_IDS:
            problems.append(
                f'base.model = "{self.base.model}" has left the hub. Write "{DEAD_IDS[self.base.model]}", a mirror of the same weights.'
            )
        for name, model in (("model", self.base.model), ("teacher", self.base.teacher)):
            if model is not None and (why := why_unknown(model)) is not None:
                problems.append(f"base.{name} = {why}")
        problems += _language_problems(self)
        if problems:
            raise ValueError("\n".join(problems))
        return self


def _keyword_problems(train: TrainSettings, keyword: str) -> list[str]:
    """What of the training does not go with the keyword."""
    problems = []
    if keyword and keyword.casefold() in train.prior_prompt.casefold().split():
        problems.append(f'train.prior_prompt holds the keyword "{keyword}", which the base does not know. Leave the keyword out of it.')
    if train.pivotal and (not keyword or len(keyword.split()) > 1 or keyword != keyword.lower()):
        told = f'it is "{keyword}"' if keyword else "there is none"
        problems.append(f"train.pivotal needs a caption.keyword of one word in small letters ({told}). Write one, or leave pivotal out.")
    if train.pivotal and keyword and keyword in train.pivotal_from:
        problems.append(f'train.pivotal_from holds the keyword "{keyword}", which has no meaning to begin with. Write a word that has.')
    return [*problems, *_word_problems(train, keyword if train.pivotal else "")]


def _word_problems(train: TrainSettings, keyword: str) -> list[str]:
    """Words with tokens of their own that cannot be told apart. keyword: "" where it has none."""
    words, problems = [*train.pivotal_words, *([keyword] if keyword else [])], []
    for word, start in train.pivotal_words.items():
        # Prompts are spelt by replacing each word wherever it stands, as diffusers does.
        if within := [other for other in words if other != word and word in other]:
            problems.append(f"train.pivotal_words: {word} is a part of {' and of '.join(within)}. Take words of which none holds another.")
        if keyword and keyword in word:
            problems.append(f"train.pivotal_words: {word} holds the keyword {keyword}. Take words of which none holds another.")
        if any(other in start for other in words):
            problems.append(f'train.pivotal_words.{word} = "{start}" holds a word that has no meaning to begin with. Write one that has.')
    return problems


def _language_problems(settings: Settings) -> list[str]:
    """What is wrong with `language` and what needs it. No value of it is repeated: a key may have been put in the wrong place."""
    problems, language = [], settings.language
    if language.endpoint and not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", language.endpoint):
        problems.append(
            "language.endpoint is no address of a server. Write http:// or https://, a host and a path, and no key or password in it."
        )
    if language.key_variable and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", language.key_variable):
        problems.append("language.key_variable is no name of an environment variable. Put the key into one, and write its name here.")
    if settings.caption.captioner not in ("names", "endpoint", "local") and ":" not in settings.caption.captioner:
        problems.append(f'caption.captioner must be names, endpoint, local or module:Name (it is "{settings.caption.captioner}").')
    for name, needs in {
        "describe.theme": bool(settings.describe.theme),
        'posts.writer = "llm"': settings.posts.writer == "llm",
        'caption.captioner = "endpoint"': settings.caption.captioner == "endpoint",
    }.items():
        if needs and not language.endpoint:
            problems.append(f"{name} needs a language model. Write language.endpoint, and language.model where the server has several.")
    return problems
