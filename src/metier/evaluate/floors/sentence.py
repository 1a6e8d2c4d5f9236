"""Floors of extraction: the sentence that is nearest to the question by its words, and "no answer" to everything.

Purpose: what looking for the question's words in the text gives, without any model. The sentences of a text are
ranked by BM25 (Robertson & Zaragoza 2009) among each other; words are those of `words.py`, and pairs of neighbouring
characters in Chinese, where a single one says little. Where questions may have no answer, the score from which the
sentence is given is the one that would have served best on the training split.
Not covered: a part of a sentence; the words of the answer itself.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from metier.errors import UserError
from metier.evaluate.floors.base import FloorData, FloorPrediction
from metier.evaluate.words import token_f1, words
from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.tasks.base import Span
from metier.train.tasks.bio import WIDE
from metier.train.tasks.extract import GIVEN, WITHHELD

K1, B = 1.2, 0.75  # the usual parameters: Robertson & Zaragoza 2009, section 3.5
_SENTENCE = re.compile(r"[^\n。！？；.!?;]*(?:[。！？；]+|[.!?;]+(?=\s|$)|[.!?;]|\n|$)")
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
    places = sentences(text)
    if not places:
        return 0, 0, 0.0
    counts = [Counter(_terms(text[start:end])) for start, end in places]
    sizes = [counter.total() for counter in counts]
    mean = sum(sizes) / len(sizes) or 1.0
    asked = set(_terms(question))
    standing = Counter(term for counter in counts for term in asked & counter.keys())
    weight = {term: math.log(1 + (len(places) - n + 0.5) / (n + 0.5)) for term, n in standing.items()}
    scores = [
        sum(weight[term] * counter[term] * (K1 + 1) / (counter[term] + K1 * (1 - B + B * size / mean))
            for term in asked & counter.keys())
        for counter, size in zip(counts, sizes, strict=True)
    ]  # fmt: skip
    best = max(range(len(places)), key=lambda number: (scores[number], -number))
    return (*places[best], scores[best])


def sentences(text: str) -> list[tuple[int, int]]:
    """Characters of each sentence, without spaces at its edges. A point within a word or a number ends none."""
    found, at = [], 0
    for match in _SENTENCE.finditer(text):
        start, end = at, match.end()
        if end < len(text) and match.group()[-1:] in ".!?;" and not text[end].isspace():
            continue  # goes on: 3.5, example.com
        at = end
        words_ = text[start:end]
        if words_.strip():
            found.append((start + len(words_) - len(words_.lstrip()), end - len(words_) + len(words_.rstrip())))
    return found


def _terms(text: str) -> list[str]:
    """Words, and pairs of neighbouring Chinese characters (a lone one stands for itself)."""
    out, run = [], ""
    for word in (*words(text), ""):
        if len(word) == 1 and re.match(rf"[{WIDE}]", word):
            run += word
            continue
        out += ["".join(pair) for pair in pairwise(run)] if len(run) > 1 else [run] if run else []
        run = ""
        out += [word] if word else []
    return out


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
