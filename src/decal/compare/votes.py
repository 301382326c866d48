"""What people prefer, joined with what the measures say: a Bradley-Terry model whose prior is the measures' utilities.

A verdict and votes on pairs of pictures come in, the verdict with `people` in it goes out. Each checkpoint has a worth on the scale of the
utility. Before any vote it is the measured utility, as unsure as the measurement and as the measures' own knowledge of taste. A person
prefers the better of two by a logistic of the difference of their worths; "same" is half a vote for each. The worths that are likeliest
given the votes, and how sure they are, follow by Newton's method and a normal approximation.
Source: Bradley and Terry 1952, Biometrika 39, 324-345.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decal.compare import telling
from decal.records import Agreement, Favour, Outcome, People, Place, Score, Standing, Verdict, Vote

Numbers = NDArray[np.float64]

UTILITY_A_LOGIT = 0.1
"""Difference in worth at which people prefer the better one in 73 % of the pairs. An assumption, never fitted; LOG.md, 2026-11-26."""
TASTE = 0.1
"""Standard deviation of the worth of a checkpoint to people around its utility. So a measured lead of 0.1 names what people prefer in three
of four cases, as often as learned preference models do (62 to 83 %, README of github.com/tgxs002/HPSv2)."""
SURE_ENOUGH = 0.9
"""Chance of being better than what the measures chose, from which another is taken instead: three votes must not turn a verdict over."""
DRAWS = 4000
MAX_CANDIDATES = 4
VOTABLE: tuple[Place, ...] = ("chosen", "tied", "open", "beaten")
DECIDES = ("style", "adherence")


@dataclass(frozen=True)
class Belief:
    """What is known of the worths of k checkpoints: the likeliest, [k], and their covariance, [k, k]. The first one was measured best."""

    worth: Numbers
    covariance: Numbers

    def pick(self) -> int:
        """The row to choose: the first, unless the best is surely enough better than it."""
        best = int(np.argmax(self.worth))
        return best if best and self.ahead(best, 0)[1] >= SURE_ENOUGH else 0

    def ahead(self, row: int, other: int) -> tuple[float, float]:
        """The lower end of the 95 % interval of the lead of one over another, and the chance that it has one."""
        covariance = self.covariance
        error = math.sqrt(max(float(covariance[row, row] + covariance[other, other] - 2 * covariance[row, other]), 1e-12))
        lead = float(self.worth[row] - self.worth[other])
        return lead - 1.96 * error, 0.5 * (1 + math.erf(lead / error / math.sqrt(2)))

    def best_share(self) -> Numbers:
        """Chance of being the best, [k]: how often each is it in draws; the same every time."""
        drawn = np.random.default_rng(0).multivariate_normal(self.worth, self.covariance, DRAWS, method="cholesky")
        return np.asarray(np.bincount(drawn.argmax(axis=1), minlength=len(self.worth)) / DRAWS, np.float64)


def candidates(verdict: Verdict) -> tuple[int, ...]:
    """The checkpoints that people may choose among, the best first: what is chosen, tied or open, and the runner-up of a lone winner.

    Empty where there are not two: a guardrail's no stands, whatever people like.
    """
    verdict = measured(verdict)
    if verdict.checkpoint is None:
        return ()
    near = {verdict.checkpoint, *verdict.tied, *verdict.open}
    if len(near) == 1 and verdict.runner_up is not None:
        near.add(verdict.runner_up)
    found = [standing for standing in verdict.standings if standing.checkpoint in near and standing.place in VOTABLE]
    ranked = sorted(found, key=lambda standing: (standing.checkpoint != verdict.checkpoint, -(standing.utility or 0.0)))
    return tuple(standing.checkpoint for standing in ranked[:MAX_CANDIDATES]) if len(ranked) > 1 else ()


def counted_once(votes: Iterable[Vote]) -> list[Vote]:
    """The votes that count: of several on one ballot the last."""
    return list({vote.ballot: vote for vote in votes}.values())


def join(verdict: Verdict, votes: Sequence[Vote], scores: Sequence[Score] = ()) -> Verdict:
    """The verdict as people and measures see it together; without votes on its candidates, as the measures see it.

    The choice moves to another candidate where that one is better with a chance of nine in ten. A verdict that was joined before is taken
    apart first, so votes are never counted twice. scores: of single pictures, to say which measure people agree with.
    """
    verdict = measured(verdict)
    among = candidates(verdict)
    cast = [vote for vote in counted_once(votes) if vote.left in among and vote.right in among]
    if not cast:
        return verdict
    standings = {standing.checkpoint: standing for standing in verdict.standings}
    before = _prior([standings[step] for step in among])
    after = _posterior(before, _table(cast, among))
    people = People(
        votes=len(cast),
        same=sum(_won(vote) is None for vote in cast),
        measured=among[0],
        measured_outcome=verdict.outcome,
        favours=tuple(_favours(cast, [standings[step] for step in among], before, after)),
        agreements=_agreements(cast, standings, scores),
    )
    return _decided(verdict, people, after)


def _decided(verdict: Verdict, people: People, belief: Belief) -> Verdict:
    """The measures' verdict with what people change of it."""
    pick = belief.pick()
    outcome: Outcome = "tie" if pick and verdict.outcome == "winner" else verdict.outcome
    places: dict[int, Place] = {}
    for row, favour in enumerate(people.favours):
        near: Place = favour.place if favour.place in ("tied", "open") else "open" if outcome == "undecided" else "tied"
        if row == pick:
            places[favour.checkpoint] = "chosen"
        elif belief.ahead(pick, row)[0] > 0:
            places[favour.checkpoint] = "beaten"
        elif pick or verdict.outcome != "winner":
            places[favour.checkpoint] = near
    kept = {"checkpoint": people.favours[pick].checkpoint, "outcome": outcome, "people": people}
    decided = _placed(verdict.model_copy(update=kept), places)
    # Of an undecided verdict without anything open, it is the base that none could be told from, and of that no vote speaks.
    if (verdict.tied or verdict.open) and not (decided.tied or decided.open):
        decided = decided.model_copy(update={"outcome": "winner"})
    return _told(decided)


