"""An n-gram model as the floor for tasks that learn texts: bits per byte without any neural network, in seconds.

Purpose: interpolated modified Kneser-Ney smoothing (Chen & Goodman 1999) is the strongest n-gram model there is, and
needs no tokenizer here. Spaced scripts: 8 bytes (seven of context). Chinese: 4 characters, which are 12 bytes.
Method: a stretch of n symbols is one 64-bit number, so training is one sort; every shorter stretch is its beginning,
and counts are lengths of runs. A context's symbols are then found by binary search, for a whole test set at once.
Trade-off: eight symbols are no more than fit into one number; longer contexts gain little but on texts that repeat
themselves. Texts beyond MOST symbols are left out evenly, and that is told. A symbol that training does not know costs
its escape and a code for its number. The end of a text is not paid for, which favours this floor.
Memory: about 40 bytes a training symbol at the peak. Not covered: caches, mixtures of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metier.errors import UserError
from metier.evaluate.floors.base import FloorData, FloorPrediction
from metier.evaluate.floors.tfidf import han_share
from metier.registry import register
from metier.train.config import TaskConfig

Array = np.ndarray
MOST = 24_000_000  # symbols of training, about 1 GB at the peak
CHINESE = 0.2  # share of Han characters among letters from which characters are counted, not bytes
UNKNOWN_BITS = 21.0  # a code point that training does not know, spelled out: Unicode has fewer than 2**21
BYTES, CHARACTERS = (8, 8), (16, 4)  # (bits of a symbol, symbols of a stretch); together 64 bits
EDGE, UNKNOWN = 0, 1  # what stands between texts, and for a character that is not known


@register("floor", "ngram")
def ngram(train: FloorData, test_texts: list[str], task: TaskConfig, seed: int) -> FloorPrediction:
    """Code lengths of the test texts (of the test answers, where the task writes) under the training ones."""
    if train.learned is None or train.tested is None:
        raise UserError("the floor 'ngram' is for tasks that learn texts", "evaluate.floors", "use 'tfidf'")
    known, asked = list(train.texts), test_texts
    if any(train.tested["answer"].to_pylist()):
        known, asked = (list(part["answer"].to_pylist()) for part in (train.learned, train.tested))
    model = fit(known)
    sizes = [len(text.encode("utf-8", "surrogatepass")) for text in asked]
    if train.stretches is None:
        return FloorPrediction(bits=model.bits(asked).tolist(), bytes=sizes, how=model.how)
    sizes = [sum(len(text[start:end].encode("utf-8", "surrogatepass")) for start, end in places)
             for text, places in zip(asked, train.stretches, strict=True)]  # fmt: skip
    return FloorPrediction(
        bits=model.bits(asked, train.stretches).tolist(), bytes=sizes, tokens=list(map(len, train.stretches)),
        how=f"{model.how}, of the hidden stretches only, each from the text before it",
    )  # fmt: skip


@dataclass(frozen=True)
class Table:
    """What training tells of stretches of one length. grams, contexts: sorted, different; the others beside them."""

    grams: Array  # uint64 (G,)
    kept: Array  # float64 (G,): discounted count / count of its context
    contexts: Array  # uint64 (C,)
    rest: Array  # float64 (C,): the weight of the next shorter context


@dataclass(frozen=True)
class Model:
    """Tables of stretches of 1, 2, ... symbols. alphabet: code points (sorted) whose symbol is their place + 2, or None
    where symbols are bytes. symbols: how many different ones there may be."""

    tables: tuple[Table, ...]
    alphabet: Array | None
    form: tuple[int, int]
    symbols: int
    how: str

    def bits(self, texts: Sequence[str], places: Sequence[Sequence[tuple[int, int]]] | None = None) -> Array:
        """(n,) float64: code length of each text, or of these characters of each (each foreseen from what is before it
        in the text)."""
        size = self.form[0]
        codes, owner, unknown, counted = [], [], np.zeros(len(texts)), []
        for number, text in enumerate(texts):
            found = _symbols(text, self.alphabet)
            wanted = _wanted(text, None if places is None else places[number], self.alphabet is None)
            counted.append(wanted)
            if self.alphabet is not None:
                unknown[number] = UNKNOWN_BITS * int((found[wanted] == UNKNOWN).sum())
            codes.append(_ending_here(found, self.form))
            owner.append(np.full(len(found), number))
        ends = np.concatenate(codes) if codes else np.zeros(0, np.uint64)
        probability = np.full(len(ends), 1.0 / self.symbols)
        for length, table in enumerate(self.tables, 1):
            if not len(table.grams):
                continue
            mask = np.uint64((1 << (size * length)) - 1)
            gram = ends & mask
            context, there = _find(table.contexts, gram >> np.uint64(size))
            kept, seen = _find(table.grams, gram)
            fresh = np.where(seen, table.kept[kept], 0.0) + table.rest[context] * probability
            probability = np.where(there, fresh, probability)
        spent = -np.log2(probability) * (np.concatenate(counted) if counted else 1)
        of = np.concatenate(owner) if owner else np.zeros(0, np.int64)
        return np.bincount(of, weights=spent, minlength=len(texts)) + unknown


def fit(texts: Sequence[str]) -> Model:
    """The model of these texts; no text at all gives equal probabilities."""
    texts = [text for text in texts if text]
    chinese = han_share(texts[:: max(1, len(texts) // 2000)]) >= CHINESE
    form = CHARACTERS if chinese else BYTES
    alphabet = _alphabet(texts) if chinese else None
    kept, left = _within(texts, MOST, chinese)
    size, longest = form
    edge = np.zeros(longest - 1, np.uint64)
    parts = [edge, *(part for text in kept for part in (_symbols(text, alphabet), edge))]
    grams, counts = _runs(np.sort(_starting_here(np.concatenate(parts), form)))
    tables: list[Table] = []
    for length in range(longest, 0, -1):
        tables.append(_table(grams, counts, size))
        if length > 1:  # how many different symbols stand before each shorter stretch
            shorter = np.sort(grams & np.uint64((1 << (size * (length - 1))) - 1))
            grams, counts = _runs(shorter)
    symbols = 2 + len(alphabet) if alphabet is not None else 256
    what = f"{longest} {'characters' if chinese else 'bytes'}"
    told = f", {left:,} of {len(texts):,} training texts left out" if left else ""
    return Model(tuple(reversed(tables)), alphabet, form, symbols, f"Kneser-Ney over stretches of {what}{told}")


def _table(grams: Array, counts: Array, size: int) -> Table:
    """Interpolated modified Kneser-Ney for stretches of one length; `counts` are of stretches, or of what precedes."""
    real = (grams & np.uint64((1 << size) - 1)) != EDGE  # the edge of a text is seen, never foretold
    grams, counts = grams[real], counts[real]
    discount = _discounts(counts)[np.minimum(counts, 3)]
    contexts, first = np.unique(grams >> np.uint64(size), return_index=True)
    if not len(grams):
        return Table(grams, np.zeros(0), contexts, np.zeros(0))
    total = np.add.reduceat(counts.astype(np.float64), first)
    saved = np.add.reduceat(discount, first)
    below = np.repeat(total, np.diff(np.append(first, len(grams))))
    return Table(grams, (counts - discount) / below, contexts, saved / total)


def _discounts(counts: Array) -> Array:
    """(4,): nothing, and what is taken off counts of 1, 2 and 3 or more (Chen & Goodman 1999, equation 17)."""
    n = [int((counts == value).sum()) for value in (1, 2, 3, 4)]
    if not all(n[:3]):
        return np.array([0.0, 0.5, 0.5, 0.5])
    y = n[0] / (n[0] + 2 * n[1])
    found = [value - (value + 1) * y * n[value] / n[value - 1] for value in (1, 2, 3)]
    return np.array([0.0, *(min(max(one, 0.01), value - 0.01) for value, one in zip((1, 2, 3), found, strict=True))])


def _symbols(text: str, alphabet: Array | None) -> Array:
    """uint64 (symbols,): bytes, or places in the alphabet."""
    if alphabet is None:
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.uint64)
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    place, there = _find(alphabet, points)
    return np.where(there, place + 2, UNKNOWN).astype(np.uint64)


def _wanted(text: str, stretches: Sequence[tuple[int, int]] | None, by_byte: bool) -> Array:
    """(symbols,) of bool: those of the wanted characters; None: all."""
    wanted = np.full(len(text), stretches is None)
    for start, end in stretches or ():
        wanted[start:end] = True
    if not by_byte:
        return wanted
    return np.repeat(wanted, [len(char.encode("utf-8", "surrogatepass")) for char in text])


def _alphabet(texts: Sequence[str]) -> Array:
    """The code points of the texts, sorted; the most frequent 65,000 if there are more."""
    counts = np.zeros(0x110000, np.int64)
    for start in range(0, len(texts), 1000):
        joined = "".join(texts[start : start + 1000]).encode("utf-32-le", "surrogatepass")
        counts += np.bincount(np.frombuffer(joined, np.uint32), minlength=len(counts))
    order = np.argsort(-counts, kind="stable")[:65_000]
    return np.sort(order[counts[order] > 0]).astype(np.uint32)


def _starting_here(symbols: Array, form: tuple[int, int]) -> Array:
    """The stretch that begins at each place but the last ones, its first symbol in the highest bits."""
    size, longest = form
    n = len(symbols) - longest + 1
    found = np.zeros(max(n, 0), np.uint64)
    for place in range(longest):
        found = (found << np.uint64(size)) | symbols[place : place + max(n, 0)]
    return found


def _ending_here(symbols: Array, form: tuple[int, int]) -> Array:
    """The stretch that ends at each place; before the text stand edges."""
    return _starting_here(np.concatenate([np.zeros(form[1] - 1, np.uint64), symbols]), form)


def _runs(ordered: Array) -> tuple[Array, Array]:
    """The different values of a sorted array, and how often each stands in it."""
    if not len(ordered):
        return ordered, np.zeros(0, np.int64)
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return ordered[first], np.diff(np.append(first, len(ordered)))


def _find(ordered: Array, wanted: Array) -> tuple[Array, Array]:
    """Place of each wanted value in a sorted array (any place where it is not there), and whether it is there."""
    if not len(ordered):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    place = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return place, ordered[place] == wanted


def _within(texts: Sequence[str], most: int, characters: bool) -> tuple[list[str], int]:
    """Texts of at most so many symbols, taken evenly, and how many are left out."""
    lengths = [len(text) if characters else len(text.encode("utf-8", "surrogatepass")) for text in texts]
    total = sum(lengths)
    if total <= most:
        return list(texts), 0
    kept, used = [], 0
    for number, text in enumerate(texts):
        if used + lengths[number] <= most * (number + 1) / len(texts):
            kept.append(text)
            used += lengths[number]
    return kept, len(texts) - len(kept)
