"""What a floor is given and gives back: a cheap model that a tuned one must beat to be worth its cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from metier.train.config import TaskConfig
from metier.train.tasks.base import Span


@dataclass(frozen=True)
class FloorData:
    """The training split. One of labels, label_lists, values, spans is filled, as the task asks.

    classes: sorted labels, or types of spans."""

    texts: Sequence[str]
    labels: Sequence[str] | None = None
    label_lists: Sequence[Sequence[str]] | None = None
    values: Sequence[float] | None = None
    spans: Sequence[Sequence[Span]] | None = None
    pairs: Sequence[str] | None = None
    """The short text of each training example, where the task has pairs."""
    asked_pairs: Sequence[str] | None = None
    """Likewise of the test texts."""
    corpus: Sequence[str] = ()
    """Passages to be ranked for each of `asked_pairs`, where the task is retrieval."""
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FloorPrediction:
    """Answers for the test texts (n), in their order; the field of the task is filled.

    scores: (n, len(classes)) probabilities in the order of `FloorData.classes`, or None. how: a phrase for the report.
    """

    labels: list[str] | None = None
    label_lists: list[list[str]] | None = None
    values: np.ndarray | None = None
    spans: list[list[Span]] | None = None
    ranked: list[list[int]] | None = None  # places in the corpus, best first, at most 100
    scores: np.ndarray | None = None
    how: str = ""


Floor = Callable[[FloorData, list[str], TaskConfig, int], FloorPrediction]
