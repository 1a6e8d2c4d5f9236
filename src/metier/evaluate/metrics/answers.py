"""Metrics of extracted answers: same words, shared words, both kinds of question apart, and how well the model ranks.

Words are compared as SQuAD and CMRC do (`words.py`), the best gold answer counts; "no answer" is right where there is
none. The ranking figures follow the evaluation of CUAD (Hendrycks et al. 2021): every (text, question) gives the words
that the model found best, whether or not it gives them, with their score; they are right when they share half of their
words with a gold answer (Jaccard >= 0.5), and recall is over the questions that have one. CUAD's script joins points by
straight lines, here each step counts as it is (as scikit-learn's average precision does), which is lower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from metier.evaluate.items import ANSWERS, Array, Items, right
from metier.evaluate.metrics.base import Weighted, divide, mean_of, metric, ratio
from metier.evaluate.words import token_f1, words

KIND = (ANSWERS,)
OVERLAP = 0.5  # Jaccard similarity of words from which a clause is found: CUAD's IOU_THRESH
RECALL = 0.8  # at which precision is told


def exact(items: Items) -> Array:
    """(n,) 1.0 where the words are those of a gold answer, or there is none and none is given."""
    return right(items).astype(np.float64)


def shared(items: Items) -> Array:
    """(n,) F1 of the words that are shared with the best gold answer."""
    scores = [token_f1(found.answer, gold) for gold, found in zip(items.gold, items.predicted, strict=True)]
    return np.array(scores, dtype=np.float64)


@metric("answer_f1", KIND, "higher", ("answer F1", "答案 F1"), (0.0, 1.0), per_item=shared)
def answer_f1(items: Items) -> Weighted:
    """Mean over the questions of the F1 of words (of characters in Chinese)."""
    return mean_of(shared(items))


@metric("answer_exact", KIND, "higher", ("exact match", "完全匹配率"), (0.0, 1.0), per_item=exact, proportion=True)
def answer_exact(items: Items) -> Weighted:
    """Share of the questions that are answered in the very words of a gold answer."""
    return mean_of(exact(items))


@metric("has_answer_f1", KIND, "higher", ("F1 where there is an answer", "有答案问题的 F1"), (0.0, 1.0))
def has_answer_f1(items: Items) -> Weighted:
    """answer_f1 over the questions that have an answer; NaN where there are none."""
    return _mean_over(shared(items), _answerable(items))


@metric("no_answer_accuracy", KIND, "higher", ("accuracy where there is none", "无答案问题的准确率"), (0.0, 1.0))
def no_answer_accuracy(items: Items) -> Weighted:
    """Share of the questions without an answer to which none is given; NaN where there are none."""
    return _mean_over(exact(items), 1 - _answerable(items))


@metric("aupr", KIND, "higher", ("area under precision and recall", "精确率-召回率曲线下面积"), (0.0, 1.0), swap=False,
        probabilities=True)  # fmt: skip
def aupr(items: Items) -> Weighted:
    """Average precision over all (text, question); NaN where no question has an answer."""
    return _of_curve(items, lambda precision, recall: (precision * np.diff(recall, axis=1, prepend=0.0)).sum(axis=1))


@metric("precision_at_80_recall", KIND, "higher", ("precision at 80 % recall", "召回率 80% 时的精确率"), (0.0, 1.0),
        swap=False, probabilities=True)  # fmt: skip
def precision_at_80_recall(items: Items) -> Weighted:
    """The best precision at a recall of 80 % or more; 0 where that recall is never reached."""
    return _of_curve(items, lambda precision, recall: np.where(recall >= RECALL - 1e-12, precision, 0.0).max(
        axis=1, initial=0.0))  # fmt: skip


def overlaps(found: str, gold: Sequence[str]) -> bool:
    """Whether the words found are half of those of some gold answer together with them (Jaccard, each word once)."""
    have = set(words(found))
    return any(len(have & want) >= OVERLAP * len(have | want) for one in gold if (want := set(words(one))))


def _of_curve(items: Items, summed: Callable[[Array, Array], Array]) -> Weighted:
    """A figure of precision and recall (B, cuts) as ever more of the surest findings are taken, those of equal score
    together; NaN where no question drawn has an answer."""
    assert items.probabilities is not None
    sure = items.probabilities[:, 0]
    order = np.argsort(-sure, kind="stable")
    last = np.append(np.diff(sure[order]) != 0, True) & (sure[order] > 0)  # a score of 0 is nothing found
    hit = np.array([bool(gold) and overlaps(found.words, gold) for gold, found in
                    zip(items.gold[order], items.predicted[order], strict=True)], dtype=np.float64)  # fmt: skip
    answerable = _answerable(items)

    def values(weights: Array) -> Array:
        drawn, wanted = weights[:, order], weights @ answerable
        taken, good = (np.cumsum(part, axis=1)[:, last] for part in (drawn, drawn * hit))
        precision, recall = np.nan_to_num(divide(good, taken)), np.nan_to_num(divide(good, wanted[:, None]))
        return np.where(wanted > 0, summed(precision, recall), np.nan)

    return values


def _answerable(items: Items) -> Array:
    return np.array([bool(gold) for gold in items.gold], dtype=np.float64)


def _mean_over(numbers: Array, chosen: Array) -> Weighted:
    return ratio(numbers * chosen, chosen)
