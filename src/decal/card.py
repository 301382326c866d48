"""The model card of a LoRA: what a hub and a reader want to know of it, written from what the run says and checked without a network.

Facts in, the text of README.md out; `lint` reads that text back and says what is missing or private. The licence is the base's, because a
LoRA is a change of it. Source of the fields: the hub's model card metadata (huggingface_hub, `ModelCardData`).
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from decal.wording import counted, printable

WEIGHTS = "pytorch_lora_weights.safetensors"
# What the hub calls the licences of the bases; others are named as they are. Source: the cards of those models.
HUB_LICENCES = {
    "CreativeML Open RAIL-M": "creativeml-openrail-m",
    "CreativeML Open RAIL++-M": "openrail++",
}
# Starts of paths that name a user or a machine.
PRIVATE = re.compile(r"(?:/home/|/Users/|/root/|/tmp/|/mnt/|file://|\b[A-Za-z]:\\)[^\s\"'`)]*")
HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
# The bases in the package, which no hub has, with their folders in `decal/mini`.
EMBEDDED = {"mini": "sd", "mini-turbo": "turbo", "mini-xl": "xl"}
PIPELINES = {
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_a": "EulerAncestralDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
}


@dataclass(frozen=True)
class Sample:
    """A picture that was drawn with the LoRA. file: its name beside the card."""

    file: str
    prompt: str
    guidance: float
    seed: int


@dataclass(frozen=True)
class Shown:
    """The pictures of a card. are_new: no prompt of theirs was trained on."""

    samples: tuple[Sample, ...]
    are_new: bool


@dataclass(frozen=True)
class Card:
    """What a card says.

    base: as people call it; base_id: on the hub, None where it is not there. licence: of the base. family: stable-diffusion or
    stable-diffusion-xl. verdict: why this checkpoint is the one, "" where nothing was compared. others: further files with what reads them.
    data_licences: as the sources state them. caution: what else is to be said of the base.
    words: names of the files of embeddings beside the weights, by word.
    """

    title: str
    keyword: str
    base: str
    base_id: str | None
    licence: str
    family: str
    side_px: int
    guidance: float
    strength: float
    sampling_steps: int
    sampler: str
    step: int
    pictures: int
    training: str
    verdict: str
    shown: Shown
    others: Mapping[str, str]
    data_licences: tuple[str, ...]
    caution: str = ""
    words: Mapping[str, str] = field(default_factory=dict)


def text(card: Card, repo: str) -> str:
    """The card as README.md. repo: where it goes, for the line that loads it."""
    return f"---\n{_front(card)}---\n\n{_body(card, repo)}"


def lint(written: str, files: Sequence[str]) -> list[str]:
    """What is wrong with a card, a sentence each. files: the names of all that lies beside it."""
    match = re.match(r"---\n(.*?)\n---\n(.*)", written, re.DOTALL)
    if match is None:
        return ["README.md does not begin with metadata between two lines of ---."]
    try:
        front = yaml.safe_load(match[1])
    except yaml.YAMLError as problem:
        return [f"the metadata of README.md is no YAML ({str(problem).splitlines()[0]})."]
    if not isinstance(front, dict):
        return ["the metadata of README.md is no table."]
    missing = [] if WEIGHTS in files else [f"{WEIGHTS} is not there."]
    return [*_of_front(front), *_of_body(match[2], str(front.get("instance_prompt") or ""), files), *missing]


def _of_front(front: Mapping[str, object]) -> Iterator[str]:
    for key in ("license", "library_name", "pipeline_tag", "tags"):
        if not front.get(key):
            yield f"README.md does not say {key}."
    tags = front.get("tags")
    if not isinstance(tags, list) or "lora" not in tags:
        yield "README.md has no tag lora, so nobody finds it as one."
    base = front.get("base_model")
    if not base:
        yield "README.md names no base_model: the base is no model of the hub, so say in it where to get it."
    elif not HUB_ID.fullmatch(str(base)):
        yield f"README.md: base_model {base} is no id of the hub."


def _of_body(body: str, keyword: str, files: Sequence[str]) -> Iterator[str]:
    if not keyword:
        yield "README.md names no keyword: write caption.keyword in decal.toml."
    elif keyword not in body:
        yield f"README.md does not tell readers of the keyword {keyword}."
    for word in ("guidance", "steps", "strength"):
        if word not in body:
            yield f"README.md recommends no {word}."
    linked = re.findall(r"!\[(?:\\.|[^\]\\])*\]\(([^)]+)\)", body)
    yield from (f"README.md shows {file}, which is not there." for file in linked if file not in files)
    if not linked:
        yield "README.md shows no picture: decal grid draws some."


def private(data: str) -> list[str]:
    """Places of a machine that a text names."""
    return sorted({found.rstrip(".,;:") for found in PRIVATE.findall(data)})


def hub_id(where: str) -> str | None:
    """The id of a base on the hub; None for one that is a folder of its own. A folder of the hub's cache knows its id."""
    cached = re.search(r"models--([^/\\]+?)--([^/\\]+)[/\\]snapshots[/\\]", where + "/")
    if cached:
        return f"{cached[1]}/{cached[2]}"
    return where if HUB_ID.fullmatch(where) and not Path(where).exists() else None


