"""Votes of people and the measures, joined: nobody is counted twice, and the choice moves only as far as the votes say."""

import numpy as np
import pytest
from evidence import Made, world

from decal.compare.racing import Race
from decal.compare.verdict import judge
from decal.compare.votes import UTILITY_A_LOGIT, Belief, _posterior, candidates, counted_once, join, measured, wilson
from decal.records import Answer, Score, Verdict, Vote

NEAR = {100: Made(style=0.5), 200: Made(style=0.9, wrong=0.05), 300: Made(style=0.95, wrong=0.1)}


def near() -> Verdict:
    evidence = world(NEAR)
    return judge(evidence, Race(evidence.checkpoints, (), (), ()), resamples=200)


def vote(number: int, left: int, right: int, answer: Answer) -> Vote:
    return Vote(
        ballot=f"{min(left, right)}-{max(left, right)}-{number}",
        prompt=f"prompt {number}",
        seed=0,
        left=left,
        right=right,
        left_sha256="",
        right_sha256="",
        answer=answer,
        shuffle=0,
        cast="2026-11-26T12:00:00+00:00",
    )


def votes(preferred: int, other: int, won: int, lost: int) -> list[Vote]:
    """Votes on a pair, its sides in turn."""
    cast = []
    for number in range(won + lost):
        winner, loser = (preferred, other) if number < won else (other, preferred)
        cast.append(vote(number, winner, loser, "left") if number % 2 else vote(number, loser, winner, "right"))
    return cast


def test_the_candidates_are_those_that_the_measures_cannot_tell_apart() -> None:
    verdict = near()
    assert set(candidates(verdict)) == {verdict.checkpoint, *verdict.tied, *verdict.open}
    assert candidates(verdict)[0] == verdict.checkpoint
    assert len(candidates(verdict)) == 2


def test_without_votes_the_verdict_is_that_of_the_measures() -> None:
    verdict = near()
    assert join(verdict, []) == verdict


def test_votes_for_the_other_one_move_the_choice_and_joining_again_changes_nothing() -> None:
    verdict = near()
    first, second = candidates(verdict)
    cast = votes(second, first, won=36, lost=4)
    joined = join(verdict, cast)
    assert (joined.checkpoint, joined.outcome) == (second, "winner")
    assert join(joined, cast) == joined
    assert measured(joined) == verdict


@pytest.mark.parametrize("answer", ["left", "right", "same"])
def test_a_vote_moves_the_chance_and_not_the_choice(answer: Answer) -> None:
    verdict = near()
    first, second = candidates(verdict)
    joined = join(verdict, [vote(0, first, second, answer)])
    assert (joined.checkpoint, joined.outcome) == (verdict.checkpoint, verdict.outcome)
    assert joined.people is not None
    favour = joined.people.favours[0]
    assert np.sign(favour.best_share - favour.best_share_before) == (1 if answer == "left" else -1)


def test_votes_for_the_choice_make_a_winner_of_a_tie() -> None:
    verdict = near()
    first, second = candidates(verdict)
    joined = join(verdict, votes(first, second, won=36, lost=4))
    assert (verdict.outcome, joined.outcome, joined.checkpoint, joined.tied, joined.open) == ("tie", "winner", first, (), ())


def test_who_votes_against_a_lone_winner_makes_a_tie_of_it_at_least() -> None:
    evidence = world({100: Made(style=0.3), 200: Made(style=0.95), 300: Made(style=0.95, wrong=0.6)})
    verdict = judge(evidence, Race(evidence.checkpoints, (), (), ()), resamples=200)
    first, second = candidates(verdict)
    assert (verdict.outcome, first, second) == ("winner", 200, verdict.runner_up)
    agreed, against = (join(verdict, votes(one, other, won=30, lost=3)) for one, other in ((first, second), (second, first)))
    assert (agreed.outcome, agreed.checkpoint) == ("winner", first)
    assert against.checkpoint == second
    assert measured(against) == measured(agreed) == verdict


def test_of_several_votes_on_a_ballot_the_last_counts() -> None:
    assert counted_once([vote(1, 100, 200, "left"), vote(2, 100, 200, "same"), vote(1, 100, 200, "right")]) == [
        vote(1, 100, 200, "right"),
        vote(2, 100, 200, "same"),
    ]


def test_votes_on_a_rejected_checkpoint_do_not_count() -> None:
    evidence = world(NEAR | {400: Made(style=0.98, copies=0.3)})
    verdict = judge(evidence, Race(evidence.checkpoints, (), (), ()), resamples=200)
    assert verdict.checkpoint is not None
    assert join(verdict, votes(400, verdict.checkpoint, won=40, lost=0)) == verdict


def test_the_posterior_weighs_votes_against_the_prior() -> None:
    # The prior is symmetric, so the slope along the gap d is by hand (3 - 4 sigma(d / .1)) / .1 - d / (2 * .01), and it must be 0.
    after = _posterior(Belief(np.zeros(2), np.eye(2) * 0.01), np.array([[0.0, 3.0], [1.0, 0.0]]))
    gap = after.worth[0] - after.worth[1]
    chance = 1 / (1 + np.exp(-gap / UTILITY_A_LOGIT))
    assert (3 - 4 * chance) / UTILITY_A_LOGIT == pytest.approx(gap / 0.02, abs=1e-6)
    assert after.worth.sum() == pytest.approx(0.0, abs=1e-9)
    # Curvature along the difference: 4 p (1 - p) / .01 from the votes and 1 / .02 from the prior.
    variance = after.covariance[0, 0] + after.covariance[1, 1] - 2 * after.covariance[0, 1]
    assert variance == pytest.approx(1 / (4 * chance * (1 - chance) / 0.01 + 50), rel=1e-6)


def test_same_says_that_two_are_as_good() -> None:
    before = Belief(np.array([0.3, 0.0]), np.eye(2) * 0.01)
    after = _posterior(before, np.array([[0.0, 10.0], [10.0, 0.0]]))
    assert 0 < after.worth[0] - after.worth[1] < 0.1


def test_agreement_is_counted_for_each_measure_on_the_pictures_voted_on() -> None:
    verdict = near()
    first, second = candidates(verdict)
    scores = [
        Score(measure="style", checkpoint=step, prompt=f"prompt {number}", seed=0, value=value)
        for number in range(4)
        for step, value in ((first, 0.2), (second, 0.8))
    ]
    joined = join(verdict, votes(second, first, won=3, lost=1), scores)
    assert joined.people is not None
    assert {one.measure: (one.agreed, one.of) for one in joined.people.agreements} == {"utility": (1, 4), "style": (3, 4)}


def test_the_choice_that_people_make_is_told() -> None:
    verdict = near()
    first, second = candidates(verdict)
    told = join(verdict, votes(second, first, won=36, lost=4)).reason
    assert told.startswith(f"Keep step {second}: 40 votes and the measures together put it before step {first}.")
    assert f"It was preferred in 36 of 40 pairs. The measures alone would take step {first}." in told
    assert "People and measures agree in 4 of 40 votes." in told


def test_an_interval_of_a_share_stays_within_0_and_1() -> None:
    # Source: Wilson 1927; 8 of 10 gives .49 to .94.
    assert wilson(8, 10) == pytest.approx((0.490, 0.943), abs=1e-3)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(10, 10)[1] == 1.0
