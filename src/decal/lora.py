"""Attach, save and load the adapter that is trained: LoRA, DoRA, LoHa or LoKr; the only user of peft.

Two forms of the same adapter. The raw factors are what training goes on with. The portable file is for everybody: the scale alpha / rank is
folded into `lora_B` and alpha equals the rank, so that a reader which ignores the metadata still gets the right strength. Keys are those of
peft, unconverted, because diffusers' own converter mixes two styles once convolutions are targets, and then drops layers on reload. LoHa
and LoKr, for which diffusers has no form, are written as LyCORIS does, which A1111 and ComfyUI read.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MethodType
from typing import Any, cast

import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig, PeftConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn import functional

from decal import adapters, embeddings
from decal.adapters import Adapter, Layer, Role
from decal.bases import Base
from decal.bases.words import Words
from decal.batches import seed_for
from decal.errors import AdapterError, SettingsError
from decal.settings import ResolvedTrain

WORDS = "words."
"""Before a word and the name of a text encoder: the embeddings of the word in it, [N, width]."""
RETRACTED = 0.1
"""Power of the ratio by which new embeddings are brought back to the deviation of the known ones each step. Source: cog-sdxl."""
SMALL_PRODUCTS = 4 / 3
"""What a multiplication in the narrow products of factors takes of one in the layer's own. Source: LOG.md, 2026-11-27."""
COPIED_BYTES = 2**28
"""Weights beyond this are not copied to draw with: of large bases they are gigabytes, and the factors take a twentieth of a pass."""
PORTABLE_FILE = "pytorch_lora_weights.safetensors"
Factors = dict[str, Tensor]
"""Layer name + what it is, such as `.lora_A.weight` [r, in, ...] or `.hada_w1_a` [out, r], -> tensor.

Layers of the denoiser stand without its name, those of text encoders with theirs: `text_encoder.encoder...`; embeddings
are called `words.zorb.text_encoder`.
"""


def attach(base: Base, settings: ResolvedTrain, start: Path | None = None) -> dict[str, nn.Parameter]:
    """Put a new adapter on what is trained and give its factors by name, float32; the first output is unchanged because one factor is 0.

    start: the factors that training begins with, whose layers stand for the targets `imported`; `begin_with` puts them in.
    Raises SettingsError where `train.ranks` names what no layer is called.
    """
    which = "all" if settings.targets == "imported" else settings.targets
    names = layers_of(load(start)) if settings.targets == "imported" and start else base.targets(which)
    trained = {"unet": (base.denoiser, names)}
    if settings.text_learning_rate is not None:
        trained |= {part: (module, base.text_targets(which)) for part, module in base.parts.items() if part != "unet"}
    ranks = _ranks(trained, settings)
    for part, (module, targets) in trained.items():
        if settings.ranks and part not in ranks:
            continue
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(settings.seed, "lora", *([] if part == "unet" else [part])))
            inject_adapter_in_model(_config(settings, targets, ranks.get(part, {})), module)
        if settings.algorithm == "lora":
            _count_as_they_are(module)
    factors = attached(base, settings)
    for parameter in factors.values():
        parameter.data = parameter.data.float()
    return factors


def _count_as_they_are(module: nn.Module) -> None:
    """Let LoRA layers of scale 1 leave out what peft does to every activation for other scales.

    The result is the same to the bit, and within rounding where the factors are multiplied out.
    """
    for layer in module.modules():
        if isinstance(layer, LoraLayer) and set(layer.scaling.values()) == {1.0}:
            cast(Any, layer).forward = MethodType(_plain_forward, layer)


