"""The sections of the language model and of posts."""

from typing import Literal

from pydantic import Field

from decal.settings.section import Section, Seed


class LanguageSettings(Section):
    """The language model that describes and captions; without an endpoint the built-in grammar does."""

    endpoint: str = Field("", description="Address of an OpenAI-compatible server, such as http://127.0.0.1:8080/v1; empty: none is asked.")
    model: str = Field("", description="Name of the model there; some local servers need none.")
    api: Literal["chat", "completion"] = Field(
        "chat", description="chat for models that follow instructions; completion for base models, which go on with examples."
    )
    key_variable: str = Field(
        "", description="Name of the environment variable that holds the key; the key itself is read from there and written nowhere."
    )
    timeout_seconds: float = Field(120.0, gt=0, le=3600, description="Longest wait for one whole answer.")
    retries: int = Field(4, ge=0, le=20, description="How often a question is asked again after a fault or an answer of no use.")
    concurrency: int = Field(4, ge=1, le=64, description="Questions under way at a time.")
    temperature: float = Field(0.8, ge=0, le=2, description="0 for the likeliest words, higher for more variety.")


class PostsSettings(Section):
    """How posts become prompts."""

    writer: Literal["grammar", "seed", "llm"] = Field(
        "grammar",
        description="grammar (the built-in rules), llm (the model of [language]) or seed (the post in one fixed sentence, to compare).",
    )
    goal: Literal["auto", "announce", "promo", "event", "greeting", "mood", "plain"] = Field(
        "auto", description="What the pictures are to do for the post; auto reads it from each post."
    )
    medium: str = Field("", max_length=80, description='What kind of picture is asked for, such as "product photograph"; empty: not said.')
    conditions: tuple[Literal["brand", "engagement"], ...] = Field(
        ("brand",),
        description="What every prompt ends with, whatever is cut: brand (colours and look of brands.csv), engagement (how a post did "
        "among those of its own account; only a LoRA that was trained with it knows what that means).",
    )
    buckets: Literal["real", "shuffled"] = Field(
        "real",
        description="With the condition engagement: real, or shuffled, which gives every post the bucket of a lot drawn for it: a control "
        "that shows what the words do by themselves.",
    )
    aim: Literal["low", "medium", "high"] = Field("high", description="With the condition engagement: what new posts are drawn for.")
    negative: str = Field(
        "text, letters, words, watermark, logo, signature", max_length=300, description="What pictures of posts steer away from."
    )
    target_high: float = Field(
        0.6,
        ge=0,
        le=1,
        description="Target of decal posts report: share of chosen pictures that count as high by what the audience likes.",
    )
    target_fit: float = Field(
        0.75, ge=0, le=1, description="Target of decal posts report: how well chosen pictures show what was asked for; chance is 0.5."
    )
    crop: Literal["social", "none"] = Field(
        "social",
        description="social: each picture is cut to the nearest of 1:1, 16:9 and 4:5, where it has the most detail, for training in "
        "buckets (data.fit); none: pictures keep their shape.",
    )
    seed: Seed = Field(0, description="Decides which accounts are kept out of training.")

    @property
    def makes_control(self) -> bool:
        """Whether prompts say buckets that were drawn by lot, so that what is trained with them is a control."""
        return self.buckets == "shuffled" and "engagement" in self.conditions
