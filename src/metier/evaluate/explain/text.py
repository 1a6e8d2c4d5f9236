"""Everything that is told of one answer: its words, its training examples, and how faithful that is.

Purpose: one record for the check, for the report and for `metier explain`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from metier.evaluate.config_evidence import ExplanationConfig
from metier.evaluate.explain import faithful, training, words
from metier.evaluate.explain.reading import Reading, Word, read
from metier.evaluate.explain.words import Attribution


@dataclass(frozen=True)
class Explained:
    """weights, attention: (W,). near, pushed: (row of the training examples, cosine or influence), best first."""

    answer: str
    texts: dict[str, str]
    words: list[Word]
    weights: np.ndarray
    attention: np.ndarray
    found: Attribution
    faith: faithful.Faithfulness | None
    near: list[tuple[int, float]]
    pushed: list[tuple[int, float]]


def explain(
    model: Any, row: pa.Table, settings: ExplanationConfig, random: Any, known: training.Training | None = None,
    looking: tuple[int | None, int | None] = (-1, None), listed: int = 3,
) -> Explained | None:  # fmt: skip
    """The explanation of what the model answers to one row; None where it gives no answer that could be explained.

    known: training examples, or None for none. looking: layer and head whose attention is told, None for their mean.
    listed: training examples of each kind.
    """
    reading: Reading | None = read(model, row)
    if reading is None or not reading.words:
        return None
    found = words.attribute(reading, settings.steps, settings.completeness)
    return Explained(
        reading.goal.answer, reading.texts, reading.words, found.words, words.attention(reading, *looking), found,
        faithful.faithfulness(reading, found.words, settings.random_orders, random),
        known.nearest(reading, listed) if known is not None else [],
        known.influential(reading, listed) if known is not None else [],
    )  # fmt: skip
