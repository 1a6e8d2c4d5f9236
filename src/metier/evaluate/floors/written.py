"""Floors for tasks that write or choose: the first sentences, the answer to the nearest question, the longer answer.

Purpose: what a summary, an assistant or a preference is worth shows beside what takes no model at all: the first three
sentences of the text (the usual and hard baseline of summarisation), the answer that training gives to the most
similar question, and the habit of preferring the longer answer.
Trade-off: "similar" is the cosine of TF-IDF vectors, of words and characters in spaced scripts and of characters in
Chinese (tfidf.py); it knows no synonyms.
Not covered: answers put together from several training answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from metier.errors import UserError
from metier.evaluate.floors.base import FloorData, FloorPrediction
from metier.evaluate.floors.tfidf import COEFFICIENTS, features_for
from metier.prepare.sentences import sentences
from metier.registry import register
from metier.train.config import TaskConfig

LEAD = 3  # sentences: "lead-3", the baseline of summarisation since Nallapati et al. 2017
BLOCK = 512  # test questions compared at once with all of training


@register("floor", "lead")
def lead(train: FloorData, test_texts: list[str], task: TaskConfig, seed: int) -> FloorPrediction:
    """The first three sentences of the text; of the question, where there is no text."""
    tested = _needed(train.tested, "lead", "answer")
    asked = [text or question or "" for text, question in zip(test_texts, tested["pair"].to_pylist(), strict=True)]
    return FloorPrediction(texts=[beginning(text) for text in asked], how=f"the first {LEAD} sentences of the text")


@register("floor", "nearest")
def nearest(train: FloorData, test_texts: list[str], task: TaskConfig, seed: int) -> FloorPrediction:
    """The answer of the training example whose text and question are most similar to those of the test example."""
    learned, tested = _needed(train.learned, "nearest", "answer"), _needed(train.tested, "nearest", "answer")
    answers = [answer or "" for answer in learned["answer"].to_pylist()]
    places, name = closest(questions(learned), questions(tested))
    return FloorPrediction(texts=[answers[place] for place in places],
                           how=f"the answer to the most similar training question (TF-IDF of {name})")  # fmt: skip


@register("floor", "longer")
def longer(train: FloorData, test_texts: list[str], task: TaskConfig, seed: int) -> FloorPrediction:
    """Prefer the answer with more characters; two of equal length are no preference, which counts as wrong."""
    tested = _needed(train.tested, "longer", "chosen")
    pairs = zip(tested["chosen"].to_pylist(), tested["rejected"].to_pylist(), strict=True)
    ahead = [float(len(chosen or "") - len(rejected or "")) for chosen, rejected in pairs]
    return FloorPrediction(margins=ahead, raw_margins=ahead, how="always the answer with more characters")


def beginning(text: str, number: int = LEAD) -> str:
    """The first sentences of a text, as it writes them."""
    spans = sentences(text)[:number]
    return text[spans[0][0] : spans[-1][1]] if spans else ""


def questions(examples: pa.Table) -> list[str]:
    """What each example asks: its text, and its question where there is one."""
    both = zip(examples["pair"].to_pylist(), examples["text"].to_pylist(), strict=True)
    return ["\n".join(part for part in parts if part) for parts in both]


def closest(known: list[str], asked: list[str]) -> tuple[list[int], str]:
    """For each text of `asked` the place of the most similar one of `known` (the first of equals), and by what."""
    vectoriser, name = features_for(known, COEFFICIENTS)
    try:
        have = vectoriser.fit_transform(known)
    except ValueError:  # no word and no character in any text
        return [0] * len(asked), "empty texts"
    want = vectoriser.transform(asked)
    found: list[int] = []
    for start in range(0, len(asked), BLOCK):
        found += _best(want[start : start + BLOCK] @ have.T)
    return found, name


def _best(similarity: Any) -> list[int]:
    """Column of the largest entry of each row of a sparse matrix, the first of equals; 0 for a row of zeros."""
    rows = similarity.tocsr()
    rows.sort_indices()
    places = []
    for start, end in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
        places.append(int(rows.indices[start + int(np.argmax(rows.data[start:end]))]) if end > start else 0)
    return places


def _needed(examples: pa.Table | None, name: str, column: str) -> pa.Table:
    if examples is None or column not in examples.column_names:
        raise UserError(f"the floor '{name}' needs the column `{column}` of the examples", "evaluate.floors",
                        "use it with a task that learns from such answers")  # fmt: skip
    return examples
