"""Floors of extraction: the sentence that is nearest to the question by its words, and "no answer" to everything.

Purpose: what looking for the question's words in the text gives, without any model. The sentences of a text are
ranked by BM25 among each other (train/bm25.py), cut as prepare cuts them. Where questions may have no answer, the score
from which the sentence is given is the one that would have served best on the training split.
Not covered: a part of a sentence; the words of the answer itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from metier.errors import UserError
from metier.evaluate.floors.base import FloorData, FloorPrediction
from metier.evaluate.words import token_f1
from metier.prepare.sentences import sentences
from metier.registry import register
from metier.train.bm25 import Index
from metier.train.config import TaskConfig
from metier.train.tasks.base import Span
from metier.train.tasks.extract import GIVEN, WITHHELD

LEARNED_FROM = 2000  # training questions, spread evenly, on which the least score is chosen


@register("floor", "best_sentence")
def best_sentence(train: FloorData, test_texts: list[str], task: TaskConfig, seed: int) -> FloorPrediction:
    """The sentence of each text that is nearest to its question."""
    if train.answers is None or train.pairs is None or train.asked_pairs is None:
        raise UserError(
            "the floor 'best_sentence' needs questions with answers", "evaluate.floors", "use it with extract"
        )
    found = [nearest(text, question) for text, question in zip(test_texts, train.asked_pairs, strict=True)]
    least = _least(train, train.pairs) if task.no_answer else -1.0
    spans = []
    for one in found:
        label = GIVEN if one[2] > least else WITHHELD
        spans.append([Span(one[0], one[1], label, one[2] / (1 + one[2]))] if one[0] < one[1] else [])
    how = "the sentence of the text that is nearest to the question by BM25"
    return FloorPrediction(spans=spans, how=how + (f", if it scores more than {least:.2f}" if task.no_answer else ""))


@register("floor", "no_answer")
def no_answer(train: FloorData, test_texts: list[str], task: TaskConfig, seed: int) -> FloorPrediction:
    """Never an answer."""
    if train.answers is None:
        raise UserError("the floor 'no_answer' needs questions with answers", "evaluate.floors", "use it with extract")
    return FloorPrediction(spans=[[] for _ in test_texts], how="says that no text holds an answer")


def nearest(text: str, question: str) -> tuple[int, int, float]:
    """(start, end, score) of the best sentence, the first of equally good ones; (0, 0, 0.0) where there is none."""
    places, index = _indexed(text)
    if not places:
        return 0, 0, 0.0
    scores = next(iter(index.scores([question])))[0]
    best = int(scores.argmax())
    return (*places[best], float(scores[best]))


@lru_cache(maxsize=8)  # the questions about one text follow each other
def _indexed(text: str) -> tuple[list[tuple[int, int]], Index]:
    places = sentences(text)
    return places, Index([text[start:end] for start, end in places])


def _least(train: FloorData, questions: Sequence[str]) -> float:
    """The score above which giving the sentence is better than saying "no answer", over the training questions."""
    assert train.answers is not None
    chosen = np.unique(np.linspace(0, len(train.texts) - 1, min(LEARNED_FROM, len(train.texts))).astype(int))
    judged = []
    for number in chosen:
        text, gold = train.texts[number], [train.texts[number][start:end] for start, end in train.answers[number]]
        start, end, score = nearest(text, questions[number])
        judged.append((score, token_f1(text[start:end], gold) - token_f1("", gold)))
    judged.sort(reverse=True)
    gains = np.cumsum([gain for _, gain in judged])
    best = int(gains.argmax())
    return judged[best + 1][0] if gains[best] > 0 and best + 1 < len(judged) else -1.0 if gains[best] > 0 else math.inf
