"""Whether likes can be told from a post beyond who posted it, and from its picture alone; and the ranker that follows if they can.

Every number stands beside two that know nothing of a post: the constant, and the mean of its account. What ranks is the picture alone,
since candidates for one post differ in nothing else; it counts as told only where it ranks posts of accounts that it did not learn from,
surely. Accounts are predicted in turn from all others; those that are kept out decide nothing. Variants that were published are learnt from
beside the posts, never with their account left in where it is tested; and nothing is tested on them here, because they were chosen.
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from decal.posts.audience import Audience
from decal.posts.buckets import HIGH_FROM, MEDIUM_FROM, Levels
from decal.posts.predictors import Boosted, Design, Predictor, Ridge
from decal.records import EngagementFigure, EngagementReport
from decal.scores.looks import Looks
from decal.scores.statistic import Mean, Statistic, Weights, resampled

Numbers = NDArray[np.float64]

FOLDS, RESAMPLES = 5, 2_000
# What is learnt from likes that were shuffled points somewhere by luck, so one shuffle is no control.
SHUFFLES = 10
# Fewer posts of an account rank by luck; fewer accounts say nothing of others.
MIN_POSTS, MIN_ACCOUNTS = 5, 8
# A picture counts as told where the interval of this level lies above zero, and where hardly one of so many shuffles of the likes in the
# accounts, learnt from in the same way, does as well (1 in 200): with few accounts an interval alone is too narrow.
TOLD_LEVEL = 0.99
PERMUTATIONS, MOST_AS_GOOD = 399, 1
# How far from the middle of what was learnt from a picture may lie, against the farthest of 999 in 1,000.
REACH = 1.5
CONTENT, COLOURS = 24, 16
# Components of more pictures would be the same.
MAX_SEEN = 5_000
LEARNT_FROM = ("train", "published")
SPLITS = ("accounts in turn", "kept-out accounts", "kept-out time")


@dataclass(frozen=True)
class Within:
    """What differs within accounts, so that an account's level cannot pass for what its pictures are like: big accounts that post blue
    pictures do not say that blue is liked. places: the account of each post, or the post of each variant. counts: of each of those."""

    places: NDArray[np.intp]
    counts: Numbers

    @classmethod
    def of(cls, groups: Sequence[str]) -> "Within":
        """Of the posts that are learnt from."""
        _, places, counts = np.unique(np.array(groups, dtype=str), return_inverse=True, return_counts=True)
        return cls(places, counts.astype(np.float64))

    def less(self, values: Numbers) -> Numbers:
        """Each value, or row of values, less the mean of its account."""
        means = np.zeros((len(self.counts), *values.shape[1:]))
        np.add.at(means, self.places, values)
        means /= self.counts.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(values - means[self.places], np.float64)

    def design(self, x: Numbers) -> Design:
        """What differs in the features; every account's mean is spent."""
        return Design(self.less(x), min(len(self.counts), len(x) - 1))

    def ridge(self, x: Numbers, y: Numbers) -> Ridge:
        """Learnt from what differs within accounts; at the usual features it expects 0."""
        weights = self.design(x).fit(self.less(y)).weights
        return Ridge(weights, -float(x.mean(axis=0) @ weights))


@dataclass(frozen=True)
class Sight:
    """What is seen in a picture in a few numbers: principal components of an embedder's vector and of the colours, and the tone."""

    parts: tuple[tuple[Numbers, Numbers], ...]

    @classmethod
    def of(cls, looks: Looks) -> "Sight":
        """Learnt from pictures without their likes."""
        limits = (CONTENT, COLOURS, looks.tone.shape[1])
        return cls(tuple(_components(block, most) for block, most in zip(_blocks(looks), limits, strict=True)))

    def at(self, looks: Looks) -> Numbers:
        """[N, F]; zeros, which is what is usual, where a picture cannot be seen."""
        columns = [(block - middle) @ turned for block, (middle, turned) in zip(_blocks(looks), self.parts, strict=True)]
        return np.nan_to_num(np.concatenate(columns, axis=1), nan=0.0)


