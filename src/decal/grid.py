"""What to draw: prompts x guidance x checkpoints x seeds x strength -> Cells, and the recipe that goes into each picture.

Prompts come in as text files, cells go out in the order in which drawing them is cheapest: a checkpoint is outermost, because changing it
means loading weights. Here, too, is decided when a prompt counts as new; `sheets` puts the drawn pictures side by side.
"""

import difflib
import hashlib
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL.PngImagePlugin import PngInfo

from decal.errors import SettingsError
from decal.project import to_json
from decal.records import Cell
from decal.settings import ResolvedCompare, ResolvedGrid
from decal.subjects import QUANTITIES, SUBJECTS

# The names of modules/sd_samplers_kdiffusion.py and sd_samplers_timesteps.py in AUTOMATIC1111/stable-diffusion-webui.
A1111_SAMPLERS = {"ddim": "DDIM", "euler": "Euler", "euler_a": "Euler a", "dpm++": "DPM++ 2M"}

# Words that say nothing about what is in a picture.
STOP_WORDS = frozenset((
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "have", "her", "his", "in", "into", "is", "it", "its", "of",
    "off", "on", "one", "or", "our", "over", "some", "that", "the", "their", "them", "there", "this", "to", "under", "up", "very",
    "while", "with", "your",
))  # fmt: skip


# Comparing texts letter by letter takes a millisecond each.
ALIKE = 64


