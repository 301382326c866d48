import json
from pathlib import Path

import pytest
import torch
from models import stock_pipeline
from peft import LoraConfig, inject_adapter_in_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import skip_init

from decal import lora
from decal.adapters import Swapper, read
from decal.bases.sd import StableDiffusion
from decal.errors import AdapterError
from decal.settings import ResolvedTrain, parse, resolve


def base_of(folder: Path) -> StableDiffusion:
    return StableDiffusion(str(folder), device=torch.device("cpu"), dtype=torch.float32)


def settings_of(targets: str, rank: int, alpha: float) -> ResolvedTrain:
    return resolve(parse({"train": {"targets": targets, "rank": rank, "alpha": alpha}}), 4).train


def taught(base: StableDiffusion, settings: ResolvedTrain) -> dict[str, nn.Parameter]:
    """An attached LoRA whose B is not 0, as after training."""
    factors = lora.attach(base, settings)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for factor in factors.values():
            factor.copy_(torch.randn(factor.shape, generator=generator) * 0.1)
    return factors


def output(denoiser: nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    noisy, states = torch.randn(2, 4, 8, 8, generator=generator), torch.randn(2, 77, 32, generator=generator)
    with torch.no_grad():
        predicted: torch.Tensor = denoiser(noisy, torch.tensor([900, 100]), encoder_hidden_states=states, return_dict=False)[0]
    return predicted


def test_a_new_lora_changes_nothing(tiny: Path) -> None:
    base = base_of(tiny)
    before = output(base.denoiser)
    lora.attach(base, settings_of("all", 4, 8))
    assert torch.equal(output(base.denoiser), before)


def test_attaching_twice_with_one_seed_gives_the_same_factors(tiny: Path) -> None:
    first, second = (lora.attach(base_of(tiny), settings_of("attention", 4, 4)) for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("has_metadata", [True, False])
@pytest.mark.parametrize(("targets", "alpha"), [("all", 2.0), ("attention", 4.0), ("all", 8.0)])
def test_stock_diffusers_reloads_at_the_right_strength(targets: str, alpha: float, has_metadata: bool, tiny: Path, tmp_path: Path) -> None:
    base = base_of(tiny)
    plain = output(base.denoiser)
    factors = taught(base, settings_of(targets, 4, alpha))
    wanted = output(base.denoiser)
    lora.save(tmp_path / "lora.safetensors", dict(factors), scale=alpha / 4, names=(), about={})
    if not has_metadata:
        save_file(load_file(tmp_path / "lora.safetensors"), tmp_path / "lora.safetensors")
    pipeline = stock_pipeline(tiny)
    pipeline.load_lora_weights(tmp_path / "lora.safetensors")
    assert (output(pipeline.unet) - wanted).abs().max() <= 1e-5
    assert (wanted - plain).abs().max() > 1e-2


@pytest.mark.parametrize("alpha", [2.0, 4.0, 8.0])
def test_an_adapter_put_on_is_the_adapter_trained(alpha: float, tiny: Path, tmp_path: Path) -> None:
    base = base_of(tiny)
    factors = taught(base, settings_of("all", 4, alpha))
    wanted = output(base.denoiser)
    lora.save(tmp_path / "lora.safetensors", dict(factors), scale=alpha / 4, names=(), about={})
    other = base_of(tiny)
    Swapper(other.parts).put_on(read(tmp_path / "lora.safetensors", other.parts), 1.0)
    assert (output(other.denoiser) - wanted).abs().max() <= 1e-5


def test_taking_an_adapter_off_gives_the_base_back_exactly(tiny: Path, tmp_path: Path) -> None:
    lora.save(tmp_path / "lora.safetensors", dict(taught(base_of(tiny), settings_of("all", 4, 4))), scale=1.0, names=(), about={})
    base = base_of(tiny)
    before = output(base.denoiser)
    swapper = Swapper(base.parts)
    swapper.put_on(read(tmp_path / "lora.safetensors", base.parts), 0.7)
    swapper.put_on(None, 1.0)
    assert torch.equal(output(base.denoiser), before)


def test_the_header_says_rank_for_alpha(tiny: Path, tmp_path: Path) -> None:
    factors = lora.attach(base_of(tiny), settings_of("attention", 4, 16))
    lora.save(tmp_path / "lora.safetensors", dict(factors), scale=4.0, names=(), about={"decal.base": "tiny"})
    with safe_open(tmp_path / "lora.safetensors", framework="pt") as file:
        header = file.metadata()
    told = json.loads(header["lora_adapter_metadata"])
    assert (told["unet.r"], told["unet.lora_alpha"], header["decal.base"]) == (4, 4, "tiny")


@pytest.mark.parametrize("content", [b"", b"not a lora", b"\xff" * 64])
def test_a_damaged_file_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "lora.safetensors").write_bytes(content)
    with pytest.raises(AdapterError, match="cannot be read as a LoRA"):
        lora.load(tmp_path / "lora.safetensors")


def test_a_truncated_file_is_one_sentence(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    lora.save(path, dict(lora.attach(base_of(tiny), settings_of("attention", 4, 4))), scale=1.0, names=(), about={})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AdapterError, match="missing or damaged"):
        lora.load(path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layers_of_scale_1_give_what_pefts_give_to_the_bit_and_the_same_gradients(dtype: torch.dtype, tiny: Path) -> None:
    found = []
    for is_pefts in (False, True):
        base = StableDiffusion(str(tiny), device=torch.device("cpu"), dtype=dtype)
        factors = taught(base, settings_of("all", 4, 4))
        ours = [module for module in base.denoiser.modules() if "forward" in vars(module)]
        for module in ours if is_pefts else []:
            del module.forward
        noisy = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2)).to(dtype)
        states = {"encoder_hidden_states": torch.ones(2, 77, 32, dtype=dtype)}
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            predicted = base.predict(noisy, torch.tensor([900, 100]), states)
        torch.autograd.backward(predicted.square().mean())
        found.append([predicted, *(factor.grad for factor in factors.values())])
    assert len(ours) == len(factors) / 2
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_factors_beside_narrow_layers_are_multiplied_out_and_teach_the_same(tiny: Path) -> None:
    """Against the form of Hu et al. 2021, which peft computes: one product after the other, beside the layer."""
    found, outputs = [], []
    for is_pefts in (False, True):
        base = StableDiffusion(str(tiny), device=torch.device("cpu"), dtype=torch.float32)
        factors = taught(base, settings_of("all", 32, 32))
        for module in [module for module in base.denoiser.modules() if "forward" in vars(module)] if is_pefts else []:
            del module.forward
        noisy = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(2))
        predicted = base.predict(noisy, torch.tensor([900, 100]), {"encoder_hidden_states": torch.ones(2, 77, 32)})
        torch.autograd.backward(predicted.square().mean())
        outputs.append(predicted.detach())
        found.append([predicted, *(factor.grad for factor in factors.values())])
    assert all(torch.allclose(one, other, rtol=1e-3, atol=1e-6) for one, other in zip(*found, strict=True))
    assert not torch.equal(*outputs)


@pytest.mark.parametrize(("width", "places", "expected"), [(64, 1024, True), (64, 16, False), (320, 4096, False)])
def test_factors_are_multiplied_out_only_where_that_takes_less(width: int, places: int, expected: bool) -> None:
    """By hand, multiplications of rank 32: 64 wide 4.6 million against 12.6, or 0.46 against 0.2; 320 wide 429 million against 252."""
    x = torch.zeros(1, places, width)
    assert lora.is_cheaper_whole(nn.Linear(width, width), x, 32) is expected
    assert not lora.is_cheaper_whole(nn.Linear(width, width), x.bfloat16(), 32)


def test_weights_that_are_large_are_not_copied_to_draw_with() -> None:
    # 269 MB that are never written, so they take no memory.
    wide = nn.Sequential(skip_init(nn.Linear, 8200, 8200, bias=False))  # type: ignore[no-untyped-call]
    inject_adapter_in_model(LoraConfig(r=1, target_modules=["0"]), wide)
    weight = wide.get_parameter("0.base_layer.weight")
    place = weight.data_ptr()
    with lora.multiplied_out(wide):
        assert weight.data_ptr() == place
