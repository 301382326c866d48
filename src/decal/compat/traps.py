"""Where a command does not do what it seems to: one small function a trap, which gives one sentence with what to do, or None.

A trap is told only when the command or the pictures step into it. Sources: the two documents that the commands come from, diffusers 0.42's
scripts, and the issues that LOG.md names.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from decal.captions import Tokenizer, holds
from decal.compat.translating import Plan
from decal.pictures import Look
from decal.presets import DEAD_IDS, base_preset
from decal.wording import counted, printable

# Words in a caption that speak of something which is wrong when mirrored.
SIDED = re.compile(
    r"\b(logos?|texts?|letters?|lettering|words?|slogans?|captions?|signs?|numbers?|digits?|flags?|brands?|labels?)\b", re.IGNORECASE
)
# More checkpoints than these cannot be told apart by eye on one sheet.
MANY_CHECKPOINTS = 40


@dataclass(frozen=True)
class Scene:
    """What a trap may look at. pictures: what is known of each file. texts: by file, what is written on it, where that was read.

    captions: of the pictures, one each. keyword: what all of them hold; "" for nothing. has_cuda: whether there is a CUDA GPU.
    """

    plan: Plan
    pictures: Mapping[str, Look]
    captions: Sequence[str]
    tokenizer: Tokenizer
    texts: Mapping[str, str]
    keyword: str
    has_cuda: bool

    @property
    def count(self) -> int:
        return max(1, len(self.captions))


Trap = Callable[[Scene], str | None]


def dead_base(scene: Scene) -> str | None:
    """A base that has left the hub."""
    named = scene.plan.typed.text("pretrained_model_name_or_path") or ""
    if named not in DEAD_IDS:
        return None
    return f"{named} has left the hub: {DEAD_IDS[named]} is a mirror of the same weights and is trained on instead."


def ignored_warmup(scene: Scene) -> str | None:
    """A constant schedule, which ignores its warm-up in the scripts."""
    typed = scene.plan.typed
    steps = typed.given.get("lr_warmup_steps")
    if typed["lr_scheduler"] != "constant" or not steps:
        return None
    return (
        f"--lr_scheduler=constant ignores --lr_warmup_steps={steps} in the scripts; here the rate does rise over "
        f"{counted(scene.plan.warmup(scene.count), 'step')}: write --lr_warmup_steps=0 for none."
    )


def endless_warmup(scene: Scene) -> str | None:
    """A warm-up that is longer than the training, which would never reach its rate."""
    asked, steps = scene.plan.typed.whole("lr_warmup_steps"), scene.plan.steps(scene.count)
    if asked <= steps or not scene.plan.warms_up:
        return None
    kept = scene.plan.warmup(scene.count)
    done = f"it rises over all {kept}" if kept else "there is no warm-up"
    return f"--lr_warmup_steps={asked} is more than the {counted(steps, 'step')} of this training; here {done}: lower it."


def checkpoints_apart(scene: Scene) -> str | None:
    """Checkpoints every 300 steps where the task says 400, or none at all, or more than anybody looks at."""
    typed, steps = scene.plan.typed, scene.plan.steps(scene.count)
    every = typed.whole("checkpointing_steps")
    if every == 300 and typed["num_train_epochs"] == 220:
        return (
            f"--checkpointing_steps=300 makes {steps // 300} checkpoints; the task that this command belongs to asks for one about every "
            "400 steps: write --checkpointing_steps=400 if it is to be handed in."
        )
    if every > steps:
        return f"--checkpointing_steps={every} is more than the {steps} steps of this training, so there is no checkpoint-N: lower it."
    if steps // every > MANY_CHECKPOINTS:
        return f"--checkpointing_steps={every} makes {steps // every} checkpoints: write {_rounded(steps / 15)} for about 15."
    return None


def mirrored_letters(scene: Scene) -> str | None:
    """Flips of pictures that show letters or logos."""
    if not scene.plan.typed.is_on("random_flip"):
        return None
    told = sum(bool(SIDED.search(caption)) for caption in scene.captions)
    read = sum(bool(text) for text in scene.texts.values())
    found = [f"{counted(read, 'picture')} with text on {'it' if read == 1 else 'them'}"] if read else []
    found += [f"{counted(told, 'caption')} with a word such as logo or text"] if told else []
    if not found:
        return None
    return f"--random_flip also teaches mirrored letters and logos ({' and '.join(found)}): leave it out."


def cut_borders(scene: Scene) -> str | None:
    """Crops that cut the border of a sticker away."""
    odd = [look for look in scene.pictures.values() if look.width_px != look.height_px]
    if not odd:
        return None
    many = counted(len(odd), "picture")
    if scene.plan.typed.is_on("center_crop"):
        worst = max(1 - min(look.width_px, look.height_px) / max(look.width_px, look.height_px) for look in odd)
        return (
            f"--center_crop takes the middle square of {many} not square already, up to {worst:.0%} of a side is lost: "
            "leave it out, and they are padded."
        )
    return (
        f"without --center_crop the scripts cut a square out of {many} at random, borders included; here they are padded, and the padding "
        "is kept out of the loss: --center_crop takes the middle square instead."
    )


def transparent_ground(scene: Scene) -> str | None:
    """Transparent pixels, which become some colour that nobody chose."""
    clear = [look for look in scene.pictures.values() if look.has_alpha]
    if not clear:
        return None
    hidden = sum(look.has_hidden_colour for look in clear)
    shows = f", in {hidden} of them colours that nobody sees" if hidden else ""
    return (
        f"{counted(len(clear), 'picture')} with transparent pixels: the scripts learn whatever colour lies beneath{shows}; "
        "here they lie on white: data.ground in decal.toml is another."
    )


def half_precision_vae(scene: Scene) -> str | None:
    """SDXL's VAE in fp16, which overflows to black pictures."""
    typed = scene.plan.typed
    asked = typed.text("mixed_precision") or scene.plan.launch.precision
    if scene.plan.family != "sdxl" or asked != "fp16":
        return None
    return "fp16 overflows in SDXL's VAE and gives black pictures; here the VAE stays in float32, so nothing is to be done."


