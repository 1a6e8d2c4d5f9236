"""Near-duplicate pairs among many texts: MinHash, LSH bands, exact verification. Numpy only.

Shingles: 5 characters where the script separates words, 2 where it does not (Han, kana, Hangul); in mixed text each
position takes its own width. Characters and not words, so that a typing error costs 5 shingles and not the sentence,
no tokeniser is needed, and a message of six words still has 30 shingles. A Han character carries about as much as 2
to 3 letters, so the pair weighs like 5 letters: one changed character in 20 leaves a Jaccard similarity of 0.81, with
3 it would be 0.71.
Candidates come from LSH bands tuned so that a pair exactly at the threshold is missed in less than 1 % of cases
(another 0.6 % by the estimate that is looked at first); each candidate is then verified by the Jaccard similarity of
its shingle sets, so false positives cost time and nothing else.
A passage that thousands of texts share (a disclaimer, a template) puts them into one bucket, where all pairs would be
millions: there, a few leaders are compared with all others, in each band other ones, and what is not connected then
is counted in `crowded`.
Permutations have a fixed seed: clusters depend on the texts alone, never on the recipe's seed or the order of rows.
Memory: 4 * permutations bytes a text for signatures; everything else is worked off in chunks of fixed size.
Source: Broder 1997 (MinHash); Indyk and Motwani 1998 (LSH); multiply-shift hashing, Dietzfelbinger 1997.
Not covered: more texts than fit into memory as signatures (about 10 million in 5 GB).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LATIN_WIDTH, HAN_WIDTH = 5, 2
CHUNK = 1 << 20  # characters hashed at once: 8 MB an array
BLOCK = 1 << 15  # pairs compared at once: 16 MB a gathered signature
LARGE = 64  # texts in a bucket up to which all pairs are compared
LEADERS = 8  # in larger ones, so many texts are compared with all others, in each band
MISS = 0.01  # a pair exactly at the threshold is missed at most this often

CACHE = 1 << 23  # characters up to which all shingle sets are kept (64 MB) instead of computed again

_NOT_WORD = re.compile(r"[\W_]+")
_BETWEEN = re.compile("(?<=[\u3041-\u30ff\u3400-\u9fff]) | (?=[\u3041-\u30ff\u3400-\u9fff])")


@dataclass
class Near:
    """Verified pairs (i < j) with their similarity, and the texts of large buckets that met only the leaders."""

    pairs: list[tuple[int, int, float]] = field(default_factory=list)
    crowded: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Sets:
    """Shingle sets of texts: key[offsets[i]:offsets[i + 1]] = i * names + rank of each shingle, all of it sorted."""

    offsets: Array
    key: Array
    names: int  # different shingles


def fold_loosely(text: str) -> str:
    """What shingles are cut from: width, case, punctuation and white space folded away."""
    text = _NOT_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
    return _BETWEEN.sub("", text)


def near_pairs(
    texts: Sequence[str], threshold: float, permutations: int, advance: Callable[[float], None] = lambda done: None
) -> Near:
    """All pairs of `texts` (already folded) with Jaccard similarity >= threshold, but for the misses named above.

    `advance` is called with 1 for each text hashed, and once a text again over all bands. Texts with no shingle at all
    (up to 4 letters, 1 Han character) have no near duplicates.
    """
    signatures, sizes = sign(texts, permutations, advance)
    filled = np.flatnonzero(sizes)
    near, parent = Near(), np.arange(len(texts))
    seen = np.empty(0, np.int64)  # keys of pairs that were verified before
    floor = threshold - 2.5 * np.sqrt(threshold * (1 - threshold) / permutations)
    bands, rows = band_shape(threshold, permutations)
    short = signatures.astype(np.uint8)  # one byte of each estimates as well (b-bit MinHash) and is faster
    sets = rank_sets(texts) if sum(map(len, texts)) <= CACHE else None
    for band in range(bands):
        keys = _band_keys(signatures[filled, band * rows : (band + 1) * rows])
        verified = [seen]
        for pairs in _candidates(filled, keys, parent, band, near):
            alike = (short[pairs[:, 0]] == short[pairs[:, 1]]).mean(axis=1) >= floor
            key = np.sort(pairs[alike, 0] * len(texts) + pairs[alike, 1])
            if len(seen):
                key = key[seen[np.minimum(np.searchsorted(seen, key), len(seen) - 1)] != key]
            if len(key) == 0:
                continue
            verified.append(key)
            found = np.stack([key // len(texts), key % len(texts)], axis=1)
            for (i, j), similarity in zip(found.tolist(), jaccard(texts, found, sets).tolist(), strict=True):
                if similarity >= threshold:
                    near.pairs.append((i, j, similarity))
                    join(parent, i, j)
        seen = np.sort(np.concatenate(verified))  # within a band, no pair comes twice
        advance(len(texts) / bands)
    near.pairs.sort()
    return near


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
    texts: Sequence[str], permutations: int, advance: Callable[[float], None] = lambda done: None
) -> tuple[Array, Array]:
    """Signatures, uint32 (texts, permutations), and the number of shingles of each text, int64 (texts,)."""
    random = np.random.Generator(np.random.PCG64(20240229))  # any fixed number: results must not depend on the recipe
    factor = random.integers(0, 2**63, permutations, np.uint64) * np.uint64(2) + np.uint64(1)
    shift = random.integers(0, 2**63, permutations, np.uint64)
    signatures = np.full((len(texts), permutations), np.iinfo(np.uint32).max, np.uint32)
    sizes = np.zeros(len(texts), np.int64)
    for first, last in _chunks(texts):
        offsets, hashes = shingle_sets(texts[first:last])
        sizes[first:last] = np.diff(offsets)
        filled = np.flatnonzero(sizes[first:last])
        if len(filled):
            for k in range(permutations):
                mixed = (hashes * factor[k] + shift[k]) >> np.uint64(32)
                signatures[first + filled, k] = np.minimum.reduceat(mixed, offsets[filled])
        advance(last - first)
    return signatures, sizes


def shingle_sets(texts: Sequence[str]) -> tuple[Array, Array]:
    """Hashed shingle sets as (offsets int64 (texts + 1,), hashes uint64): set i is hashes[offsets[i]:offsets[i + 1]].

    Each set is sorted and free of repeats.
    """
    lengths = np.array([len(text) for text in texts], np.int64)
    raw = "".join(texts).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(raw + bytes(4 * (LATIN_WIDTH - 1)), "<u4").astype(np.uint64)
    total = int(lengths.sum())
    text = np.repeat(np.arange(len(texts)), lengths)
    left = np.cumsum(lengths)[text] - np.arange(total)  # characters from here to the end of the text
    unspaced = _unspaced(codes[:total])
    value = np.zeros(total, np.uint64)
    narrow = value
    for k in range(LATIN_WIDTH):
        value = value * np.uint64(0x9E3779B97F4A7C15) + codes[k : k + total] + np.uint64(1)
        if k + 1 == HAN_WIDTH:
            narrow = value
    value = _mix(np.where(unspaced, narrow, value))
    whole = left >= np.where(unspaced, HAN_WIDTH, LATIN_WIDTH)
    text, value = text[whole], value[whole]
    order = np.lexsort((value, text))
    text, value = text[order], value[order]
    first = np.ones(len(text), bool)
    first[1:] = (text[1:] != text[:-1]) | (value[1:] != value[:-1])
    offsets = np.concatenate([[0], np.cumsum(np.bincount(text[first], minlength=len(texts)))])
    return offsets.astype(np.int64), value[first]


def rank_sets(texts: Sequence[str]) -> Sets:
    """Shingle sets with the hashes replaced by their ranks, for counting what two sets share."""
    parts = [shingle_sets(texts[first:last]) for first, last in _chunks(texts)] or [shingle_sets([])]
    sizes = np.concatenate([np.diff(offsets) for offsets, _ in parts])
    names, rank = np.unique(np.concatenate([hashes for _, hashes in parts]), return_inverse=True)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    key = np.repeat(np.arange(len(sizes)), sizes) * max(len(names), 1) + rank
    return Sets(offsets, key, max(len(names), 1))


def jaccard(texts: Sequence[str], pairs: Array, sets: Sets | None = None) -> Array:
    """Exact Jaccard similarity (up to collisions of 64-bit hashes) of each pair of texts, float64 (pairs,).

    `sets` are those of all texts; without them they are computed for the texts of a batch at a time.
    """
    if sets is not None:
        return _jaccard(sets, pairs)
    result = np.zeros(len(pairs))
    lengths = np.array([len(text) for text in texts], np.int64)
    start = 0
    while start < len(pairs):  # as many pairs at once as fit a chunk of characters
        total = np.cumsum(lengths[pairs[start : start + BLOCK]].sum(axis=1))
        stop = start + max(1, int(np.searchsorted(total, CHUNK)))
        members, local = np.unique(pairs[start:stop], return_inverse=True)
        result[start:stop] = _jaccard(rank_sets([texts[i] for i in members]), local.reshape(-1, 2))
        start = stop
    return result


def _jaccard(sets: Sets, pairs: Array) -> Array:
    """Pairs of a text that has many (a leader) by marking its shingles, all others by looking shingles up."""
    sizes = np.diff(sets.offsets)
    common = np.zeros(len(pairs), np.int64)
    texts, counts = np.unique(pairs, return_counts=True)
    done = np.zeros(len(pairs), bool)
    for leader in texts[counts >= 64].tolist():
        here = np.flatnonzero(~done & (pairs == leader).any(axis=1))
        marked = np.zeros(sets.names, bool)
        marked[sets.key[sets.offsets[leader] : sets.offsets[leader + 1]] % sets.names] = True
        for begin in range(0, len(here), 1024):
            part = here[begin : begin + 1024]
            elements, pair = _elements(sets, pairs[part].sum(axis=1) - leader)
            common[part] = np.bincount(pair[marked[sets.key[elements] % sets.names]], minlength=len(part))
        done[here] = True
    for begin in range(0, len(rest := np.flatnonzero(~done)), 4096):
        part = rest[begin : begin + 4096]
        left, right = pairs[part].T
        elements, pair = _elements(sets, left)
        wanted = right[pair] * sets.names + sets.key[elements] % sets.names
        place = np.minimum(np.searchsorted(sets.key, wanted), max(len(sets.key) - 1, 0))
        common[part] = np.bincount(pair[sets.key[place] == wanted], minlength=len(part))
    return common / np.maximum(sizes[pairs].sum(axis=1) - common, 1)


def _elements(sets: Sets, texts: Array) -> tuple[Array, Array]:
    """Places in `sets.key` of all shingles of `texts`, and for each which of `texts` it belongs to."""
    sizes = np.diff(sets.offsets)[texts]
    owner = np.repeat(np.arange(len(texts)), sizes)
    return sets.offsets[texts][owner] + np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes), owner


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


def _chunks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    first, characters = 0, 0
    for index, text in enumerate(texts):
        characters += len(text)
        if characters >= CHUNK:
            yield first, index + 1
            first, characters = index + 1, 0
    if first < len(texts):
        yield first, len(texts)


def _band_keys(part: Array) -> Array:
    key = np.zeros(len(part), np.uint64)
    for column in part.T:
        key = _mix(key + column.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    return key


def _candidates(items: Array, keys: Array, parent: Array, band: int, near: Near) -> Iterator[Array]:
    """Pairs (smaller index first) that share a key, int64 (pairs, 2), in blocks."""
    order = np.argsort(keys, kind="stable")
    changes = np.flatnonzero(keys[order][1:] != keys[order][:-1]) + 1
    starts = np.concatenate([[0], changes, [len(keys)]]).astype(np.int64)
    sizes = np.diff(starts)
    for size in np.unique(sizes[(sizes > 1) & (sizes <= LARGE)]).tolist():
        left, right = np.triu_indices(size, 1)
        first = starts[:-1][sizes == size]
        step = max(1, BLOCK // len(left))
        for begin in range(0, len(first), step):
            members = np.sort(items[order[first[begin : begin + step, None] + np.arange(size)]], axis=1)
            yield np.stack([members[:, left].ravel(), members[:, right].ravel()], axis=1)
    for start, size in zip(starts[:-1][sizes > LARGE].tolist(), sizes[sizes > LARGE].tolist(), strict=True):
        yield from _large_bucket(np.sort(items[order[start : start + size]]), parent, band, near)


def _large_bucket(members: Array, parent: Array, band: int, near: Near) -> Iterator[Array]:
    """A few leaders, each against all texts it is not connected with yet. Leaders change from band to band.

    `parent` is read anew for each leader, because what was yielded before may have connected texts.
    """
    members = np.roll(members, -((band * LEADERS) % len(members)))
    leaders: list[int] = []
    for _ in range(LEADERS):
        roots = _roots(parent, members)
        fresh = ~np.isin(roots, _roots(parent, np.array(leaders, np.int64)))
        if not fresh.any():
            return
        leader = int(np.argmax(fresh))
        others = members[roots != roots[leader]]
        for begin in range(0, len(others), BLOCK):
            block = others[begin : begin + BLOCK]
            yield np.sort(np.stack([np.full(len(block), members[leader]), block], axis=1), axis=1)
        leaders.append(int(members[leader]))
    left = ~np.isin(_roots(parent, members), _roots(parent, np.array(leaders, np.int64)))
    near.crowded.update(members[left].tolist())


def _unspaced(codes: Array) -> Array:
    """Scripts that write no spaces between words: kana, Han, Hangul syllables, Han extensions."""
    return (((codes >= 0x3041) & (codes <= 0x30FF)) | ((codes >= 0x3400) & (codes <= 0x9FFF))
            | ((codes >= 0xAC00) & (codes <= 0xD7A3)) | ((codes >= 0x20000) & (codes <= 0x323AF)))  # fmt: skip


def _mix(value: Array) -> Array:
    """The finaliser of SplitMix64: every input bit reaches every output bit."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
