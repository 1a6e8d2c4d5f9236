"""Confidence intervals: closed forms for proportions, the bootstrap for the rest.

Proportions (accuracy, recall, precision, F1 of one class) have a Wilson interval, which stays honest at 0 % and 100 %,
where the bootstrap says [1, 1]. With groups its size is the effective one, n divided by the design effect, and its
quantile is Student's with groups - 1 degrees of freedom. Everything else has a percentile interval of the bootstrap,
moved by the bootstrap's own bias so that it is centred on the figure: macro F1 of rare classes and calibration errors
are biased, and the plain percentile covers too little there (`benchmarks/eval_intervals.py` prints the coverage of
both).
Not covered: tolerance or prediction intervals.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from metier.evaluate.items import Array
from metier.evaluate.resample import Units

MIN_ITEMS = 30  # below this a bootstrap interval is not shown; the usual bound of large-sample methods
MIN_GROUPS = 10  # likewise for groups: a percentile cluster bootstrap covers clearly too little below about ten

Interval = tuple[float, float]


def wilson(share: Any, n: Any, quantile: Any) -> tuple[Array, Array]:
    """Wilson's score interval (1927) of a proportion; arrays of one shape or numbers; NaN where n is 0.

    share: successes / n in [0, 1]. n: may be fractional (an effective size). quantile: of the normal distribution, or
    of Student's for an effective size.
    """
    share, n = np.asarray(share, dtype=np.float64), np.asarray(n, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        z2 = np.asarray(quantile, dtype=np.float64) ** 2
        middle = (share + z2 / (2 * n)) / (1 + z2 / n)
        half = np.sqrt(z2) / (1 + z2 / n) * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
        low, high = middle - half, middle + half
    low, high = np.where(share <= 0, 0.0, np.clip(low, 0, 1)), np.where(share >= 1, 1.0, np.clip(high, 0, 1))
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)


def proportions(success: Array, member: Array, unit: Units, alpha: float) -> tuple[Array, Array, Array]:
    """Shares of `member` items that are a `success`, with intervals; columns are several proportions at once.

    success, member: (n, m) of 0/1 (sparse or dense), success <= member. Returns share, low, high, each (m,), NaN
    where a column has no member, and NaN limits where all of its members are in one group.
    """
    hits, size = _sums(success), _sums(member)
    with np.errstate(invalid="ignore"):
        share = np.where(size > 0, hits / np.maximum(size, 1), np.nan)
    if not unit.clustered:
        return share, *wilson(share, size, normal_quantile(alpha))
    effective, groups = _effective(success, member, unit, share, size)
    low, high = wilson(share, effective, student_quantile(alpha, groups - 1))
    return share, np.where(groups > 1, low, np.nan), np.where(groups > 1, high, np.nan)


def f1_from_overlap(overlap: Any) -> Any:
    """F1 of a class from right / (gold or answered): a proportion, so its limits carry over. F1 = 2J / (1 + J)."""
    return 2 * overlap / (1 + overlap)


def bootstrap_interval(
    values: Array, point: float, alpha: float, low: float, high: float, bias: float = 0.0, count: int = 0
) -> Interval | None:
    """Percentile interval of bootstrap `values` (B,), moved by their bias, within [low, high].

    count: units that were drawn. Percentiles are as narrow as a normal interval with the biased variance would be; they
    are expanded by what Student's quantile and n - 1 add (Hesterberg 2015, "What teachers should know about the
    bootstrap"). 0: not expanded.

    bias: how far above the truth the figure itself may lie (calibration errors); it lowers the lower limit only, so
    the interval is wide rather than wrong where the model is calibrated.

    None where the resamples say nothing: fewer than nine in ten have a value, or all are one value.
    """
    known = values[np.isfinite(values)]
    if len(known) < 0.9 * max(len(values), 1) or no_spread(known):
        return None
    wider = 1.0
    if count > 1:
        wider = float(student_quantile(alpha, count - 1)) / normal_quantile(alpha) * math.sqrt(count / (count - 1))
    limits = point + wider * (np.quantile(known, [alpha / 2, 1 - alpha / 2]) - known.mean())
    return float(min(max(limits[0] - bias, low), point)), float(max(min(limits[1], high), point))


def bootstrap_p(values: Array, point: float) -> float | None:
    """Two-sided p of "no difference" from bootstrap differences (B,): the level at which the interval reaches 0."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    moved = known - (known.mean() - point)
    tail = min((moved <= 1e-12).sum(), (moved >= -1e-12).sum())
    return float(min(1.0, 2 * (tail + 1) / (len(moved) + 1)))


def no_spread(values: Array) -> bool:
    """All resamples gave the same: the bootstrap cannot say how sure the figure is."""
    return not len(values) or float(np.ptp(values)) < 1e-12


def normal_quantile(alpha: float) -> float:
    """z with alpha/2 of the normal distribution above it."""
    from metier.errors import need

    return float(need("scipy.special", "evaluate").ndtri(1 - alpha / 2))


def student_quantile(alpha: float, freedom: Any) -> Array:
    """t with alpha/2 above it; NaN where there are no degrees of freedom."""
    from metier.errors import need

    freedom = np.asarray(freedom, dtype=np.float64)
    quantile = need("scipy.special", "evaluate").stdtrit(np.maximum(freedom, 1), 1 - alpha / 2)
    return np.where(freedom >= 1, quantile, np.nan)


def _effective(success: Array, member: Array, unit: Units, share: Array, size: Array) -> tuple[Array, Array]:
    """Effective sizes (m,) and numbers of groups with members (m,) (Kish's design effect by linearisation)."""
    from scipy import sparse

    n = len(unit.of)
    fold = sparse.csr_matrix((np.ones(n), (unit.of, np.arange(n))), shape=(unit.count, n))
    x, m = _dense(fold @ success), _dense(fold @ member)  # (groups, columns)
    groups = (m > 0).sum(axis=0)
    rest = x - np.nan_to_num(share) * m
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = groups / np.maximum(groups - 1, 1) * (rest**2).sum(axis=0) / np.maximum(size, 1) ** 2
        effective = np.where(variance > 0, share * (1 - share) / variance, groups)  # all right: count groups only
    return np.minimum(effective, size), groups


def _sums(table: Any) -> Array:
    return np.asarray(table.sum(axis=0), dtype=np.float64).ravel()


def _dense(table: Any) -> Array:
    return np.asarray(table.toarray() if hasattr(table, "toarray") else table, dtype=np.float64)


def finite(number: float | None) -> float | None:
    """A number for the results: None instead of NaN or infinity."""
    return None if number is None or not math.isfinite(number) else float(number)
