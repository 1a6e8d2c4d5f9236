"""Near-duplicate pairs among many texts: one-pass MinHash, LSH bands, exact verification. Numpy only.

Signatures: fast similarity sketching (Dahlgaard, Knudsen and Thorup 2017), the exact form of one-permutation hashing.
A shingle is hashed once and falls into one of the signature's cells, where the smallest value stays; a cell that
stays empty is filled in further rounds, which only short texts need, and at last by the shingle that is smallest under
a hash of that cell. So each cell agrees between two texts with a probability of exactly their Jaccard similarity, as
with `permutations` independent hashes, for texts of any length; a long text costs one or two hashes a shingle and not
`permutations` (docs/decisions, "one hash a shingle").
Candidates come from LSH bands tuned so that a pair exactly at the threshold is missed in less than 1 % of cases
(another 0.6 % by the estimate that is looked at first); each candidate is then verified by the Jaccard similarity of
its shingle sets (shingles.py), so false positives cost time and nothing else.
A passage that thousands of texts share (a disclaimer, a template) puts them into one bucket, where all pairs would be
millions: there, a few leaders are compared with all others, in each band other ones, and what is not connected then
is counted in `crowded`.
Hashes have a fixed seed: pairs depend on the texts alone, never on the recipe's seed or on how texts are batched, and
the order of texts only decides who leads a crowded bucket.
Memory: permutations * 1.7 bytes a text, in a file as soon as that is large, 16 bytes a verified pair, and blocks of a
fixed size; texts are asked for in order, a block at a time, and never kept.
Source: Broder 1997 (MinHash); Indyk and Motwani 1998 (LSH); Li and Koenig 2010 (b-bit estimates).
Not covered: similarity of a part to a whole (`overlaps.py`), and of meaning (`semantic.py`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metier.prepare.shingles import Array, Shingles, blocks, jaccard, keep_memory, mix, shingle

ROUNDS = 16  # rounds of hashing all shingles before cells are filled one by one; even, two rounds share a hash
SMALL = 1 << 28  # bytes of signatures that are kept in memory; more goes to a temporary file
STEP = 1 << 15  # pairs whose estimates are compared at once
PENDING = 1 << 21  # candidates collected before they are verified, so that texts are read in long runs (16 MB)
LARGE = 64  # texts in a bucket up to which all pairs are compared
LEADERS = 8  # in larger ones, so many texts are compared with all others, in each band
MISS = 0.01  # a pair exactly at the threshold is missed at most this often

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_EMPTY = np.uint32(0xFFFFFFFF)


@dataclass
class Near:
    """Verified pairs (i < j) and their similarities, sorted, and the texts of large buckets that met only leaders.

    names: uint64 (texts,), equal for texts that are equal but for case, width, punctuation and white space; only the
    first text of a name takes part in pairs.
    """

    pairs: Array = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    similarity: Array = field(default_factory=lambda: np.zeros(0))
    crowded: set[int] = field(default_factory=set)
    names: Array = field(default_factory=lambda: np.zeros(0, np.uint64))

    def all_pairs(self) -> tuple[Array, Array]:
        """Pairs and similarities with those of equal name added, each with the first of its name; sorted."""
        _, first, inverse = np.unique(self.names, return_index=True, return_inverse=True)
        same = np.flatnonzero((first[inverse] != np.arange(len(inverse))) & (self.names != 0))  # 0: no letter at all
        pairs = np.concatenate([np.stack([first[inverse[same]], same], axis=1), self.pairs])
        similarity = np.concatenate([np.ones(len(same)), self.similarity])
        order = np.lexsort((pairs[:, 1], pairs[:, 0]))
        return pairs[order], similarity[order]


@dataclass
class Signatures:
    """What is kept of every text. keys: uint32 (bands, texts); short: uint8 (texts, permutations), the low byte of
    each cell; sizes: shingles of each text, lengths: its characters, names as in `Near`."""

    keys: Array
    short: Array
    sizes: Array
    lengths: Array
    names: Array


def near_pairs(
    texts: Sequence[str], threshold: float, permutations: int, advance: Callable[[float], None] = lambda done: None
) -> Near:
    """All pairs of `texts` with Jaccard similarity >= threshold, but for the misses named above.

    `texts` may be anything that gives text number i when asked: it is asked in order. `advance` is called with 1 for
    each text hashed, and once a text again over all bands. Texts with no shingle at all (up to 4 letters, 1 Han
    character) have no near duplicates. Of texts with one name only the first is looked at.
    """
    keep_memory()
    bands, rows = band_shape(threshold, permutations)
    signed = sign(texts, permutations, (bands, rows), advance)
    first = np.zeros(len(texts), bool)
    first[np.unique(signed.names, return_index=True)[1]] = True
    filled = np.flatnonzero(first & (signed.sizes > 0))
    search = _Search(texts, signed, threshold, permutations)
    for band in range(bands):
        for pairs in _small_buckets(filled, signed.keys[band]):
            search.look_at(pairs)
        advance(len(texts) / bands)
    search.verify()
    for band in range(bands):  # afterwards, since most of their texts may be connected by now
        _large_buckets([*_buckets(filled, signed.keys[band], LARGE + 1)], band, search)
    return search.result()


def band_shape(threshold: float, permutations: int) -> tuple[int, int]:
    """(bands, rows in a band): the most rows, so the fewest candidates, that keep the miss rate at the threshold.

    P(missed) = (1 - threshold ** rows) ** bands.
    """
    best = (permutations, 1)
    for rows in range(1, permutations + 1):
        bands = permutations // rows
        if (1 - threshold**rows) ** bands > MISS:
            break
        best = (bands, rows)
    return best


def sign(
    texts: Sequence[str], permutations: int, shape: tuple[int, int],
    advance: Callable[[float], None] = lambda done: None,
) -> Signatures:  # fmt: skip
    """Read every text once and keep its signature."""
    number, (bands, rows) = len(texts), shape
    signed = Signatures(room((bands, number), np.uint32), room((number, permutations), np.uint8),
                        *(np.zeros(number, kind) for kind in (np.int64, np.int64, np.uint64)))  # fmt: skip
    for first, part in blocks(texts):
        here = slice(first, first + len(part))
        found = shingle(part)
        cells = sketch(found, permutations)
        signed.short[here] = cells.astype(np.uint8)
        signed.keys[:, here] = _band_keys(cells[:, : bands * rows].reshape(-1, bands, rows)).T
        signed.sizes[here], signed.names[here] = found.sizes, found.names
        signed.lengths[here] = [len(text) for text in part]
        advance(len(part))
    return signed


def sketch(found: Shingles, permutations: int) -> Array:
    """Signatures of a block of texts, uint32 (texts, permutations); of a text without shingles all cells are equal.

    Each value has 7 bits that say the round in which the cell was filled and 25 bits of a hash, so that what came in
    an earlier round is smaller, and a cell is the minimum over all rounds.
    """
    number = len(found.sizes)
    cells = np.full(number * permutations, _EMPTY, np.uint32)
    owner = np.repeat(np.arange(number), found.sizes)
    hashes, start = found.hashes, owner * permutations
    for done in range(0, ROUNDS, 2):
        for half in (0, 32):  # 7 to 32 bits choose the cell (by multiplication), 25 others are the value
            bits = (hashes >> np.uint64(half)).astype(np.uint32)
            wide = _scatter(bits).astype(np.uint64) * np.uint64(permutations)
            cell = start + (wide >> np.uint64(32)).view(np.int64)
            value = np.uint32((done + (half > 0)) << 25) | (bits & np.uint32((1 << 25) - 1))
            if done or half:
                empty = cells[cell] > value  # most are filled already
                cell, value = cell[empty], value[empty]
            np.minimum.at(cells, cell, value)
        wanting = (cells.reshape(number, permutations) == _EMPTY).any(axis=1) & (found.sizes > 0)
        if not wanting.any():
            return cells.reshape(number, permutations)
        keep = wanting[owner]
        hashes, start, owner = mix(hashes[keep] + _GOLDEN), start[keep], owner[keep]
    _fill(cells, found, permutations)
    return cells.reshape(number, permutations)


def _scatter(bits: Array) -> Array:
    """32 bits mixed once more, so that cell and value are independent. Source: the finaliser of MurmurHash3."""
    bits = bits ^ (bits >> np.uint32(16))
    bits *= np.uint32(0x85EBCA6B)
    bits ^= bits >> np.uint32(13)
    bits *= np.uint32(0xC2B2AE35)
    bits ^= bits >> np.uint32(16)
    return bits


def _fill(cells: Array, found: Shingles, permutations: int) -> None:
    """Every cell that is still empty takes the shingle of its text that is smallest under the cell's own hash."""
    text, cell = np.divmod(np.flatnonzero(cells == _EMPTY), permutations)
    offsets = np.cumsum(found.sizes) - found.sizes
    step = max(1, (1 << 20) // max(int(found.sizes.max(initial=1)), 1))
    filled = np.flatnonzero(found.sizes[text])
    for begin in range(0, len(filled), step):
        part = filled[begin : begin + step]
        count = found.sizes[text[part]]
        ends = np.cumsum(count)
        place = np.repeat(offsets[text[part]] - ends + count, count) + np.arange(ends[-1])
        own = mix(found.hashes[place] ^ np.repeat(mix(cell[part].astype(np.uint64) + _GOLDEN), count))
        least = np.minimum.reduceat(own >> np.uint64(39), ends - count).astype(np.uint32)
        cells[text[part] * permutations + cell[part]] = np.uint32(127 << 25) | np.minimum(least, (1 << 25) - 2)


class _Search:
    """Candidates come in, are screened by their estimate, collected, verified in sorted batches and remembered."""

    def __init__(self, texts: Sequence[str], signed: Signatures, threshold: float, permutations: int) -> None:
        self.texts, self.signed, self.threshold = texts, signed, threshold
        self.floor = threshold - 2.5 * np.sqrt(threshold * (1 - threshold) / permutations)
        self.parent = np.arange(len(texts))
        self.seen = np.empty(0, np.int64)  # keys of pairs that were verified, sorted
        self.waiting: list[Array] = []
        self.number = 0
        self.found: list[tuple[Array, Array]] = []
        self.crowded: set[int] = set()

    def look_at(self, pairs: Array) -> None:
        """Pairs (smaller index first), int64 (pairs, 2), any number of times."""
        for begin in range(0, len(pairs), STEP):
            i, j = pairs[begin : begin + STEP].T
            alike = (self.signed.short[i] == self.signed.short[j]).mean(axis=1) >= self.floor
            if alike.any():
                self.waiting.append(i[alike] * len(self.texts) + j[alike])
                self.number += int(alike.sum())
        if self.number > PENDING:
            self.verify()

    def verify(self) -> None:
        """Compare all that wait; connect and keep what is similar enough."""
        keys = np.unique(np.concatenate([np.empty(0, np.int64), *self.waiting]))
        self.waiting, self.number = [], 0
        if not len(keys):
            return
        if len(self.seen):
            keys = keys[self.seen[np.minimum(np.searchsorted(self.seen, keys), len(self.seen) - 1)] != keys]
        pairs = np.stack(np.divmod(keys, max(len(self.texts), 1)), axis=1)
        similarity = jaccard(self.texts, self.signed.lengths, pairs)
        near = similarity >= self.threshold
        for i, j in pairs[near].tolist():
            join(self.parent, i, j)
        self.found.append((keys[near], similarity[near]))
        self.seen = np.union1d(self.seen, keys)

    def result(self) -> Near:
        if not self.found:
            return Near(names=self.signed.names)
        keys, similarity = (np.concatenate(column) for column in zip(*self.found, strict=True))
        order = np.argsort(keys)
        pairs = np.stack(np.divmod(keys[order], max(len(self.texts), 1)), axis=1)
        return Near(pairs, similarity[order], self.crowded, self.signed.names)


def _buckets(items: Array, keys: Array, least: int) -> Iterator[Array]:
    """Texts that share a key, in order, for every key with at least `least` texts."""
    members, starts, sizes = _sorted(items, keys)
    for start, size in zip(starts[sizes >= least].tolist(), sizes[sizes >= least].tolist(), strict=True):
        yield members[start : start + size]


def _small_buckets(items: Array, keys: Array) -> Iterator[Array]:
    """All pairs that share a key with at most LARGE texts, int64 (pairs, 2), in blocks."""
    members, starts, sizes = _sorted(items, keys)
    for size in np.unique(sizes[(sizes > 1) & (sizes <= LARGE)]).tolist():
        left, right = np.triu_indices(size, 1)
        first = starts[sizes == size]
        step = max(1, STEP // len(left))
        for begin in range(0, len(first), step):
            rows = members[first[begin : begin + step, None] + np.arange(size)]
            yield np.stack([rows[:, left].ravel(), rows[:, right].ravel()], axis=1)


def _sorted(items: Array, keys: Array) -> tuple[Array, Array, Array]:
    """(texts by key and number, where each bucket starts, its size)."""
    both = np.sort((keys[items].astype(np.uint64) << np.uint64(32)) | items.astype(np.uint64))
    members = (both & np.uint64(0xFFFFFFFF)).astype(np.int64)
    changes = np.flatnonzero(np.diff(both >> np.uint64(32))) + 1
    starts = np.concatenate([[0], changes]).astype(np.int64) if len(both) else np.zeros(0, np.int64)
    return members, starts, np.diff(np.append(starts, len(both)))


def _large_buckets(buckets: Sequence[Array], band: int, search: _Search) -> None:
    """In each bucket a few leaders, each against all texts it is not connected with yet; other ones in each band."""
    buckets = [np.roll(members, -((band * LEADERS) % len(members))) for members in buckets]
    leaders: list[list[int]] = [[] for _ in buckets]
    for _ in range(LEADERS):
        for members, chosen in zip(buckets, leaders, strict=True):
            roots = _roots(search.parent, members)
            fresh = ~np.isin(roots, _roots(search.parent, np.array(chosen, np.int64)))
            if fresh.any():
                chosen.append(int(members[np.argmax(fresh)]))
                others = members[roots != roots[np.argmax(fresh)]]
                search.look_at(np.sort(np.stack([np.full(len(others), chosen[-1]), others], axis=1), axis=1))
        search.verify()
    for members, chosen in zip(buckets, leaders, strict=True):
        left = ~np.isin(_roots(search.parent, members), _roots(search.parent, np.array(chosen, np.int64)))
        search.crowded.update(members[left].tolist())


def _band_keys(cells: Array) -> Array:
    """One key for the rows of each band: uint32 (texts, bands, rows) -> uint32 (texts, bands)."""
    key = np.zeros(cells.shape[:2], np.uint64)
    for row in range(cells.shape[2]):
        key = mix(key + cells[:, :, row] + _GOLDEN)
    return (key >> np.uint64(32)).astype(np.uint32)


def room(shape: tuple[int, int], kind: Any) -> Array:
    """An array of zeros, in a file that vanishes by itself if it is large."""
    if shape[0] * shape[1] * np.dtype(kind).itemsize <= SMALL:
        return np.zeros(shape, kind)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, kind, "w+", shape=shape)


def join(parent: Array | list[int], i: int, j: int) -> None:
    """Union of two sets; the smaller index becomes the root, so roots do not depend on the order of joins."""
    i, j = root(parent, i), root(parent, j)
    parent[max(i, j)] = min(i, j)


def root(parent: Array | list[int], i: int) -> int:
    """The smallest index of the set of i."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = int(parent[i])
    return i


def _roots(parent: Array, items: Array) -> Array:
    while True:
        above = parent[items]
        if np.array_equal(above, items):
            return items
        items = above
