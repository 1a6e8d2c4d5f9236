"""The number that is explained: what a model says for its answer, as a weighted sum of its logits.

classify and relate: the logit of the answer minus the mean of the others; of several labels the surest one's logit.
score: the value. tag: the mean logit of the surest entity's tags. extract: start and end of the best answer above the
null. Writing: the log-likelihood of what was written (pretrain: of the text).
A weighted sum, so that its gradient by the head is known in closed form (training.py).
Shapes: R rows of logits, K outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from metier.train.tasks.base import COMBINE, softmax


@dataclass(frozen=True)
class Goal:
    """answer: what the number speaks for. weights: float32 (R, K), the number is their sum with the logits."""

    answer: str
    weights: Any


def goal(task: Any, encoded: Any, logits: Any) -> Goal | None:
    """The goal of one text; None where there is no answer to explain (no entity, no text).

    encoded: the `Encoded` of one text. logits: (R, K) of it as a NumPy array.
    """
    name = task.config.name
    weights = np.zeros(logits.shape, np.float32)
    if name == "score":
        weights[:] = task.spread / len(logits)
        return Goal(f"{task.decode(logits, encoded).values[0]:.4g}", weights)
    if name == "tag":
        return _entity(task, encoded, logits, weights)
    if name == "extract":
        return _answer(task, encoded, logits, weights)
    how = getattr(task, "combine", COMBINE[0])
    combined = logits.mean(axis=0) if how == "mean" else logits.max(axis=0)
    best = int(combined.argmax())
    column = np.zeros(logits.shape[1], np.float32)
    if not task.config.multi_label:
        column[:] = -1.0 / max(1, len(column) - 1)
    column[best] = 1.0
    if how == "mean":
        weights[:] = column / len(logits)
    else:  # each class is decided by the window that says most for it
        weights[logits.argmax(axis=0), np.arange(len(column))] = column
    return Goal(task.classes[best], weights)


def _entity(task: Any, encoded: Any, logits: Any, weights: Any) -> Goal | None:
    found = task.decode(logits, encoded).spans[0]
    if not found:
        return None
    span = max(found, key=lambda one: one.score)
    inside = [row for row, (start, end) in enumerate(encoded.places[0]) if start >= span.start and end <= span.end]
    if not inside:
        return None
    first = 1 + 2 * task.types.index(span.label)
    for place, row in enumerate(inside):
        weights[row, first + bool(place)] = 1.0 / len(inside)
    return Goal(span.label, weights)


def _answer(task: Any, encoded: Any, logits: Any, weights: Any) -> Goal | None:
    from metier.train.tasks.extract import best_span

    at, best = 0, None
    for start, end in encoded.places[0].ranges:
        size = 1 + end - start
        found = best_span(logits[at : at + size], task.config.max_answer_tokens)
        if found is not None and (best is None or found[2] > best[1][2]):
            best = at, found
        at += size
    if best is None:
        return None
    at, (first, last, _) = best
    weights[at + first, 0] += 1.0
    weights[at + last, 1] += 1.0
    weights[at] -= 1.0
    span = task.decode(logits, encoded).spans[0][0]
    return Goal(encoded.places[0].text[span.start : span.end], weights)


def sure(logits: Any, multi_label: bool) -> float:
    """How sure the model is of its first answer, in [0, 1]; logits (R, K) of classify or relate."""
    mean = logits.mean(axis=0, keepdims=True)
    return float(1 / (1 + np.exp(-mean.max()))) if multi_label else float(softmax(mean).max())
