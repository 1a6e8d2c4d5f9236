"""Means, areas under the ROC curve and their differences, each with an interval that respects groups.

Purpose: one closed form for all of them. A figure that is a smooth function of its items has an influence of each item
(how far the figure moves when the item weighs a little more); the variance is that of the influences summed over each
group. For a mean the influence is (x - mean) / n; for an area it is DeLong's (1988) placement values, with groups
Obuchowski's (1997). A difference of two figures over the same items has the difference of their influences.
Trade-off: normal limits, so below 30 items or 10 groups there is no interval at all.
Not covered: figures that are no mean or area (resample.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metier.evaluate.intervals import MIN_GROUPS, MIN_ITEMS, normal_quantile, student_quantile, wilson
from metier.evaluate.items import Array
from metier.evaluate.resample import units


@dataclass(frozen=True)
class Estimate:
    """A figure and the influence of each item on it, float64 (n,)."""

    value: float
    influence: Array

    def __sub__(self, other: Estimate) -> Estimate:
        """The difference of two figures over the same items."""
        return Estimate(self.value - other.value, self.influence - other.influence)


def mean(values: Sequence[float] | Array) -> Estimate:
    """The mean of n values."""
    x = np.asarray(values, dtype=np.float64)
    return Estimate(float(x.mean()), (x - x.mean()) / len(x))


def area(members: Sequence[float] | Array, others: Sequence[float] | Array) -> Estimate:
    """P(a member's score is above another's), ties half: the area under the ROC curve. Items: members, then others."""
    first, second = (np.asarray(scores, dtype=np.float64) for scores in (members, others))
    above, below = _placed(first, second), 1 - _placed(second, first)
    value = float(above.mean())
    return Estimate(value, np.concatenate([(above - value) / len(first), (below - value) / len(second)]))


def interval(
    found: Estimate, groups: Sequence[str], alpha: float, low: float = -np.inf, high: float = np.inf
) -> tuple[float | None, float | None]:
    """Limits within [low, high]; (None, None) where the items are too few to say.

    groups: of each item, "" for none. Where all items agree in an end of a bounded figure, the other limit is Wilson's
    for as many groups that all agree.
    """
    unit = units(groups)
    if len(groups) < MIN_ITEMS or (unit.clustered and unit.count < MIN_GROUPS):
        return None, None
    sums = np.bincount(unit.of, found.influence, minlength=unit.count)
    spread = float(np.sqrt(unit.count / (unit.count - 1) * (sums**2).sum()))
    if spread < 1e-12 and np.isfinite(low) and np.isfinite(high) and found.value in (low, high):
        missing = (1 - float(wilson(1.0, unit.count / 2, normal_quantile(alpha))[0])) * (high - low)
        return max(low, found.value - missing * (found.value == high)), found.value + missing * (found.value == low)
    reach = float(student_quantile(alpha, unit.count - 1) if unit.clustered else normal_quantile(alpha)) * spread
    return max(low, found.value - reach), min(high, found.value + reach)


def _placed(scores: Array, among: Array) -> Array:
    """For each score the share of `among` below it, ties half."""
    ordered = np.sort(among)
    return (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / (2 * len(ordered))
