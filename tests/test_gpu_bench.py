"""The measurements for a GPU: what can be known of them without one."""

import sys
from pathlib import Path

import pytest
import torch
from peft.utils import get_peft_model_state_dict

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks" / "gpu"))

import measure_gpu
import step_forms
from lora_linear import LoraLinear, take_over
from unets import unet

CPU = torch.device("cpu")


@pytest.mark.parametrize("has_bias", [True, False])
def test_the_linear_of_our_own_has_the_values_and_gradients_of_its_formula(has_bias: bool) -> None:
    torch.manual_seed(0)
    x, weight, down, up = (torch.randn(shape, dtype=torch.float64) for shape in ((2, 5, 6), (7, 6), (3, 6), (7, 3)))
    bias = torch.randn(7, dtype=torch.float64) if has_bias else None
    learnt = [tensor.requires_grad_() for tensor in (x, down, up)]

    def ours(x: torch.Tensor, down: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = LoraLinear.apply(x, (weight, bias), down, up, 0.5)  # type: ignore[no-untyped-call]
        return result

    plain = torch.nn.functional.linear(x, weight, bias) + 0.5 * (x @ down.t() @ up.t())
    torch.testing.assert_close(ours(*learnt), plain)
    assert torch.autograd.gradcheck(ours, learnt)


def test_a_model_with_our_linear_trains_like_one_with_pefts_and_saves_the_same_keys() -> None:
    assert step_forms.difference("sd2.1", "own linear", is_tiny=True, device=CPU) < 0.02
    training, _ = step_forms.prepared("sd2.1", "eager", batch=1, is_tiny=True, device=CPU)
    keys = set(get_peft_model_state_dict(training.model))
    assert take_over(training.model) == len(keys) // 2 > 0
    assert set(get_peft_model_state_dict(training.model)) == keys


def test_a_training_that_is_put_back_takes_the_same_steps_again() -> None:
    """What capturing a graph relies on: its warm-up leaves no trace."""
    training, step = step_forms.prepared("sdxl", "eager", batch=1, is_tiny=True, device=CPU)
    step()
    before = training.snapshot()
    step()
    after = training.snapshot()
    training.put_back(before)
    step()
    assert all(torch.equal(a, b) for a, b in zip(training.snapshot(), after, strict=True))


def test_the_tables_of_sizes_are_those_of_the_published_models() -> None:
    meta = torch.device("meta")
    counts = {
        name: sum(p.numel() for p in unet(name, is_tiny=False, device=meta, dtype=torch.float32).parameters()) for name in ("sd2.1", "sdxl")
    }
    # Sources: 865.9 million for SD 2.x and 2,567.5 million for SDXL, the sizes of the published weight files in fp16 halved.
    assert counts == {"sd2.1": 865_910_724, "sdxl": 2_567_463_684}


@pytest.mark.slow
def test_the_whole_flow_runs_on_a_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    forms = ["eager", "own linear"]
    measure_gpu.main(["--tiny", "--device", "cpu", "--models", "sdxl", "--batches", "1", "--steps", "2", "--variants", *forms, "graph"])
    told = capsys.readouterr().out
    lines = [line.split("  ")[0] for line in told.splitlines() if line.startswith(tuple(forms))]
    assert lines == forms
    assert "graph: not measured" in told
