"""Which of two answers a model prefers: the share of pairs in which it is the one that people chose.

Purpose: the log-likelihood of a longer answer is lower, and people often choose the longer one, so a share may measure
length alone. Two more figures take length out: by the mean log-likelihood of a token, and on those pairs only whose
answers are about equally long.
Trade-off: a model that finds both answers equally likely counts as wrong.
Not covered: by how much people preferred an answer.
"""

from __future__ import annotations

import numpy as np

from metier.evaluate.items import MARGINS, PREFERENCE, Array, Items
from metier.evaluate.metrics.base import Weighted, mean_of, metric, ratio

ALIKE = 0.1  # of the longer answer's characters: two answers that differ by no more are about equally long


def preferred(items: Items) -> Array:
    """(n,) 1 where the chosen answer has the higher log-likelihood."""
    return (items.more["raw_margins"] > 0).astype(np.float64)


def preferred_by_token(items: Items) -> Array:
    """(n,) 1 where the chosen answer has the higher mean log-likelihood of a token."""
    return (items.more[MARGINS] > 0).astype(np.float64)


def alike(items: Items) -> Array:
    """(n,) 1 where both answers are about equally long; the same for every model."""
    lengths = np.array([(len(chosen), len(rejected)) for chosen, rejected in items.gold], dtype=np.float64).reshape(
        -1, 2
    )
    return (np.abs(lengths[:, 0] - lengths[:, 1]) <= ALIKE * lengths.max(axis=1)).astype(np.float64)


@metric("preference_accuracy", (PREFERENCE,), "higher", ("preference accuracy", "偏好准确率"), (0.0, 1.0),
        per_item=preferred, proportion=True, needs=MARGINS)  # fmt: skip
def preference_accuracy(items: Items) -> Weighted:
    """Share of pairs in which the chosen answer is the likelier one."""
    return mean_of(preferred(items))


@metric("preference_by_token", (PREFERENCE,), "higher",
        ("preference accuracy by token (length taken out)", "按词元的偏好准确率（去除长度影响）"), (0.0, 1.0),
        per_item=preferred_by_token, proportion=True, needs=MARGINS)  # fmt: skip
def preference_by_token(items: Items) -> Weighted:
    """Share of pairs in which the chosen answer is likelier by the mean over its tokens."""
    return mean_of(preferred_by_token(items))


@metric("preference_equal_length", (PREFERENCE,), "higher",
        ("preference accuracy on pairs of equal length", "长度相当的成对回答上的偏好准确率"), (0.0, 1.0),
        per_item=lambda items: alike(items) * preferred(items), needs=MARGINS)  # fmt: skip
def preference_equal_length(items: Items) -> Weighted:
    """As preference_accuracy, on the pairs alone whose answers are about equally long; NaN without any."""
    counted, right = alike(items), preferred(items)
    return ratio(counted * right, counted)
