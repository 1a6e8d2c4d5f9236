"""Paired comparisons of the tuned model with every other one: difference, interval, p, and the smallest visible effect.

Purpose: on the same items, so that what is hard for both cancels out. Which test for what:
  accuracy, no groups     mid-p McNemar on the items that only one of the two has right; interval of Bonett & Price 2012
  accuracy, groups        sign-flips of each group's sum of differences; interval: cluster bootstrap
  mae, rmse               sign-flips of (a group's) differences of absolute / squared errors; interval: bootstrap
  macro_f1, micro_f1, mcc both models' answers are swapped, item by item or group by group; interval: bootstrap
  ece, spearman           paired bootstrap, because swapping ranks or confidences of two scales makes no sense
Family for Holm's correction: the comparisons on one metric with all other models.
Trade-off: the exact McNemar test keeps below its level at any price (2 to 4 % instead of 5 when up to a hundred items
differ); mid-p is at 4 to 5 %, hence sees more. `benchmarks/eval_tests.py` measures every test's type-I error and the
power at the stated minimum detectable effect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metier.errors import need
from metier.evaluate.intervals import (
    MIN_GROUPS,
    MIN_ITEMS,
    Interval,
    bootstrap_interval,
    bootstrap_p,
    finite,
    no_spread,
    normal_quantile,
    student_quantile,
)
from metier.evaluate.items import Array, Items, stack
from metier.evaluate.metrics.base import Metric
from metier.evaluate.resample import Units, by_unit, chunks, lots, swaps

EXACT_GROUPS = 12  # up to so many groups that differ, all 2**k sign patterns are tried


@dataclass(frozen=True)
class Setting:
    """What every comparison shares."""

    unit: Units
    alpha: float
    power: float
    resamples: int
    seed: int


@dataclass(frozen=True)
class Pair:
    """Two models on one metric: the tuned one, the other, their figures, and their paired bootstrap values (B,)."""

    metric: Metric
    tuned: Items
    other: Items
    tuned_value: float
    other_value: float
    differences: Array


def compare(pair: Pair, against: str, setting: Setting) -> dict[str, Any]:
    """One row of `comparisons` in results.json, without Holm's correction (see `finish`)."""
    test, p = paired_test(pair, setting)
    limits = difference_interval(pair, setting)
    difference = pair.tuned_value - pair.other_value
    discordant = None
    if pair.metric.proportion:
        discordant = sum(_discordant(pair))
    return {
        "metric": pair.metric.name, "model": "tuned", "against": against, "difference": difference,
        "low": limits[0] if limits else None, "high": limits[1] if limits else None,
        "p": p, "p_holm": p, "mde": detectable(pair, setting, discordant), "n": len(pair.tuned),
        "discordant": discordant, "test": test, "better": pair.metric.better, "outcome": "same",
    }  # fmt: skip


