"""Texts to hashed shingles, many texts at once, and the exact Jaccard similarity of their sets. Numpy only.

Shingles: 5 characters where the script separates words, 2 where it does not (Han, kana, Hangul); in mixed text each
position takes its own width. Characters and not words, so that a typing error costs 5 shingles and not the sentence,
no tokeniser is needed, and a message of six words still has 30 shingles. A Han character carries about as much as 2
to 3 letters, so the pair weighs like 5 letters: one changed character in 20 leaves a Jaccard similarity of 0.81, with
3 it would be 0.71.
Width, case, punctuation and white space are folded away first, and so is white space beside Han and kana. All of it
happens on one array of characters for a block of texts: a text costs a few passes over its characters and no Python
loop. Blocks are small enough for a processor's cache.
Trade-off: sets are compared by 64-bit hashes cut to about 44 bits, so that one sort finds what two sets share; two
different shingles of a pair of 1,000-character texts coincide once in 10 million pairs.
Not covered: words (`overlaps.py` has them), other widths.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LATIN_WIDTH, HAN_WIDTH = 5, 2
BLOCK = 1 << 17  # characters worked on at once: 1 MB an array, so that a few stay in the processor's caches
BATCH = 1 << 20  # characters whose sets are compared at once: about 32 MB
HELD = 1 << 26  # characters of texts held at once while pairs of them are compared: 64 to 256 MB

WORD, WIDE, UNSPACED = np.uint8(1), np.uint8(2), np.uint8(4)  # letter or digit; no space beside it; narrow shingles
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: spreads bits by multiplication (Knuth, TAOCP 3, 6.4)


@dataclass(frozen=True)
class Shingles:
    """Hashes of a block of texts, uint64 (shingles,), in the order of the text; `sizes` says how many each text has.

    `names` identify the folded texts, uint64 (texts,): equal for texts that differ in what is folded away only.
    """

    hashes: Array
    sizes: Array
    names: Array


def fold(texts: Sequence[str]) -> tuple[Array, Array]:
    """(codes, lengths): the folded characters of all texts end to end, uint8 or uint32, and how many each text has."""
    joined = "\0".join(text.replace("\0", " ") for text in texts)
    if joined.isascii():
        codes: Array = np.frombuffer(joined.lower().encode("ascii"), np.uint8)
    else:
        joined = unicodedata.normalize("NFKC", joined).casefold()
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), "<u4")
    kind = _kinds()[codes]
    places = np.flatnonzero(kind & WORD)
    ends = np.searchsorted(places, np.append(np.flatnonzero(codes == 0), len(codes)))
    bounds = np.concatenate([[0], ends])
    kind = kind[places]
    spaced = np.zeros(len(places), bool)  # a space stands before the character
    spaced[1:] = (np.diff(places) > 1) & ((kind[1:] | kind[:-1]) & WIDE == 0)
    spaced[ends[ends < len(places)]] = False
    before = np.cumsum(spaced)
    folded = np.full(len(places) + (int(before[-1]) if len(before) else 0), 32, codes.dtype)
    folded[np.arange(len(places)) + before] = codes[places]
    return folded, np.diff(bounds) + np.diff(np.concatenate([[0], before])[bounds])


def shingle(texts: Sequence[str]) -> Shingles:
    """All shingles of a block of texts, repeats included."""
    codes, lengths = fold(texts)
    total, ends = len(codes), np.cumsum(lengths)
    alone = unspaced(codes)
    narrowed = bool(alone.any())
    left = np.repeat(ends, lengths) - np.arange(total)  # characters from here to the end of the text
    padded = np.zeros(total + LATIN_WIDTH, np.uint64)
    padded[:total] = codes
    value = padded[:total].copy()
    narrow = value
    for k in range(1, LATIN_WIDTH):
        value *= _GOLDEN
        value += padded[k : k + total]
        if k + 1 == HAN_WIDTH and narrowed:
            narrow = value + _GOLDEN
    whole = left >= LATIN_WIDTH
    if narrowed:
        value = np.where(alone, narrow, value)
        whole = np.where(alone, left >= HAN_WIDTH, whole)
    counted = np.concatenate([[0], np.cumsum(whole)])
    sizes = np.diff(counted[np.concatenate([[0], ends])])
    mixed = mix(padded[:total] + left.astype(np.uint64) * _GOLDEN)
    names = _sums(mixed, lengths)
    return Shingles(mix(value[whole]), sizes, names)


def unspaced(codes: Array) -> Array:
    """Whether folded characters belong to a script that writes no spaces between words, bool (codes,)."""
    return np.zeros(len(codes), bool) if codes.dtype == np.uint8 else _kinds()[codes] & UNSPACED > 0


def blocks(texts: Sequence[str], first: int = 0) -> Iterator[tuple[int, list[str]]]:
    """(index of the first, texts) for about BLOCK characters at a time; each text is asked for once, in order."""
    part: list[str] = []
    characters = 0
    for index in range(first, len(texts)):
        part.append(texts[index])
        characters += len(part[-1]) + 1
        if characters >= BLOCK:
            yield index + 1 - len(part), part
            part, characters = [], 0
    if part:
        yield len(texts) - len(part), part


def jaccard(texts: Sequence[str], lengths: Array, pairs: Array) -> Array:
    """Exact Jaccard similarity of the shingle sets of each pair, float64 (pairs,).

    pairs: int64 (pairs, 2), best sorted; lengths: characters of each text. As many pairs as HELD characters allow are
    taken at once, and their texts are asked for in order.
    """
    result = np.zeros(len(pairs))
    for start, stop in _runs(lengths, pairs, HELD):
        members, local = np.unique(pairs[start:stop], return_inverse=True)
        local = local.reshape(-1, 2)
        held = [texts[i] for i in members.tolist()]
        for begin, end in _runs(lengths[members], local, BATCH):
            few, place = np.unique(local[begin:end], return_inverse=True)
            compared = _jaccard([held[i] for i in few.tolist()], place.reshape(-1, 2))
            result[start + begin : start + end] = compared
    return result


def _runs(lengths: Array, pairs: Array, characters: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of as many pairs as `characters` allow, at least one at a time."""
    total = np.cumsum(lengths[pairs].sum(axis=1) + 16)
    start = 0
    while start < len(pairs):
        before = int(total[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + characters)))
        yield start, stop
        start = stop


