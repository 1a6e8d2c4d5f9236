"""Answers with a promise: sets of labels, or intervals of values, that hold the truth in a promised share of texts.

Purpose: split conformal prediction (Vovk et al. 2005; Angelopoulos & Bates 2023). From how far the right answers of the
validation split lie below the model's favourite follows how much must be named so that 90 of 100 sets hold the right
label, whatever the model is worth: a bad model gives large sets, not wrong ones. Two ways, both checked on the test
split:
  lac   every label whose probability is high enough (Sadinle, Lei & Wasserman 2019): the smallest sets on average
  aps   labels from the likeliest on until enough probability is named (Romano, Sesia & Candès 2020, with their random
        last label): more even over easy and hard texts
For scores: the prediction plus and minus a quantile of the validation errors.
Trade-off: the promise is over all texts together, and holds for texts like those of the validation split; it is none
for one label or one group. A set is never empty: the likeliest label is always in it.
Not covered: several labels a text, spans, written answers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from metier.evaluate.classes import figure
from metier.evaluate.compare import Setting
from metier.evaluate.intervals import proportions
from metier.evaluate.items import Array, Items
from metier.evaluate.metrics.base import mean_of
from metier.evaluate.resample import bootstrap

ROWS = 65_536  # texts ordered at once: sorted probabilities of a million texts would fill the memory


def sets(validation: Items, test: Items, level: float, setting: Setting) -> dict[str, Any] | None:
    """{"level", "methods": {method: {"coverage", "size": figures, "kept", "sizes": {labels in a set: texts}}}}; None
    when the validation split is too small for the level."""
    assert validation.probabilities is not None and test.probabilities is not None
    methods = {}
    for name, place in (("lac", _below_one), ("aps", _mass)):
        limit = quantile(_of_gold(place(validation.probabilities, setting.seed), validation.gold), level)
        if limit is None:
            return None
        inside, size = _sets(test, place, limit, setting.seed + 1)
        methods[name] = {**_checked(inside, level, setting), "size": _mean(size, setting),
                         "sizes": {str(k): int(n) for k, n in enumerate(np.bincount(size)) if n}}  # fmt: skip
    return {"level": level, "methods": methods}


def intervals(validation: Items, test: Items, level: float, setting: Setting) -> dict[str, Any] | None:
    """The same for values: `size` is half the width of the interval, in the unit of the value."""
    half = quantile(np.abs(validation.gold - validation.predicted), level)
    if half is None or not math.isfinite(half):
        return None
    inside = np.abs(test.gold - test.predicted) <= half
    size = {"value": half, "low": None, "high": None, "n": len(validation)}
    return {"level": level, "methods": {"interval": {**_checked(inside, level, setting), "size": size, "sizes": {}}}}


def quantile(scores: Array, level: float) -> float | None:
    """The ceil((n + 1) level)-th smallest of n scores; None when there are too few for the level."""
    place = math.ceil((len(scores) + 1) * level - 1e-9)
    return float(np.sort(scores)[place - 1]) if 0 < place <= len(scores) else None


def _checked(inside: Array, level: float, setting: Setting) -> dict[str, Any]:
    """Coverage on the test split; kept unless the whole interval lies below the promise."""
    success = inside.astype(np.float64)[:, None]
    share, low, high = proportions(success, np.ones_like(success), setting.unit, setting.alpha)
    top = float(high[0]) if math.isfinite(high[0]) else float(share[0])
    return {"coverage": figure(share[0], low[0], high[0], len(inside)), "kept": "yes" if top >= level else "no"}


def _mean(size: Array, setting: Setting) -> dict[str, Any]:
    point = float(size.mean())
    drawn = bootstrap({0: mean_of(size)}, setting.unit, setting.resamples, setting.seed)[0]
    low, high = np.quantile(drawn, [setting.alpha / 2, 1 - setting.alpha / 2])
    return figure(point, float(low), float(high), len(size))


def _below_one(p: Array, seed: int) -> Array:
    """(n, T) how far each label lies below certainty."""
    return 1 - p.astype(np.float64)


def _mass(p: Array, seed: int) -> Array:
    """(n, T) probability of all likelier labels and a random part of the label's own."""
    p = p.astype(np.float64)
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1)
    part = np.random.default_rng([seed, 5]).random((len(p), 1))
    before = np.cumsum(ranked, axis=1) - ranked + part * ranked
    result = np.empty_like(p)
    np.put_along_axis(result, order, before, axis=1)
    return result


def _of_gold(scores: Array, gold: Array) -> Array:
    """(n,) the score of the right label; infinite for a label that training never saw."""
    known = gold < scores.shape[1]
    column = np.where(known, gold, 0)
    return np.where(known, scores[np.arange(len(gold)), column], np.inf)


def _sets(test: Items, place: Any, limit: float, seed: int) -> tuple[Array, Array]:
    """(n,) of bool: the set holds the right label; (n,) how many labels it holds."""
    assert test.probabilities is not None
    holds, sizes = [], []
    for start in range(0, len(test), ROWS):
        p, gold = test.probabilities[start : start + ROWS], test.gold[start : start + ROWS]
        chosen = place(p, seed + start) <= limit
        chosen[np.arange(len(p)), p.argmax(axis=1)] = True
        known = gold < p.shape[1]
        holds.append(known & chosen[np.arange(len(gold)), np.where(known, gold, 0)])
        sizes.append(chosen.sum(axis=1))
    return np.concatenate(holds), np.concatenate(sizes)
