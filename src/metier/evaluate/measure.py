"""Every figure of every model on some items: values, resampled values, intervals, paired differences.

Purpose: the whole test split and every part of it (slices.py) are measured by the same lines, so that a figure of a
part means what the figure of the whole means.
Not covered: what is compared with what (stage.py, slices.py), tests (compare.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from metier.evaluate.classes import figure
from metier.evaluate.compare import Pair, Setting, difference_interval
from metier.evaluate.intervals import (
    MIN_GROUPS,
    MIN_ITEMS,
    bootstrap_interval,
    no_spread,
    normal_quantile,
    proportions,
    wilson,
)
from metier.evaluate.items import Array, Items
from metier.evaluate.metrics import Metric, value
from metier.evaluate.resample import Units, bootstrap


@dataclass(frozen=True)
class Measured:
    """Every figure of every model: values and bootstrap values (B,) by (model, metric); None where there is none."""

    models: Mapping[str, Items]
    metrics: Sequence[Metric]
    values: dict[tuple[str, str], float | None]
    resampled: dict[tuple[str, str], Array]


def measure(found: Mapping[str, Items], metrics: Sequence[Metric], setting: Setting) -> Measured:
    """All metrics of all models; one stream of resamples serves them all, so differences of two models are paired."""
    values = {(name, metric.name): value(metric, one) for name, one in found.items() for metric in metrics}
    by_name = {metric.name: metric for metric in metrics}
    bound = {key: by_name[key[1]].over(found[key[0]]) for key, figure in values.items() if figure is not None}
    return Measured(found, metrics, values, bootstrap(bound, setting.unit, setting.resamples, setting.seed))


def pair_of(measured: Measured, metric: Metric, other: str) -> Pair | None:
    """The tuned model and another one on a metric; None where one of them has no figure."""
    first, second = measured.values["tuned", metric.name], measured.values[other, metric.name]
    if first is None or second is None:
        return None
    differences = measured.resampled["tuned", metric.name] - measured.resampled[other, metric.name]
    return Pair(metric, measured.models["tuned"], measured.models[other], first, second, differences)


def multiple(measured: Measured, metric: Metric, model: str, factor: float, setting: Setting) -> dict[str, Any]:
    """tuned - factor * other, resampled together."""
    pair = pair_of(measured, metric, model)
    if pair is None:
        return {"difference": None, "low": None, "high": None}
    differences = measured.resampled["tuned", metric.name] - factor * measured.resampled[model, metric.name]
    pair = replace(pair, other_value=factor * pair.other_value, differences=differences)
    low, high = difference_interval(pair, setting) or (None, None)
    return {"difference": pair.tuned_value - pair.other_value, "low": low, "high": high}


def figure_of(metric: Metric, measured: Measured, name: str, setting: Setting) -> dict[str, Any]:
    """A model's figure with its interval: closed form for proportions, the bootstrap for the rest."""
    point, one, unit = measured.values[name, metric.name], measured.models[name], setting.unit
    if point is None:
        return figure(None, None, None, 0)
    n = metric.count(one) if metric.count else len(one)
    if metric.proportion and metric.per_item is not None:
        success = metric.per_item(one)[:, None]
        _, low, high = proportions(success, np.ones_like(success), unit, setting.alpha)
        return figure(point, float(low[0]), float(high[0]), n)
    if n < MIN_ITEMS or (unit.clustered and unit.count < MIN_GROUPS):
        return figure(point, None, None, n)
    resampled = measured.resampled[name, metric.name]
    bias = metric.bias(one) if metric.bias else 0.0
    limits = bootstrap_interval(resampled, point, setting.alpha, metric.low, metric.high, bias, unit.count)
    if limits is None and no_spread(resampled) and point == metric.high:
        # Nothing is wrong, so every resample is perfect too: as far below perfect as a proportion might be.
        below = 1 - float(wilson(1.0, unit.count, normal_quantile(setting.alpha))[0])
        limits = (point - below * (metric.high - metric.low), point)
    low_high = limits or (None, None)
    return figure(point, low_high[0], low_high[1], n)


def part(items: Items, chosen: Array) -> Items:
    """The items at which `chosen` (n,) of bool is true, in their order."""
    sure = None if items.probabilities is None else items.probabilities[chosen]
    more = {name: column[chosen] for name, column in items.more.items()}
    return replace(items, gold=items.gold[chosen], predicted=items.predicted[chosen], probabilities=sure, more=more)


def units_of(unit: Units, chosen: Array) -> Units:
    """The units of some items."""
    codes, of = np.unique(unit.of[chosen], return_inverse=True)
    return Units(of.astype(np.int64), len(codes), len(codes) < len(of))