def finish(rows: Sequence[dict[str, Any]], alpha: float) -> list[dict[str, Any]]:
    """Holm's correction over the rows of each metric, and the outcome that follows from it."""
    done = []
    for row in rows:
        family = [other["p"] for other in rows if other["metric"] == row["metric"] and other["p"] is not None]
        corrected = None if row["p"] is None else holm(family)[family.index(row["p"])]
        gain = row["difference"] if row["better"] == "higher" else -row["difference"]
        outcome = "same"
        if corrected is not None and corrected < alpha and gain != 0:
            outcome = "better" if gain > 0 else "worse"
        done.append({**row, "p_holm": corrected, "outcome": outcome})
    return done


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): corrected p-values in the order given."""
    order = sorted(range(len(p)), key=lambda index: p[index])
    corrected, highest = [0.0] * len(p), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[index]))
        corrected[index] = highest
    return corrected


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided mid-p McNemar test: the discordant items against one half; 1.0 if there are none.

    Half of the probability of what was seen is left out of the exact binomial p (Fagerland, Lydersen & Laake 2013).
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    if total == 0 or only_first == only_second:
        return 1.0
    below = need("scipy.special", "evaluate").bdtr  # P(at most so many), without the second that scipy.stats takes
    return float(below(fewer, total, 0.5) + (below(fewer - 1, total, 0.5) if fewer else 0.0))


def sign_flip(sums: Array, resamples: int, seed: int) -> float:
    """Two-sided mid-p of "the sum of `sums` (units,) is 0" by flipping the sign of each; exact for few units.

    Patterns whose sum equals the observed one count half, as in `mcnemar`, which this test is for sums of 1 and -1:
    sums of rights and wrongs are often equal. Sums of 0 say nothing and are left out; with no other left p is 1. Monte
    Carlo p counts the observed pattern whole (Phipson & Smyth 2010), so it is never 0.
    """
    sums = sums[np.abs(sums) > 1e-12]
    observed = abs(float(sums.sum()))
    if observed <= 1e-9 * float(np.abs(sums).sum()):
        return 1.0

    def extreme(signs: Array) -> float:
        """Patterns that are more extreme, and half of those that are as extreme."""
        found = np.abs(signs @ sums)
        return float((found > observed * (1 - 1e-9)).sum() + (found > observed * (1 + 1e-9)).sum()) / 2

    if len(sums) <= EXACT_GROUPS:
        patterns = 1 - 2 * ((np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1)
        return extreme(patterns) / len(patterns)
    random, count = np.random.default_rng([seed, 3]), 0.0
    for size in chunks(len(sums), resamples):
        signs = random.integers(0, 2, size=(size, len(sums)), dtype=np.int8).astype(np.float64) * 2 - 1
        count += extreme(signs)
    return (count + 1) / (resamples + 1)


def swap_test(metric: Metric, first: Items, second: Items, setting: Setting) -> float | None:
    """Two-sided p of "the two models' answers are exchangeable" on any metric, swapping answers of whole units."""
    lot = lots(setting.unit, setting.seed)
    twice = Units(np.concatenate([lot.of, lot.of + lot.count]), 2 * lot.count, lot.clustered)
    both = by_unit(metric.over(stack(first, second)), twice)
    straight = np.concatenate([np.ones((1, lot.count)), np.zeros((1, lot.count))], axis=1)
    observed = float((both(straight) - both(1 - straight))[0])
    if not math.isfinite(observed):
        return None
    extreme, threshold = 0, abs(observed) - 1e-12
    for kept in swaps(lot, setting.resamples, setting.seed):
        weights = np.concatenate([kept, 1 - kept], axis=1)
        shuffled = np.abs(both(weights) - both(1 - weights))
        extreme += int((~(shuffled < threshold)).sum())  # a value that does not exist counts against the claim
    return (extreme + 1) / (setting.resamples + 1)


def difference_interval(pair: Pair, setting: Setting) -> Interval | None:
    """Interval of tuned - other; None where the test split is too small to say."""
    metric, unit, n = pair.metric, setting.unit, len(pair.tuned)
    span = metric.high - metric.low
    if metric.proportion and not unit.clustered:
        return bonett_price(*_discordant(pair), n, normal_quantile(setting.alpha))
    if n < MIN_ITEMS or (unit.clustered and unit.count < MIN_GROUPS):
        return None
    point = pair.tuned_value - pair.other_value
    if no_spread(pair.differences[np.isfinite(pair.differences)]):
        # The bootstrap would say [0, 0]. For rates, the same difference in all of so many units (mostly: none) still
        # leaves room for another one.
        room = bonett_price(0, 0, unit.count, normal_quantile(setting.alpha)) if span <= 2 else None
        return (max(-span, point + room[0]), min(span, point + room[1])) if room else (point, point)
    return bootstrap_interval(pair.differences, point, setting.alpha, -span, span, count=unit.count)


def bonett_price(only_first: int, only_second: int, n: int, quantile: float) -> Interval | None:
    """Adjusted Wald interval of a paired difference of proportions (Bonett & Price 2012); never of width 0."""
    if n < 1:
        return None
    first, second = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    half = quantile * math.sqrt(max(first + second - (first - second) ** 2, 0.0) / (n + 2))
    point = (only_first - only_second) / n
    return max(-1.0, min(first - second - half, point)), min(1.0, max(first - second + half, point))


def detectable(pair: Pair, setting: Setting, discordant: int | None) -> float | None:
    """Smallest true difference that this test split shows with the wanted power (one comparison, before Holm).

    Right/wrong without groups: from n and the observed discordance. Otherwise from the standard error s of the
    difference: the d that solves d = z_alpha/2 sqrt(s^2 + d^2 / n) + z_power s, since the tests look at deviations from
    0, which the difference itself widens (as in Connor 1987). None where there are too few items or no difference has
    been seen at all.
    """
    n, unit = len(pair.tuned), setting.unit
    if n < MIN_ITEMS or (unit.clustered and unit.count < MIN_GROUPS):
        return None
    if discordant is not None and not unit.clustered:
        return mcnemar_mde(n, discordant, setting.alpha, setting.power)
    known = pair.differences[np.isfinite(pair.differences)]
    if no_spread(known):
        return None
    z_power, z_alpha = -normal_quantile(2 * setting.power), normal_quantile(setting.alpha)
    if unit.clustered:
        z_alpha = float(student_quantile(setting.alpha, unit.count - 1))
    share = z_alpha**2 / unit.count
    if share >= 1:
        return None
    effect = (z_power + math.sqrt(z_power**2 - (1 - share) * (z_power**2 - z_alpha**2))) / (1 - share)
    effect *= float(known.std())
    return finite(effect) if effect <= pair.metric.high - pair.metric.low else None


def mcnemar_mde(n: int, discordant: int, alpha: float, power: float) -> float | None:
    """Difference of two proportions that McNemar's test sees in n items with the given power; None above 1.

    Solves n d^2 = (z_a sqrt(q) + z_b sqrt(q - d^2))^2 (Connor 1987) for d, where q is the discordance: the observed
    one, but never below d, which it cannot be. Source of the check: 10 % discordance, 80 % power, 5 points: 312 items.
    """
    z_alpha, z_power = normal_quantile(alpha), -normal_quantile(2 * power)
    observed = discordant / n

    def enough(effect: float) -> bool:
        share = max(observed, effect)
        return z_alpha * math.sqrt(share) + z_power * math.sqrt(share - effect**2) <= effect * math.sqrt(n)

    if not enough(1.0):
        return None
    low, high = 0.0, 1.0
    for _ in range(60):  # bisection to far below any shown digit
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def paired_test(pair: Pair, setting: Setting) -> tuple[str, float | None]:
    """Name and p of the test that belongs to the metric and to the test split."""
    unit, metric = setting.unit, pair.metric
    grouped = "cluster" if unit.clustered else "paired"
    if metric.proportion and not unit.clustered:
        return "mid-p McNemar", mcnemar(*_discordant(pair))
    if metric.per_item is not None:
        sums = metric.per_item(pair.tuned) - metric.per_item(pair.other)
        lot = lots(unit, setting.seed)
        sums = np.bincount(lot.of, weights=sums, minlength=lot.count)
        return f"{grouped} sign-flip", sign_flip(sums, setting.resamples, setting.seed)
    if metric.swap:
        return f"{grouped} permutation", swap_test(metric, pair.tuned, pair.other, setting)
    if no_spread(pair.differences[np.isfinite(pair.differences)]):
        return f"{grouped} bootstrap", 1.0
    return f"{grouped} bootstrap", bootstrap_p(pair.differences, pair.tuned_value - pair.other_value)


def _discordant(pair: Pair) -> tuple[int, int]:
    """Items that only the tuned model has right, and that only the other has right."""
    assert pair.metric.per_item is not None
    tuned, other = pair.metric.per_item(pair.tuned) > 0.5, pair.metric.per_item(pair.other) > 0.5
    return int((tuned & ~other).sum()), int((~tuned & other).sum())
