"""Passages that two sets of texts share: runs of 13 words or 20 Chinese characters, found by their hashes.

Purpose: near duplicates are alike as wholes; a training text may also hold a passage of a test text word for word in
the middle of something else (a quoted mail, a copied clause, a leaked benchmark question). `scan` hashes all runs of
the evaluation texts and finds the texts that share one, and how much of them such passages cover.
Words are what stands between spaces after folding (shingles.py), each Chinese character is a word; in mixed text a run
is as long as the script of its first word demands.
Trade-off: an evaluation text shorter than a run has none and is left to the comparison of whole texts. A run that
stands in many training texts is a form ("please do not hesitate to ...") and is not counted.
Memory: 12 bytes a run of the evaluation texts, at most RUNS of them at once; the texts are read once for each part.
Source: 13-grams, and forms left out, after Brown et al. 2020 (GPT-3), appendix C.
Not covered: paraphrased or translated passages.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from metier.prepare.shingles import Array, blocks, fold, keep_memory, mix, unspaced

RUNS = 1 << 24  # runs of evaluation texts that are looked for at once: 200 MB
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2**64
_INVERSE = np.uint64(pow(int(_FACTOR), -1, 1 << 64))


@dataclass(frozen=True)
class Runs:
    """All runs of a block of texts. hashes: uint64 (runs,); text, first: int64 (runs,), the text and its word with
    which the run begins; width: words of the run; words: number of words of each text; start, end: where each word lies
    within `codes`."""

    hashes: Array
    text: Array
    first: Array
    width: Array
    words: Array
    start: Array
    end: Array
    codes: Array


@dataclass
class Overlap:
    """What one text shares with evaluation texts."""

    share: float  # of its words that stand in a shared passage
    passage: str  # the longest, folded
    other: int  # number of an evaluation text that has it


def scan(
    texts: Sequence[str], held: Sequence[str], words: int, characters: int, common: int
) -> tuple[dict[int, Overlap], int]:
    """{number of a text: Overlap} of `texts` with `held`, and how many runs were passed over as forms.

    words, characters: length of a run. common: a run in more texts than this is a form.
    """
    keep_memory()
    covered: dict[int, list[tuple[int, int, int]]] = defaultdict(list)  # text -> (first word, width, held text)
    forms = 0
    for names, owner in _index(held, words, characters):
        hits, passed = _hits(texts, names, words, characters, common)
        forms += passed
        for text, first, width, run in hits:
            covered[text].append((first, width, int(owner[run])))
    found = {}
    for text in sorted(covered):
        found[text] = _overlap(texts[text], sorted(covered[text]), words, characters)
    return found, forms


def runs(texts: Sequence[str], words: int, characters: int) -> Runs:
    """Every run of every text: `words` words from a spaced one on, `characters` from a character of its own."""
    codes, lengths = fold(texts)
    ends = np.cumsum(lengths)
    alone = unspaced(codes)
    opens = np.zeros(len(codes) + 1, bool)  # a text begins
    opens[ends - lengths] = True
    space = codes == 32
    after = np.ones(len(codes), bool)  # a word may begin
    after[1:] = space[:-1] | alone[:-1] | alone[1:]
    starts = np.flatnonzero(~space & (after | opens[:-1]))
    stops = np.append(starts[1:], len(codes))[: len(starts)]
    sizes = stops - starts  # with the space behind the word
    place = (np.arange(len(codes)) - np.repeat(starts, sizes)).astype(np.uint64)
    letters = mix(codes.astype(np.uint64) + place * _FACTOR)
    letters[space] = 0
    stops = stops - space[stops - 1]
    hashes = mix(np.add.reduceat(letters, starts)) if len(starts) else np.zeros(0, np.uint64)
    number = np.searchsorted(starts, ends - lengths)  # first word of each text
    count = np.diff(np.append(number, len(starts)))
    width = np.where(alone[starts], characters, words)
    left = np.repeat(number + count, count) - np.arange(len(starts))
    whole = np.flatnonzero(left >= width)
    power = np.cumprod(np.full(len(starts), _FACTOR, np.uint64), dtype=np.uint64)
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(hashes * power, dtype=np.uint64)])
    inverse = np.cumprod(np.full(len(starts), _INVERSE, np.uint64), dtype=np.uint64)
    run = (total[whole + width[whole]] - total[whole]) * inverse[whole]
    owner = np.repeat(np.arange(len(texts)), count)
    return Runs(mix(run + width[whole].astype(np.uint64)), owner[whole], whole - number[owner[whole]], width[whole],
                count, starts, stops, codes)  # fmt: skip


def _index(held: Sequence[str], words: int, characters: int) -> Iterator[tuple[Array, Array]]:
    """Parts of (sorted different runs, the first text that has each), at most about RUNS a part."""
    names: list[Array] = []
    owners: list[Array] = []
    size = 0
    for start, part in blocks(held):
        found = runs(part, words, characters)
        names.append(found.hashes)
        owners.append((found.text + start).astype(np.int32))
        size += len(found.hashes)
        if size >= RUNS:
            yield _unique(names, owners)
            names, owners, size = [], [], 0
    if size:
        yield _unique(names, owners)


def _unique(names: list[Array], owners: list[Array]) -> tuple[Array, Array]:
    found, place = np.unique(np.concatenate(names), return_index=True)
    return found, np.concatenate(owners)[place]


def _hits(
    texts: Sequence[str], names: Array, words: int, characters: int, common: int
) -> tuple[list[tuple[int, int, int, int]], int]:
    """(text, first word, width, number of the run) of every shared run that is no form, and the number of forms."""
    number = np.zeros(len(names), np.int32)  # texts that have the run
    found: list[tuple[Array, Array, Array, Array]] = []
    for start, part in blocks(texts):
        here = runs(part, words, characters)
        place = np.minimum(np.searchsorted(names, here.hashes), len(names) - 1)
        hit = np.flatnonzero(names[place] == here.hashes)
        if len(hit):
            once = np.unique(here.text[hit] * len(names) + place[hit]) % len(names)
            np.add.at(number, once, 1)
            hit = hit[number[place[hit]] <= common]  # what is a form by now need not be kept
            found.append((here.text[hit] + start, here.first[hit], here.width[hit], place[hit]))
    forms = int((number > common).sum())
    result: list[tuple[int, int, int, int]] = []
    for columns in found:
        keep = number[columns[3]] <= common
        result += zip(*(column[keep].tolist() for column in columns), strict=True)
    return result, forms


def _overlap(text: str, spans: Sequence[tuple[int, int, int]], words: int, characters: int) -> Overlap:
    """Spans are (first word, width, held text), sorted."""
    here = runs([text], words, characters)
    merged: list[list[int]] = []
    for first, width, other in spans:
        if merged and first <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], first + width)
        else:
            merged.append([first, first + width, other])
    covered = sum(stop - first for first, stop, _ in merged)
    first, stop, other = max(merged, key=lambda span: (span[1] - span[0], -span[0]))
    passage = here.codes[here.start[first] : here.end[stop - 1]].tolist()
    return Overlap(covered / max(int(here.words[0]), 1), "".join(map(chr, passage)), other)
