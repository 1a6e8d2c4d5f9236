"""What a floor is given and gives back: a cheap model that a tuned one must beat to be worth its cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

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
    corpus: Sequence[str] = ()
    """Passages to be ranked for each of `asked_pairs`, where the task is retrieval."""
    classes: tuple[str, ...] = ()
    stretches: Sequence[Sequence[tuple[int, int]]] | None = None
    """Of each test text the characters, from start to end (exclusive), that are to be foreseen; None: all of them."""
    learned: pa.Table | None = None
    """The training examples, where answers are texts."""
    tested: pa.Table | None = None
    """Likewise the test examples. Their answers are there for likelihoods and lengths, and not to be copied."""


@dataclass(frozen=True)
class FloorPrediction:
    """Answers for the test texts (n), in their order; the field of the task is filled.

    scores: (n, len(classes)) probabilities in the order of `FloorData.classes`, or None. how: a phrase for the report.
    """

    labels: list[str] | None = None
    label_lists: list[list[str]] | None = None
    values: np.ndarray | None = None
    spans: list[list[Span]] | None = None  # extract: the words found, labelled as given or not, and how sure that is
    ranked: list[list[int]] | None = None  # places in the corpus, best first, at most 100
    scores: np.ndarray | None = None
    texts: list[str] | None = None  # what was written
    finished: list[bool] | None = None  # it ended by itself
    bits: Sequence[float] | None = None  # -log2 likelihood of the gold answer, or of the text
    bytes: Sequence[int] | None = None  # of UTF-8 that the bits pay for
    tokens: Sequence[int] | None = None  # hidden ones that the bits pay for
    margins: Sequence[float] | None = None  # chosen minus rejected, a token
    raw_margins: Sequence[float] | None = None  # chosen minus rejected
    rotations: list[list[str]] | None = None  # choose: what was written for each rotation of the options
    option_bits: list[list[float]] | None = None  # choose: -log2 likelihood of each option
    how: str = ""


Floor = Callable[[FloorData, list[str], TaskConfig, int], FloorPrediction]
