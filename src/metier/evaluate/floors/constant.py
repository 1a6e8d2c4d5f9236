"""Floors that read no text: the most frequent answer, the mean value."""

from __future__ import annotations

from collections import Counter

import numpy as np

from metier.errors import UserError
from metier.evaluate.floors.base import FloorData, FloorPrediction
from metier.registry import register
from metier.train.config import TaskConfig


@register("floor", "majority")
def majority(train: FloorData, test_texts: list[str], task: TaskConfig, seed: int) -> FloorPrediction:
    """Always the most frequent label (several labels: the most frequent set); ties go to the first by name.

    scores are the shares of the classes in training, so its calibration is near perfect and its accuracy is not.
    """
    n = len(test_texts)
    if train.label_lists is not None:
        sets = Counter(tuple(sorted(set(labels))) for labels in train.label_lists)
        best = list(min(sets.items(), key=lambda item: (-item[1], item[0]))[0]) if sets else []
        share = [sum(name in labels for labels in train.label_lists) for name in train.classes]
        total = max(len(train.label_lists), 1)
        return FloorPrediction(label_lists=[list(best) for _ in range(n)], scores=_rows(share, total, n),
                               how="always the set of labels that is most frequent in training")  # fmt: skip
    if train.labels is None:
        raise UserError("the floor 'majority' needs labels", "evaluate.floors", "use 'mean' for the task score")
    counts = Counter(train.labels)
    label = min(counts.items(), key=lambda item: (-item[1], item[0]))[0]
    return FloorPrediction(
        labels=[label] * n, scores=_rows([counts[name] for name in train.classes], len(train.labels), n),
        how="always the label that is most frequent in training",
    )  # fmt: skip


@register("floor", "mean")
def mean(train: FloorData, test_texts: list[str], task: TaskConfig, seed: int) -> FloorPrediction:
    """Always the mean value of training."""
    if train.values is None:
        raise UserError("the floor 'mean' needs values", "evaluate.floors", "use 'majority' for the task classify")
    value = float(np.mean(train.values))
    return FloorPrediction(values=np.full(len(test_texts), value), how="always the mean value of training")


def _rows(share: list[int], total: int, n: int) -> np.ndarray:
    return np.tile(np.asarray(share, dtype=np.float64) / total, (n, 1))
