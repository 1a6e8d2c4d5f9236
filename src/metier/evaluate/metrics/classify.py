"""Metrics of classification, with one label or several: accuracy, macro and micro F1, MCC, ECE, Brier score.

All of them are functions of a few weighted sums (right answers, items and answers of each class, confidence of each
bin), so a bootstrap is one sparse product a chunk.
Definitions equal scikit-learn's (tests compare them); where scikit-learn gives 0.0 for what does not exist, the value
here is NaN: MCC when all gold labels or all answers are one and the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from metier.evaluate.items import ANSWERS, CLASSIFY, MULTI_LABEL, SPANS, Array, Items, confidence, right
from metier.evaluate.metrics.base import Sums, Weighted, divide, mean_of, metric, ratio

BINS = 10  # equal-mass bins: Nguyen & O'Connor 2015, "Posterior calibration and exploratory analysis for NLP models"
BOTH = (CLASSIFY, MULTI_LABEL)


def _right(items: Items) -> Array:
    return right(items).astype(np.float64)


@metric("accuracy", BOTH, "higher", ("accuracy", "准确率"), (0.0, 1.0), per_item=_right, proportion=True)
def accuracy(items: Items) -> Weighted:
    """Share of items with the right answer; for several labels: of items whose labels are all right (exact match)."""
    return mean_of(_right(items))


@metric("macro_f1", (*BOTH, SPANS), "higher", ("macro F1", "宏平均 F1"), (0.0, 1.0))
def macro_f1(items: Items) -> Weighted:
    """Mean F1 of the classes that occur among the gold labels or among the answers, each class counting the same.

    spans: of the types of entities, a span being right when start, end and type are.

    F1 = 2 * right / (gold + answered). The classes are those of the items drawn: a class that a resample lacks
    altogether is left out of its mean. Equals `sklearn.metrics.f1_score(average="macro")` with its default labels.
    """
    table, parts = class_counts(items)

    def values(sums: Array) -> Array:
        hit, gold, answered = parts(sums)
        f1 = divide(2 * hit, gold + answered)
        occurs = ~np.isnan(f1)
        return divide(np.where(occurs, f1, 0.0).sum(axis=1), occurs.sum(axis=1))

    return Sums(table, values)


@metric("micro_f1", (MULTI_LABEL,), "higher", ("micro F1", "微平均 F1"), (0.0, 1.0))
def micro_f1(items: Items) -> Weighted:
    """F1 over all label decisions together; NaN where no label is given and none is answered."""
    hit = (items.gold & items.predicted).sum(axis=1).astype(np.float64)
    total = (items.gold.sum(axis=1) + items.predicted.sum(axis=1)).astype(np.float64)
    return ratio(2 * hit, total)


@metric("mcc", (CLASSIFY,), "higher", ("MCC", "马修斯相关系数 MCC"), (-1.0, 1.0))
def mcc(items: Items) -> Weighted:
    """Matthews correlation for any number of classes (Gorodkin 2004, R_K); 0 is chance, 1 is perfect."""
    table, parts = class_counts(items)

    def values(sums: Array) -> Array:
        hit, gold, answered = parts(sums)
        total, correct = gold.sum(axis=1), hit.sum(axis=1)
        top = correct * total - (gold * answered).sum(axis=1)
        spread = (total**2 - (gold**2).sum(axis=1)) * (total**2 - (answered**2).sum(axis=1))
        return divide(top, np.sqrt(np.maximum(spread, 0)))

    return Sums(table, values)


def ece_bias(items: Items) -> float:
    """The calibration error that a perfectly calibrated model would show on these items by chance alone.

    In each bin the gap of a calibrated model is about normal with variance q (1 - q) / n, so its distance from 0 is
    sqrt(2 / pi) standard deviations on average; q is the mean confidence.
    """
    sure = confidence(items)
    if sure is None or not sure.size:
        return 0.0
    sure = sure.ravel().astype(np.float64)
    bins = bin_codes(sure)
    n = np.bincount(bins)
    mean = np.bincount(bins, weights=sure) / n
    return float((n / n.sum() * np.sqrt(2 / np.pi * np.clip(mean * (1 - mean), 0, None) / n)).sum())


@metric(
    "ece", (*BOTH, ANSWERS), "lower", ("calibration error (ECE)", "校准误差 ECE"), (0.0, 1.0), swap=False,
    bias=ece_bias, probabilities=True,
)  # fmt: skip
def ece(items: Items) -> Weighted:
    """Expected calibration error: mean distance between confidence and share right, over 10 equal-mass bins.

    classify: confidence of the answer, extract likewise. several labels: of every decision about a label known in
    training. The bins are cut once, on all items (ties stay together), and kept while resampling. Source: Guo et al.
    2017 with the equal-mass bins of Nguyen & O'Connor 2015. Biased upwards in small samples, see `ece_bias`.
    """
    from scipy import sparse

    sure = confidence(items)
    assert sure is not None, "ece needs probabilities"
    bins = bin_codes(sure.ravel()).reshape(sure.shape)
    decided = right(items) if sure.ndim == 1 else (items.gold == items.predicted)[:, : sure.shape[1]]
    gaps = _per_item(bins, sure - decided)  # (n, bins), sparse
    size = np.full((len(items), 1), float(sure[0].size) if len(items) else 1.0)  # decisions an item
    table = sparse.hstack([gaps, size]).tocsr()
    return Sums(table, lambda sums: divide(np.abs(sums[:, :-1]).sum(axis=1), sums[:, -1]))


def squared_gaps(items: Items) -> Array:
    """(n,) squared distance of the probabilities from what is right (Brier 1950).

    classify: summed over the labels, in [0, 2]; a label that training never saw has probability 0. several labels: mean
    over the decisions; extract: of the confidence from right or wrong; both in [0, 1].
    """
    p = items.probabilities
    assert p is not None, "brier needs probabilities"
    if items.kind == CLASSIFY:
        known = items.gold < p.shape[1]
        of_gold = np.where(known, p[np.arange(len(p)), np.where(known, items.gold, 0)], 0.0).astype(np.float64)
        return np.asarray(np.einsum("nk,nk->n", p, p, dtype=np.float64) + 1 - 2 * of_gold)
    sure = confidence(items)
    assert sure is not None
    decided = right(items) if sure.ndim == 1 else (items.gold == items.predicted)[:, : sure.shape[1]]
    gaps = (sure.astype(np.float64) - decided) ** 2
    return gaps if gaps.ndim == 1 else gaps.mean(axis=1)


@metric(
    "brier", (*BOTH, ANSWERS), "lower", ("Brier score", "Brier 分数"), (0.0, 2.0), per_item=squared_gaps,
    probabilities=True,
)  # fmt: skip
def brier(items: Items) -> Weighted:
    """Mean squared distance of the probabilities from what is right: being wrong and being falsely sure both cost."""
    return mean_of(squared_gaps(items))


def class_counts(items: Items) -> tuple[Any, Any]:
    """A sparse table (n, 3K), and a function from its sums (B, 3K) to three arrays (B, K): right answers, gold items
    and answers of each class."""
    from scipy import sparse

    k = len(items.classes)

    def parts(sums: Array) -> tuple[Array, Array, Array]:
        return sums[:, :k], sums[:, k : 2 * k], sums[:, 2 * k :]

    return sparse.hstack(class_tables(items)).tocsr(), parts


def class_tables(items: Items) -> tuple[Any, Any, Any]:
    """Sparse (n, K): right answers, gold items, answers of each class; 0/1, or numbers of spans."""
    from scipy import sparse

    if items.kind == SPANS:
        from metier.evaluate.metrics.spans import span_tables

        return span_tables(items)
    if items.kind == MULTI_LABEL:
        gold, answered = (sparse.csr_matrix(table.astype(np.float64)) for table in (items.gold, items.predicted))
    else:
        shape, rows, ones = (len(items), len(items.classes)), np.arange(len(items)), np.ones(len(items))
        gold, answered = (sparse.csr_matrix((ones, (rows, code)), shape) for code in (items.gold, items.predicted))
    return gold.multiply(answered).tocsr(), gold, answered


def bin_codes(sure: Array, bins: int = BINS) -> Array:
    """Codes 0.. of equal-mass bins by confidence; equal confidences share a bin, so there may be fewer bins."""
    if not sure.size:
        return np.zeros(0, dtype=np.int64)
    edges = np.unique(np.quantile(sure, np.arange(1, bins) / bins, method="inverted_cdf"))
    codes = np.searchsorted(edges, sure, side="left")
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def _per_item(bins: Array, numbers: Array) -> Any:
    from scipy import sparse

    rows = np.repeat(np.arange(len(bins)), bins[0].size if len(bins) else 1)
    at = (rows, bins.ravel())
    return sparse.csr_matrix((numbers.ravel().astype(np.float64), at), shape=(len(bins), int(bins.max(initial=0)) + 1))