@dataclass(frozen=True)
class Ranker:
    """Ranks pictures by what they add to the level of an account.

    medium, high: from where on a picture counts as one, by the pictures that were learnt from. reach: how far a picture may lie from the
    middle of those; what is unlike all of them is not scored.
    """

    sight: Sight
    ridge: Ridge
    medium: float
    high: float
    reach: float

    @classmethod
    def of(cls, audience: Audience, rows: NDArray[np.intp], sight: Sight) -> "Ranker":
        """Learnt from some posts and variants. Only posts say what is high, since variants were chosen to be."""
        learnt = audience.rows(rows)
        x = sight.at(learnt.picture)
        ridge = Within.of(learnt.groups).ridge(x, learnt.likes)
        medium, high = np.quantile(ridge.predict(x[learnt.is_post]), (MEDIUM_FROM, HIGH_FROM))
        reach = REACH * float(np.quantile(_distance(x), 0.999))
        return cls(sight, ridge, float(medium), float(high), reach)

    def scores(self, looks: Looks) -> Numbers:
        """What each picture adds to log(1 + likes), [N]; NaN where it cannot be seen, or is unlike all that was learnt from."""
        x = self.sight.at(looks)
        return np.where(looks.is_there & (_distance(x) <= self.reach), self.ridge.predict(x), np.nan)

    def to_bytes(self) -> bytes:
        """As a file of numbers."""
        buffer = BytesIO()
        parts = {
            f"{name}{place}": part[turn] for place, part in enumerate(self.sight.parts) for turn, name in enumerate(("middle", "turned"))
        }
        np.savez(buffer, weights=self.ridge.weights, numbers=np.array([self.ridge.constant, self.medium, self.high, self.reach]), **parts)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Ranker | None":
        """What was written; None where it is damaged."""
        try:
            with np.load(BytesIO(data), allow_pickle=False) as file:
                parts = tuple((file[f"middle{place}"], file[f"turned{place}"]) for place in range(3))
                constant, medium, high, reach = file["numbers"].tolist()
                return cls(Sight(parts), Ridge(file["weights"], constant), medium, high, reach)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None


@dataclass(frozen=True)
class Learnt:
    """What an audience teaches. halves: rankers of two halves of the accounts, so that one can judge what the other chose."""

    report: EngagementReport
    ranker: Ranker
    halves: tuple[Ranker, Ranker]


def learn(audience: Audience, embedder: str, made_of: str) -> Learnt | None:
    """Learn from the posts of the side `train` whose picture can be seen, and test on all others; None where there are too few."""
    sides = np.array(audience.sides)
    posts = np.flatnonzero((sides == "train") & audience.picture.is_there)
    if len(posts) < 2 * MIN_POSTS:
        return None
    every = np.flatnonzero(np.isin(sides, LEARNT_FROM) & audience.picture.is_there)
    # Where it is not known who published it, it may be whoever is tested.
    train = every[[bool(audience.accounts[place]) for place in every]]
    sight = Sight.of(audience.picture.rows(posts))
    x = Features(sight.at(audience.picture), audience.rest)
    folds = _folds([audience.accounts[place] for place in train], [audience.companies[place] for place in train])
    predicted: dict[str, Predictions] = {SPLITS[0]: _in_turn(audience, x, train, folds)}
    # What was published came later than any post, so it may not foretell them.
    for split, side, known in zip(SPLITS[1:], ("unseen account", "unseen time"), (train, posts), strict=True):
        rows = np.flatnonzero((sides == side) & audience.picture.is_there)
        if len(rows):
            predicted[split] = _predictions(audience, x, known, rows)
    figures = tuple(one for split, found in predicted.items() for one in figures_of(audience, split, found))
    as_good = _as_good(audience, x.picture, train, folds)
    is_told, reason = told(audience, predicted[SPLITS[0]], as_good)
    halves = [train[[fold % 2 == half for fold in folds]] for half in (0, 1)]
    return Learnt(
        EngagementReport(
            posts=len(posts) + sum(len(found.rows) for split, found in predicted.items() if split != SPLITS[0]),
            published=len(every) - len(posts),
            accounts=len(set(audience.accounts) - {""}),
            embedder=embedder,
            is_told=is_told,
            reason=reason,
            figures=figures,
            calibration=_calibration(audience, predicted[SPLITS[0]]),
            made_of=made_of,
        ),
        Ranker.of(audience, every, sight),
        (Ranker.of(audience, halves[0], sight), Ranker.of(audience, halves[1], sight))
        if min(int(audience.is_post[half].sum()) for half in halves) >= 2
        else _twice(audience, train, sight),
    )


@dataclass(frozen=True)
class Features:
    """picture: [N, P]. rest: [N, R]."""

    picture: Numbers
    rest: Numbers

    def of(self, name: str) -> Numbers:
        """The columns that a predictor sees."""
        blocks = {"picture alone": [self.picture], "without picture": [self.rest]}
        return np.concatenate(blocks.get(name, [self.picture, self.rest]), axis=1)