def _jaccard(texts: Sequence[str], pairs: Array) -> Array:
    """Sets as sorted arrays; for each pair both are laid together and sorted: what stands twice is shared."""
    parts = [shingle(part) for _, part in blocks(texts)]
    bits = np.uint64(max(len(texts), len(pairs)).bit_length())
    hashes = np.concatenate([part.hashes for part in parts]) >> bits
    room = np.uint64(64) - bits  # the owner's number stands above the hash
    owner = np.repeat(np.arange(len(texts), dtype=np.uint64), np.concatenate([part.sizes for part in parts]))
    keys = np.sort((owner << room) | hashes)
    keys = keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys
    offsets = np.searchsorted(keys, np.arange(len(texts) + 1, dtype=np.uint64) << room)
    hashes = keys & ((np.uint64(1) << room) - np.uint64(1))
    sizes = np.diff(offsets)
    sides = []
    for side in pairs.T:
        count = sizes[side]
        place = np.repeat(offsets[side] - np.cumsum(count) + count, count) + np.arange(count.sum())
        sides.append((np.repeat(np.arange(len(pairs), dtype=np.uint64), count) << room) | hashes[place])
    both = np.sort(np.concatenate(sides))
    shared = both[1:][both[1:] == both[:-1]] >> room
    common = np.bincount(shared.astype(np.int64), minlength=len(pairs))
    return common / np.maximum(sizes[pairs].sum(axis=1) - common, 1)


def mix(value: Array) -> Array:
    """The finaliser of SplitMix64: every input bit reaches every output bit. Source: Steele et al. 2014."""
    scratch = value >> np.uint64(30)
    value = value ^ scratch
    value *= np.uint64(0xBF58476D1CE4E5B9)
    value ^= np.right_shift(value, np.uint64(27), out=scratch)
    value *= np.uint64(0x94D049BB133111EB)
    value ^= np.right_shift(value, np.uint64(31), out=scratch)
    return value


def keep_memory() -> None:
    """Let the C library keep freed memory of up to 24 MB instead of handing it back at once.

    An array of a block is larger than what it keeps by default, so every temporary one would be mapped and cleared
    anew, which took longer than the arithmetic (glibc's limit follows the largest piece that was freed).
    """
    np.empty(3 << 20, np.uint64)


def _sums(values: Array, lengths: Array) -> Array:
    """Sum of the values of each text, modulo 2**64; 0 for an empty one."""
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)])
    ends = np.cumsum(lengths)
    return total[ends] - total[ends - lengths]


@functools.cache
def _kinds() -> Array:
    """For each character whether it is part of a word, has no spaces beside it, and takes narrow shingles, uint8."""
    kinds = np.fromiter((chr(code).isalnum() for code in range(0x110000)), np.uint8, 0x110000)
    for first, last in ((0x3041, 0x30FF), (0x3400, 0x9FFF)):  # kana, Han
        kinds[first : last + 1] |= WIDE | UNSPACED
    for first, last in ((0xAC00, 0xD7A3), (0x20000, 0x323AF)):  # Hangul syllables, Han extensions
        kinds[first : last + 1] |= UNSPACED
    return kinds
