"""Hard negatives: passages of the training split that look right for a query and are not.

Purpose: random passages of a batch soon are too easy. For each query the passages most alike by BM25, or by the
untouched base, are looked through from the top; left out are what may answer it too (its family, and with
`task.embed.same_group: mask` its group), near duplicates of its own passage, and what is more alike than nearly as
alike as its own passage is (by the base: above 95 % of that similarity, after Moreira et al. 2024, who found most of
such passages to be right answers that nobody marked).
Trade-off: once, before training; the negatives do not follow what the model learns.
Not covered: passages outside the training split, which would teach what the test asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from metier.train.bm25 import BLOCK, Index, best, words
from metier.train.config import EmbedConfig
from metier.train.tasks.base import strings
from metier.train.tasks.embed import families, folded

LOOKED_AT = 50  # passages a query
AS_GOOD = 0.95  # share of the own passage's similarity; source: NV-Retriever (Moreira et al. 2024), TopK-PercPos
NEAR = 0.8  # Jaccard similarity of the words from which two passages say the same; as in prepare.dedup.threshold


def mine(
    train: pa.Table, config: EmbedConfig, embed: Callable[[Sequence[str], str], Any], console: Any
) -> tuple[pa.Table, dict[str, int]]:
    """The examples with a column `negatives` filled up to `config.negatives`, and what was found and left out."""
    given = [list(some or ()) for some in train["negatives"].to_pylist()] if "negatives" in train.column_names else []
    given = given or [[] for _ in range(train.num_rows)]
    counts: Counter[str] = Counter(given_negatives=sum(map(len, given)), mined_negatives=0)
    if config.hard_negatives == "none":
        return train, {"given_negatives": counts["given_negatives"]} if counts["given_negatives"] else {}
    queries, passages = strings(train["pair"]), strings(train["text"])
    corpus = list(dict.fromkeys(passages))
    place = {text: index for index, text in enumerate(corpus)}
    known = families(train)
    codes = np.array([known.of[folded(text)] for text in corpus])
    bags = [frozenset(words(text)) for text in corpus]
    above = 0.0 if config.hard_negatives == "bm25" else -np.inf  # a passage that shares no word is not hard
    row = 0
    with console.progress("looking for hard negatives", len(queries), "queries") as meter:
        for block in _scores(queries, corpus, config, embed):
            for score, candidates in zip(block, best(block, LOOKED_AT + 1, above), strict=True):
                own = place[passages[row]]
                free = config.negatives - len(given[row])
                for one in candidates.tolist():
                    if free <= 0:
                        break
                    why = _leaves_out(one, own, score, known.rows[row], codes, bags, config)
                    if why:
                        counts[why] += why != "own"
                        continue
                    given[row].append(corpus[one])
                    counts["mined_negatives"] += 1
                    free -= 1
                counts["without_negatives"] += not given[row]
                row += 1
            meter.advance(len(block))
    column = pa.array(given, pa.list_(pa.string()))
    if "negatives" in train.column_names:
        train = train.drop_columns(["negatives"])
    del counts["own"]
    return train.append_column("negatives", column), dict(counts)


def _leaves_out(
    one: int, own: int, score: np.ndarray, codes: tuple[int, int], others: np.ndarray, bags: Sequence[frozenset[str]],
    config: EmbedConfig,
) -> str:  # fmt: skip
    """Why a candidate is no negative: the count it belongs to; "" for one that is."""
    if one == own:
        return "own"
    family, group = others[one]
    if family == codes[0] or (config.same_group == "mask" and group == codes[1] >= 0):
        return "negatives_of_family"
    if config.hard_negatives == "base" and score[one] > AS_GOOD * score[own]:
        return "negatives_as_good"
    both = len(bags[one] & bags[own])
    return "negatives_near" if both >= NEAR * (len(bags[one]) + len(bags[own]) - both) else ""


def _scores(
    queries: Sequence[str], corpus: Sequence[str], config: EmbedConfig, embed: Callable[[Sequence[str], str], Any]
) -> Iterator[np.ndarray]:
    if config.hard_negatives == "bm25":
        yield from Index(corpus).scores(queries)
        return
    passages = embed(corpus, config.passage_prefix)
    asked = embed(queries, config.query_prefix)
    for start in range(0, len(queries), BLOCK):
        yield asked[start : start + BLOCK] @ passages.T
