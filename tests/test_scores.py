"""What measures say of pictures whose truth is known."""

import dataclasses

import numpy as np
import pytest
from evidence import Made, gone, looks, world
from numpy.typing import NDArray

from decal import scores
from decal.scores.adherence import Adherence
from decal.scores.copying import Copying
from decal.scores.diversity import Diversity
from decal.scores.drift import Drift
from decal.scores.evidence import Evidence, UnfitError, plainly, surely_above_zero
from decal.scores.looks import HISTOGRAM_WIDTH, histogram, lay_out, look, tone
from decal.scores.loss import Loss
from decal.scores.statistic import Weights, over_cells, over_prompt_pairs, over_reference_pairs, resampled
from decal.scores.style import Style
from decal.scores.text import Text
from decal.scores.tone import Tone

GOOD = {100: Made(style=0.4), 200: Made(style=0.9), 300: Made(style=0.9, wrong=0.5)}


def weights(evidence: Evidence, resamples: int = 500) -> Weights:
    return resampled(evidence.sizes(), resamples, np.random.default_rng(0))


def picture(*columns: int) -> NDArray[np.uint8]:
    """A square of grey columns."""
    return np.repeat(np.tile(np.array(columns, np.uint8), (len(columns), 1))[..., None], 3, axis=2)


def test_the_histogram_of_a_white_picture_has_one_colour_and_no_edges() -> None:
    # The last of 216 colours and the lowest of 16 edges, each with the whole share, no dark pixel; length 1.
    expected = np.zeros(HISTOGRAM_WIDTH)
    expected[[215, 216]] = 1 / np.sqrt(2)
    np.testing.assert_allclose(histogram(picture(255, 255, 255)), expected)


def test_the_tone_of_half_black_half_white() -> None:
    # Ground is the median of the border, grey 127.5, so all is figure, all of it clipped, none of it coloured. Luma is 0 or 1: RMS 0.5.
    contrast, chroma, clipping, _ = tone(picture(0, 0, 255, 255))
    assert (round(float(contrast), 6), chroma, clipping) == (0.5, 0.0, 1.0)


def test_a_plain_picture_has_no_tone_but_a_finite_one() -> None:
    assert tone(picture(200, 200, 200)).tolist() == [0.0, 0.0, 0.0, -8.0]


def test_a_picture_that_cannot_be_used_is_not_there() -> None:
    seen = look([picture(0, 9, 0), None], np.ones((2, 3)), np.ones((2, 5)))
    assert seen.is_there.tolist() == [True, False]
    assert lay_out(seen, [(1, 0), (0, 1)], 2, 2).is_there.tolist() == [[False, False], [True, False]]


def test_vectors_with_nan_are_not_there() -> None:
    content = np.array([[1.0, 0.0], [np.nan, 0.0]])
    assert look([picture(1, 2, 3)] * 2, content, np.ones((2, 2))).is_there.tolist() == [True, False]


def test_pairs_of_one_prompt_are_left_out() -> None:
    values = np.array([[9.0, 1.0], [3.0, 9.0]])[:, None, :, None]
    ones: Weights = {"prompts": np.array([[1.0, 1.0], [2.0, 0.0]])}
    # (1 + 3) / 2; under the second weights there is no pair at all.
    np.testing.assert_array_equal(over_prompt_pairs(values).at(ones), [2.0, np.nan])


def test_weights_count_prompts_with_all_their_seeds() -> None:
    mean = over_cells(np.array([[1.0, 3.0], [5.0, np.nan]]))
    # Cells 1, 3, 5; with the second prompt thrice (1 + 3 + 5 + 5 + 5) / 5.
    assert mean.at({"prompts": np.array([[1.0, 1.0], [1.0, 3.0]])}).tolist() == [3.0, 3.8]


def test_a_sum_of_statistics_is_linear() -> None:
    one, other = over_cells(np.array([[1.0], [2.0]])), over_cells(np.array([[5.0], [7.0]]))
    assert (one * 2.0 - other + 1.0).at({"prompts": np.ones((1, 2))}).tolist() == [3.0 - 6.0 + 1.0]


def test_resamples_draw_one_less_than_there_are_from_each_group() -> None:
    drawn = resampled({"prompts": (4,), "references": (3, 2)}, 50, np.random.default_rng(0))
    assert drawn["prompts"][0].tolist() == [1, 1, 1, 1]
    assert {*drawn["prompts"][1:].sum(axis=1)} == {3.0}
    assert {*drawn["references"][1:, :3].sum(axis=1)} == {2.0}
    assert {*drawn["references"][1:, 3:].sum(axis=1)} == {1.0}


def test_the_bootstrap_error_of_a_mean_is_the_textbook_one() -> None:
    values = np.random.default_rng(1).normal(size=(8, 1))
    drawn = over_cells(values).at(resampled({"prompts": (8,)}, 20_000, np.random.default_rng(0)))[1:]
    assert drawn.std() == pytest.approx(values.std(ddof=1) / np.sqrt(8), rel=0.03)


