"""What predicts a number from features: ridge regression and gradient boosting, in numpy.

Features and targets come in, something with `predict` goes out. Ridge chooses its penalty by generalised cross-validation on what it is
given; boosting has fixed settings and chooses nothing. So neither ever sees what it is tested on. A library for both would be 50 MB.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

# Times the number of rows; from hardly any shrinkage to hardly any effect.
PENALTIES = 10.0 ** np.arange(-3.0, 3.5, 0.5)
# Trees of three splits, each a small step: usual values, tuned on nothing.
ROUNDS, DEPTH, RATE, BINS = 100, 3, 0.08, 24
LEAF_PRIOR = 20.0
MAX_BOOSTED = 6_000


class Predictor(Protocol):
    """Predicts."""

    def predict(self, x: Numbers) -> Numbers:
        """[N, F] -> [N]."""


@dataclass(frozen=True)
class Ridge:
    """A linear model. weights: [F]."""

    weights: Numbers
    constant: float

    @classmethod
    def fit(cls, x: Numbers, y: Numbers) -> "Ridge":
        """Of features [N, F] and targets [N]."""
        return Design(x).fit(y)

    def predict(self, x: Numbers) -> Numbers:
        """[N, F] -> [N]."""
        return np.asarray(x @ self.weights + self.constant, np.float64)


class Design:
    """Features that several targets are fitted to: what takes time is done once. spent: how many means were taken out of the targets."""

    def __init__(self, x: Numbers, spent: int = 1) -> None:
        self._spent = spent
        self._middle = x.mean(axis=0)
        self._left, self._sizes, self._right = np.linalg.svd(x - self._middle, full_matrices=False)

    def fit(self, y: Numbers) -> Ridge:
        """The penalty with the least generalised cross-validation error. Source: Golub, Heath and Wahba 1979, Technometrics 21, 215."""
        mean, rows = float(y.mean()), len(y)
        along, squares = self._left.T @ (y - mean), self._sizes**2
        total = float(((y - mean) ** 2).sum())
        best, weights = np.inf, np.zeros(len(self._middle))
        for penalty in PENALTIES * rows:
            kept = squares / (squares + penalty)
            error = total - float((along**2 * (1 - (1 - kept) ** 2)).sum())
            score = error / max(1e-9, (1 - (kept.sum() + self._spent) / rows)) ** 2
            if score < best:
                best, weights = score, self._right.T @ (along * self._sizes / (squares + penalty))
        return Ridge(weights, mean - float(self._middle @ weights))


@dataclass(frozen=True)
class Boosted:
    """Gradient boosting on bins of each feature. edges: [BINS - 1, F]. trees: the feature and the bin of every split, and the leaves."""

    edges: Numbers
    constant: float
    trees: tuple[tuple[NDArray[np.intp], NDArray[np.intp], Numbers], ...]

    @classmethod
    def fit(cls, x: Numbers, y: Numbers) -> "Boosted":
        """Of many rows, evenly spread ones are taken. Source of the idea: Friedman 2001, Annals of Statistics 29, 1189."""
        taken = np.linspace(0, len(y) - 1, min(len(y), MAX_BOOSTED)).round().astype(np.intp)
        x, y = x[taken], y[taken]
        edges = np.quantile(x, np.arange(1, BINS) / BINS, axis=0)
        codes = _codes(x, edges)
        constant = float(y.mean())
        left, trees = y - constant, []
        for _ in range(ROUNDS):
            tree = _grow(codes, left)
            left = left - _leaf(tree, codes)
            trees.append(tree)
        return cls(edges, constant, tuple(trees))

    def predict(self, x: Numbers) -> Numbers:
        """[N, F] -> [N]."""
        codes = _codes(x, self.edges)
        return np.asarray(self.constant + np.sum([_leaf(tree, codes) for tree in self.trees], axis=0), np.float64)


def _codes(x: Numbers, edges: Numbers) -> NDArray[np.intp]:
    return np.stack([np.searchsorted(edges[:, column], x[:, column], "right") for column in range(x.shape[1])], axis=1)


def _grow(codes: NDArray[np.intp], left: Numbers) -> tuple[NDArray[np.intp], NDArray[np.intp], Numbers]:
    """A tree whose nodes of one depth each split where the squared error falls most."""
    rows, columns = codes.shape
    node = np.zeros(rows, np.intp)
    features, bins = np.zeros(2**DEPTH - 1, np.intp), np.zeros(2**DEPTH - 1, np.intp)
    places = np.arange(columns) * BINS + codes
    for depth in range(DEPTH):
        first, wide = 2**depth - 1, 2**depth
        cells = (node[:, None] * (columns * BINS) + places).ravel()
        size = wide * columns * BINS
        counts = np.bincount(cells, minlength=size).reshape(wide, columns, BINS).cumsum(axis=2)
        sums = np.bincount(cells, np.repeat(left, columns), minlength=size).reshape(wide, columns, BINS).cumsum(axis=2)
        others, rest = counts[..., -1:] - counts, sums[..., -1:] - sums
        gain = (sums**2 / (counts + LEAF_PRIOR) + rest**2 / (others + LEAF_PRIOR)).reshape(wide, -1)
        best = gain.argmax(axis=1)
        features[first : first + wide], bins[first : first + wide] = best // BINS, best % BINS
        own = first + node
        node = 2 * node + (codes[np.arange(rows), features[own]] > bins[own])
    leaves = RATE * np.bincount(node, left, minlength=2**DEPTH) / (np.bincount(node, minlength=2**DEPTH) + LEAF_PRIOR)
    return features, bins, leaves


def _leaf(tree: tuple[NDArray[np.intp], NDArray[np.intp], Numbers], codes: NDArray[np.intp]) -> Numbers:
    features, bins, leaves = tree
    node = np.zeros(len(codes), np.intp)
    for depth in range(DEPTH):
        own = 2**depth - 1 + node
        node = 2 * node + (codes[np.arange(len(codes)), features[own]] > bins[own])
    return leaves[node]
