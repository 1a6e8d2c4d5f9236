"""Metrics of retrieval: how far up the right passages of a query stand.

A passage is right or not; a query may have several right ones. Each figure is the mean over the queries of one number a
query, so paired tests and intervals take these numbers. Only the first 100 of a ranking are kept; what is not among
them counts as not found.
"""

from __future__ import annotations

import numpy as np

from metier.evaluate.items import RANKING, Array, Items
from metier.evaluate.metrics.base import Weighted, mean_of, metric


def ndcg_10_of(items: Items) -> Array:
    """(n,) discounted gain of the first ten, over that of the best order (Järvelin & Kekäläinen 2002)."""
    discount = 1 / np.log2(np.arange(2, 12))
    found = [
        sum(discount[place] for place, code in enumerate(ranked[:10]) if code in gold) / discount[: len(gold)].sum()
        for gold, ranked in zip(items.gold, items.predicted, strict=True)
    ]
    return np.array(found, dtype=np.float64)


def mrr_10_of(items: Items) -> Array:
    """(n,) one over the place of the first right passage, 0 beyond the tenth."""
    return np.array([1 / rank if rank <= 10 else 0.0 for rank in first_right(items)], dtype=np.float64)


def recall_of(items: Items, most: int) -> Array:
    """(n,) share of the right passages among the first `most`."""
    found = [len(set(gold) & set(ranked[:most])) / len(gold)
             for gold, ranked in zip(items.gold, items.predicted, strict=True)]  # fmt: skip
    return np.array(found, dtype=np.float64)


def first_right(items: Items) -> list[float]:
    """The place of the first right passage of each query, from 1; infinity where none was found."""
    return [next((place + 1.0 for place, code in enumerate(ranked) if code in gold), float("inf"))
            for gold, ranked in zip(items.gold, items.predicted, strict=True)]  # fmt: skip


def recall_1_of(items: Items) -> Array:
    """Recall at 1."""
    return recall_of(items, 1)


def recall_10_of(items: Items) -> Array:
    """Recall at 10."""
    return recall_of(items, 10)


def recall_100_of(items: Items) -> Array:
    """Recall at 100."""
    return recall_of(items, 100)


@metric("ndcg_10", (RANKING,), "higher", ("nDCG@10", "nDCG@10"), (0.0, 1.0), per_item=ndcg_10_of)
def ndcg_10(items: Items) -> Weighted:
    """How far up the right passages stand among the first ten; 1 if nothing stands above them."""
    return mean_of(ndcg_10_of(items))


@metric("mrr_10", (RANKING,), "higher", ("MRR@10", "MRR@10"), (0.0, 1.0), per_item=mrr_10_of)
def mrr_10(items: Items) -> Weighted:
    """One over the place of the first right passage."""
    return mean_of(mrr_10_of(items))


@metric("recall_1", (RANKING,), "higher", ("recall at 1", "前 1 召回率"), (0.0, 1.0), per_item=recall_1_of)
def recall_1(items: Items) -> Weighted:
    """Share of the right passages that stand first."""
    return mean_of(recall_1_of(items))


@metric("recall_10", (RANKING,), "higher", ("recall at 10", "前 10 召回率"), (0.0, 1.0), per_item=recall_10_of)
def recall_10(items: Items) -> Weighted:
    """Share of the right passages among the first ten."""
    return mean_of(recall_10_of(items))


@metric("recall_100", (RANKING,), "higher", ("recall at 100", "前 100 召回率"), (0.0, 1.0), per_item=recall_100_of)
def recall_100(items: Items) -> Weighted:
    """Share of the right passages among the first hundred."""
    return mean_of(recall_100_of(items))