@dataclass(frozen=True)
class Predictions:
    """Of some posts.

    level: of the account, as far as it was learnt. constant: everybody's mean. effects: by predictor, what a post adds to the level.
    """

    rows: NDArray[np.intp]
    level: Numbers
    constant: Numbers
    effects: Mapping[str, Numbers]


LEARNT: Mapping[str, type[Ridge] | type[Boosted]] = {
    "ridge": Ridge, "boosting": Boosted, "without picture": Ridge, "picture alone": Ridge
}  # fmt: skip


def _predictions(audience: Audience, x: Features, train: NDArray[np.intp], rows: NDArray[np.intp]) -> Predictions:
    """Some posts, predicted from others."""
    posts = train[audience.is_post[train]]
    names, companies = [audience.accounts[place] for place in posts], [audience.companies[place] for place in posts]
    levels = Levels.of(names, companies, audience.likes[posts])
    groups = [audience.groups[place] for place in train]
    within = Within.of(groups)
    left = within.less(audience.likes[train])
    effects = {}
    for name, kind in LEARNT.items():
        columns = x.of(name)
        middle, spread = columns[train].mean(axis=0), columns[train].std(axis=0)
        scaled = (columns - middle) / np.where(spread > 1e-9, spread, 1.0)
        predictor: Predictor = within.ridge(scaled[train], left) if kind is Ridge else kind.fit(scaled[train], left)
        effects[name] = predictor.predict(scaled[rows])
    for turn in range(SHUFFLES):
        effects[f"shuffled {turn}"] = within.ridge(x.picture[train], _shuffled(groups, left, turn)).predict(x.picture[rows])
    level = levels.at([audience.accounts[place] for place in rows], [audience.companies[place] for place in rows])
    return Predictions(rows, level, np.full(len(rows), levels.everybody), effects)


def _in_turn(audience: Audience, x: Features, train: NDArray[np.intp], folds: Sequence[int]) -> Predictions:
    """Each account predicted from the others."""
    parts = []
    is_post = audience.is_post[train]
    for fold in sorted(set(folds)):
        is_out = np.array([one == fold for one in folds])
        if not (is_post & ~is_out).any() or not (is_post & is_out).any():
            continue
        parts.append(_predictions(audience, x, train[~is_out], train[is_post & is_out]))
    if not parts:
        parts = [_predictions(audience, x, train, train[:0])]
    return Predictions(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.level for part in parts]),
        np.concatenate([part.constant for part in parts]),
        {name: np.concatenate([part.effects[name] for part in parts]) for name in parts[0].effects},
    )


def figures_of(audience: Audience, split: str, found: Predictions) -> list[EngagementFigure]:
    """Every measure of every predictor on a split, with intervals over whole accounts."""
    accounts, places = np.unique(np.array([audience.accounts[place] for place in found.rows]), return_inverse=True)
    y = audience.likes[found.rows]
    weights = _weights(len(accounts))
    nothing = np.zeros(len(y))
    parts: dict[str, tuple[Numbers, Numbers]] = {"constant": (found.constant, nothing), "account mean": (found.level, nothing)}
    parts |= {name: (found.level + effect, effect) for name, effect in found.effects.items()}
    own = _sums(places, (y - found.constant) ** 2)
    figures: list[EngagementFigure] = []
    shuffled: dict[str, list[float]] = {}
    r2: dict[str, Statistic] = {}
    about = {"split": split, "accounts": len(accounts), "posts": len(y)}
    for name, (predicted, effect) in parts.items():
        r2[name] = Statistic((Mean(_sums(places, (y - predicted) ** 2), own, ("prompts",), -1.0),), 1.0)
        statistics: dict[str, Statistic | None] = {"r2": r2[name]}
        if name not in ("constant", "account mean"):
            statistics["spearman"] = spearman(places, y, effect)
            statistics["gain"] = r2[name] - r2["account mean"]
            statistics["slope"] = _slope(places, y, effect)
        for measure, statistic in statistics.items():
            value, low, high = (None, None, None) if statistic is None else interval(statistic, weights, 0.95)
            if name.startswith("shuffled"):
                shuffled.setdefault(measure, []).extend([] if value is None else [value])
                continue
            if len(accounts) < MIN_ACCOUNTS:
                low, high = None, None
            told = {"predictor": name, "measure": measure, "value": value, "low": low, "high": high}
            figures.append(EngagementFigure.model_validate(about | told))
    for measure, values in shuffled.items():
        low, high = np.quantile(values, (0.025, 0.975)).tolist() if values else (None, None)
        told = {"predictor": "shuffled", "measure": measure, "value": float(np.mean(values)) if values else None, "low": low, "high": high}
        figures.append(EngagementFigure.model_validate(about | told))
    return figures