def measured(verdict: Verdict) -> Verdict:
    """The verdict without people: as the measures alone see it."""
    people = verdict.people
    if people is None:
        return verdict
    before = verdict.model_copy(update={"checkpoint": people.measured, "outcome": people.measured_outcome, "people": None})
    return _told(_placed(before, {favour.checkpoint: favour.place for favour in people.favours}))


def _placed(verdict: Verdict, places: Mapping[int, Place]) -> Verdict:
    """The verdict with other places for some checkpoints."""
    standings = tuple(one.model_copy(update={"place": places.get(one.checkpoint, one.place)}) for one in verdict.standings)
    near = {place: tuple(one.checkpoint for one in standings if one.place == place) for place in ("tied", "open")}
    return verdict.model_copy(update={"standings": standings, **near})


def _told(verdict: Verdict) -> Verdict:
    return verdict.model_copy(update={"reason": telling.reason(verdict), "next": telling.next_step(verdict)})


def _won(vote: Vote) -> int | None:
    """The checkpoint that was preferred; None for "same"."""
    return {"left": vote.left, "right": vote.right}.get(vote.answer)


def _favours(cast: Sequence[Vote], near: Sequence[Standing], before: Belief, after: Belief) -> Iterator[Favour]:
    for row, standing in enumerate(near):
        mine = [_won(vote) for vote in cast if standing.checkpoint in (vote.left, vote.right)]
        spread = 1.96 * math.sqrt(float(after.covariance[row, row]))
        worth = float(after.worth[row])
        yield Favour(
            checkpoint=standing.checkpoint,
            place=standing.place,
            won=mine.count(standing.checkpoint),
            lost=len(mine) - mine.count(standing.checkpoint) - mine.count(None),
            same=mine.count(None),
            worth=worth,
            low=worth - spread,
            high=worth + spread,
            best_share=float(after.best_share()[row]),
            best_share_before=float(before.best_share()[row]),
        )


