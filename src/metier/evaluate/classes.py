"""Figures within one model: each class, the confusion table, the reliability curve.

Recall, precision and F1 of a class are proportions (F1 through right / (gold or answered)), so they have closed-form
intervals that hold for classes of five items too. A class without gold items has recall null with n = 0, never 0.0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from metier.evaluate.intervals import f1_from_overlap, finite, proportions
from metier.evaluate.items import CLASSIFY, MULTI_LABEL, Array, Items, confidence, right
from metier.evaluate.metrics.base import Metric, Weighted, ratio
from metier.evaluate.metrics.classify import bin_codes, class_tables
from metier.evaluate.resample import Units

Figure = dict[str, float | int | None]


def per_class(items: Items, unit: Units, alpha: float) -> list[dict[str, Any]]:
    """One row a class: {"label", "n" gold items, "predicted" answers, "precision", "recall", "f1": figures}."""
    hit, gold, answered = class_tables(items)
    union = gold + answered - hit
    parts = {
        "precision": (proportions(hit, answered, unit, alpha), _sum(answered)),
        "recall": (proportions(hit, gold, unit, alpha), _sum(gold)),
        "f1": (tuple(f1_from_overlap(part) for part in proportions(hit, union, unit, alpha)), _sum(union)),
    }
    rows = []
    for index, label in enumerate(items.classes):
        row: dict[str, Any] = {"label": label, "n": int(_sum(gold)[index]), "predicted": int(_sum(answered)[index])}
        for name, ((share, low, high), n) in parts.items():
            row[name] = figure(share[index], low[index], high[index], int(n[index]))
        rows.append(row)
    return rows


def confusion(items: Items) -> dict[str, Any]:
    """{"labels", "counts"}: counts[gold][predicted], in the order of the classes."""
    k = len(items.classes)
    counts = np.bincount(items.gold * k + items.predicted, minlength=k * k).reshape(k, k)
    return {"labels": list(items.classes), "counts": counts.tolist()}


def reliability(items: Items) -> list[dict[str, Any]]:
    """Ten bins of equal size by confidence (fewer when many confidences are equal): mean confidence and share right.

    The bins of the calibration error. Empty for models without probabilities.
    """
    sure = confidence(items)
    if sure is None or not sure.size:
        return []
    decided = right(items) if sure.ndim == 1 else (items.gold == items.predicted)[:, : sure.shape[1]]
    sure, decided = sure.ravel().astype(np.float64), decided.ravel()
    bins = bin_codes(sure)
    rows = []
    for code in range(int(bins.max()) + 1):
        inside = bins == code
        rows.append({
            "low": float(sure[inside].min()), "high": float(sure[inside].max()), "n": int(inside.sum()),
            "confidence": float(sure[inside].mean()), "accuracy": float(decided[inside].mean()),
        })  # fmt: skip
    return rows


def figure(value: float | None, low: float | None, high: float | None, n: int) -> Figure:
    """A figure as the results keep it; NaN becomes null, and what does not exist has n = 0."""
    value = finite(value)
    if value is None:
        return {"value": None, "low": None, "high": None, "n": 0}
    return {"value": value, "low": finite(low), "high": finite(high), "n": n}


def _sum(table: Any) -> Array:
    return np.asarray(table.sum(axis=0)).ravel()


def class_metric(name: str, label: str, code: int) -> Metric:
    """Precision, recall or F1 of one class as a metric of its own, for criteria that compare it between models.

    name: precision, recall or f1. code: the label's place in `Items.classes`.
    """

    def over(items: Items) -> Weighted:
        hit, gold, answered = (table[:, [code]].toarray().ravel() for table in class_tables(items))
        top, bottom = {
            "recall": (hit, gold), "precision": (hit, answered), "f1": (2 * hit, gold + answered),
        }[name]  # fmt: skip
        return ratio(top, bottom)

    full = f"{name}[{label}]"
    return Metric(full, over, (CLASSIFY, MULTI_LABEL), "higher", full, full, 0.0, 1.0)
