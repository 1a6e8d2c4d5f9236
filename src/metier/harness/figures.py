"""Metrics of logs: the values that another program gave the items, as figures with intervals and tests.

Purpose: one `Metric` for each name in the logs, made from what its values are. Values of 0 and 1 alone are a
proportion (McNemar's test); other numbers a mean (sign-flips of differences); log-likelihoods with a size are
bits per byte or a perplexity over all items (swapped answers), as lm-evaluation-harness aggregates them.
Trade-off: that a metric is better when it is lower must be known from the log, its name, or a criterion; where none of
them says so, higher is taken, and told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from metier.evaluate.items import Array, Items
from metier.evaluate.metrics.base import Metric, Sums, Weighted, divide, mean_of

KIND = "imported"
SIZE = ":size"  # added to a metric's name in `Items.more`: what a log-likelihood pays for


def metric_of(name: str, better: str, models: Mapping[str, Items]) -> Metric:
    """The metric of this name over the values of all models."""
    titles: dict[str, Any] = {"kinds": (KIND,), "better": better, "title": name, "title_zh": name, "needs": name}
    if any(name + SIZE in one.more for one in models.values()):
        low = 0.0 if name.startswith("bits_per") else 1.0
        return Metric(name, _likelihood(name), low=low, high=np.inf, **titles)
    if name.startswith("perplexity"):
        return Metric(name, _perplexity(name), low=1.0, high=np.inf, **titles)
    every = np.concatenate([one.more[name] for one in models.values()])
    shares = bool(((every >= 0) & (every <= 1)).all())
    return Metric(
        name, lambda items: mean_of(items.more[name]), low=0.0 if shares else -np.inf, high=1.0 if shares else np.inf,
        per_item=lambda items: items.more[name], proportion=bool(np.isin(every, (0.0, 1.0)).all()), **titles,
    )  # fmt: skip


def losses(metric: Metric, items: Items) -> Array:
    """(n,) how bad each answer is: its value, turned so that more is worse; of likelihoods nats for a byte or word."""
    given = items.more[metric.name]
    if metric.name + SIZE in items.more:
        return np.asarray(-given / np.maximum(items.more[metric.name + SIZE], 1e-12))
    if metric.name.startswith("perplexity"):
        return -given
    return given if metric.better == "lower" else -given


def _likelihood(name: str) -> Any:
    bits = name.startswith("bits_per")

    def over(items: Items) -> Weighted:
        table = np.stack([items.more[name], items.more[name + SIZE]], axis=1)

        def finish(sums: Array) -> Array:
            nats = -divide(sums[:, 0], sums[:, 1])
            with np.errstate(over="ignore"):
                return np.asarray(nats / np.log(2) if bits else np.exp(nats))

        return Sums(table, finish)

    return over


def _perplexity(name: str) -> Any:
    def over(items: Items) -> Weighted:
        mean = mean_of(items.more[name])

        def finish(sums: Array) -> Array:
            with np.errstate(over="ignore"):
                return np.asarray(np.exp(-mean.finish(sums)))

        return Sums(mean.table, finish)

    return over
