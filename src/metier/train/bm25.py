"""BM25: which passages share rare words with a query.

Purpose: the floor of retrieval and a finder of hard negatives, exact and quick: all weights are computed once and kept
as a sparse matrix, so a query is a sum of a few columns (as Lù 2024 does in bm25s, which was not needed for that).
Formula: Robertson & Zaragoza 2009 with the idf of Lucene, ln(1 + (N - n + 0.5) / (n + 0.5)), which is never negative.
Words: runs of letters and digits without case, English plurals cut off (the S stemmer of Harman 1991); Chinese, which
has no spaces, by pairs of neighbouring characters.
Trade-off: no stop words and no further stemming; weights of frequent words are close to 0 anyway.
Not covered: other languages without spaces.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from metier.errors import need

K1, B = 1.2, 0.75  # Lucene's defaults: how soon repetition saturates, how much length counts
BLOCK = 256  # queries whose scores for all passages are held at once
_WIDE = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_RUN = re.compile(rf"(?P<wide>[{_WIDE}]+)|[^\W_{_WIDE}]+")


def words(text: str) -> list[str]:
    """The terms of a text, in its order."""
    found: list[str] = []
    for run in _RUN.finditer(text.casefold()):
        if wide := run["wide"]:
            found += [wide[i : i + 2] for i in range(len(wide) - 1)] or [wide]
        else:
            found.append(_singular(run[0]))
    return found


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s"):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    if word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
        return word[:-1]
    return word if word.endswith(("us", "ss")) else word[:-1]


class Index:
    """Passages, ready to be asked. n passages, V different terms."""

    def __init__(self, passages: Sequence[str]) -> None:
        sparse = need("scipy.sparse", "evaluate")
        self.terms: dict[str, int] = {}
        rows, columns, counts = [], [], []
        lengths = np.zeros(len(passages))
        for row, passage in enumerate(passages):
            found = Counter(words(passage))
            lengths[row] = sum(found.values())
            for term, count in found.items():
                rows.append(row)
                columns.append(self.terms.setdefault(term, len(self.terms)))
                counts.append(count)
        places, column, number = np.array(rows, np.int64), np.array(columns, np.int64), np.array(counts, np.float64)
        holders = np.bincount(column, minlength=len(self.terms))
        rarity = np.log1p((len(passages) - holders + 0.5) / (holders + 0.5))
        length = 1 - B + B * lengths / max(lengths.mean() if len(lengths) else 1.0, 1e-9)
        weights = rarity[column] * number * (K1 + 1) / (number + K1 * length[places])
        shape = (len(passages), len(self.terms))
        self.weights = sparse.csc_matrix((weights.astype(np.float32), (places, column)), shape)

    def scores(self, queries: Sequence[str]) -> Iterator[np.ndarray]:
        """Blocks (b, n) of float32: how well each passage fits each query, 0 where they share no term."""
        sparse = need("scipy.sparse", "evaluate")
        for start in range(0, len(queries), BLOCK):
            block = [Counter(words(query)) for query in queries[start : start + BLOCK]]
            cells: list[tuple[int, int, int]] = [(row, self.terms[term], count) for row, found in enumerate(block)
                                                 for term, count in found.items() if term in self.terms]  # fmt: skip
            row, column, count = (np.array(side) for side in (zip(*cells, strict=True) if cells else ((), (), ())))
            asked: Any = sparse.csr_matrix((count.astype(np.float32), (row, column)), (len(block), len(self.terms)))
            yield np.asarray((asked @ self.weights.T).todense())


def best(scores: np.ndarray, most: int, above: float = -np.inf) -> list[np.ndarray]:
    """scores (b, n) -> the places of the `most` highest of each row, highest first, equal ones in their order; only
    those above a value."""
    found = []
    for row in scores:
        some = np.argpartition(-row, most - 1)[:most] if most < len(row) else np.arange(len(row))
        if most < len(row):  # of those equal to the last one, the first
            edge = row[some].min()
            over = np.flatnonzero(row > edge)
            some = np.concatenate([over, np.flatnonzero(row == edge)[: most - len(over)]])
        order = some[np.lexsort((some, -row[some]))]
        found.append(order[row[order] > above])
    return found