def test_style_rises_with_the_share_of_pictures_in_it() -> None:
    evidence = world({1: Made(style=0.25), 2: Made(style=0.5), 3: Made(style=1.0)}, pictures=60)
    style = Style.of(evidence)
    values = np.array([plainly(style.read(step, evidence.cells(step)), evidence) for step in (0, 1, 2, 3)])
    # A cell counts as nearer to the base or to the user, so the scale is the share itself, as far as noise lets it.
    np.testing.assert_allclose(style.scale(values), [0.0, 0.25, 0.5, 1.0], atol=0.12)


def test_a_copy_of_a_training_picture_gains_no_style_by_its_twin() -> None:
    evidence = world({1: Made(style=0.9)})
    twins = evidence.training.rows(np.zeros((32, 2), np.intp))
    style = Style.of(dataclasses.replace(evidence, drawn={**evidence.drawn, 2: twins}))
    # A copy is worth what its twin is worth among the other pictures, less than twice the best of what is new.
    assert np.ptp(style.values(2)) < 0.1
    assert style.values(2).max() < np.nanmax(style.values(1))


def test_pictures_in_your_style_already_leave_no_scale() -> None:
    evidence = world(GOOD)
    alike = dataclasses.replace(evidence, drawn={**evidence.drawn, 0: evidence.drawn[200]})
    gauges = {gauge.measure: gauge for gauge in scores.fit(alike, weights(alike)).gauges}
    assert gauges["style"].role != "objective"
    assert gauges["style"].reason


def test_a_perfect_base_adheres_and_permuted_prompts_do_not() -> None:
    evidence = world({1: Made(), 2: Made(wrong=1.0)})
    adherence = Adherence.of(evidence)
    true, other = (plainly(adherence.read(step, evidence.cells(step)), evidence) for step in (1, 2))
    np.testing.assert_allclose(adherence.scale(np.array([true, other])), [1.0, 0.0], atol=0.15)
    assert adherence.values(1).mean() == 1.0
    assert adherence.values(2).mean() == pytest.approx(0.5, abs=0.05)


