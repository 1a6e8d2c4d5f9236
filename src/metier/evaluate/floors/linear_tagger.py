"""The floor that is hard to beat in tagging: a linear chain over words, shapes and affixes. A minute on one core.

Purpose: a conditional random field (Lafferty et al. 2001) as it was state of the art before neural networks, with the
usual features of a named-entity tagger (the word and its neighbours, their shapes, prefixes and suffixes, pieces of the
word). It is trained by L-BFGS on the exact gradient: forward and backward sums over all texts at once.
Trade-off: features and the strength of the penalty are fixed, so that a floor needs no search.
Not covered: word lists from elsewhere, parts of speech.
Shapes: R units of all training texts, F features, K tags (train/tasks/bio.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from metier.errors import UserError, need
from metier.evaluate.floors.base import FloorData, FloorPrediction
from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.tasks import bio

Array = np.ndarray
PENALTY = 0.5  # of the squared weights, per training set; a usual strength, not searched
ITERATIONS = 120  # of L-BFGS, at most
AFFIX = 5  # characters of the longest prefix and suffix


@register("floor", "linear_tagger")
def linear_tagger(train: FloorData, test_texts: list[str], task: TaskConfig, seed: int) -> FloorPrediction:
    """A linear chain of tags; deterministic, the seed is not used."""
    if train.spans is None:
        raise UserError("the floor 'linear_tagger' needs spans", "evaluate.floors", "use 'tfidf' for labels and values")
    types = list(train.classes)
    codes = {name: code for code, name in enumerate(types)}
    places = [bio.units(text) for text in train.texts]
    tags = [bio.tags_of([(s.start, s.end, codes[s.label]) for s in spans], where)[0]
            for spans, where in zip(train.spans, places, strict=True)]  # fmt: skip
    vectorizer = need("sklearn.feature_extraction.text", "evaluate").CountVectorizer(
        analyzer=lambda features: features, binary=True, dtype=np.float64
    )
    try:
        known = vectorizer.fit_transform(_rows(train.texts, places))
    except ValueError:  # no unit in any text
        return FloorPrediction(spans=[[] for _ in test_texts], how="a linear chain that saw no word")
    chain = fit(known, np.concatenate([np.array(one, dtype=np.int64) for one in tags]), [len(one) for one in places],
                1 + 2 * len(types))  # fmt: skip
    asked = [bio.units(text) for text in test_texts]
    counts = [len(one) for one in asked]
    if not sum(counts):
        return FloorPrediction(spans=[[] for _ in test_texts], how="a linear chain")
    best = bio.viterbi(vectorizer.transform(_rows(test_texts, asked)) @ chain[0], counts, chain[1])
    found, at = [], 0
    for where, size in zip(asked, counts, strict=True):
        found.append(bio.spans_of(best[at : at + size].tolist(), where, types, [1.0] * size))
        at += size
    return FloorPrediction(spans=found, how="a linear chain (CRF) over words, shapes and affixes; no language model")


def fit(known: Any, gold: Array, counts: Sequence[int], outputs: int) -> tuple[Array, Array]:
    """Weights (F, K) and transitions (K, K) of the chain with the least penalised loss.

    known: sparse (R, F); gold: tags (R,); counts: units of each text.
    """
    optimize = need("scipy.optimize", "evaluate")
    batch = _Batch(counts)
    may = bio.allowed(outputs)
    size = known.shape[1] * outputs
    turned = known.T.tocsr()
    wanted = np.zeros((len(gold), outputs))
    wanted[np.arange(len(gold)), gold] = 1.0
    followed = np.zeros((outputs, outputs))
    np.add.at(followed, (gold[batch.before], gold[batch.after]), 1.0)

    def loss(flat: Array) -> tuple[float, Array]:
        weights, steps = flat[:size].reshape(-1, outputs), flat[size:].reshape(outputs, outputs)
        scores = known @ weights
        total, single, double = batch.sums(scores, steps, may)
        value = total - float((scores * wanted).sum()) - float((steps * followed).sum())
        value += PENALTY / 2 * float(flat @ flat)
        slope = np.concatenate([(turned @ (single - wanted)).ravel(), (double - followed).ravel()])
        return value, slope + PENALTY * flat

    start = np.zeros(size + outputs * outputs)
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
    return found.x[:size].reshape(-1, outputs), found.x[size:].reshape(outputs, outputs)


class _Batch:
    """Texts of different lengths, the longest first, so that step t concerns the first `active[t]` of them."""

    def __init__(self, counts: Sequence[int]) -> None:
        sizes = np.array(counts)
        begins = np.cumsum(sizes) - sizes
        order = np.argsort(-sizes, kind="stable")
        order = order[sizes[order] > 0]
        self.begins, self.sizes = begins[order], sizes[order]
        self.longest = int(self.sizes[0]) if len(order) else 0
        self.active = [int((self.sizes > step).sum()) for step in range(self.longest)]
        inside = np.concatenate([np.arange(b, b + n - 1) for b, n in zip(self.begins, self.sizes, strict=True)])
        self.before, self.after = inside.astype(np.int64), inside.astype(np.int64) + 1

    def sums(self, scores: Array, steps: Array, may: Array) -> tuple[float, Array, Array]:
        """Log of the sum over all allowed tag sequences, probability of each tag (R, K), expected steps (K, K).

        Products stay near 1 by dividing by their sum at each unit (Rabiner 1989).
        """
        top = scores.max(axis=1, keepdims=True)
        local = np.exp(scores - top)
        shift = steps.max()
        pass_on = np.where(may, np.exp(steps - shift), 0.0)
        ahead, scale = np.zeros_like(scores), np.ones(len(scores))
        for step in range(self.longest):
            rows = self.begins[: self.active[step]] + step
            value = local[rows].copy()
            if step:
                value *= ahead[rows - 1] @ pass_on
            else:
                value[:, 2::2] = 0.0  # nothing begins with I
            scale[rows] = value.sum(axis=1)
            ahead[rows] = value / scale[rows, None]
        behind = np.ones_like(scores)
        for step in range(self.longest - 2, -1, -1):
            rows = self.begins[: self.active[step + 1]] + step
            behind[rows] = (behind[rows + 1] * local[rows + 1]) @ pass_on.T / scale[rows + 1, None]
        single = ahead * behind
        right = local[self.after] * behind[self.after] / scale[self.after, None]
        double = pass_on * (ahead[self.before].T @ right)
        total = float(np.log(scale).sum() + top.sum() + shift * len(self.after))
        return total, single, double


def _rows(texts: Sequence[str], places: Sequence[Sequence[tuple[int, int]]]) -> Iterator[list[str]]:
    """The features of each unit of each text, as strings."""
    for text, where in zip(texts, places, strict=True):
        words = ["<s>", "<s>", *(text[start:end] for start, end in where), "</s>", "</s>"]
        small = [word.lower() for word in words]
        shapes = [shape(word) for word in words]
        for at, (start, _) in enumerate(where, 2):
            word, low = words[at], small[at]
            features = [f"{place}={small[at + place]}" for place in (-2, -1, 0, 1, 2)]
            features += [f"s{place}={shapes[at + place]}" for place in (-1, 0, 1)]
            features += [f"-1,0={small[at - 1]} {low}", f"0,1={low} {small[at + 1]}",
                         f"-2,-1={small[at - 2]} {small[at - 1]}", f"1,2={small[at + 1]} {small[at + 2]}",
                         f"-1,0,1={small[at - 1]} {low} {small[at + 1]}",
                         f"s-1,0,1={shapes[at - 1]} {shapes[at]} {shapes[at + 1]}", f"w={word}"]  # fmt: skip
            features += [f"p={low[:size]}" for size in range(1, min(AFFIX, len(low)) + 1)]
            features += [f"e={low[-size:]}" for size in range(1, min(AFFIX, len(low)) + 1)]
            features += [f"g={low[i : i + 4]}" for i in range(1, len(low) - 4)]
            features += [f"e-1={small[at - 1][-3:]}", f"e1={small[at + 1][-3:]}", "bias"]
            if start and not text[start - 1].isspace():
                features.append("glued")
            yield features


def shape(word: str) -> str:
    """`Xx` for Fever, `X0` for B12, `x` for fever: kinds of characters, each run once."""
    kinds = "".join("X" if c.isupper() else "0" if c.isdigit() else "x" if c.isalpha() else c for c in word)
    return "".join(kind for place, kind in enumerate(kinds) if not place or kind != kinds[place - 1])