def _plain_forward(layer: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """What a LoRA layer of peft gives without dropout at scale 1, without the multiplication by it."""
    if layer.disable_adapters or layer.merged:
        return cast(Tensor, type(layer).forward(layer, x, *args, **kwargs))
    down, up = layer.lora_A["default"], layer.lora_B["default"]
    if is_cheaper_whole(layer.base_layer, x, down.weight.shape[0]):
        return _whole(layer.base_layer, x, down.weight, up.weight)
    result = layer.base_layer(x, *args, **kwargs)
    # Under autocast it would be cast to the factors' type and back, a copy of every activation each time.
    given = x if torch.is_autocast_enabled(x.device.type) else x.to(down.weight.dtype)
    return cast(Tensor, (result + up(down(given))).to(result.dtype))


def is_cheaper_whole(layer: nn.Module, x: Tensor, rank: int) -> bool:
    """Whether it takes less to add the product of the factors to a layer's weight than to send x through them beside the layer.

    So it is where a layer is hardly wider than the rank and x is long. Only in float32 on a CPU: in half precision a small product would be
    rounded away in the sum, and what a GPU gains has not been measured.
    """
    if type(layer) not in (nn.Linear, nn.Conv2d) or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    weight = layer.get_parameter("weight")
    if x.dtype != torch.float32 or weight.dtype != torch.float32 or x.dim() < 3 or getattr(layer, "groups", 1) != 1:
        return False
    out, into = weight.shape[0], weight.numel() // weight.shape[0]
    places = x.numel() // x.shape[1] // math.prod(layer.stride) if isinstance(layer, nn.Conv2d) else x.numel() // x.shape[-1]
    # Multiplications: of the pass itself, and twice as many for the gradients.
    passes = 3 if torch.is_grad_enabled() else 1
    whole = passes * rank * out * into + (places * out * into if torch.is_grad_enabled() else 0)
    return whole < SMALL_PRODUCTS * passes * places * rank * (out + into)


def _whole(layer: Any, x: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """The layer with the product of the factors added to its weight."""
    weight = torch.addmm(layer.weight.flatten(1), up.flatten(1), down.flatten(1)).view_as(layer.weight)
    if isinstance(layer, nn.Conv2d):
        return cast(Tensor, layer._conv_forward(x, weight, layer.bias))
    return functional.linear(x, weight, layer.bias)


@contextmanager
def multiplied_out(denoiser: nn.Module) -> Iterator[None]:
    """Draw with plain LoRA added to the weights instead of beside the layers; the weights come back bit for bit.

    What is drawn is the same within rounding. Only in float32 on a CPU, for the reasons of `is_cheaper_whole`, and where a second copy of
    these weights is small; elsewhere nothing is done.
    """
    layers = [cast(Any, layer) for layer in denoiser.modules() if isinstance(layer, LoraLayer) and _adds_up(layer)]
    if sum(layer.base_layer.weight.nbytes for layer in layers) > COPIED_BYTES:
        layers = []
    kept: list[tuple[Any, Tensor]] = []
    try:
        with torch.no_grad():
            for layer in layers:
                kept.append((layer, layer.base_layer.weight.data))
                layer.base_layer.weight.data = _sum(layer)
                # As peft says that a layer needs no more than its weights.
                layer.merged_adapters.append("default")
        yield
    finally:
        for layer, weight in kept:
            layer.base_layer.weight.data = weight
            layer.merged_adapters.clear()


def _adds_up(layer: Any) -> bool:
    """Whether a layer is one whose factors may be added to its weight."""
    weight = layer.base_layer.weight
    if type(layer.base_layer) not in (nn.Linear, nn.Conv2d) or "default" not in layer.lora_A or layer.lora_variant:
        return False
    is_exact = weight.dtype == torch.float32 == layer.lora_A["default"].weight.dtype and weight.device.type == "cpu"
    return is_exact and getattr(layer.base_layer, "groups", 1) == 1 and not layer.merged and not layer.disable_adapters


def _sum(layer: Any) -> Tensor:
    """The weight of a layer with the product of its factors added."""
    weight, down, up = layer.base_layer.weight, layer.lora_A["default"].weight, layer.lora_B["default"].weight
    return torch.addmm(weight.flatten(1), up.flatten(1), down.flatten(1), alpha=layer.scaling["default"]).view_as(weight)


def attached(base: Base, settings: ResolvedTrain) -> dict[str, nn.Parameter]:
    """The factors of the adapter that is on what is trained, by name."""
    trained = {"unet": base.denoiser} if settings.text_learning_rate is None else base.parts
    factors = {}
    for part, module in trained.items():
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                name = name.replace(".default.", ".").removesuffix(".default")
                factors[name if part == "unet" else f"{part}.{name}"] = parameter
    if settings.learns_words and base.words is not None:
        for word, rows in base.words.rows.items():
            factors |= {f"{WORDS}{word}.{part}": cast(nn.Parameter, row) for part, row in rows.items()}
    return dict(sorted(factors.items()))


def groups(factors: Mapping[str, nn.Parameter], settings: ResolvedTrain) -> list[Any]:
    """The factors as an optimizer takes them: a list, or two groups where text encoders or embeddings have a rate of their own.

    `share` in a group is its rate, of that of the denoiser.
    """
    if settings.learns_words:
        words = [factor for name, factor in factors.items() if name.startswith(WORDS)]
        rest = [factor for name, factor in factors.items() if not name.startswith(WORDS)]
        rate = settings.pivotal_learning_rate
        # Decay would pull embeddings to nothing, which is no word.
        told = {"share": rate / settings.learning_rate, "lr": rate, "weight_decay": 0.0}
        return [{"params": rest, "share": 1.0}, {"params": words, **told}]
    if settings.text_learning_rate is None:
        return list(factors.values())
    share = settings.text_learning_rate / settings.learning_rate
    of_text = {name: factor for name, factor in factors.items() if _part(name) != "unet"}
    rest = [factor for name, factor in factors.items() if name not in of_text]
    return [{"params": rest, "share": 1.0}, {"params": list(of_text.values()), "share": share, "lr": settings.text_learning_rate}]


def new_words(base: Base, settings: ResolvedTrain, keyword: str) -> Words:
    """Embeddings for the keyword and `train.pivotal_words` to begin with: those of a named word, or drawn as the model's are spread.

    The keyword has `train.pivotal` tokens, those of `train.pivotal_from` in turn; another word as many as what it begins as, or one.
    """
    begun: dict[str, dict[str, nn.Parameter]] = {}
    if settings.pivotal:
        begun[keyword] = _begun(base, settings.pivotal_from, settings.pivotal, settings.seed, "words")
    for word, start in settings.pivotal_words.items():
        begun[word] = _begun(base, start, None, settings.seed, "words", word)
    return Words(begun)


def _begun(base: Base, start: str, tokens: int | None, seed: int, *purpose: str) -> dict[str, nn.Parameter]:
    """Embeddings to begin with, by text encoder, [tokens, width]. tokens: None for as many as the start has, or one."""
    rows = {}
    for part, table in base.embeddings(start).items():
        if start:
            some = table[torch.arange(tokens or len(table)) % len(table)]
        else:
            dice = torch.Generator().manual_seed(seed_for(seed, *purpose, part))
            some = torch.randn(tokens or 1, table.shape[1], generator=dice).to(table.device) * table.std() + table.mean(dim=0)
        rows[part] = nn.Parameter(some.float().clone())
    return rows


def spreads(base: Base, words: Words) -> dict[str, Tensor]:
    """The deviation of the embeddings of the model, by the name of the factor that it holds for; scalars."""
    deviations = {part: table.float().std() for part, table in base.embeddings("").items()}
    return {f"{WORDS}{word}.{part}": deviations[part] for word, rows in words.rows.items() for part in rows}


@torch.no_grad()
def retract(factors: Mapping[str, nn.Parameter], spread: Mapping[str, Tensor], is_unfit: Tensor) -> None:
    """Bring embeddings nearer to the deviation of known ones, unless the step was skipped. is_unfit: scalar, 1 where it was.

    Steps as large as those of AdamW would else carry them far from every word. Source: cog-sdxl and diffusers' advanced scripts.
    """
    for name, deviation in spread.items():
        rows = factors[name]
        ratio = deviation / rows.std() if rows.numel() > 1 else torch.ones_like(deviation)
        rows.mul_(torch.where(is_unfit > 0, 1.0, ratio**RETRACTED))


@torch.no_grad()
def begin_with(start: Path, factors: dict[str, nn.Parameter], scale: float) -> None:
    """Put the factors of a file, which count as they are, into those attached, which are multiplied by a scale."""
    for name, tensor in load(start).items():
        factors[name].copy_(tensor / scale if ".lora_B." in name else tensor)


def layers_of(factors: Factors) -> list[str]:
    """The layers that have factors, in order."""
    return sorted({name.partition(".lora_")[0] for name in factors})


def names_of(denoiser: nn.Module) -> list[str]:
    """The layers of a denoiser, whether an adapter is attached to it or not."""
    return sorted({name.removesuffix(".base_layer") for name in adapters.layers(denoiser) if ".lora_" not in name})


def trainable(adapter: Adapter, denoiser: nn.Module) -> tuple[Factors, int, int]:
    """The factors of an adapter of another tool with its scale folded in, their one rank, and how many layers were raised to it.

    A layer of a smaller rank gets new rows in A and zeros in B: it does what it did, and may learn more. Raises AdapterError for what is
    not plain LoRA of the denoiser.
    """
    if adapter.words is not None:
        raise AdapterError(
            f"It was trained with embeddings of its own for {' and '.join(adapter.words.rows)}, and a training begins with plain LoRA "
            "of the UNet.\n"
            "It can be compared and drawn with as it is."
        )
    odd = [place for place, layer in adapter.layers.items() if set(layer.tensors) != {"down", "up"}]
    if odd or adapter.changes_text:
        what = [kind for kind in adapter.kinds if kind != "LoRA"] or ["LoRA with further factors" if odd else "a text encoder part"]
        raise AdapterError(
            f"It holds {', '.join(what)}, and plain LoRA of the UNet is what can be trained on.\n"
            + ("--without-text-encoder leaves that part out." if not odd else "It can be compared and drawn with as it is.")
        )
    rank = max(layer.rank for layer in adapter.layers.values())
    generator = torch.Generator().manual_seed(seed_for(0, "raised ranks"))
    factors: Factors = {}
    raised = 0
    for place, layer in sorted(adapter.layers.items()):
        name = place.removeprefix("unet.")
        shape = denoiser.get_submodule(name).get_parameter("weight").shape
        whole = adapters.padded(adapters.folded(layer), rank)
        # A projection is a linear layer in some tools and a convolution of 1 x 1 in others.
        down, up = whole.tensors["down"].reshape(rank, *shape[1:]), whole.tensors["up"].reshape(shape[0], rank, *[1] * (len(shape) - 2))
        if layer.rank < rank:
            raised += 1
            # As peft begins A: uniform within one over the root of what comes in.
            bound = down[0].numel() ** -0.5
            down[layer.rank :] = (torch.rand(down[layer.rank :].shape, generator=generator) * 2 - 1) * bound
        factors |= {f"{name}.lora_A.weight": down.contiguous(), f"{name}.lora_B.weight": up.contiguous()}
    return factors, rank, raised


def fingerprint(factors: Mapping[str, Tensor]) -> str:
    """Hash of the factors as they are, hex."""
    hashes = hashlib.sha256()
    for name, tensor in factors.items():
        hashes.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return hashes.hexdigest()


def save(path: Path, factors: Mapping[str, Tensor], *, scale: float, names: Iterable[str], about: dict[str, str]) -> None:
    """Write the portable file.

    scale: on the product of the factors. names: of the denoiser's layers, as `names_of` gives them. about: further header entries, text
    only; nothing that changes from one identical training to the next belongs there. Embeddings are written beside, a file for each word,
    and their hashes into the header; that of the word which `modelspec.trigger_phrase` names is called as diffusers calls it.
    """
    learnt: dict[str, dict[str, Tensor]] = {}
    for name, tensor in factors.items():
        if name.startswith(WORDS):
            word, _, part = name.removeprefix(WORDS).rpartition(".")
            learnt.setdefault(word, {})[part] = tensor
    files = {}
    for word, rows in learnt.items():
        file = embeddings.FILE if word == about.get("modelspec.trigger_phrase", "").strip() else embeddings.named(word)
        files[word] = path.with_name(file), adapters.words_to_bytes(rows)
        files[word][0].write_bytes(files[word][1])
    about = about | embeddings.header(files)
    found: dict[str, dict[Role, Tensor]] = {}
    for name, tensor in factors.items():
        if name.startswith(WORDS):
            continue
        place, role = adapters.split(name)
        assert role is not None, f"peft calls a factor {name}"
        found.setdefault(place if _part(place) != "unet" else f"unet.{place}", {})[role] = tensor
    adapter = Adapter({place: Layer(tensors, scale) for place, tensors in found.items()}, about)
    if set(adapter.kinds) <= {"LoRA", "DoRA"}:
        data = adapters.to_bytes(*adapters.peft_form(adapter, about))
    else:
        data = adapters.write(adapter, "kohya", names=names, about=about).data
    path.write_bytes(data)


def load(path: Path) -> Factors:
    """The factors of a portable file, scale folded in. Raises AdapterError where it is missing, damaged or not a LoRA of peft's form."""
    tensors, _ = adapters.read_tensors(path)
    factors = {name.removeprefix("unet."): tensor for name, tensor in tensors.items()}
    unknown = [name for name in factors if not name.endswith((".lora_A.weight", ".lora_B.weight"))]
    if unknown:
        raise AdapterError(f"{path} is not a LoRA in the form of diffusers and peft (it holds {unknown[:1]}).\nName one that Decal wrote.")
    return factors


def _config(settings: ResolvedTrain, targets: list[str], ranks: dict[str, int]) -> PeftConfig:
    """What peft is told. ranks: of each layer by name, where they are not all the same.

    Sources: Hu et al. 2021, arXiv:2106.09685 (LoRA); Liu et al. 2024, arXiv:2402.09353 (DoRA); Hyeon-Woo et al. 2021, arXiv:2108.06098
    (LoHa); Yeh et al. 2023, arXiv:2309.14859 (LoKr).
    """
    some: dict[str, Any] = {"r": settings.rank, "target_modules": sorted(ranks) or targets}
    if ranks:
        some["rank_pattern"] = {re.escape(name): rank for name, rank in ranks.items()}
        some["alpha_pattern"] = {re.escape(name): settings.scale * rank for name, rank in ranks.items()}
    match settings.algorithm:
        case "loha":
            return LoHaConfig(alpha=settings.scale * settings.rank, **some)
        case "lokr":
            return LoKrConfig(alpha=settings.scale * settings.rank, **some)
        case "lora" | "dora":
            some |= {"use_rslora": settings.rank_stabilised and not ranks, "use_dora": settings.algorithm == "dora"}
            return LoraConfig(lora_alpha=settings.alpha, **some)


def _ranks(trained: dict[str, tuple[nn.Module, list[str]]], settings: ResolvedTrain) -> dict[str, dict[str, int]]:
    """The rank of each layer that is trained, by part; empty where all have one."""
    if not settings.ranks:
        return {}
    found: dict[str, dict[str, int]] = {}
    unused = set(settings.ranks)
    for part, (module, targets) in trained.items():
        for name in adapters.layers(module):
            if name.endswith(tuple(f".{end}" for end in targets)) or name in targets:
                fitting = [words for words in settings.ranks if f".{words}." in f".{part}.{name}."]
                unused -= set(fitting)
                # What says most of a layer counts.
                rank = settings.ranks[max(fitting, key=len)] if fitting else settings.rank
                if rank:
                    found.setdefault(part, {})[name] = rank
    if unused:
        raise SettingsError(
            f"train.ranks names {', '.join(sorted(unused))}, and no layer that is trained is called so.\n"
            "Parts of names are attn1, attn2, ff, to_q, resnets, down_blocks, up_blocks.1, text_encoder; "
            'layers besides attention need train.targets = "all", and text encoders train.text_learning_rate.'
        )
    if not found:
        raise SettingsError("train.ranks is 0 for every layer, so nothing would be trained.\nRaise one of them, or leave ranks out.")
    return found


def _part(name: str) -> str:
    """The part of a base that a layer or factor belongs to."""
    first = name.partition(".")[0]
    return first if first.startswith("text_encoder") else "unet"