def told(audience: Audience, found: Predictions, as_good: int) -> tuple[bool, str]:
    """Whether the picture alone ranks posts of accounts that it did not learn from, and the sentence that says so.

    as_good: how many of the shuffles do as well.
    """
    names, places = np.unique(np.array([audience.accounts[place] for place in found.rows]), return_inverse=True)
    statistic = spearman(places, audience.likes[found.rows], found.effects["picture alone"])
    judged = 0 if statistic is None else int((statistic.means[0].count > 0).sum())
    if statistic is None or judged < MIN_ACCOUNTS:
        return False, (
            f"Cannot be told: only {judged} accounts have {MIN_POSTS} posts with pictures and likes, and it takes {MIN_ACCOUNTS} to say "
            "anything of others."
        )
    value, low, high = interval(statistic, _weights(len(names)), TOLD_LEVEL)
    if value is None or low is None or high is None:
        return False, "Cannot be told: the likes of every account are all the same."
    said = f"within an account, the order by picture agrees with that by likes at {value:.2f} (99 %: {low:.2f} to {high:.2f})"
    if low > 0 and as_good <= MOST_AS_GOOD:
        return True, f"Pictures say something of likes: {said}, on accounts that were not learnt from."
    return False, f"Cannot be told: {said}, which may be chance ({as_good} of {PERMUTATIONS} shuffles of the likes do as well)."


def _as_good(audience: Audience, picture: Numbers, train: NDArray[np.intp], folds: Sequence[int]) -> int:
    """How many shuffles of the likes within their accounts, learnt from in the same way, give as good an order in the accounts left out."""
    names = [audience.groups[place] for place in train]
    _, groups = np.unique(np.array(names), return_inverse=True)
    fold, is_post = np.array(folds), audience.is_post[train]
    splits = [(np.flatnonzero(fold != one), np.flatnonzero((fold == one) & is_post)) for one in sorted(set(folds))]
    splits = [(inside, outside) for inside, outside in splits if is_post[inside].any() and len(outside)]
    designs = [Within.of([names[place] for place in inside]).design(picture[train[inside]]) for inside, _ in splits]
    left = Within.of(names).less(audience.likes[train])
    dice = np.random.default_rng(2)
    by_account = np.argsort(groups, kind="stable")

    def order(likes: Numbers) -> float:
        effects = np.zeros(len(likes))
        for (inside, outside), design in zip(splits, designs, strict=True):
            effects[outside] = design.fit(likes[inside]).predict(picture[train[outside]])
        one, other = (_placed(values[is_post], groups[is_post]) for values in (effects, likes))
        return float(one @ other)

    best = order(left)
    count = 0
    for _ in range(PERMUTATIONS):
        shuffled = np.empty(len(left))
        # Sorted by account and within it by lot.
        shuffled[by_account] = left[np.lexsort((dice.random(len(left)), groups))]
        count += order(shuffled) >= best
    return count


def _placed(values: Numbers, groups: NDArray[np.intp]) -> Numbers:
    """The place of each value within its group, less the middle one's, as a share."""
    sizes = np.bincount(groups)
    order = np.lexsort((values, groups))
    places = np.empty(len(values))
    places[order] = np.arange(len(values)) - (np.cumsum(sizes) - sizes)[groups[order]]
    return np.asarray((places - (sizes[groups] - 1) / 2) / np.maximum(1, sizes[groups]), np.float64)


def spearman(groups: NDArray[np.intp], y: Numbers, x: Numbers) -> Statistic | None:
    """The rank correlation within groups, their mean by size; None where no group has enough that differs."""
    size = int(groups.max()) + 1 if len(groups) else 0
    total, count = np.zeros(size), np.zeros(size)
    order = np.argsort(groups, kind="stable")
    bounds = np.searchsorted(groups[order], np.arange(size + 1))
    for group, (first, last) in enumerate(pairwise(bounds.tolist())):
        own = order[first:last]
        if len(own) >= MIN_POSTS and np.ptp(y[own]) > 0 and np.ptp(x[own]) > 1e-12:
            total[group] = len(own) * float(np.corrcoef(ranks(y[own]), ranks(x[own]))[0, 1])
            count[group] = len(own)
    return Statistic((Mean(total, count, ("prompts",)),)) if count.any() else None


