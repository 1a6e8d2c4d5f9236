"""Metrics of marked spans: precision, recall and F1 over all entities of all texts.

An answer is right when start, end and type equal those of a gold span; nothing is half right (the strict evaluation of
CoNLL-2003 and seqeval). All are functions of three numbers a text and type (right, gold, answered), so the bootstrap
draws texts, not entities, and costs one product a chunk.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from metier.evaluate.items import SPANS, Array, Items
from metier.evaluate.metrics.base import Weighted, metric, ratio


@metric("entity_f1", (SPANS,), "higher", ("entity F1", "实体 F1"), (0.0, 1.0))
def entity_f1(items: Items) -> Weighted:
    """2 * right / (gold + answered) over all entities; NaN where there are none and none is answered."""
    hit, gold, answered = _sums(items)
    return ratio(2 * hit, gold + answered)


@metric("entity_precision", (SPANS,), "higher", ("entity precision", "实体精确率"), (0.0, 1.0))
def entity_precision(items: Items) -> Weighted:
    """right / answered over all entities; NaN where none is answered."""
    hit, _, answered = _sums(items)
    return ratio(hit, answered)


@metric("entity_recall", (SPANS,), "higher", ("entity recall", "实体召回率"), (0.0, 1.0))
def entity_recall(items: Items) -> Weighted:
    """right / gold over all entities; NaN where there are none."""
    hit, gold, _ = _sums(items)
    return ratio(hit, gold)


def span_tables(items: Items) -> tuple[Any, Any, Any]:
    """Sparse (n, K) of counts: right answers, gold spans, answers of each type in each text."""
    from scipy import sparse

    shape = (len(items), len(items.classes))
    tables = []
    both = [set(gold) & set(found) for gold, found in zip(items.gold, items.predicted, strict=True)]
    for spans in (both, items.gold, items.predicted):
        places = [(row, span[2]) for row, some in enumerate(spans) for span in some]
        rows, columns = zip(*places, strict=True) if places else ((), ())
        tables.append(sparse.csr_matrix((np.ones(len(places)), (rows, columns)), shape))
    return tables[0], tables[1], tables[2]


def _sums(items: Items) -> tuple[Array, Array, Array]:
    """(n,) each: right, gold and answered spans of every text."""
    hit, gold, answered = (np.asarray(table.sum(axis=1)).ravel() for table in span_tables(items))
    return hit, gold, answered