def read_prompts(path: Path) -> list[str]:
    """The prompts of a text file, one a line; blank lines and lines that begin with # are skipped.

    Raises SettingsError where the file is missing, holds no prompt, or holds one twice.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise SettingsError(f"{path} is not UTF-8 text ({problem.reason} at byte {problem.start}).\nSave it as UTF-8.") from problem
    except OSError as problem:
        raise SettingsError(f"{path} cannot be read ({problem.strerror}).\nWrite prompts into it, one a line.") from problem
    numbered = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    prompts = [(number, line) for number, line in numbered if line and not line.startswith("#")]
    if not prompts:
        raise SettingsError(f"{path} holds no prompt.\nWrite prompts into it, one a line; lines that begin with # are skipped.")
    first: dict[str, int] = {}
    twice = [
        f"{path}, line {number} repeats line {first[line]}: {line}" for number, line in prompts if first.setdefault(line, number) != number
    ]
    if twice:
        raise SettingsError("\n".join([*twice, "Keep each prompt once; for more pictures of it, add seeds in decal.toml."]))
    return [line for _, line in prompts]


def compare_cells(prompts: Sequence[str], checkpoints: Sequence[int], settings: ResolvedCompare, resolution: int) -> list[Cell]:
    """The cells that show the base and every checkpoint side by side; all of one checkpoint follow each other, the base first.

    checkpoints: their steps, in any order, with or without the base's 0.
    """
    cell = _square(settings, resolution)
    return [
        cell(prompt=prompt, guidance=settings.guidance, seed=seed, checkpoint=checkpoint)
        for checkpoint in sorted({0, *checkpoints})
        for prompt in prompts
        for seed in settings.seeds
    ]


def grid_cells(prompts: Sequence[str], checkpoint: int, settings: ResolvedGrid, resolution: int) -> list[Cell]:
    """The cells of one checkpoint: prompts x guidance x LoRA strength x seeds; 0 is the base."""
    cell = _square(settings, resolution)
    return [
        cell(prompt=prompt, guidance=guidance, seed=seed, checkpoint=checkpoint, lora_strength=strength)
        for strength in settings.lora_strength
        for prompt in prompts
        for guidance in settings.guidance
        for seed in settings.seeds
    ]


def seen(prompts: Iterable[str], captions: Iterable[str], words_to_ignore: Iterable[str]) -> list[tuple[str, str]]:
    """The prompts that are not new, each with the first training caption that shows it.

    A prompt is not new where it equals a caption but for case, punctuation and white space, or where a caption holds all its content words:
    those that are neither stop words nor in words_to_ignore (keyword, kind words, style words), plural s aside.
    So an empty list proves this much: whichever prompt and caption one puts side by side, the prompt has a content word that the caption
    lacks. It knows no synonyms (a `kitten` is new where captions say `cat`) and looks at words, not at pictures.
    A prompt without any content word is not new. Chinese and the like, written without spaces, counts as one word from mark to mark.
    """
    ignored = {word for phrase in words_to_ignore for word in _words(phrase)} | STOP_WORDS
    known = [(caption, _words(caption)) for caption in captions]
    stems = [{_stem(word) for word in words} for _, words in known]
    pairs = []
    for prompt in prompts:
        words = _words(prompt)
        content = {_stem(word) for word in words if word not in ignored}
        for (caption, caption_words), caption_stems in zip(known, stems, strict=True):
            if words == caption_words or content <= caption_stems:
                pairs.append((prompt, caption))
                break
    return pairs


@dataclass(frozen=True)
class Nearest:
    """The training caption that is nearest to a prompt. own: the words of the prompt that the caption lacks."""

    prompt: str
    caption: str
    own: tuple[str, ...]


def nearest(prompts: Iterable[str], captions: Sequence[str], words_to_ignore: Iterable[str]) -> list[Nearest]:
    """For each prompt the nearest training caption by its content words, of which rare ones count more; of equals the most alike text."""
    ignored = list(words_to_ignore)
    known = [(caption, content_words(caption, ignored)) for caption in dict.fromkeys(captions)]
    often = Counter(word for _, words in known for word in words)
    found = []
    for prompt in prompts:
        words = content_words(prompt, ignored)
        weights = [sum(math.log(len(known) / often[word]) for word in words & there) for _, there in known]
        best = [one for one, weight in zip(known, weights, strict=True) if weight > max(weights) - 1e-9][:ALIKE]
        alike = difflib.SequenceMatcher(b=prompt.casefold())
        caption, there = max(best, key=partial(_likeness, alike), default=("", frozenset[str]()))
        own = tuple(dict.fromkeys(word for word in _words(prompt) if _stem(word) in words - there))
        found.append(Nearest(prompt, caption, own))
    return found


def propose(captions: Sequence[str], keyword: str, template: str, count: int, avoid: Sequence[str]) -> list[str]:
    """New prompts for a project, made from everyday subjects with its caption template; the same call gives the same prompts.

    template: with {keyword} and {subject}. avoid: prompts already in use, which count as seen too.
    Where the captions leave too few single subjects, two are put together.
    """
    ignored = [keyword, template.replace("{keyword}", " ").replace("{subject}", " "), QUANTITIES]
    taken = [*captions, *avoid]
    prompts: list[str] = []
    for subject in _subjects():
        if len(prompts) >= count:
            break
        prompt = " ".join(template.replace("{keyword}", keyword).replace("{subject}", subject).split())
        if not seen([prompt], taken, ignored):
            prompts.append(prompt)
            taken.append(prompt)
    return prompts


def saying(prompts: Sequence[str], words: Sequence[str], captions: Iterable[str]) -> list[str]:
    """The prompts with one of the words each, in turn: at the front where captions begin with such a word, else at the end.

    A prompt that holds one already stays as it is.
    """
    if not words:
        return list(prompts)
    openers = [caption.startswith(word) for caption in captions for word in words if word in caption]
    is_first = 2 * sum(openers) > len(openers)
    turns = ((prompt, words[place % len(words)]) for place, prompt in enumerate(prompts))
    return [
        prompt if any(one in prompt for one in words) else f"{word}, {prompt}" if is_first else f"{prompt}, {word}"
        for prompt, word in turns
    ]


def png_text(cell: Cell, *, base: str, lora: str | None, lora_sha256: str | None) -> PngInfo:
    """The recipe of a picture as PNG text: `parameters` in the form that A1111 and Civitai read, and `decal` with the cell as JSON.

    lora: name of the LoRA file without its ending; it joins the prompt as <lora:name:strength>, which is how A1111 calls one.
    lora_sha256: of its tensors, as `tensors_sha256` gives it; A1111 looks a LoRA up by the first 12 digits.
    Source: create_infotext in modules/processing.py and quote in modules/infotext_utils.py of AUTOMATIC1111/stable-diffusion-webui.
    """
    fields = {
        "Steps": str(cell.steps),
        "Sampler": A1111_SAMPLERS[cell.sampler],
        "CFG scale": f"{cell.guidance:.12g}",
        "Seed": str(cell.seed),
        "Size": f"{cell.width_px}x{cell.height_px}",
        "Model": base,
    }
    prompt = cell.prompt
    if lora is not None and cell.checkpoint > 0:
        name = re.sub(r'[:<>,"\s]+', "-", lora)
        prompt += f" <lora:{name}:{cell.lora_strength:.12g}>"
        if lora_sha256 is not None:
            fields["Lora hashes"] = f"{name}: {lora_sha256[:12]}"
    if cell.image_strength is not None:
        fields["Denoising strength"] = f"{cell.image_strength:.12g}"
    # A1111 takes a picture without this line for one whose noise came from a GPU.
    fields["RNG"] = "CPU"
    lines = [prompt, f"Negative prompt: {cell.negative}"] if cell.negative else [prompt]
    text = PngInfo()
    text.add_text("parameters", "\n".join([*lines, ", ".join(f"{key}: {_quote(value)}" for key, value in fields.items())]))
    text.add_text("decal", to_json(cell))
    return text


def tensors_sha256(path: Path) -> str:
    """Hash of a safetensors file without its header, hex: what A1111 and Civitai know a LoRA by, whatever its metadata say.

    Source: addnet_hash_safetensors in modules/hashes.py of AUTOMATIC1111/stable-diffusion-webui.
    """
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        return hashlib.file_digest(file, "sha256").hexdigest()


def _likeness(matcher: difflib.SequenceMatcher[str], one: tuple[str, frozenset[str]]) -> float:
    matcher.set_seq1(one[0].casefold())
    return matcher.ratio()


def _square(settings: ResolvedCompare | ResolvedGrid, resolution: int) -> partial[Cell]:
    """What all cells of a sheet share."""
    return partial(
        Cell, negative=settings.negative, steps=settings.steps, sampler=settings.sampler, width_px=resolution, height_px=resolution
    )


def _subjects() -> Iterator[str]:
    yield from SUBJECTS
    # Neighbours in a combination lie one apart first, then two, so that no subject comes up again soon.
    for distance in range(1, len(SUBJECTS)):
        yield from (f"{one} and {other}" for one, other in zip(SUBJECTS, list(SUBJECTS)[distance:], strict=False))


def content_words(text: str, ignored: Iterable[str] = ()) -> frozenset[str]:
    """What a text says is in the picture: its words folded, without stop words, the ignored ones and plural s."""
    left_out = {word for phrase in ignored for word in _words(phrase)} | STOP_WORDS
    return frozenset(_stem(word) for word in _words(text) if word not in left_out)


def _words(text: str) -> list[str]:
    """The words of a text, folded: no case, no punctuation, no possessive s, one form for characters that look the same."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("_", " ")
    return re.findall(r"\w+", re.sub(r"['’]s\b", "", folded))


def _stem(word: str) -> str:
    return word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word


def _quote(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r"[,:\n]", value) else value
