"""Metrics of written answers: how much of the right answer they hold, and whether they are answers at all.

Purpose: English and Chinese by one measure each. ROUGE-L (Lin 2004) compares words, and a Chinese character is one;
chrF (Popović 2015) compares stretches of 1 to 6 characters and equals sacrebleu's, whose corpus figure it is;
exact match and F1 of words follow SQuAD and CMRC (words.py). An answer that is the right one, character by
character, has 1.0 in each of them.
Trade-off: all of them see words, not meaning; a right answer in other words counts for little, which is why the report
shows answers side by side.
Not covered: judges that are models themselves.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from itertools import pairwise

import numpy as np

from metier.errors import need
from metier.evaluate import words
from metier.evaluate.items import FINISHED, TEXT, TEXTS, Array, Items
from metier.evaluate.metrics.base import Sums, Weighted, mean_of, metric
from metier.train.tasks.bio import WIDE

ORDERS, BETA = 6, 2.0  # of chrF: Popović 2015, and sacrebleu's defaults
# A number with its point, a character of a script without spaces, or a word.
_UNIT = re.compile(rf"\d+(?:[.,]\d+)*|[{WIDE}]|(?:(?![{WIDE}\d_])\w)+")
_CACHE = 1 << 16  # pairs of texts; every model's answers are looked at several times


@lru_cache(_CACHE)
def units(text: str) -> tuple[str, ...]:
    """Words as ROUGE counts them: case and width do not matter, punctuation is none; () where there are none."""
    return tuple(_UNIT.findall(unicodedata.normalize("NFKC", text).casefold()))


@lru_cache(_CACHE)
def overlap(answer: str, gold: str) -> float:
    """ROUGE-L of one answer: F1 of the longest common subsequence of words, in [0, 1]."""
    if answer == gold:
        return 1.0
    one, two = units(answer), units(gold)
    if not one or not two:
        return 0.0
    return float(2 * need("rapidfuzz.distance", "evaluate").LCSseq.similarity(one, two) / (len(one) + len(two)))


@lru_cache(_CACHE)
def stretches(answer: str, gold: str) -> tuple[int, ...]:
    """For 1 to 6 characters: how many stretches the answer has, how many the gold answer, how many both; white space
    does not count. An answer's stretches that are longer than the whole gold answer are left out."""
    one, two = "".join(answer.split()), "".join(gold.split())
    found: list[int] = []
    for size in range(1, ORDERS + 1):
        first, second = (Counter(text[at : at + size] for at in range(len(text) - size + 1)) for text in (one, two))
        found += [first.total() if second else 0, second.total(), (first & second).total()]
    return tuple(found)


def f_score(counts: Array) -> Array:
    """counts (B, 18) as `stretches` gives them, or sums of such -> (B,) chrF in [0, 1]."""
    have, wanted, shared = (counts[:, place::3].astype(np.float64) for place in range(3))
    both = (have > 0) & (wanted > 0)
    orders = np.maximum(both.sum(axis=1), 1)
    precision, recall = (
        np.divide(shared, below, out=np.zeros_like(shared), where=both).sum(axis=1) / orders for below in (have, wanted)
    )
    bottom = BETA**2 * precision + recall
    result = np.zeros(len(counts))
    return np.divide((1 + BETA**2) * precision * recall, bottom, out=result, where=bottom > 0)


def character_f(items: Items) -> Array:
    """(n,) chrF of each answer by itself."""
    pairs = _pairs(items)
    own = f_score(np.array([stretches(*pair) for pair in pairs]).reshape(len(items), 3 * ORDERS))
    return np.where([one == two for one, two in pairs], 1.0, own)


def overlaps(items: Items) -> Array:
    """(n,) ROUGE-L of each answer."""
    return np.array([overlap(*pair) for pair in _pairs(items)])


def exact(items: Items) -> Array:
    """(n,) 1 where the words are those of the gold answer."""
    return np.array([words.exact_match(answer, (gold,)) for answer, gold in _pairs(items)])


def shared_words(items: Items) -> Array:
    """(n,) F1 of words, whatever their order."""
    return np.array([words.token_f1(answer, (gold,)) for answer, gold in _pairs(items)])


def ended(items: Items) -> Array:
    """(n,) 1 where the model stopped by itself."""
    return items.more[FINISHED].astype(np.float64)


def silent(items: Items) -> Array:
    """(n,) 1 where nothing was written."""
    return np.array([float(not answer.strip()) for answer in items.predicted])


def variety(items: Items) -> Array:
    """(n,) different pairs of neighbouring words among all of an answer; 1 for a single word, 0 for none."""
    found = []
    for answer in items.predicted:
        pairs = list(pairwise(units(answer)))
        found.append(len(set(pairs)) / len(pairs) if pairs else float(bool(units(answer))))
    return np.array(found)


@metric("rouge_l", (TEXT,), "higher", ("ROUGE-L", "ROUGE-L"), (0.0, 1.0), per_item=overlaps, needs=TEXTS)
def rouge_l(items: Items) -> Weighted:
    """Mean over the answers of the F1 of the longest common subsequence of words."""
    return mean_of(overlaps(items))


@metric("chrf", (TEXT,), "higher", ("chrF", "chrF"), (0.0, 1.0), needs=TEXTS)
def chrf(items: Items) -> Weighted:
    """chrF of all answers together: stretches of characters are counted over the whole test set, as sacrebleu does."""
    counts = np.array([stretches(*pair) for pair in _pairs(items)], dtype=np.float64).reshape(len(items), 3 * ORDERS)
    return Sums(counts, f_score)


@metric("token_f1", (TEXT,), "higher", ("F1 of words", "词级 F1"), (0.0, 1.0), per_item=shared_words, needs=TEXTS)
def token_f1(items: Items) -> Weighted:
    """Mean F1 of words, whatever their order."""
    return mean_of(shared_words(items))


@metric("exact_match", (TEXT,), "higher", ("exact match", "完全匹配率"), (0.0, 1.0), per_item=exact, proportion=True,
        needs=TEXTS)  # fmt: skip
def exact_match(items: Items) -> Weighted:
    """Share of answers whose words are those of the gold answer."""
    return mean_of(exact(items))


@metric("finished", (TEXT,), "higher", ("share of finished answers", "完整结束的回答比例"), (0.0, 1.0), per_item=ended,
        proportion=True, needs=FINISHED)  # fmt: skip
def finished(items: Items) -> Weighted:
    """Share of answers that the model ended itself, and not the limit of their length."""
    return mean_of(ended(items))


@metric("empty", (TEXT,), "lower", ("share of empty answers", "空回答比例"), (0.0, 1.0), per_item=silent,
        proportion=True, needs=TEXTS)  # fmt: skip
def empty(items: Items) -> Weighted:
    """Share of answers that say nothing."""
    return mean_of(silent(items))


@metric("distinct_2", (TEXT,), "higher", ("variety within an answer (distinct-2)", "回答内部的多样性（distinct-2）"),
        (0.0, 1.0), per_item=variety, needs=TEXTS)  # fmt: skip
def distinct_2(items: Items) -> Weighted:
    """Mean share of different pairs of neighbouring words within an answer: a model that goes round in circles is near
    0. Li et al. 2016 count it over all answers; within each it can be compared answer by answer."""
    return mean_of(variety(items))


def _pairs(items: Items) -> list[tuple[str, str]]:
    return list(zip(items.predicted, items.gold, strict=True))
