"""Metrics of scoring (a number for each text): mean absolute error, root mean square error, Spearman's correlation.

Equal to scikit-learn's and scipy's on unweighted items (tests compare them). Errors are in the unit of the value.
"""

from __future__ import annotations

import numpy as np

from metier.evaluate.items import SCORE, Array, Items
from metier.evaluate.metrics.base import Sums, Weighted, divide, mean_of, metric


def errors(items: Items) -> Array:
    """(n,) absolute errors, in the unit of the value."""
    return np.abs(items.predicted - items.gold)


def squares(items: Items) -> Array:
    """(n,) squared errors."""
    return (items.predicted - items.gold) ** 2


@metric("mae", (SCORE,), "lower", ("mean absolute error", "平均绝对误差"), (0.0, np.inf), per_item=errors)
def mae(items: Items) -> Weighted:
    """Mean absolute error, in the unit of the value."""
    return mean_of(errors(items))


@metric("rmse", (SCORE,), "lower", ("root mean square error", "均方根误差"), (0.0, np.inf), per_item=squares)
def rmse(items: Items) -> Weighted:
    """Root of the mean squared error, in the unit of the value; large errors count more."""
    mean = mean_of(squares(items))
    return Sums(mean.table, lambda sums: np.sqrt(mean.finish(sums)))


@metric("spearman", (SCORE,), "higher", ("rank correlation (Spearman)", "斯皮尔曼等级相关"), (-1.0, 1.0), swap=False)
def spearman(items: Items) -> Weighted:
    """Spearman's rank correlation with mid-ranks for ties; NaN when gold or answers are all equal.

    Weights are multiplicities: the ranks are those of the resampled items, found by a cumulative sum over an order
    that is sorted once, never by sorting again.
    """
    gold, answered = _ranker(items.gold), _ranker(items.predicted)

    def values(weights: Array) -> Array:
        x, y, total = gold(weights), answered(weights), weights.sum(axis=1, keepdims=True)
        middle = (total + 1) / 2  # the mean of mid-ranks, whatever the ties
        x, y = x - middle, y - middle
        wx = weights * x
        below = (wx * x).sum(axis=1) * (weights * y * y).sum(axis=1)
        return divide((wx * y).sum(axis=1), np.sqrt(np.where(below > 1e-9, below, 0.0)))

    return values


def _ranker(numbers: Array) -> Weighted:
    """weights (B, n) -> mid-ranks (B, n) among the items drawn."""
    _, code = np.unique(numbers, return_inverse=True)
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))

    def ranks(weights: Array) -> Array:
        if not len(order):
            return weights
        block = np.add.reduceat(weights[:, order], starts, axis=1)  # (B, distinct values)
        middle = np.cumsum(block, axis=1) - (block - 1) / 2
        return middle[:, code]

    return ranks