def test_an_anchor_leaves_the_cells_own_seed_out() -> None:
    # Two seeds of two prompts, and seed 0 drew the prompts the wrong way round: it must not be its own proof.
    content = np.array([[[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])
    base = looks(content, np.ones((2, 2, 3)), np.zeros((2, 2, 4)))
    evidence = dataclasses.replace(world({}), prompts=("a", "b"), seeds=(0, 1), drawn={0: base})
    assert Adherence(evidence, 1.0).values(0).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_adherence_needs_two_seeds_of_the_base() -> None:
    with pytest.raises(UnfitError, match="two seeds"):
        Adherence.of(world({}, seeds=1))


def test_copies_are_found_and_named() -> None:
    evidence = world({1: Made(style=0.9), 2: Made(style=0.9, copies=0.25)})
    copying = Copying.of(evidence)
    assert copying.flaw(weights(evidence)) is None
    assert [len(list(copying.pairs(step))) for step in (1, 2)] == [0, 16]
    assert "copies training pictures in 16 of 64 pictures" in copying.complaint(2, evidence.cells(2))


def test_a_mirrored_copy_is_a_copy() -> None:
    evidence = world({1: Made(style=0.9)})
    content = evidence.drawn[1].content.copy()
    content[3, 1] = evidence.mirrored.content[4]
    flipped = dataclasses.replace(evidence, drawn={**evidence.drawn, 1: dataclasses.replace(evidence.drawn[1], content=content)})
    pair = next(Copying.of(flipped).pairs(1))
    assert (pair.prompt, pair.seed, pair.file, pair.is_certain) == (3, 1, "04.png", True)


def test_many_copies_are_a_breach_and_few_are_not() -> None:
    evidence = world({1: Made(copies=0.02), 2: Made(copies=0.3)})
    copying, drawn = Copying.of(evidence), weights(evidence)
    assert [all(surely_above_zero(part, drawn) for part in copying.breach(step, evidence.cells(step))) for step in (1, 2)] == [False, True]


def test_training_pictures_that_are_all_the_same_cannot_be_copied_tellingly() -> None:
    evidence = world(GOOD)
    same = evidence.training.rows(np.zeros(18, np.intp))
    with pytest.raises(UnfitError, match="told apart"):
        Copying.of(dataclasses.replace(evidence, training=same, mirrored=same))


@pytest.mark.parametrize(("name", "side", "burn"), [("contrast", "above", 0.5), ("sharpness", "below", -0.5)])
def test_burn_and_blur_are_seen_and_their_absence_too(name: str, side: str, burn: float) -> None:
    evidence = world({1: Made(style=0.9), 2: Made(style=0.9, burn=burn)})
    measure, drawn = Tone.of(evidence, name, name, "above" if side == "above" else "below"), weights(evidence)
    assert measure.flaw(drawn) is None
    assert [all(surely_above_zero(part, drawn) for part in measure.breach(step, evidence.cells(step))) for step in (1, 2)] == [False, True]


def test_a_checkpoint_that_draws_one_thing_has_collapsed() -> None:
    evidence = world({1: Made(style=0.9)})
    content = np.broadcast_to(evidence.drawn[1].content[0, 0], evidence.drawn[1].content.shape)
    one_thing = dataclasses.replace(evidence.drawn[1], content=content)
    evidence = dataclasses.replace(evidence, drawn={**evidence.drawn, 2: one_thing})
    diversity, drawn = Diversity.of(evidence), weights(evidence)
    assert [all(surely_above_zero(part, drawn) for part in diversity.breach(step, evidence.cells(step))) for step in (1, 2)] == [
        False,
        True,
    ]
    assert diversity.complaint(2, evidence.cells(2)) == "draws different prompts nearly alike (0% of the base's diversity)"


def test_text_is_allowed_where_your_pictures_hold_it() -> None:
    hits = {0: np.zeros((32, 2)), 1: np.ones((32, 2))}
    evidence = dataclasses.replace(world({1: Made()}), texts=hits)
    lettered = dataclasses.replace(evidence, own_texts=np.ones(24))
    drawn = weights(evidence)
    breaches = [Text.of(one).breach(1, one.cells(1)) for one in (evidence, lettered)]
    assert [all(surely_above_zero(part, drawn) for part in breach) for breach in breaches] == [True, False]


def test_drift_is_one_where_the_adapter_changes_as_much_as_another_seed_does() -> None:
    content = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    base = looks(content, np.ones((1, 2, 3)), np.zeros((1, 2, 4)))
    swapped = looks(content[:, ::-1], np.ones((1, 2, 3)), np.zeros((1, 2, 4)))
    evidence = dataclasses.replace(world({1: Made(), 2: Made()}), probes={0: base, 1: base, 2: swapped})
    drift = Drift.of(evidence)
    assert [plainly(drift.read(step, evidence.cells(step)), evidence) for step in (1, 2)] == [0.0, 1.0]


def test_held_out_loss_is_a_share_of_the_bases() -> None:
    losses = {0: np.full(6, 0.4), 1: np.array([0.1, 0.2, 0.2, 0.2, 0.2, 0.3])}
    evidence = dataclasses.replace(world({1: Made()}), losses=losses)
    assert plainly(Loss.of(evidence).read(1, evidence.cells(1)), evidence) == pytest.approx(0.5)


def test_a_base_that_cannot_draw_the_prompts_makes_adherence_mere_information() -> None:
    evidence = world(GOOD)
    clueless = np.random.default_rng(0).normal(size=evidence.base.content.shape)
    base = looks(clueless, evidence.base.style, evidence.base.tone)
    evidence = dataclasses.replace(evidence, drawn={**evidence.drawn, 0: base})
    gauges = {gauge.measure: gauge.role for gauge in scores.fit(evidence, weights(evidence)).gauges}
    assert gauges["adherence"] in ("information", "skipped")


def test_a_guardrail_that_misses_planted_cases_is_mere_information() -> None:
    evidence = world(GOOD)
    blind = dataclasses.replace(evidence.planted, burnt=evidence.base, copies=evidence.heldout)
    fitted = scores.fit(dataclasses.replace(evidence, planted=blind), weights(evidence))
    failed = {gauge.measure: gauge.reason for gauge in fitted.gauges if gauge.role == "information" and gauge.reason}
    assert {"copying", "contrast", "chroma"} <= set(failed)


def test_what_was_not_measured_is_skipped_with_the_reason() -> None:
    evidence = world(GOOD)
    skipped = {gauge.measure: gauge.reason for gauge in scores.fit(evidence, weights(evidence)).gauges if gauge.role == "skipped"}
    assert skipped == {
        "text": "the pictures were not read for text",
        "drift": "no prompts without the keyword were drawn",
        "recital": "no training captions were drawn",
        "held-out loss": "no held-out loss was measured",
    }


def test_every_picture_gets_a_line_a_measure() -> None:
    evidence = world(GOOD)
    missing = np.zeros((32, 2), bool)
    missing[4, 1] = True
    evidence = dataclasses.replace(evidence, drawn={**evidence.drawn, 100: gone(evidence.drawn[100], missing)})
    lines = [line for line in scores.lines(scores.fit(evidence, weights(evidence)), evidence) if line.measure == "adherence"]
    assert len(lines) == 4 * 64 - 1
    assert not [line for line in lines if (line.checkpoint, line.prompt, line.seed) == (100, "prompt 4", 1)]


def test_references_are_pairs_of_two_different_pictures() -> None:
    values = np.array([[5.0, 1.0], [2.0, 5.0]])
    assert over_reference_pairs(values).at({"prompts": np.ones((1, 0)), "references": np.ones((1, 2))}).tolist() == [1.5]
