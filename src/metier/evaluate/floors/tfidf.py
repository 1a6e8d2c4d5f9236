"""The floor that is hard to beat: TF-IDF of words and characters, and a linear model. Seconds on one core.

Space-separated scripts: words 1-2 and characters 3-5 inside words, as in the figure this project is held against
(Banking77: 90.97 % accuracy with a linear SVM). Chinese: characters 1-3, because its words are not separated. Mixed
text: both. Which one is chosen follows from the share of Chinese characters in the training texts.
Trade-off: the SVM's C stays at 1.0, untuned: a floor must not cost more than it tells. Its margins become
probabilities by a softmax whose temperature is fitted on a fifth of the training split, when that is cheap.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from metier.errors import need
from metier.evaluate.floors.base import FloorData, FloorPrediction
from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.tasks.bio import units

CALIBRATE_ITEMS = 20_000  # beyond so many training texts the second fit costs minutes and is left out
COEFFICIENTS = 40_000_000  # classes times features, at most: 320 MB of float64
TEMPERATURES = np.geomspace(0.02, 5.0, 60)
NO_TEMPERATURE = 0.25  # when there is nothing to fit it on: the usual size on the data sets that were tried


@register("floor", "tfidf")
def tfidf(train: FloorData, test_texts: list[str], task: TaskConfig, seed: int) -> FloorPrediction:
    """TF-IDF with a linear SVM (labels; one against the rest for several) or ridge regression (values)."""
    outputs = max(len(train.classes), 1)
    texts = list(train.texts)
    features, name = features_for(texts, COEFFICIENTS // outputs)
    try:
        known = features.fit_transform(texts)
    except ValueError:  # no word and no character in any text: nothing to learn from
        known, new, name = np.zeros((len(texts), 1)), np.zeros((len(test_texts), 1)), "empty texts"
    else:
        new = features.transform(test_texts)
    if train.pairs is not None and train.asked_pairs is not None:
        known, new = _with_pairs(train, test_texts, known, new, COEFFICIENTS // outputs)
        name += ", of both texts and of what they share"
    if train.values is not None:
        ridge = need("sklearn.linear_model", "evaluate").Ridge(alpha=1.0, random_state=seed)
        return FloorPrediction(values=np.asarray(ridge.fit(known, np.asarray(train.values)).predict(new)),
                               how=f"TF-IDF of {name}, ridge regression")  # fmt: skip
    if train.label_lists is not None:
        return _several(train, known, new, name, seed)
    return _single(train, known, new, name, seed)


def _single(train: FloorData, known: Any, new: Any, name: str, seed: int) -> FloorPrediction:
    codes = _codes(train.labels or [], train.classes)
    margins = _margins(known, codes, new, len(train.classes), seed)
    temperature, note = NO_TEMPERATURE, "confidences are not calibrated (softmax of the margins)"
    kept, held = _held_out(len(codes), seed)
    if 50 <= len(codes) <= CALIBRATE_ITEMS:
        trial = _margins(known[kept], codes[kept], known[held], len(train.classes), seed)
        temperature = _temperature(trial, codes[held])
        note = "confidences calibrated on a fifth of the training split"
    labels = [train.classes[code] for code in margins.argmax(axis=1)]
    return FloorPrediction(labels=labels, scores=_softmax(margins / temperature),
                           how=f"TF-IDF of {name}, linear SVM; {note}")  # fmt: skip


def _several(train: FloorData, known: Any, new: Any, name: str, seed: int) -> FloorPrediction:
    place = {label: index for index, label in enumerate(train.classes)}
    gold = np.zeros((len(train.texts), len(train.classes)), dtype=np.int64)
    for row, labels in enumerate(train.label_lists or []):
        gold[row, [place[label] for label in labels]] = 1
    kept, held = _held_out(len(gold), seed)
    calibrate = 50 <= len(gold) <= CALIBRATE_ITEMS
    margins, scores = np.zeros((2, new.shape[0], gold.shape[1]))
    for column in range(gold.shape[1]):
        margins[:, column] = _binary(known, gold[:, column], new, seed)
        temperature = NO_TEMPERATURE
        if calibrate:
            trial = _binary(known[kept], gold[kept, column], known[held], seed)
            temperature = _temperature(np.outer(trial, [-0.5, 0.5]), gold[held, column])
        scores[:, column] = _softmax(np.outer(margins[:, column], [-0.5, 0.5]) / temperature)[:, 1]
    lists = [[train.classes[index] for index in np.flatnonzero(row > 0)] for row in margins]
    note = "calibrated on a fifth of the training split" if calibrate else "not calibrated"
    return FloorPrediction(label_lists=lists, scores=scores,
                           how=f"TF-IDF of {name}, one linear SVM for each label; confidences {note}")  # fmt: skip


def _with_pairs(train: FloorData, test_texts: list[str], known: Any, new: Any, most: int) -> tuple[Any, Any]:
    """Features of the documents beside those of the short texts and two figures of how much the two share."""
    sparse = need("scipy.sparse", "evaluate")
    pairs, asked = list(train.pairs or ()), list(train.asked_pairs or ())
    features, _ = features_for(pairs, most)
    short = features.fit_transform(pairs)
    shared = [[_shared(text, pair) for text, pair in zip(texts, others, strict=True)]
              for texts, others in ((train.texts, pairs), (test_texts, asked))]  # fmt: skip
    return (sparse.hstack([known, short, np.array(shared[0])]).tocsr(),
            sparse.hstack([new, features.transform(asked), np.array(shared[1])]).tocsr())  # fmt: skip


def _shared(text: str, pair: str) -> tuple[float, float]:
    """Share of the short text's words that stand in the document, and in the one sentence that holds most of them."""
    places = units(pair)
    wanted = {pair[start:end].casefold() for start, end in places if pair[start:end].isalnum()}
    if not wanted:
        return 0.0, 0.0
    sentences = [{word.casefold() for word in re.findall(r"[\u3400-\u9fff]|\w+", one)}
                 for one in re.split(r"[.!?;。！？；\n]+", text)]  # fmt: skip
    everywhere = set().union(*sentences)
    best = max((len(wanted & one) for one in sentences), default=0)
    return len(wanted & everywhere) / len(wanted), best / len(wanted)


