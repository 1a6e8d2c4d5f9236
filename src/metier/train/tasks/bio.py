"""Between spans of characters and a tag for each unit of a text: BIO, and the best sequence that BIO allows.

Purpose: a unit is a word, a sign, or one Chinese (Japanese, Korean) character: the smallest possible entity.
`O` is outside, `B-x` begins an entity of type x, `I-x` goes on with it. An `I-x` may stand only after `B-x` or `I-x`
of the same type; `viterbi` finds the best sequence under that rule, so no broken entity can come out.
Trade-off: BIO holds no two entities that overlap: the longer one is tagged, the other is counted.
Not covered: learning scores for transitions (the floor `linear_tagger` does).
Shapes: U units of a text, K = 1 + 2 * types tags, in the order O, B-a, I-a, B-b, I-b, ...
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from metier.train.tasks.base import Span

OUTSIDE = 0
WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af"
_UNIT = re.compile(rf"[{WIDE}]|(?:(?![{WIDE}_])\w)+|[^\s]")
BATCH = 512  # texts of similar length whose sequences are found together


def units(text: str) -> list[tuple[int, int]]:
    """Characters from start to end (exclusive) of each word, sign or wide character."""
    return [found.span() for found in _UNIT.finditer(text)]


def tag_names(types: Sequence[str]) -> list[str]:
    """The K tags in their order."""
    return ["O", *(f"{mark}-{name}" for name in types for mark in "BI")]


def tags_of(spans: Sequence[tuple[int, int, int]], places: Sequence[tuple[int, int]]) -> tuple[list[int], int, int]:
    """Tags of units from spans (start, end, code of the type); how many spans overlap a longer one and are not tagged,
    and how many begin or end within a unit and are tagged as far as the unit reaches.

    A span that touches no unit (it lies beyond the part of the text that is read) is neither.
    """
    tags, overlapping, inexact = [OUTSIDE] * len(places), 0, 0
    starts, ends = np.array([p[0] for p in places]), np.array([p[1] for p in places])
    for start, end, code in sorted(spans, key=lambda span: (span[0] - span[1], span)):
        first = int(np.searchsorted(ends, start, side="right")) if places else 0
        last = int(np.searchsorted(starts, end, side="left")) if places else 0
        if first >= last:
            continue
        if any(tags[first:last]):
            overlapping += 1
            continue
        inexact += bool(starts[first] != start or ends[last - 1] != end)
        tags[first:last] = [1 + 2 * code] + [2 + 2 * code] * (last - first - 1)
    return tags, overlapping, inexact


def runs(tags: Sequence[int]) -> list[tuple[int, int, int]]:
    """Entities as (first unit, last unit + 1, code of the type). An I without its B begins an entity too."""
    found: list[tuple[int, int, int]] = []
    for place, tag in enumerate(tags):
        if tag == OUTSIDE:
            continue
        code, inside = (tag - 1) // 2, tag % 2 == 0
        if inside and found and found[-1][1] == place and found[-1][2] == code:
            found[-1] = (found[-1][0], place + 1, code)
        else:
            found.append((place, place + 1, code))
    return found


def spans_of(
    tags: Sequence[int], places: Sequence[tuple[int, int]], types: Sequence[str], sure: Sequence[float]
) -> list[Span]:
    """Spans of characters from the tags of units; the score of a span is the mean probability of its tags."""
    return [Span(places[first][0], places[last - 1][1], types[code], float(np.mean(sure[first:last])))
            for first, last, code in runs(tags)]  # fmt: skip


def allowed(outputs: int) -> np.ndarray:
    """(K, K) of bool: whether the tag of the column may follow that of the row."""
    following = np.ones((outputs, outputs), dtype=bool)
    for inside in range(2, outputs, 2):
        following[:, inside] = False
        following[[inside - 1, inside], inside] = True
    return following


def viterbi(logits: np.ndarray, counts: Sequence[int], steps: np.ndarray | None = None) -> np.ndarray:
    """The best allowed tags (R,) of all texts, one after the other; logits (R, K), counts: units of each text.

    The score of a sequence is the sum of its tags' logits (their log-probabilities but for a constant), and of the
    scores `steps` (K, K) of one tag after another, where a tagger has learned them.
    """
    outputs = logits.shape[1]
    best = np.zeros(len(logits), dtype=np.int64)
    starts = np.cumsum([0, *counts[:-1]]) if len(counts) else np.zeros(0, dtype=np.int64)
    never = np.where(allowed(outputs), 0.0 if steps is None else steps, -np.inf)
    order = sorted((i for i in range(len(counts)) if counts[i]), key=lambda i: counts[i])
    for at in range(0, len(order), BATCH):
        chosen = order[at : at + BATCH]
        sizes = np.array([counts[i] for i in chosen])
        longest = int(sizes.max())
        table = np.zeros((len(chosen), longest, outputs))
        for row, index in enumerate(chosen):
            table[row, : sizes[row]] = logits[starts[index] : starts[index] + sizes[row]]
        paths = _paths(table, sizes, never)
        for row, index in enumerate(chosen):
            best[starts[index] : starts[index] + sizes[row]] = paths[row, : sizes[row]]
    return best


def _paths(table: np.ndarray, sizes: np.ndarray, never: np.ndarray) -> np.ndarray:
    """Best paths (n, L) through scores (n, L, K); a text of s units ends after its own s."""
    n, longest, outputs = table.shape
    score = table[:, 0].copy()
    score[:, 2::2] = -np.inf  # nothing begins with I
    back = np.zeros((n, longest, outputs), dtype=np.int16)
    final = np.where((sizes == 1)[:, None], score, 0.0)
    for step in range(1, longest):
        through = score[:, :, None] + never[None]  # (n, from, to)
        back[:, step] = through.argmax(axis=1)
        score = through.max(axis=1) + table[:, step]
        final = np.where((sizes == step + 1)[:, None], score, final)
    paths = np.zeros((n, longest), dtype=np.int64)
    rows, now = np.arange(n), final.argmax(axis=1)
    for step in range(longest - 1, -1, -1):
        inside = step < sizes
        paths[:, step] = np.where(inside, now, 0)
        now = np.where(inside & (step > 0), back[rows, step, now], now)
    return paths