def ranks(values: Numbers) -> Numbers:
    """The rank of each value, ties in their middle."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((counts.cumsum() - (counts - 1) / 2)[places], np.float64)


def interval(statistic: Statistic, weights: Weights, level: float) -> tuple[float | None, float | None, float | None]:
    """The plain value and the middle of its resamples."""
    values = statistic.at(weights)
    if not np.isfinite(values[0]):
        return None, None, None
    low, high = np.nanquantile(values[1:], ((1 - level) / 2, (1 + level) / 2)) if len(values) > 1 else (np.nan, np.nan)
    return float(values[0]), float(low), float(high)


def _weights(groups: int) -> Weights:
    """Whole accounts, resampled."""
    return resampled({"prompts": (groups,)}, RESAMPLES, np.random.default_rng(0))


def _sums(groups: NDArray[np.intp], values: Numbers) -> Numbers:
    return np.asarray(np.bincount(groups, values), np.float64)


def _slope(groups: NDArray[np.intp], y: Numbers, x: Numbers) -> Statistic | None:
    counts = np.maximum(np.bincount(groups), 1)
    y, x = (values - (np.bincount(groups, values) / counts)[groups] for values in (y, x))
    along = _sums(groups, x * x)
    return Statistic((Mean(_sums(groups, x * y), along, ("prompts",)),)) if along.sum() > 1e-12 else None


def _calibration(audience: Audience, found: Predictions) -> tuple[tuple[float, float], ...]:
    """For fifths by what the picture alone predicts: that, and what came, both less the mean of the account."""
    if len(found.rows) < 5 * MIN_POSTS:
        return ()
    _, groups = np.unique(np.array([audience.accounts[place] for place in found.rows]), return_inverse=True)
    counts = np.bincount(groups)
    x, y = found.effects["picture alone"], audience.likes[found.rows]
    x, y = (values - (np.bincount(groups, values) / counts)[groups] for values in (x, y))
    return tuple((round(float(x[part].mean()), 4), round(float(y[part].mean()), 4)) for part in np.array_split(np.argsort(x), 5))


def _folds(accounts: Sequence[str], companies: Sequence[str]) -> list[int]:
    """A fold for each company, in equal numbers, because its accounts share campaigns; of few companies for each account."""
    owners = [company or f"@{account}" for account, company in zip(accounts, companies, strict=True)]
    if len(set(owners)) >= MIN_ACCOUNTS:
        accounts = owners
    names = sorted(set(accounts))
    dice = np.random.default_rng(len(names)).permutation(len(names))
    fold = {name: int(place) % FOLDS for name, place in zip(names, dice, strict=True)}
    return [fold[account] for account in accounts]


def _shuffled(names: Sequence[str], likes: Numbers, turn: int) -> Numbers:
    """The likes shuffled within each account, or among the variants of each post."""
    dice, found = np.random.default_rng(1 + turn), likes.copy()
    _, groups = np.unique(np.array(names), return_inverse=True)
    for group in range(int(groups.max()) + 1):
        own = np.flatnonzero(groups == group)
        found[own] = likes[dice.permutation(own)]
    return found


def _distance(x: Numbers) -> Numbers:
    """From the middle of the pictures that were learnt from, [N]; each column has a deviation of about 1."""
    return np.asarray(np.sqrt((x**2).mean(axis=1)), np.float64)


def _twice(audience: Audience, train: NDArray[np.intp], sight: Sight) -> tuple[Ranker, Ranker]:
    ranker = Ranker.of(audience, train, sight)
    return ranker, ranker


def _blocks(looks: Looks) -> tuple[Numbers, Numbers, Numbers]:
    return looks.content, looks.histogram, looks.tone


def _components(block: Numbers, most: int) -> tuple[Numbers, Numbers]:
    """The mean, and the turn to components of deviation 1, the largest first."""
    middle = block.mean(axis=0)
    _, sizes, right = np.linalg.svd(block[:MAX_SEEN] - middle, full_matrices=False)
    kept = min(most, int((sizes > 1e-6 * max(1e-12, sizes[0])).sum()))
    spread = sizes[:kept] / np.sqrt(max(1, min(len(block), MAX_SEEN) - 1))
    return middle, right[:kept].T / np.where(spread > 0, spread, 1.0)
