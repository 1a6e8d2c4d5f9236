"""The mean of a value of each item as a Figure: interval by bootstrap over groups, test by sign-flips.

Purpose: checks that give one number an item share the statistics of the evaluation (../compare.py, ../intervals.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metier.evaluate.compare import Setting, sign_flip
from metier.evaluate.intervals import MIN_GROUPS, MIN_ITEMS, bootstrap_interval
from metier.evaluate.items import Array
from metier.evaluate.resample import bootstrap, units


@dataclass(frozen=True)
class Mean:
    """A mean with its interval (None where the items are too few) and the two-sided p of "it is `centre`"."""

    value: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int


def mean(values: Sequence[float] | Array, groups: Sequence[str], setting: Setting, low: float = -np.inf,
         high: float = np.inf, centre: float = 0.0) -> Mean:  # fmt: skip
    """values: one a item, NaN where it has none. groups: of the items, "" for none. low, high: where values may lie."""
    numbers = np.asarray(values, dtype=np.float64)
    known = np.isfinite(numbers)
    numbers, unit = numbers[known], units([group for group, has in zip(groups, known, strict=True) if has])
    if not len(numbers):
        return Mean(None, None, None, None, 0)
    point = float(numbers.mean())
    sums = np.bincount(unit.of, weights=numbers - centre, minlength=unit.count)
    p = sign_flip(sums, setting.resamples, setting.seed)
    if len(numbers) < MIN_ITEMS or (unit.clustered and unit.count < MIN_GROUPS):
        return Mean(point, None, None, p, len(numbers))
    drawn = bootstrap(
        {"mean": lambda weights: weights @ numbers / weights.sum(1)}, unit, setting.resamples, setting.seed
    )
    limits = bootstrap_interval(drawn["mean"], point, setting.alpha, low, high)
    below, above = limits or (None, None)
    return Mean(point, below, above, p, len(numbers))
