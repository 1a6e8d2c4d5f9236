"""Texts that say the same in other words: pairs whose vectors point in nearly the same direction.

Purpose: "my card was stolen" and "somebody took my card" share few shingles. Vectors come from the recipe's base model,
handed in by the caller (this stage knows no models), or without any model from character n-grams: TF-IDF reduced by a
truncated SVD (latent semantic analysis, Deerwester et al. 1990), which sees other order, inflection and spelling but
knows no synonyms. Up to EXACT texts all pairs are compared, block by block. Beyond that each text is compared with
those that share one of its NEAREST most similar of a few hundred or thousand pivot texts, as clusters are used by
SemDeDup (Abbas et al. 2023); tests measure what that misses.
Trade-off: 1 KB a text for its vector (in a file when there are many); pivots make a million texts a matter of minutes
and not of days, and miss pairs that share no pivot. Similarities are rounded to four digits before they are judged, so
that the last bits of another processor decide nothing.
Not covered: meaning beyond what the vectors know; the guard decides what may be merged.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from metier.errors import need
from metier.prepare.minhash import room
from metier.prepare.shingles import Array

EXACT = 20_000  # texts up to which all pairs are compared: 5 * 10**10 multiplications with 256 dimensions
NEAREST = 4  # pivots a text is filed under
CELL = 500  # texts for one pivot
SAMPLE = 20_000  # texts from which the reduction is learned
DIMENSIONS = 256
FEATURES = 1 << 15  # hashed character n-grams; the reduction costs so many times DIMENSIONS squared
STEP = 1024  # texts turned into vectors, or compared with others, at once


def semantic_pairs(
    texts: Sequence[str], threshold: float, embed: Callable[[Sequence[str]], Any] | None = None,
    advance: Callable[[float], None] = lambda done: None,
) -> tuple[Array, Array]:  # fmt: skip
    """Pairs (i < j), int64 (pairs, 2), with cosine similarity >= threshold, and the similarities, both sorted.

    embed: texts -> vectors (n, C); None: character n-grams. A text without a vector (nothing in it) has no pairs.
    """
    vectors = embedded(texts, embed, advance) if embed else by_characters(texts, advance)
    pairs, similarity = [np.zeros((0, 2), np.int64)], [np.zeros(0)]
    for cell in _cells(vectors):
        for start in range(0, len(cell), STEP):
            rows = cell[start : start + STEP]
            for begin in range(start, len(cell), 8 * STEP):
                others = cell[begin : begin + 8 * STEP]
                found = np.round(vectors[rows] @ vectors[others].T, 4)
                near = np.argwhere((found >= threshold) & (rows[:, None] < others[None, :]))
                pairs.append(np.stack([rows[near[:, 0]], others[near[:, 1]]], axis=1))
                similarity.append(found[near[:, 0], near[:, 1]].astype(float))
    both = np.concatenate(pairs)
    keys, place = np.unique(both[:, 0] * max(len(texts), 1) + both[:, 1], return_index=True)
    return both[place], np.minimum(np.concatenate(similarity)[place], 1.0) if len(keys) else np.zeros(0)


def embedded(
    texts: Sequence[str], embed: Callable[[Sequence[str]], Any], advance: Callable[[float], None] = lambda done: None
) -> Array:
    """Vectors of length 1 (or 0 for an empty text), float32 (texts, C), made STEP texts at a time."""
    vectors: Array | None = None
    for start in range(0, len(texts), STEP):
        part = [texts[index] for index in range(start, min(start + STEP, len(texts)))]
        found = np.asarray(embed(part), np.float32)
        if vectors is None:
            vectors = room((len(texts), found.shape[1]), np.float32)
        vectors[start : start + len(part)] = _unit(found)
        advance(len(part))
    return np.zeros((0, 1), np.float32) if vectors is None else vectors


def by_characters(texts: Sequence[str], advance: Callable[[float], None] = lambda done: None) -> Array:
    """TF-IDF of character n-grams (1 to 4), reduced to at most DIMENSIONS; learned from an even sample of the texts."""
    need("sklearn", "evaluate")
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    count = HashingVectorizer(analyzer="char", ngram_range=(1, 4), n_features=FEATURES, alternate_sign=False, norm=None,
                              preprocessor=_folded)  # fmt: skip
    step = max(1, -(-len(texts) // SAMPLE))
    sample = [texts[index] for index in range(0, len(texts), step)]
    if not sample:
        return np.zeros((0, 1), np.float32)
    counted = count.transform(sample)
    weigh = TfidfTransformer(sublinear_tf=True).fit(counted)
    if len(sample) <= DIMENSIONS:  # too few to learn a reduction from: the weights themselves, over what occurs
        return embedded(texts, lambda part: _dense(weigh.transform(count.transform(part)), counted), advance)
    reduce = TruncatedSVD(DIMENSIONS, n_iter=2, random_state=0).fit(weigh.transform(counted))
    return embedded(texts, lambda part: reduce.transform(weigh.transform(count.transform(part))), advance)


def _dense(weights: Any, counted: Any) -> Array:
    occurring = np.unique(counted.indices)
    return weights[:, occurring].toarray()


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _unit(vectors: Array) -> Array:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def _cells(vectors: Array) -> Iterator[Array]:
    """Sets of texts (rising numbers) in which all pairs are compared."""
    filled = np.flatnonzero(np.any(vectors != 0, axis=1)) if len(vectors) else np.zeros(0, np.int64)
    if len(filled) <= EXACT:
        yield filled
        return
    pivots = vectors[filled[:: max(1, CELL)]]
    nearest = np.zeros((len(filled), min(NEAREST, len(pivots))), np.int32)
    for start in range(0, len(filled), STEP):
        found = vectors[filled[start : start + STEP]] @ pivots.T
        nearest[start : start + STEP] = np.argpartition(-found, nearest.shape[1] - 1, axis=1)[:, : nearest.shape[1]]
    order = np.argsort(nearest.ravel(), kind="stable")
    starts = np.searchsorted(nearest.ravel()[order], np.arange(len(pivots) + 1))
    for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        yield np.sort(filled[order[first:last] // nearest.shape[1]])
