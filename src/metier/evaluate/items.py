"""One model's answers on the test split, as arrays: what every metric, interval and test is computed from.

Purpose: metrics see codes, never strings, so that 2,000 resamples of 3,000 items are a few matrix products.
Trade-off: probabilities are kept in float32 (7 digits are more than any reported figure has), which halves memory.
Not covered: reading tables (`load.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from metier.evaluate.words import exact_match

Array = np.ndarray
CLASSIFY, MULTI_LABEL, SCORE, SPANS, ANSWERS = "classify", "multi_label", "score", "spans", "answers"
RANKING = "ranking"
TEXT, BITS, PREFERENCE, CHOICE = "text", "bits", "preference", "choice"
LABELLED = (CLASSIFY, MULTI_LABEL, SPANS)  # kinds that have classes
WRITTEN = (TEXT, BITS, PREFERENCE, CHOICE)  # kinds whose answers, or what is learned, are texts
# What a model of a written kind may give: its answers, whether each ended by itself, likelihoods, preferences.
TEXTS, FINISHED, LIKELIHOODS, MARGINS = "texts", "finished", "bits", "margins"
NUMBERS = "numbers"  # whether the numbers of an answer are right (metrics/numbers.py)
HIDDEN, GENERAL = (
    "tokens",
    "general",
)  # hidden tokens that the bits pay for; whether a text is general, not of the field


class Found(NamedTuple):
    """What a model found in a text as the answer to a question: its words, and whether they are given as the answer."""

    words: str = ""
    given: bool = False

    @property
    def answer(self) -> str:
        """The words that are given; "": the text holds no answer."""
        return self.words if self.given else ""


@dataclass(frozen=True)
class Items:
    """The answers of one model, in the order of the test split. n items, K classes.

    kind: "classify": gold and predicted are codes (n,) of int64 into `classes`.
          "multi_label": gold and predicted are (n, K) of bool.
          "score": gold and predicted are (n,) of float64.
          "spans": gold and predicted are (n,) of tuples of (start, end, code into `classes`), by place.
          "answers": gold is (n,) of tuples of words, () where there is no answer; predicted is (n,) of `Found`.
          "text": gold and predicted are (n,) of str. "bits": gold are (n,) of str, predicted (n,) bits of each.
          "choice": gold and predicted are (n,) places of options, in the order of the data; -1: none was named.
          "preference": gold are (n,) of (chosen, rejected), predicted (n,) of bool: the chosen one is preferred.
    more: by name, what a written kind holds beside its answers, each (n,): `texts` (as predicted), `finished` of bool,
    `bits` of float64 with the `bytes` (and hidden `tokens`) that they pay for, `general` of bool, `margins` and
    `raw_margins`. A model that lacks a name lacks the metrics that need it.
          "ranking": gold are (n,) of tuples of codes of the right passages, predicted of those found, best first;
          `classes` are the passages.
    probabilities: (n, T) of float32 or None, T <= K the classes known in training; they come first in `classes`, labels
    that only the test split has come after them, so a gold code >= T is a label that no model could have learned: every
    answer to it counts as wrong. answers: (n, 1), how sure the model is of the words that it found.
    """

    kind: str
    gold: Array
    predicted: Array
    probabilities: Array | None = None
    classes: tuple[str, ...] = ()
    more: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.gold)


def right(items: Items) -> Array:
    """(n,) of bool: the whole answer is right (all labels or spans of it, where there may be several); of a ranking
    what stands first."""
    if items.kind == PREFERENCE:
        return np.asarray(items.predicted, dtype=bool)
    if items.kind == SPANS:
        return np.array([gold == found for gold, found in zip(items.gold, items.predicted, strict=True)], dtype=bool)
    if items.kind == ANSWERS:
        same = [exact_match(found.answer, gold) for gold, found in zip(items.gold, items.predicted, strict=True)]
        return np.array(same, dtype=bool)
    if items.kind == RANKING:
        both = zip(items.gold, items.predicted, strict=True)
        return np.array([bool(found) and found[0] in gold for gold, found in both], dtype=bool)
    equal = items.gold == items.predicted
    return equal.all(axis=1) if items.kind == MULTI_LABEL else equal


def confidence(items: Items) -> Array | None:
    """How sure the model is of what it answered, in [0, 1]; None where it gives no probabilities.

    classify: (n,) the probability of the predicted label. answers: (n,) of the words found, or of "no answer".
    multi_label: (n, T) of each decision, yes or no.
    """
    p = items.probabilities
    if p is None or items.kind not in (CLASSIFY, MULTI_LABEL, ANSWERS):
        return None
    if items.kind == ANSWERS:
        given = np.array([found.given for found in items.predicted], dtype=bool)
        return np.where(given, p[:, 0], 1 - p[:, 0])
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
    more = {name: np.concatenate([first.more[name], second.more[name]]) for name in first.more if name in second.more}
    return replace(
        first, more=more, gold=np.concatenate([first.gold, second.gold]), probabilities=both,
        predicted=np.concatenate([first.predicted, second.predicted]),
    )  # fmt: skip


def take(items: Items, rows: Array) -> Items:
    """The answers to some of the items, by index; an item may be taken more than once."""
    p = items.probabilities
    return replace(
        items, gold=items.gold[rows], predicted=items.predicted[rows], probabilities=None if p is None else p[rows],
        more={name: column[rows] for name, column in items.more.items()},
    )  # fmt: skip


def objects(answers: Sequence[Any]) -> Array:
    """(n,) of Python objects, never a table of their parts."""
    column = np.empty(len(answers), dtype=object)
    column[:] = list(answers)
    return column
