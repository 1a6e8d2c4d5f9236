"""What a floor is given and gives back: a cheap model that a tuned one must beat to be worth its cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from metier.train.config import TaskConfig
from metier.train.tasks.base import Span


@dataclass(frozen=True)
class FloorData:
    """The training split. One of labels, label_lists, values, spans, answers is filled, as the task asks.

    classes: sorted labels, or types of spans."""

    texts: Sequence[str]
    labels: Sequence[str] | None = None
    label_lists: Sequence[Sequence[str]] | None = None
    values: Sequence[float] | None = None
    spans: Sequence[Sequence[Span]] | None = None
    answers: Sequence[Sequence[tuple[int, int]]] | None = None
    """For each question its gold answers, characters from start to end (exclusive) of its text."""
    pairs: Sequence[str] | None = None
    """The short text of each training example, where the task has pairs."""
    asked_pairs: Sequence[str] | None = None
    """Likewise of the test texts."""
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FloorPrediction:
    """Answers for the test texts (n), in their order; the field of the task is filled.

    scores: (n, len(classes)) probabilities in the order of `FloorData.classes`, or None. how: a phrase for the report.
    """

    labels: list[str] | None = None
    label_lists: list[list[str]] | None = None
    values: np.ndarray | None = None
    spans: list[list[Span]] | None = None  # extract: the words found, labelled as given or not, and how sure that is
    scores: np.ndarray | None = None
    how: str = ""


Floor = Callable[[FloorData, list[str], TaskConfig, int], FloorPrediction]
