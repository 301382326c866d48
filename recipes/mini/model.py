"""The sizes of the embedded base, and its folder in the layout of Stable Diffusion.

128 px pictures, latents of 8 x 16 x 16. The text encoder is trained on a compact token table, which holds only the tokens that captions
use; `write` scatters it into the full CLIP vocabulary, so that token counts are those of the real Stable Diffusion.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from tokenizers import Tokenizer
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

SIZE_PX = 128
LATENT_CHANNELS = 8
LATENT_SIDE = SIZE_PX // 8
POSITIONS = 77
HIDDEN = 64
# Unequal, as SDXL's are.
TWIN_HIDDEN = (16, 24)
TOKENIZER = Path(__file__).resolve().parents[2] / "src" / "decal" / "mini" / "sd" / "tokenizer"
# How many numbers the twin is told each size in.
SIZE_NUMBERS = 32
# <|startoftext|> and <|endoftext|>; the second is the padding too.
BOS, EOS = 49406, 49407
# EOS in a compact token table, which begins with BOS.
EOS_ROW = 1
# Deviation of the token table at the beginning. With CLIP's 0.02 the word for a thing stays weak for thousands of steps.
TOKEN_DEVIATION = 0.3


def vae() -> AutoencoderKL:
    """An autoencoder of 1.8 million weights, 128 px to 8 x 16 x 16."""
    widths = (32, 48, 64, 96)
    return AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=SIZE_PX,
        mid_block_add_attention=False,
        # The latents are brought to mean 0 and deviation 1 inside quant_conv: the pipeline knows a scale but no mean.
        scaling_factor=1.0,
        force_upcast=False,
    )


def unet(widths: tuple[int, int, int] = (64, 128, 160), cross: int = HIDDEN) -> UNet2DConditionModel:
    """A denoiser of 8.5 million weights; attention at 8 x 8 and 4 x 4, with heads of 32 since narrow ones are slow on a CPU."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=widths,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=cross,
        # diffusers takes the number of heads under this name.
        attention_head_dim=tuple(width // 32 for width in widths),
        norm_num_groups=16,
    )


def scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise, rescaled to end in pure noise, with v-prediction: so that white grounds come out white."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
    )


def text_encoder(vocabulary: int) -> CLIPTextModel:
    """A CLIP text encoder of four layers, 64 wide, over a token table of that many rows."""
    encoder = CLIPTextModel(_text_config(vocabulary, HIDDEN, layers=4))
    _spread_tokens(encoder)
    return encoder


def twin_text_encoders(vocabulary: int) -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
    """SDXL's two text encoders, 16 and 24 wide; the second one's pooled text is used too."""
    first = CLIPTextModel(_text_config(vocabulary, TWIN_HIDDEN[0], layers=3))
    second = CLIPTextModelWithProjection(_text_config(vocabulary, TWIN_HIDDEN[1], layers=3))
    _spread_tokens(first)
    _spread_tokens(second)
    return first, second


def twin_unet() -> UNet2DConditionModel:
    """A denoiser of 2.2 million weights, half as wide as the base, in SDXL's layout: it is told the picture's sizes and the pooled text."""
    widths = (32, 64, 80)
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=widths,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=sum(TWIN_HIDDEN),
        # As many heads as the base has, so that each of them is half of one of the base's.
        attention_head_dim=tuple(width // 16 for width in widths),
        norm_num_groups=16,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=SIZE_NUMBERS,
        # Six sizes and the pooled text.
        projection_class_embeddings_input_dim=6 * SIZE_NUMBERS + TWIN_HIDDEN[1],
    )


