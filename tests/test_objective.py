import math

import pytest
import torch

from decal.objective import (
    add_noise,
    debiased_weight,
    logit_normal_timesteps,
    loss_of,
    min_snr_weight,
    noise_for,
    offset_noise,
    pyramid_noise,
    stratified_timesteps,
    target,
    timesteps_for,
)


def test_min_snr_weight_leaves_noisy_steps_alone() -> None:
    signal = torch.tensor([1 / 11, 0.5, 5 / 6])  # signal-to-noise ratios 0.1, 1 and 5: at or below gamma
    assert torch.allclose(min_snr_weight(signal, 5.0, "epsilon"), torch.ones(3))


def test_min_snr_weight_caps_clean_steps() -> None:
    signal = torch.tensor([10 / 11])  # ratio 10, so 5 / 10 by hand
    assert min_snr_weight(signal, 5.0, "epsilon").item() == pytest.approx(0.5, abs=1e-5)


def test_min_snr_weight_for_v_divides_by_the_ratio_plus_one() -> None:
    signal = torch.tensor([0.0, 0.5, 10 / 11])  # ratios 0, 1, 10: 0 / 1, 1 / 2, 5 / 11 by hand
    assert min_snr_weight(signal, 5.0, "v_prediction").tolist() == pytest.approx([0, 0.5, 5 / 11], abs=1e-5)


def test_at_zero_signal_v_asks_for_the_picture() -> None:
    latents, noise = torch.full((1, 1, 2, 2), 3.0), torch.full((1, 1, 2, 2), 5.0)
    nothing = torch.tensor([0.0])
    assert torch.equal(add_noise(latents, noise, nothing), noise)
    assert torch.equal(target(latents, noise, nothing, "v_prediction"), -latents)


def test_v_turns_back_into_the_latents() -> None:
    latents, noise, signal = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3), torch.tensor([0.3, 0.9])
    noisy, v = add_noise(latents, noise, signal), target(latents, noise, signal, "v_prediction")
    level = signal[:, None, None, None]
    assert torch.allclose(level.sqrt() * noisy - (1 - level).sqrt() * v, latents, atol=1e-6)


def test_epsilon_asks_for_the_noise() -> None:
    noise = torch.randn(1, 4, 2, 2)
    assert target(torch.zeros_like(noise), noise, torch.tensor([0.5]), "epsilon") is noise


def test_padding_is_kept_out_of_the_loss() -> None:
    predicted, wanted = torch.zeros(1, 4, 1, 2), torch.tensor([1.0, 100.0]).expand(1, 4, 1, 2)
    mask = torch.tensor([[[[1.0, 0.0]]]])
    assert loss_of(predicted, wanted, mask).tolist() == [1.0]


def test_noise_belongs_to_the_seed_and_the_purpose() -> None:
    assert torch.equal(noise_for(7, (2, 2), "noise", 3), noise_for(7, (2, 2), "noise", 3))
    assert not torch.equal(noise_for(7, (2, 2), "noise", 3), noise_for(7, (2, 2), "noise", 4))


def test_timesteps_reach_both_ends() -> None:
    drawn = timesteps_for(0, 5000, 10, "timesteps", 1)
    counts = torch.bincount(drawn, minlength=10) / 500
    assert counts.shape == (10,)
    assert (counts - 1).abs().max() < 5 / math.sqrt(500)  # five standard deviations of a count of 500


def test_stratified_timesteps_hold_one_of_each_part() -> None:
    drawn = stratified_timesteps(0, 8, 1000, "timesteps", 1)
    assert sorted((drawn // 125).tolist()) == list(range(8))


def test_logit_normal_timesteps_lie_where_their_mean_says() -> None:
    medians = [float(logit_normal_timesteps(0, 20_000, 1000, mean, "timesteps", 1).float().median()) for mean in (-1.0, 0.0, 1.0)]
    # The logistic function of -1, 0 and 1, times 1000.
    assert medians == pytest.approx([269, 500, 731], abs=10)


def test_offset_noise_moves_each_channel_of_a_sample_as_a_whole() -> None:
    noise = torch.zeros(3, 2, 4, 4)
    moved = offset_noise(noise, 0.1, 0, "offset", 1)
    assert torch.equal(moved, moved[:, :, :1, :1].expand_as(moved))
    assert len(set(moved[:, :, 0, 0].flatten().tolist())) == 6


def test_pyramid_noise_is_smoother_and_of_deviation_one() -> None:
    noise = noise_for(0, (4, 4, 32, 32), "noise", 1)
    rough = pyramid_noise(noise, 0.8, 4, 0, "pyramid", 1)
    neighbours = [float((n[..., 1:] * n[..., :-1]).mean()) for n in (noise, rough)]
    assert rough.std(dim=(1, 2, 3)).tolist() == pytest.approx([1.0] * 4, abs=1e-5)
    assert abs(neighbours[0]) < 0.05 < 0.3 < neighbours[1]


def test_the_pseudo_huber_error_is_squared_near_zero_and_linear_far_off() -> None:
    mask, zero = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    near, far, farther = (loss_of(torch.full_like(zero, d), zero, mask, huber=0.1).item() for d in (0.001, 10.0, 20.0))
    assert near == pytest.approx(1e-6, rel=1e-2)
    assert farther / far == pytest.approx(2, rel=0.02)


def test_debiased_weights_undo_the_root_of_the_ratio() -> None:
    signal = torch.tensor([0.5, 0.8])  # signal-to-noise ratios 1 and 4: 1 / 1, 1 / 2; for v 1 / 2, 2 / 5 by hand
    assert debiased_weight(signal, "epsilon").tolist() == pytest.approx([1, 0.5])
    assert debiased_weight(signal, "v_prediction").tolist() == pytest.approx([0.5, 0.4])
    assert debiased_weight(torch.tensor([0.0]), "epsilon").isfinite().all()