def half_precision_without_gpu(scene: Scene) -> str | None:
    """fp16 where there is no CUDA GPU, which accelerate leaves out without a word."""
    asked = scene.plan.typed.text("mixed_precision") or scene.plan.launch.precision
    if asked != "fp16" or scene.plan.precision(has_cuda=scene.has_cuda) == "fp16":
        return None
    return "fp16 needs a CUDA GPU, and there is none: it is computed in float32; write --mixed_precision=bf16 for half precision on a CPU."


def wrong_sampler(scene: Scene) -> str | None:
    """Previews of a distilled model with many steps and guidance."""
    plan = scene.plan
    if not plan.typed["validation_prompt"] or "turbo" not in plan.model.casefold():
        return None
    preset = base_preset(plan.model)
    return (
        "--validation_prompt is drawn by the scripts in 50 steps with guidance 5, which no Turbo model is made for; here it is drawn in "
        f"{counted(preset.sampling_steps, 'step')} with guidance {preset.guidance:g}: judge by those pictures."
    )


def prompt_without_keyword(scene: Scene) -> str | None:
    """A validation prompt that does not call what is trained."""
    prompt, keyword = scene.plan.typed.text("validation_prompt") or "", scene.keyword
    if not prompt or not keyword or holds(prompt, (keyword,), ending=""):
        return None
    return f'--validation_prompt does not hold "{keyword}", which all captions do, so it shows little of the LoRA: write it like a caption.'


def truncated_prompt(scene: Scene) -> str | None:
    """A validation prompt that is longer than the text encoder sees."""
    prompt = scene.plan.typed.text("validation_prompt") or ""
    limit, length = scene.tokenizer.limit, scene.tokenizer.count(prompt)
    if length <= limit:
        return None
    lost = printable(scene.tokenizer.cut(prompt, limit))
    return f'--validation_prompt has {length} tokens and the base reads {limit}: "{lost[:60]}" is lost: shorten it.'


def truncated_captions(scene: Scene) -> str | None:
    """Captions that are longer than the text encoder sees."""
    limit = scene.tokenizer.limit
    long = sum(length > limit for length in scene.tokenizer.counts(list(scene.captions)))
    if not long:
        return None
    many = f"{counted(long, 'caption')} of {len(scene.captions):,}"
    return f"{many} longer than the {limit} tokens that the base reads, so the end is lost: shorten them."


def hardly_shown(scene: Scene) -> str | None:
    """A training that ends before every picture was shown once."""
    typed, plan = scene.plan.typed, scene.plan
    size = typed.whole("train_batch_size") * typed.whole("gradient_accumulation_steps") * plan.launch.processes
    epochs = plan.steps(scene.count) * size / scene.count
    if epochs >= 1:
        return None
    return (
        f"{plan.steps(scene.count):,} steps of {size} are {epochs:.1f} epochs, so {scene.count - plan.steps(scene.count) * size:,} of "
        f"{scene.count:,} pictures are never shown: write --num_train_epochs, or take fewer pictures with --max_train_samples."
    )


def without_caption(scene: Scene) -> str | None:
    """Pictures without a caption, which teach what an empty prompt draws."""
    empty = sum(not caption.strip() for caption in scene.captions)
    if not empty:
        return None
    has = "has no caption and is" if empty == 1 else "have no caption and are"
    return (
        f"{counted(empty, 'picture')} of {len(scene.captions)} {has} taught as what an empty prompt draws: add their text to "
        "metadata.jsonl, or a .txt file beside each."
    )


TRAPS: tuple[Trap, ...] = (
    dead_base,
    ignored_warmup,
    endless_warmup,
    checkpoints_apart,
    mirrored_letters,
    cut_borders,
    transparent_ground,
    half_precision_vae,
    half_precision_without_gpu,
    wrong_sampler,
    prompt_without_keyword,
    truncated_prompt,
    truncated_captions,
    without_caption,
    hardly_shown,
)


def sprung(scene: Scene) -> list[str]:
    """The traps that a command steps into, one sentence each."""
    return [told for trap in TRAPS if (told := trap(scene)) is not None]


def _rounded(steps: float) -> int:
    """A number of steps to a round one, at least 1."""
    unit = 10 ** max(0, len(str(int(steps))) - 1)
    return int(max(1, round(steps / unit) * unit))