def _prior(near: Sequence[Standing]) -> Belief:
    """What the measures say before any vote.

    The verdict holds the error of each one's distance to the best. The smallest is halved between the two, and the rest of each is that
    checkpoint's own.
    """
    means = np.array([standing.utility or 0.0 for standing in near])
    errors = {standing.checkpoint: standing.behind.error**2 for standing in near if standing.behind is not None}
    shared = min(errors.values(), default=0.0) / 2
    return Belief(means, np.diag([errors.get(standing.checkpoint, 2 * shared) - shared + TASTE**2 for standing in near]))


def _table(votes: Sequence[Vote], among: Sequence[int]) -> Numbers:
    """How often each was preferred to each, [k, k]; row over column."""
    wins = np.zeros((len(among), len(among)))
    for vote in votes:
        left, right = among.index(vote.left), among.index(vote.right)
        share = {"left": 1.0, "right": 0.0, "same": 0.5}[vote.answer]
        wins[left, right] += share
        wins[right, left] += 1 - share
    return wins


def _posterior(before: Belief, wins: Numbers) -> Belief:
    """What is likeliest given the votes too. wins: how often each was preferred to each, [k, k]."""
    worth, count, certainty = before.worth.copy(), wins + wins.T, np.linalg.inv(before.covariance)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-(worth[:, None] - worth[None]) / UTILITY_A_LOGIT))
        slope = (wins - count * chance).sum(axis=1) / UTILITY_A_LOGIT - certainty @ (worth - before.worth)
        weight = count * chance * (1 - chance) / UTILITY_A_LOGIT**2
        curvature = np.diag(weight.sum(axis=1)) - weight + certainty
        move = np.linalg.solve(curvature, slope)
        # The logistic is steep: a whole step from afar would overshoot.
        worth = worth + move * min(1.0, UTILITY_A_LOGIT / max(float(np.abs(move).max()), 1e-12))
        if float(np.abs(move).max()) < 1e-10:
            break
    return Belief(worth, np.asarray(np.linalg.inv(curvature), np.float64))


def _agreements(votes: Sequence[Vote], standings: Mapping[int, Standing], scores: Sequence[Score]) -> tuple[Agreement, ...]:
    """How often people prefer what the utility prefers, and what each measure prefers of the same two pictures."""
    known = {(score.measure, score.checkpoint, score.prompt, score.seed): score.value for score in scores}

    def by_measure(measure: str, vote: Vote) -> tuple[float | None, float | None]:
        left, right = (known.get((measure, step, vote.prompt, vote.seed)) for step in (vote.left, vote.right))
        return left, right

    found = [_agreement("utility", [(vote, (standings[vote.left].utility, standings[vote.right].utility)) for vote in votes])]
    found += [_agreement(measure, [(vote, by_measure(measure, vote)) for vote in votes]) for measure in DECIDES]
    return tuple(agreement for agreement in found if agreement.of)


def _agreement(measure: str, pairs: Sequence[tuple[Vote, tuple[float | None, float | None]]]) -> Agreement:
    """Counts over votes with a preference, on pictures of which the measure prefers one."""
    agreed = of = 0
    for vote, (left, right) in pairs:
        if vote.answer != "same" and left is not None and right is not None and left != right:
            of += 1
            agreed += (left > right) == (vote.answer == "left")
    low, high = wilson(agreed, of)
    return Agreement(measure=measure, agreed=agreed, of=of, low=low, high=high)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share; 0 to 1 where nothing was counted. Source: Wilson 1927, J. Amer. Statist. Assoc. 22, 209-212."""
    if not of:
        return 0.0, 1.0
    z, share = 1.96, hits / of
    middle, half = share + z**2 / (2 * of), z * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    return max(0.0, (middle - half) / (1 + z**2 / of)), min(1.0, (middle + half) / (1 + z**2 / of))