def _front(card: Card) -> str:
    licence = HUB_LICENCES.get(card.licence)
    fields: dict[str, object] = {"license": licence or "other"}
    if licence is None:
        fields["license_name"] = re.sub(r"[^a-z0-9.+-]+", "-", card.licence.partition(",")[0].casefold()).strip("-")[:60] or "unknown"
        if card.base_id:
            fields["license_link"] = f"https://huggingface.co/{card.base_id}"
    if card.base_id:
        fields["base_model"] = card.base_id
    fields |= {
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "instance_prompt": card.keyword or None,
        "tags": ["lora", "text-to-image", "diffusers", card.family, f"{card.family}-diffusers", "template:sd-lora"],
        "widget": [{"text": sample.prompt, "output": {"url": sample.file}} for sample in card.shown.samples] or None,
    }
    kept = {name: value for name, value in fields.items() if value is not None}
    return str(yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=1000))


def _body(card: Card, repo: str) -> str:
    keyword = f"Write **{card.keyword}** into the prompt; it calls what was trained." if card.keyword else "It has no keyword."
    parts = [
        f"# {card.title}",
        f"A LoRA for {_linked(card)}. {keyword}",
        f"Draw it with guidance {card.guidance:g}, {card.sampling_steps} steps ({card.sampler}), strength {card.strength:g}, at "
        f"{card.side_px} x {card.side_px} px.",
        f"```python\n{_code(card, repo)}```",
    ]
    if card.others:
        parts.append("\n".join(f"- `{name}`: {what}" for name, what in {WEIGHTS: "for diffusers and peft", **card.others}.items()))
    verdict = card.verdict or "It was not compared with others."
    parts += ["## Why this checkpoint", f"Step {card.step:,}. {printable(verdict)}"]
    if card.shown.samples:
        cells = [
            f"![{_plain(sample.prompt)}]({sample.file})\n\n{_plain(sample.prompt)} (guidance {sample.guidance:g}, seed {sample.seed})"
            for sample in card.shown.samples
        ]
        new = ["Drawn for new prompts, none of which was trained on."] if card.shown.are_new else []
        parts += ["## Pictures", *new, *cells]
    licences = f" The sources of the pictures state: {', '.join(card.data_licences)}." if card.data_licences else ""
    parts += [
        "## Training",
        f"{counted(card.pictures, 'picture')}; {card.training}. Made with Decal.",
        "## Licence",
        f"A LoRA is a change of its base and comes under the same licence: {card.licence}.{licences}",
        *([card.caution] if card.caution else []),
    ]
    return "\n\n".join(parts) + "\n"


def _linked(card: Card) -> str:
    if card.base_id:
        return f"[{card.base_id}](https://huggingface.co/{card.base_id})"
    return (
        "the small base that comes with Decal"
        if card.base in EMBEDDED
        else f"{card.base}, which is not on the hub: put its folder beside your code"
    )


def _code(card: Card, repo: str) -> str:
    scheduler = PIPELINES[card.sampler]
    prompt = card.shown.samples[0].prompt if card.shown.samples else f"{card.keyword} of a boat".strip()
    is_embedded = card.base_id is None and card.base in EMBEDDED
    base = f'files("decal") / "mini" / "{EMBEDDED[card.base]}"' if is_embedded else json.dumps(card.base_id or card.base)
    lines = [
        *(["from importlib.resources import files", ""] if base.startswith("files") else []),
        f"from diffusers import AutoPipelineForText2Image, {scheduler}",
        *(["from huggingface_hub import hf_hub_download", "from safetensors.torch import load_file"] if card.words else []),
        "",
        f"pipeline = AutoPipelineForText2Image.from_pretrained({base})",
        f"pipeline.scheduler = {scheduler}.from_config(pipeline.scheduler.config)",
        f'pipeline.load_lora_weights({json.dumps(repo)}, weight_name="{WEIGHTS}", adapter_name="style")',
        *(line for word, file in card.words.items() for line in _own(word, file, repo)),
        *([f'pipeline.set_adapters(["style"], [{card.strength:g}])'] if card.strength != 1 else []),
        f"prompt = {json.dumps(prompt, ensure_ascii=False)}",
        f"pipeline(prompt, guidance_scale={card.guidance:g}, num_inference_steps={card.sampling_steps}).images[0]",
    ]
    return "\n".join(lines) + "\n"


def _own(word: str, file: str, repo: str) -> list[str]:
    """Lines that load the embeddings of a word; SDXL has one for each text encoder."""
    return [
        f"for name, rows in load_file(hf_hub_download({json.dumps(repo)}, {json.dumps(file)})).items():",
        '    part = "_2" if name == "clip_g" else ""',
        '    place = {one: getattr(pipeline, one + part) for one in ("tokenizer", "text_encoder")}',
        f"    pipeline.load_textual_inversion(rows, token={json.dumps(word)}, **place)",
    ]


def _plain(prompt: str) -> str:
    """A prompt that is text in Markdown and nothing else."""
    return re.sub(r"([\\`*_\[\]<>!|])", r"\\\1", printable(prompt))
