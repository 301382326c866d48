"""Training held against diffusers and peft, put together as diffusers' text-to-image LoRA script puts them together.

Source of the order of its calls: huggingface/diffusers, examples/text_to_image/train_text_to_image_lora.py, at 58eb52c.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.training_utils import compute_snr
from models import Prediction, build
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from test_train import resolved_of, task_of
from torch import Tensor

from decal import objective
from decal.batches import Sample
from decal.cache import Batch
from decal.train.loop import _Loop

# As the script runs: no caption is dropped, the rate stays as it is, and its clipping never reaches a gradient.
AS_THE_SCRIPT = {"caption_dropout": 0.0, "schedule": "constant", "max_grad_norm": 1e9, "rank": 4}
ATTENTION = ["to_k", "to_q", "to_v", "to_out.0"]
CASES: list[tuple[Prediction, float | None]] = [
    ("epsilon", None),
    ("v_prediction", None),
    ("epsilon", 5.0),
    ("v_prediction", 5.0),
]


class Script:
    """The UNet, the LoRA, the optimizer and the loss of the script."""

    def __init__(self, model: Path, rank: int) -> None:
        self.noising = DDPMScheduler.from_pretrained(model, subfolder="scheduler")
        self.unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet").requires_grad_(False)
        self.unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=ATTENTION))
        self.factors = {name.replace(".default.", "."): p for name, p in self.unet.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.AdamW(self.factors.values(), lr=1e-3, betas=(0.9, 0.999), weight_decay=0.01, eps=1e-8)

    def begin_with(self, factors: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, factor in self.factors.items():
                factor.copy_(factors[name])

    def loss(self, latents: Tensor, noise: Tensor, timesteps: Tensor, states: Tensor, snr_gamma: float | None) -> Tensor:
        noisy = self.noising.add_noise(latents, noise, timesteps)
        kind = self.noising.config.prediction_type
        wanted = noise if kind == "epsilon" else self.noising.get_velocity(latents, noise, timesteps)
        predicted = self.unet(noisy, timesteps, states, return_dict=False)[0]
        if snr_gamma is None:
            return F.mse_loss(predicted.float(), wanted.float(), reduction="mean")
        snr = compute_snr(self.noising, timesteps)
        weights = torch.stack([snr, snr_gamma * torch.ones_like(timesteps)], dim=1).min(dim=1)[0] / (snr + (kind != "epsilon"))
        losses = F.mse_loss(predicted.float(), wanted.float(), reduction="none")
        weighted: Tensor = (losses.mean(dim=[1, 2, 3]) * weights).mean()
        return weighted


Opened = tuple[_Loop, Script]


@pytest.fixture
def opened(tmp_path: Path, shapes: Path) -> Callable[..., Opened]:
    """Decal's loop and the script's objects on one base, with the same factors, none of which is 0."""

    def open_(prediction: Prediction, min_snr_gamma: float | None, steps: int = 12) -> Opened:
        model = build(tmp_path / "model", prediction=prediction)
        settings = resolved_of(model, **AS_THE_SCRIPT, min_snr_gamma=min_snr_gamma, steps=steps, checkpoint_every=steps)
        loop = _Loop(*task_of(tmp_path / "run", shapes, settings, model=model))
        script = Script(model, settings.train.rank)
        generator = torch.Generator().manual_seed(1)
        for factor in loop.factors.values():
            factor.data = 0.1 * torch.randn(factor.shape, generator=generator)
        script.begin_with({name: factor.detach() for name, factor in loop.factors.items()})
        return loop, script

    return open_


def drawn(loop: _Loop) -> Iterator[tuple[list[Sample], Tensor, Tensor, Tensor]]:
    """The samples of the loop's next step, what samples their posterior, the noise, and the timesteps."""
    for part in loop._parts(loop.lessons[0]):
        yield part.samples, part.posterior, part.noise, part.timesteps


def both_losses(opened: Opened, snr_gamma: float | None) -> tuple[Tensor, Tensor]:
    """Ours and the script's on the first batch, with their graphs."""
    loop, script = opened
    loop.step = 1
    [(samples, posterior, noise, timesteps)] = drawn(loop)
    batch: Batch = loop.task.train.batch(samples)
    latents = batch.mean + batch.std * posterior
    ours = loop._losses(batch, latents, (noise, noise), timesteps).mean()
    return ours, script.loss(latents, noise, timesteps, batch.conditioning["encoder_hidden_states"], snr_gamma)


@pytest.mark.parametrize(("prediction", "snr_gamma"), CASES)
def test_the_loss_of_a_batch_is_the_scripts(opened: Callable[..., Opened], prediction: Prediction, snr_gamma: float | None) -> None:
    ours, theirs = both_losses(opened(prediction, snr_gamma), snr_gamma)
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), abs=1e-5)


@pytest.mark.parametrize(("prediction", "snr_gamma"), CASES)
def test_the_gradient_of_every_factor_is_the_scripts(
    opened: Callable[..., Opened], prediction: Prediction, snr_gamma: float | None
) -> None:
    loop, script = both = opened(prediction, snr_gamma)
    for loss in both_losses(both, snr_gamma):
        loss.backward()  # type: ignore[no-untyped-call]
    ours = {name: factor.grad for name, factor in loop.factors.items()}
    theirs = {name: factor.grad for name, factor in script.factors.items()}
    assert set(ours) == set(theirs)
    assert len(ours) == 2 * 4 * 2 * 4  # two factors of four projections, self- and cross-attention, of four blocks
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_after_fifty_equal_steps_the_adapters_draw_the_same_pictures(
    opened: Callable[..., Opened], prediction: Prediction, tmp_path: Path
) -> None:
    loop, script = opened(prediction, None, steps=50)
    for _ in range(50):
        loop.step += 1
        [(samples, posterior, noise, timesteps)] = drawn(loop)
        loop.step -= 1
        assert list(loop.advance()) == []
        batch = loop.task.train.batch(samples)
        loss = script.loss(batch.mean + batch.std * posterior, noise, timesteps, batch.conditioning["encoder_hidden_states"], None)
        loss.backward()  # type: ignore[no-untyped-call]
        script.optimizer.step()
        script.optimizer.zero_grad()
    loop.send()
    ours = loop.task.run.folder / loop.save(None).file
    StableDiffusionPipeline.save_lora_weights(tmp_path, unet_lora_layers=get_peft_model_state_dict(script.unet))
    pictures = [picture_of(loop.task.settings.base.model, file) for file in (ours, tmp_path / "pytorch_lora_weights.safetensors", None)]
    # AdamW divides by the root of a mean of squares, which makes sums in another order a little more different at every step.
    assert float((pictures[0] - pictures[1]).abs().max()) < 2e-3
    assert float((pictures[0] - pictures[2]).abs().max()) > 2e-2


def picture_of(model: str, adapter: Path | None) -> Tensor:
    """What stock diffusers draws with an adapter, or without, [H, W, 3], 0..1."""
    pipeline: Any = StableDiffusionPipeline.from_pretrained(model, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    if adapter is not None:
        pipeline.load_lora_weights(adapter)
    start = objective.noise_for(0, (1, 4, 8, 8), "proof")
    drawn = pipeline("zorb style sticker of a red circle", num_inference_steps=6, latents=start, output_type="np")
    return torch.from_numpy(drawn.images[0])
