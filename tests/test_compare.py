"""The verdict on checkpoints whose truth is known."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest
from evidence import Made, gone, world

from decal.compare import telling
from decal.compare.confidence import confidence_set
from decal.compare.contest import enter, gap, utility
from decal.compare.racing import Race, Round, race
from decal.compare.verdict import _prompts_needed, confirm, judge, rank
from decal.records import Gap, Standing, Verdict
from decal.scores.evidence import Evidence
from decal.scores.looks import Looks

CLEAR = {100: Made(style=0.3), 200: Made(style=0.95), 300: Made(style=0.95, wrong=0.6)}


def judged(evidence: Evidence, *, resamples: int = 400, seed: int = 0) -> Verdict:
    return judge(evidence, Race(evidence.checkpoints, (), (), ()), resamples=resamples, seed=seed)


def standings(verdict: Verdict) -> dict[int, Standing]:
    return {standing.checkpoint: standing for standing in verdict.standings}


def with_drawn(evidence: Evidence, more: Mapping[int, Looks]) -> Evidence:
    return dataclasses.replace(evidence, drawn={**evidence.drawn, **more})


def test_the_clear_winner_wins() -> None:
    verdict = judged(world(CLEAR))
    assert (verdict.outcome, verdict.checkpoint, verdict.tied, verdict.open) == ("winner", 200, (), ())
    assert verdict.reason.startswith("Keep step 200: it is better than all others. The next best, step ")
    assert verdict.next == "decal grid --checkpoint 200"


def test_the_utility_is_the_geometric_mean() -> None:
    scaled = {"style": np.array([[0.25, 1.0]]), "adherence": np.array([[1.0, 0.0]])}
    assert utility(scaled, 0.5, 1).tolist() == [[0.5, 0.0]]
    # 0.25 to the power 0.7.
    assert utility(scaled, 0.7, 1)[0, 0] == pytest.approx(0.3789, abs=1e-4)


def test_a_gap_is_paired() -> None:
    ahead = np.array([1.0, 0.0, 2.0, 4.0])
    told = gap(ahead, ahead - 0.5)
    assert (told.gap, told.low, told.high, told.error) == (0.5, 0.5, 0.5, 0.0)


def test_the_same_checkpoint_twice_is_a_tie_of_equals() -> None:
    evidence = world(CLEAR)
    verdict = judged(with_drawn(evidence, {250: evidence.drawn[200]}))
    assert (verdict.outcome, verdict.checkpoint, verdict.tied, verdict.earliest) == ("tie", 200, (250,), 200)
    assert standings(verdict)[200].best_share == standings(verdict)[250].best_share == pytest.approx(0.5)


def test_how_far_a_tied_one_is_behind_is_not_taken_from_another() -> None:
    evidence = world(CLEAR)
    verdict = judged(with_drawn(evidence, {250: evidence.drawn[200]}))
    beaten = verdict.model_copy(update={"runner_up": 300, "lead": Gap(gap=0.01, low=0.005, high=0.015, error=0.001)})
    assert "step 250 may be as good: it is 0.00 (95 %: 0.00 to 0.00) behind." in telling.reason(beaten)


def test_the_verdict_does_not_depend_on_the_order_of_checkpoints() -> None:
    evidence = world(CLEAR)
    turned = dataclasses.replace(evidence, drawn=dict(sorted(evidence.drawn.items(), reverse=True)))
    assert judged(turned) == judged(evidence)


def test_equal_seeds_give_equal_verdicts_and_others_the_same_choice() -> None:
    evidence = world(CLEAR)
    assert judged(evidence) == judged(evidence)
    assert {(judged(evidence, seed=seed).outcome, judged(evidence, seed=seed).checkpoint) for seed in range(1, 5)} == {("winner", 200)}


def test_few_prompts_leave_it_open_and_say_how_many_would_do() -> None:
    near = {100: Made(style=0.5), 200: Made(style=0.7), 300: Made(style=0.95, wrong=0.3)}
    verdict = judged(world(near, prompts=8, seeds=2))
    assert verdict.outcome == "undecided"
    assert verdict.checkpoint is not None
    assert verdict.prompts_needed
    assert verdict.reason.startswith("Not decided: 8 prompts with 2 seeds each cannot tell step ")
    assert verdict.next == f"decal compare --prompts {8 + verdict.prompts_needed}"


def test_more_prompts_than_a_comparison_takes_are_not_asked_for() -> None:
    near = {100: Made(style=0.5), 200: Made(style=0.7), 300: Made(style=0.95, wrong=0.3)}
    evidence = world(near, prompts=8, seeds=2)
    contest = enter(evidence, evidence.checkpoints, resamples=400)
    noisy = dataclasses.replace(contest, by_prompts=20 * contest.by_prompts)
    ranking = rank(contest)
    assert ranking is not None
    assert _prompts_needed(contest, ranking)
    assert _prompts_needed(noisy, ranking) is None


@pytest.mark.parametrize("prompts", [1, 2, 3, 4, 5])
def test_a_handful_of_prompts_decides_nothing_and_crashes_nothing(prompts: int) -> None:
    close = {100: Made(style=0.5), 200: Made(style=0.7), 300: Made(style=0.95, wrong=0.3)}
    verdict = judged(world(close, prompts=prompts))
    assert verdict.outcome == "undecided"
    assert verdict.next.startswith("decal compare --prompts ")


def test_copying_is_rejected_and_the_pictures_are_named() -> None:
    verdict = judged(world(CLEAR | {400: Made(style=0.98, copies=0.3)}))
    assert standings(verdict)[400].place == "rejected"
    assert "step 400 copies training pictures in 20 of 64 pictures" in verdict.reason
    assert {suspect.checkpoint for suspect in verdict.suspects} == {400}


def test_burnt_checkpoints_are_rejected() -> None:
    verdict = judged(world({100: Made(style=0.7), 200: Made(style=0.95, burn=0.8)}))
    assert (verdict.checkpoint, standings(verdict)[200].place) == (100, "rejected")


def test_none_is_kept_where_all_are_rejected() -> None:
    verdict = judged(world({100: Made(style=0.9, burn=0.8), 200: Made(style=0.95, burn=0.9)}))
    assert (verdict.outcome, verdict.checkpoint) == ("none", None)
    assert verdict.reason.startswith("Keep none: every checkpoint was rejected. Rejected: step 100 has ")
    assert verdict.next == "train fewer steps, or with a lower train.learning_rate"


def test_a_lora_that_learnt_nothing_does_not_win() -> None:
    verdict = judged(world({100: Made(), 200: Made()}))
    assert (verdict.outcome, verdict.checkpoint) == ("none", None)
    assert [standing.place for standing in verdict.standings] == ["beaten", "beaten"]


def test_a_lora_that_draws_anything_but_what_was_asked_for_does_not_win() -> None:
    verdict = judged(world({100: Made(style=0.9, wrong=1.0)}, prompts=12))
    assert verdict.outcome == "undecided"
    assert "cannot tell whether step 100 draws what it is asked for" in verdict.reason


def test_the_only_checkpoint_is_kept_where_it_beats_the_base() -> None:
    verdict = judged(world({200: Made(style=0.9)}))
    assert (verdict.outcome, verdict.checkpoint, verdict.lead) == ("winner", 200, None)
    assert verdict.reason == "Keep step 200: it is the only checkpoint, and it is nearer to your style than the base is."


def test_no_checkpoint_is_a_sentence_and_no_crash() -> None:
    verdict = judged(world({}))
    assert (verdict.outcome, verdict.reason) == ("none", "There is no checkpoint to compare.")


def test_without_held_out_pictures_the_training_pictures_serve() -> None:
    evidence = world(CLEAR)
    verdict = judged(dataclasses.replace(evidence, heldout=evidence.heldout.rows(slice(0))))
    assert (verdict.outcome, verdict.checkpoint, verdict.references) == ("winner", 200, 18)


def test_without_any_picture_of_yours_nothing_is_decided_and_the_reason_is_said() -> None:
    evidence = world(CLEAR)
    none = evidence.training.rows(slice(0))
    verdict = judged(dataclasses.replace(evidence, heldout=none, training=none, mirrored=none, files=()))
    assert verdict.outcome == "undecided"
    assert "style cannot be measured, because 0 pictures to compare with are too few" in verdict.reason


def test_pictures_that_are_all_the_same_decide_nothing() -> None:
    evidence = world(CLEAR)
    same = evidence.training.rows(np.zeros((32, 2), np.intp))
    verdict = judged(dataclasses.replace(evidence, drawn=dict.fromkeys((0, 100, 200), same)))
    assert verdict.outcome in ("none", "undecided")


def test_a_checkpoint_of_nan_pictures_is_broken_and_the_others_are_judged() -> None:
    evidence = world(CLEAR)
    everything = np.ones((32, 2), bool)
    evidence = dataclasses.replace(evidence, drawn={**evidence.drawn, 300: gone(evidence.drawn[300], everything)}, broken={300: everything})
    verdict = judge(evidence, race(evidence, [Round(32, 2)], resamples=200), resamples=200)
    assert (verdict.checkpoint, standings(verdict)[300].place) == (200, "broken")
    assert "step 300 drew 64 of 64 pictures that cannot be used" in verdict.reason


def test_one_lost_picture_is_left_out_for_all() -> None:
    evidence = world(CLEAR)
    lost = np.zeros((32, 2), bool)
    lost[3, 0] = True
    evidence = dataclasses.replace(evidence, drawn={**evidence.drawn, 100: gone(evidence.drawn[100], lost)}, broken={100: lost})
    standing = race(evidence, [Round(32, 2)])
    assert (standing.cells, standing.broken) == ((), ())
    assert {one.pictures for one in judge(evidence, standing, resamples=200).standings} == {63}


def test_the_confidence_set_keeps_equals_and_drops_the_worse() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4, 1001)) * 0.05
    noise[:, 0] = 0
    utilities = np.array([0.8, 0.8, 0.79, 0.4])[:, None] + noise
    assert confidence_set(utilities).tolist() == [True, True, True, False]


def test_the_confidence_set_holds_the_best_as_often_as_it_says() -> None:
    # Twelve equal candidates, of which none may be called the best: all must be in, in 90 % of the cases or more, on average.
    rng = np.random.default_rng(0)
    held = []
    for _ in range(60):
        cells = rng.normal(size=(12, 40))
        drawn = cells[:, rng.integers(40, size=(300, 40))].mean(axis=2)
        held.append(confidence_set(np.concatenate([cells.mean(axis=1, keepdims=True), drawn], axis=1))[0])
    assert np.mean(held) >= 0.9


def test_identical_candidates_stay_in_the_confidence_set() -> None:
    assert confidence_set(np.tile(np.random.default_rng(0).normal(size=(1, 100)), (3, 1))).tolist() == [True] * 3


def test_more_than_ten_candidates_are_judged_as_a_set() -> None:
    many = {step: Made(style=0.05 * step) for step in range(1, 13)} | {20: Made(style=0.95)}
    verdict = judged(world(many))
    assert verdict.checkpoint == 20
    assert standings(verdict)[1].place == "beaten"


ROUNDS = (Round(12, 1), Round(32, 1), Round(32, 2))


def only(evidence: Evidence, prompts: int, seeds: int) -> Evidence:
    """The evidence before anything but the base and the first cells was drawn."""
    outside = np.ones((32, 2), bool)
    outside[:prompts, :seeds] = False
    return with_drawn(evidence, {step: gone(evidence.drawn[step], outside) for step in evidence.checkpoints})


def test_a_race_asks_for_the_cells_of_its_first_round() -> None:
    begun = race(only(world(CLEAR), 0, 0), ROUNDS, resamples=200)
    assert len(begun.cells) == 3 * 12
    assert {(place.prompt < 12, place.seed) for place in begun.cells} == {(True, 0)}


def test_a_race_drops_clear_losers_and_goes_on_with_the_rest() -> None:
    evidence = only(world(CLEAR | {210: Made(style=0.9)}), 12, 1)
    later = race(evidence, ROUNDS, resamples=200)
    assert {loser.checkpoint for loser in later.dropped} == {100, 300}
    assert {place.checkpoint for place in later.cells} == {200, 210}
    assert len(later.cells) == 2 * 20


def test_a_race_that_is_over_asks_for_nothing() -> None:
    evidence = world(CLEAR)
    over = race(evidence, ROUNDS, resamples=200)
    assert (over.cells, over.survivors) == ((), (200,))
    verdict = judge(evidence, over, resamples=200)
    assert (verdict.checkpoint, standings(verdict)[300].place, len(verdict.standings)) == (200, "dropped", 3)


def test_the_base_is_drawn_first() -> None:
    evidence = world(CLEAR)
    missing = np.zeros((32, 2), bool)
    missing[5, 1] = True
    begun = race(with_drawn(evidence, {0: gone(evidence.base, missing)}), ROUNDS)
    assert [(place.checkpoint, place.prompt, place.seed) for place in begun.cells] == [(0, 5, 1)]


def test_other_weights_and_left_out_measures_are_tried() -> None:
    verdict = judged(world(CLEAR | {400: Made(style=0.98, copies=0.3)}))
    picks = {pick.how: pick.checkpoint for pick in verdict.picks}
    assert picks["style weighs 0.3"] == picks["style weighs 0.7"] == 200
    assert {"without style", "without adherence", "without copying"} <= set(picks)


def test_who_is_worse_in_everything_is_not_on_the_front() -> None:
    verdict = judged(world({100: Made(style=0.3, wrong=0.3), 200: Made(style=0.9)}))
    assert [standing.is_on_front for standing in verdict.standings] == [False, True]


def test_fresh_seeds_tell_when_the_choice_was_luck() -> None:
    verdict = judged(world(CLEAR))
    held = confirm(verdict, world({100: CLEAR[100], 200: CLEAR[200]}, seed=9), resamples=200)
    assert "On fresh seeds it is worth" in held.reason
    lost = confirm(verdict, world({100: Made(style=0.95), 200: Made(style=0.1)}, seed=9), resamples=200)
    assert "less than step 100: the choice was luck" in lost.reason


def test_a_broken_neighbour_is_not_measured_again() -> None:
    verdict, fresh = judged(world(CLEAR)), world(CLEAR, seed=9)
    lost = np.ones((32, 2), bool)
    fresh = dataclasses.replace(fresh, drawn={**fresh.drawn, 300: gone(fresh.drawn[300], lost)}, broken={300: lost})
    assert [one.checkpoint for one in confirm(verdict, fresh, resamples=200).fresh] == [100, 200]


def test_the_table_has_one_aligned_line_a_checkpoint() -> None:
    lines = telling.table(judged(world(CLEAR)))
    assert len(lines) == 4
    assert lines[0].split()[:2] == ["step", "utility"]
    assert lines[2].endswith("chosen")


def test_a_verdict_survives_its_file() -> None:
    verdict = judged(world(CLEAR))
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_both_noises_are_told_apart() -> None:
    contest = enter(world(CLEAR), (100, 200), resamples=300)
    parts = contest.by_prompts, contest.by_references
    whole, prompts, references = (float(np.var(part[1, 1:] - part[0, 1:])) for part in (contest.utilities(), *parts))
    assert whole == pytest.approx(prompts + references, rel=0.35)


def test_an_objective_has_its_interval_on_the_scale_that_is_compared() -> None:
    contest = enter(world(CLEAR), (100, 200, 300), resamples=200)
    value = contest.value("style", 200)
    assert value.scaled_low is not None
    assert value.scaled is not None
    assert value.scaled_high is not None
    assert 0 <= value.scaled_low < value.scaled < value.scaled_high <= 1.2
    assert contest.value("copying", 200).scaled_low is None
