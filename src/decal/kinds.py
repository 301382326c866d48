"""The kinds of project: what `decal new --preset` writes into `decal.toml`, with the reason of every line.

`stickers`, `style` and `posts` are what we recommend. `seed-stickers` and `seed-posts` hold what the two documents have that this program
began with: the values of their commands, and the defaults of the script where those say nothing. What a preset leaves out is the default or
the base's own; `LEFT_OUT` says why that is good.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from decal.errors import SettingsError
from decal.settings import fields, written


@dataclass(frozen=True)
class Given:
    """A value, and why it is that."""

    value: object
    why: str


Kind = Mapping[str, Given]
"""Setting, as `train.rank`, to what it is."""

SCRIPT = "the script's default"

KINDS: dict[str, Kind] = {
    "stickers": {
        "data.ground": Given("white", "transparent pixels lie on a ground that somebody chose"),
        "data.fit": Given("pad", "the whole sticker is shown, border included, and the padding is kept out of the loss"),
        "data.flip": Given(True, "most stickers have no side, and mirrored ones are as good as new; turn it off for text and logos"),
        "caption.kind_words": Given(["sticker"], "a caption that says what kind of picture it is leaves the keyword to the style"),
    },
    "style": {
        "data.fit": Given("pad", "the whole picture is shown, and the padding is kept out of the loss"),
        "data.flip": Given(True, "a style has no side; turn it off for text, logos and anything with a side"),
        "caption.kind_words": Given([], "any kind of picture may come"),
        "caption.template": Given("{subject}, {keyword} style", "no kind of picture is named"),
    },
    "posts": {
        "data.fit": Given("bucket", "pictures of posts are wide and tall, and nothing of them is cut"),
        "data.flip": Given(False, "pictures of brands carry lettering, which mirrored is wrong"),
        "data.faulty": Given("leave out", "of thousands of pictures some are broken, and that should stop nobody"),
        "caption.kind_words": Given([], "any kind of picture may come"),
        "caption.template": Given("{subject}, {keyword} style", "no kind of picture is named"),
        "posts.writer": Given("grammar", "what a post is about is drawn; pasted into a sentence, every second one is too long"),
    },
    "seed-stickers": {
        "base.model": Given("sd2.1", "stabilityai/stable-diffusion-2-1 of the document has left the hub; this is the same weights"),
        "data.ground": Given("black", "the script drops the alpha; what lies beneath is mostly black"),
        "data.fit": Given("crop", "the script crops at random; the middle is the nearest that can be encoded once"),
        "data.flip": Given(True, "--random_flip"),
        "data.holdout_share": Given(0.0, "the script trains on every picture"),
        "data.faulty": Given("keep", "the script takes captions as they are"),
        "caption.kind_words": Given(["sticker"], "the document wants every caption to say that it is a sticker"),
        "train.epochs": Given(220, "--num_train_epochs=220"),
        "train.batch": Given(1, "--train_batch_size=1"),
        "train.schedule": Given("constant", "--lr_scheduler=constant"),
        "train.warmup_steps": Given(50, "--lr_warmup_steps=50; the script ignores it with constant, Decal does not"),
        "train.checkpoint_every": Given(300, "--checkpointing_steps=300; the text above the command says 400"),
        "train.seed": Given(42, "--seed=42"),
        "train.rank": Given(4, SCRIPT),
        "train.targets": Given("attention", "what the script trains"),
        "train.caption_dropout": Given(0.0, "the script has none"),
        "train.precision": Given("fp32", "no --mixed_precision"),
        "train.validation_images": Given(4, SCRIPT),
    },
    "seed-posts": {
        "base.model": Given("stabilityai/sdxl-turbo", "--pretrained_model_name_or_path=stabilityai/sdxl-turbo"),
        "data.resolution": Given(512, "--resolution=512"),
        "data.fit": Given("crop", "--center_crop"),
        "data.flip": Given(True, "--random_flip"),
        "data.holdout_share": Given(0.0, "the script trains on every picture"),
        "data.faulty": Given("keep", "the script takes captions as they are"),
        "caption.kind_words": Given([], "posts show anything"),
        "caption.template": Given("{subject}", "captions are the sentence with the post in it, and nothing is added"),
        "posts.writer": Given("seed", "the post is pasted into one fixed sentence"),
        "train.steps": Given(15000, "--max_train_steps=15000"),
        "train.batch": Given(1, "--train_batch_size=1"),
        "train.accumulation": Given(4, "--gradient_accumulation_steps=4"),
        "train.learning_rate": Given(1e-4, "--learning_rate=1e-04"),
        "train.max_grad_norm": Given(1.0, "--max_grad_norm=1"),
        "train.schedule": Given("cosine", "--lr_scheduler=cosine"),
        "train.warmup_steps": Given(0, "--lr_warmup_steps=0"),
        "train.checkpoint_every": Given(500, "--checkpointing_steps=500"),
        "train.seed": Given(42, "--seed=42"),
        "train.precision": Given("fp16", "--mixed_precision=fp16"),
        "train.rank": Given(4, SCRIPT),
        "train.targets": Given("attention", "what the script trains"),
        "train.caption_dropout": Given(0.0, "the script has none"),
        "train.validation_images": Given(4, SCRIPT),
    },
}

# What each is for, in a line.
ABOUT = {
    "stickers": "stickers and other things on an empty ground; what decal new takes where nothing is said",
    "style": "pictures of any kind in one style",
    "posts": "pictures of posts",
    "seed-stickers": "exactly the command of the sticker task, to compare with",
    "seed-posts": "exactly the command of the notebook for posts, to compare with",
}

# Why it is good to leave a setting out that some preset has.
LEFT_OUT = {
    "base.model": "the small one, to try things; --base names a real one, best none that was distilled to a few steps",
    "data.resolution": "the size that the base was trained at",
    "data.ground": "white, as most pictures of things have it",
    "data.holdout_share": "a few pictures kept out show when training begins to copy the others",
    "data.faulty": "a caption that is cut or missing teaches something else than was meant, so it is mended first",
    "caption.template": "the words that the kind of picture wants",
    "posts.writer": "what a post is about is drawn; pasted into a sentence, every second one is too long",
    "train.epochs": "steps that suit the base, however many pictures there are; the comparison says which checkpoint to keep",
    "train.steps": "steps that suit the base; with hundreds of thousands of pictures, fewer good ones beat a fraction of an epoch",
    "train.batch": "several pictures a step average the noise of single ones",
    "train.accumulation": "only where memory does not hold the batch",
    "train.learning_rate": "the rate that suits the base and the rank",
    "train.max_grad_norm": "1, which is also the default",
    "train.schedule": "cosine: the rate falls towards the end, so the last checkpoints are less restless",
    "train.warmup_steps": "Adam's moments settle within a few steps of so small a network",
    "train.checkpoint_every": "400 on Stable Diffusion: enough to choose from, few enough to compare",
    "train.seed": "any number does, as long as it is kept",
    "train.rank": "16 on Stable Diffusion: a style wants more than the four of the script",
    "train.targets": "what suits the base",
    "train.caption_dropout": "one in ten is trained on the empty caption, which guidance steers away from",
    "train.precision": "bf16 where the GPU has it, which does not overflow, and float32 on a CPU",
    "train.validation_images": "one picture of each prompt shows how it goes; the comparison draws more",
}


@dataclass(frozen=True)
class Difference:
    """A setting that two presets have otherwise, as TOML writes it. why: the second has it as it has."""

    setting: str
    before: str
    after: str
    why: str


def kind(name: str) -> Kind:
    """The preset of that name. Raises SettingsError where there is none."""
    if name not in KINDS:
        near = difflib.get_close_matches(name, KINDS, n=1)
        told = f" Did you mean {near[0]}?" if near else ""
        raise SettingsError(f"There is no preset {name}.{told}\nThere are: {', '.join(KINDS)}.")
    return KINDS[name]


def sections(name: str) -> dict[str, dict[str, object]]:
    """A preset as tables of `decal.toml`."""
    tables: dict[str, dict[str, object]] = {}
    for setting, given in kind(name).items():
        section, _, key = setting.partition(".")
        tables.setdefault(section, {})[key] = given.value
    return tables


def differences(first: str, second: str) -> list[Difference]:
    """What the second preset has otherwise than the first, with its reason, in the order of the first; what is left out is the default."""
    one, other = kind(first), kind(second)
    defaults = {setting: default for setting, default, _ in fields()}
    found = []
    for setting in dict.fromkeys([*one, *other]):
        before, after = (written(has[setting].value) if setting in has else defaults[setting] for has in (one, other))
        if before != after:
            found.append(Difference(setting, before, after, other[setting].why if setting in other else LEFT_OUT[setting]))
    return found
