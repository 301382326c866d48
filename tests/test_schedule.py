import pytest
import torch
from diffusers.optimization import get_scheduler

from decal.schedule import Rate, Schedule


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "cosine_with_restarts", "polynomial"])
def test_rates_are_those_of_diffusers(schedule: Schedule) -> None:
    name = "constant_with_warmup" if schedule == "constant" else schedule
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    theirs = get_scheduler(name, optimizer, num_warmup_steps=7, num_training_steps=40, num_cycles=3).lr_lambdas[0]
    ours = Rate(schedule, peak=0.5, steps=40, warmup_steps=7, restarts=3)
    assert [ours.at(step) for step in range(41)] == pytest.approx([0.5 * theirs(step) for step in range(41)], abs=1e-15)


def test_wsd_is_stable_and_falls_in_the_last_fifth() -> None:
    rate = Rate("wsd", peak=1.0, steps=100, warmup_steps=0)
    # 1 - sqrt of the share of the last 20 steps, by hand: a quarter of them leaves a half.
    assert [rate.at(step) for step in (0, 79, 80, 85, 100)] == pytest.approx([1, 1, 1, 0.5, 0])


@pytest.mark.parametrize("schedule", ["linear", "cosine", "wsd"])
def test_a_decay_ends_at_the_share_that_was_asked_for(schedule: Schedule) -> None:
    rate = Rate(schedule, peak=2.0, steps=50, warmup_steps=5, final_share=0.1)
    assert (rate.at(5), rate.at(50)) == pytest.approx((2.0, 0.2))
