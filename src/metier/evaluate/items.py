"""One model's answers on the test split, as arrays: what every metric, interval and test is computed from.

Purpose: metrics see codes, never strings, so that 2,000 resamples of 3,000 items are a few matrix products.
Trade-off: probabilities are kept in float32 (7 digits are more than any reported figure has), which halves memory.
Not covered: reading tables (`load.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray
CLASSIFY, MULTI_LABEL, SCORE, SPANS, RANKING = "classify", "multi_label", "score", "spans", "ranking"


@dataclass(frozen=True)
class Items:
    """The answers of one model, in the order of the test split. n items, K classes.

    kind: "classify": gold and predicted are codes (n,) of int64 into `classes`.
          "multi_label": gold and predicted are (n, K) of bool.
          "score": gold and predicted are (n,) of float64.
          "spans": gold and predicted are (n,) of tuples of (start, end, code into `classes`), by place.
          "ranking": gold are (n,) of tuples of codes of the right passages, predicted of those found, best first;
          `classes` are the passages.
    probabilities: (n, T) of float32 or None, T <= K the classes known in training; they come first in `classes`, labels
    that only the test split has come after them, so a gold code >= T is a label that no model could have learned: every
    answer to it counts as wrong.
    """

    kind: str
    gold: Array
    predicted: Array
    probabilities: Array | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.gold)


def right(items: Items) -> Array:
    """(n,) of bool: the whole answer is right (all labels or spans of it, where there may be several); of a ranking
    what stands first."""
    if items.kind == SPANS:
        return np.array([gold == found for gold, found in zip(items.gold, items.predicted, strict=True)], dtype=bool)
    if items.kind == RANKING:
        both = zip(items.gold, items.predicted, strict=True)
        return np.array([bool(found) and found[0] in gold for gold, found in both], dtype=bool)
    equal = items.gold == items.predicted
    return equal.all(axis=1) if items.kind == MULTI_LABEL else equal


def confidence(items: Items) -> Array | None:
    """How sure the model is of what it answered, in [0, 1]; None where it gives no probabilities.

    classify: (n,) the probability of the predicted label. multi_label: (n, T) of each decision, yes or no.
    """
    p = items.probabilities
    if p is None or items.kind in (SCORE, SPANS, RANKING):
        return None
    if items.kind == MULTI_LABEL:
        return np.where(items.predicted[:, : p.shape[1]], p, 1 - p)
    known = items.predicted < p.shape[1]
    column = np.where(known, items.predicted, 0)
    return np.where(known, p[np.arange(len(items)), column], 0.0)


def stack(first: Items, second: Items) -> Items:
    """2n items: the answers of one model and then of another on the same items (for swap permutations)."""
    both = None
    if first.probabilities is not None and second.probabilities is not None:
        both = np.concatenate([first.probabilities, second.probabilities])
    return replace(
        first, gold=np.concatenate([first.gold, second.gold]), probabilities=both,
        predicted=np.concatenate([first.predicted, second.predicted]),
    )  # fmt: skip


def objects(answers: Sequence[Any]) -> Array:
    """(n,) of Python objects, never a table of their parts."""
    column = np.empty(len(answers), dtype=object)
    column[:] = list(answers)
    return column