def _text_config(vocabulary: int, hidden: int, layers: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        projection_dim=hidden,
        num_hidden_layers=layers,
        num_attention_heads=max(1, hidden // 32),
        max_position_embeddings=POSITIONS,
        # Pooling looks for the first end token; in the compact table that is row 1 (see Vocabulary).
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


def _spread_tokens(encoder: CLIPTextModel | CLIPTextModelWithProjection) -> None:
    with torch.no_grad():
        encoder.get_input_embeddings().weight.normal_(std=TOKEN_DEVIATION)


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that captions use. known: their numbers in CLIP's vocabulary; BOS is row 0 of the compact table, EOS row EOS_ROW."""

    tokenizer: Tokenizer
    known: tuple[int, ...]

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Vocabulary":
        """The vocabulary of these texts."""
        tokenizer = Tokenizer.from_file(str(TOKENIZER / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        used = {number for text in texts for number in tokenizer.encode(text).ids} - {BOS, EOS}
        return cls(tokenizer, (BOS, EOS, *sorted(used)))

    def rows(self, texts: Iterable[str]) -> Tensor:
        """Rows of the compact table, [texts, 77], padded with EOS as Stable Diffusion does."""
        row = {number: index for index, number in enumerate(self.known)}
        found = []
        for text in texts:
            numbers = [row[number] for number in self.tokenizer.encode(text).ids if number in row][: POSITIONS - 1]
            found.append([*numbers, *[EOS_ROW] * (POSITIONS - len(numbers))])
        return torch.tensor(found)


@dataclass(frozen=True)
class Parts:
    """The trained models of one base; two text encoders make it one in SDXL's layout."""

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    text_encoders: tuple[CLIPTextModel] | tuple[CLIPTextModel, CLIPTextModelWithProjection]
    vocabulary: Vocabulary


def write(folder: Path, parts: Parts) -> None:
    """Write the base, in fp16, as a folder that a stock `from_pretrained` loads."""
    tokenizer = CLIPTokenizer.from_pretrained(TOKENIZER)
    first, *second = (full(encoder, parts.vocabulary) for encoder in parts.text_encoders)
    common = {"vae": parts.vae, "unet": parts.unet, "scheduler": scheduler(), "tokenizer": tokenizer, "text_encoder": first}
    pipeline: StableDiffusionPipeline | StableDiffusionXLPipeline
    if second:
        pipeline = StableDiffusionXLPipeline(
            **common, tokenizer_2=tokenizer, text_encoder_2=second[0], force_zeros_for_empty_prompt=False, add_watermarker=False
        )
    else:
        pipeline = StableDiffusionPipeline(
            **common, safety_checker=None, feature_extractor=None, image_encoder=None, requires_safety_checker=False
        )
    pipeline.to(torch.float16)
    pipeline.save_pretrained(folder)
    if folder.resolve() != TOKENIZER.parent:
        for name in ("tokenizer", "tokenizer_2") if second else ("tokenizer",):
            # transformers would add settings of whoever used the tokenizer last.
            shutil.copytree(TOKENIZER, folder / name, dirs_exist_ok=True)
    for config in folder.glob("*/config.json"):
        known = json.loads(config.read_text("utf-8"))
        # The folder it was loaded from says nothing to a reader; the weights are loaded in float32 where no dtype is asked for.
        known.pop("_name_or_path", None)
        if "dtype" in known:
            known["dtype"] = "float32"
        config.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", "utf-8")


def full(encoder: CLIPTextModel | CLIPTextModelWithProjection, vocabulary: Vocabulary) -> CLIPTextModel | CLIPTextModelWithProjection:
    """The encoder with its compact token table scattered into CLIP's whole vocabulary."""
    config = CLIPTextConfig(
        **{**encoder.config.to_dict(), "vocab_size": 49408, "bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": EOS}
    )
    whole = type(encoder)(config)
    state = dict(encoder.state_dict())
    name = next(key for key in state if key.endswith("token_embedding.weight"))
    # Words that were never trained are strangers, as they were in training: drawn with the deviation they had there.
    table = TOKEN_DEVIATION * torch.randn((49408, state[name].shape[1]), generator=torch.Generator().manual_seed(0))
    table[list(vocabulary.known)] = state[name][: len(vocabulary.known)]
    whole.load_state_dict({**state, name: table})
    return whole