def features_for(texts: Sequence[str], most: int) -> tuple[Any, str]:
    """The vectoriser for these texts and its name."""
    text = need("sklearn.feature_extraction.text", "evaluate")
    union = need("sklearn.pipeline", "evaluate").make_union
    most = max(most, 1000)

    def grams(analyzer: str, low: int, high: int) -> Any:
        return text.TfidfVectorizer(analyzer=analyzer, ngram_range=(low, high), sublinear_tf=True, max_features=most)

    share = han_share(texts)
    if share >= 0.8:
        return grams("char", 1, 3), "characters 1-3"
    if share >= 0.02:
        return union(grams("word", 1, 2), grams("char", 1, 4)), "words 1-2 and characters 1-4"
    return union(grams("word", 1, 2), grams("char_wb", 3, 5)), "words 1-2 and characters 3-5"


def han_share(texts: Sequence[str]) -> float:
    """Share of Chinese characters among all letters, in [0, 1]; 0 without letters."""
    han = letters = 0
    for text in texts:
        letters += sum(char.isalpha() for char in text)
        han += sum("\u3400" <= char <= "\u9fff" or "\U00020000" <= char <= "\U0003134f" for char in text)
    return han / letters if letters else 0.0


def _codes(labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    place = {label: index for index, label in enumerate(classes)}
    return np.array([place[label] for label in labels], dtype=np.int64)


def _margins(known: Any, codes: np.ndarray, new: Any, outputs: int, seed: int) -> np.ndarray:
    """(n, outputs) margins; classes that these rows lack get one below all others."""
    present = np.unique(codes)
    result = np.full((new.shape[0], outputs), -2.0)
    if len(present) == 1:
        result[:, present] = 1.0
    elif len(present):
        model = need("sklearn.svm", "evaluate").LinearSVC(C=1.0, random_state=seed).fit(known, codes)
        found = model.decision_function(new)
        result[:, present] = np.stack([-found, found], axis=1) if len(present) == 2 else found
    return result


def _binary(known: Any, gold: np.ndarray, new: Any, seed: int) -> np.ndarray:
    margins = _margins(known, gold, new, 2, seed)
    return (margins[:, 1] - margins[:, 0]) / 2


def _held_out(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng([seed, 4]).permutation(n)
    return np.sort(order[n // 5 :]), np.sort(order[: n // 5])


def _temperature(margins: np.ndarray, gold: np.ndarray) -> float:
    """The temperature of the softmax with the least log loss on held-out rows (Guo et al. 2017)."""
    rows = np.arange(len(gold))
    losses = [-np.log(np.maximum(_softmax(margins / t)[rows, gold], 1e-12)).mean() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def _softmax(margins: np.ndarray) -> np.ndarray:
    raised = np.exp(margins - margins.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
