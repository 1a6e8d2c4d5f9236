"""What a metric is, and the decorator that puts one behind the door `metric`.

A metric is a function from Items to a second function from weights (B, n) to values (B,): the first call does once
what depends on the items, the second is a matrix product a chunk of resamples. A weight is how often an item was drawn;
a row of ones gives the figure itself. A value that does not exist for these items (a correlation with a constant) is
NaN, and becomes null in the results.
Most figures depend on a few weighted sums alone; these are `Sums`, whose items can be added up in lots beforehand, so
that a million items cost no more than twenty thousand. Ranks and curves are plain functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from metier.evaluate.items import Array, Items
from metier.registry import lookup, names, register

DENSE = 0.05  # share of filled cells from which a dense product is quicker than a sparse one (measured: about 3 %)
Weighted = Callable[[Array], Array]  # weights (B, n) -> values (B,)


@dataclass(frozen=True)
class Sums:
    """A figure of weighted sums: weights (B, n) -> finish(weights @ table), table (n, m) dense or sparse."""

    table: Any
    finish: Callable[[Array], Array]

    def __call__(self, weights: Array) -> Array:
        if isinstance(self.table, np.ndarray):
            return self.finish(weights @ self.table)
        return self.finish(np.asarray(self.table.T @ np.ascontiguousarray(weights.T)).T)

    def folded(self, of: Array, count: int) -> Sums:
        """The same figure over lots: the rows of each lot (code `of` (n,)) are added up."""
        from scipy import sparse

        n = len(of)
        fold = sparse.csr_matrix((np.ones(n), (of, np.arange(n))), shape=(count, n))
        table = fold @ self.table
        if sparse.issparse(table) and table.nnz > DENSE * table.shape[0] * table.shape[1]:
            table = table.toarray()
        return Sums(table, self.finish)


@dataclass(frozen=True)
class Metric:
    """A figure of merit, with all that intervals, tests and criteria must know about it."""

    name: str
    over: Callable[[Items], Weighted]
    kinds: tuple[str, ...]
    """The kinds of Items it belongs to: classify, multi_label, score, spans, text, bits, preference."""
    better: str
    """higher or lower."""
    title: str
    title_zh: str
    low: float
    high: float
    """Range of possible values; infinity where there is no bound."""
    per_item: Callable[[Items], Array] | None = None
    """(n,) such that a larger mean of it means a larger metric, when there is such a thing: the metric is then compared
    by sign-flips of these, otherwise by swapping whole answers."""
    proportion: bool = False
    """The mean of `per_item`, which is 0 or 1: closed-form intervals and McNemar's test apply."""
    swap: bool = True
    """False: swapping the answers of two models item by item makes no sense (ranks, calibration), so the test is the
    paired bootstrap."""
    bias: Callable[[Items], float] | None = None
    """How far above the truth the figure may lie on average; the interval's lower limit allows for it."""
    probabilities: bool = False
    """Needs probabilities; null for models that give none."""
    needs: str = ""
    """What of `Items.more` it needs; null for models that do not give it."""
    count: Callable[[Items], int] | None = None
    """How many of the items it is over, where that is not all of them."""


def metric(
    name: str, kinds: tuple[str, ...], better: str, titles: tuple[str, str], bounds: tuple[float, float], **more: object
) -> Callable[[Callable[[Items], Weighted]], Metric]:
    """Decorator: make a Metric of the function and register it under `name`."""

    def put(over: Callable[[Items], Weighted]) -> Metric:
        made = Metric(name, over, kinds, better, titles[0], titles[1], bounds[0], bounds[1], **more)  # type: ignore[arg-type]
        return register("metric", name)(made)

    return put


def for_kind(kind: str, primary: str = "") -> list[Metric]:
    """Every metric that belongs to a kind of items, the primary one first, then by name."""
    found = [m for m in (lookup("metric", name) for name in names("metric")) if kind in m.kinds]
    return sorted(found, key=lambda m: (m.name != primary, m.name))


def value(chosen: Metric, items: Items) -> float | None:
    """The figure itself, or None where it does not exist."""
    if not len(items) or (chosen.probabilities and items.probabilities is None):
        return None
    if chosen.needs and chosen.needs not in items.more:
        return None
    result = float(chosen.over(items)(np.ones((1, len(items))))[0])
    return result if np.isfinite(result) else None


def mean_of(per_item: Array) -> Sums:
    """The weighted mean of (n,) numbers as a function of weights."""
    return ratio(per_item, np.ones(len(per_item)))


def ratio(top: Array, bottom: Array) -> Sums:
    """The weighted sum of (n,) numbers over that of others; NaN where the bottom is 0."""
    return Sums(np.stack([top, bottom], axis=1).astype(np.float64), lambda sums: divide(sums[:, 0], sums[:, 1]))


def divide(top: Array, bottom: Array) -> Array:
    """top / bottom, NaN where the bottom is 0; no warning."""
    result = np.full(np.broadcast(top, bottom).shape, np.nan)
    return np.divide(top, bottom, out=result, where=bottom != 0)
