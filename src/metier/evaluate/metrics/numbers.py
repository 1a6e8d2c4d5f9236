"""Metrics of the numbers in written answers, each within the tolerance that the recipe names.

Purpose: an amount is right or wrong whatever words stand around it. All numbers of an answer are held against all of
the gold answer, each against one other (numerals.py); numbers that only repeat the question are left aside.
A gold answer without a number takes no part, and an answer without any where the gold one has some is wrong; both are
counted. `graded` puts the results beside the answers, because the tolerance stands in the recipe.
Not covered: which number belongs to what ("3 men and 5 women" equals "5 men and 3 women").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from metier.errors import need
from metier.evaluate.config_writing import NumbersConfig
from metier.evaluate.items import NUMBERS, TEXT, TEXTS, Array, Items
from metier.evaluate.metrics.base import Weighted, metric, ratio
from metier.evaluate.numerals import read, same, scales

DUE, SHARED, UNREAD = "numbers_due", "numbers_shared", "numbers_unread"  # of Items.more, beside NUMBERS


def graded(found: Mapping[str, Items], rows: pa.Table, config: NumbersConfig) -> dict[str, Items]:
    """The written answers of all models with `numbers` (right: 1), `numbers_shared` (F1), `numbers_unread` and
    `numbers_due`, each (n,); unchanged where they are of another kind or no gold answer holds a number."""
    questions = asked(rows)
    done = {}
    for name, one in found.items():
        done[name] = one
        if one.kind != TEXT or TEXTS not in one.more:
            continue
        texts = zip(one.predicted, one.gold, questions, strict=True)
        told = np.array([compare(answer, gold, question, config) for answer, gold, question in texts])
        due, right, shared, unread = told.reshape(len(one), 4).T
        if due.any():
            done[name] = replace(one, more={**one.more, NUMBERS: right, DUE: due, SHARED: shared, UNREAD: unread})
    return done


def compare(answer: str, gold: str, question: str, config: NumbersConfig) -> tuple[float, float, float, float]:
    """(due, right, F1, unread) of one answer: whether gold holds numbers, whether the answer holds just these, how much
    of them they share, and whether it holds none at all; zeros where none are due."""
    wanted, given = list(read(gold)), list(read(answer))
    if not wanted:
        return 0.0, 0.0, 0.0, 0.0
    if not given:
        return 1.0, 0.0, 0.0, 1.0
    if config.compare == "last":
        wanted, given = wanted[-1:], given[-1:]
    units = scales(question)
    table = np.array([[same(one, other, units, config.relative, config.absolute) for other in wanted]
                      for one in given])  # fmt: skip
    pairs = _pairs(table)
    spare = [one for place, one in enumerate(given) if place not in pairs]
    said = list(read(question)) if config.compare == "all" else []
    repeated = len(_pairs(np.array([[same(one, other, units, 0.0, 0.0) for other in said] for one in spare])))
    hit, there = len(pairs), len(given) - repeated
    return 1.0, float(hit == len(wanted) == there), 2 * hit / (there + len(wanted)), 0.0


def asked(rows: pa.Table) -> list[str]:
    """The question of each test example: its short text, or the last turn of the user; "" where there is none."""
    pairs, messages = (rows[name].to_pylist() if name in rows.column_names else [""] * len(rows)
                       for name in ("pair", "messages"))  # fmt: skip
    found = []
    for pair, cell in zip(pairs, messages, strict=True):
        turns = json.loads(cell) if cell and not pair else []
        said = [str(turn.get("content") or "") for turn in turns if turn.get("role") == "user"]
        found.append(pair or (said[-1] if said else ""))
    return found


def _due(items: Items) -> int:
    return int(items.more[DUE].sum())


@metric("number_match", (TEXT,), "higher", ("numbers right", "数值正确率"), (0.0, 1.0), needs=NUMBERS,
        per_item=lambda items: items.more[NUMBERS], count=_due)  # fmt: skip
def number_match(items: Items) -> Weighted:
    """Share of the answers that hold just the numbers of the gold answer, of those whose gold answer has any."""
    return ratio(items.more[NUMBERS], items.more[DUE])


@metric("number_f1", (TEXT,), "higher", ("F1 of numbers", "数值 F1"), (0.0, 1.0), needs=NUMBERS,
        per_item=lambda items: items.more[SHARED], count=_due)  # fmt: skip
def number_f1(items: Items) -> Weighted:
    """Mean F1 of numbers, each counted as often as it stands, over the answers whose gold answer has any."""
    return ratio(items.more[SHARED], items.more[DUE])


@metric("number_unparsable", (TEXT,), "lower", ("answers without the number asked for", "应有数值而未给出的比例"),
        (0.0, 1.0), needs=NUMBERS, per_item=lambda items: items.more[UNREAD], count=_due)  # fmt: skip
def number_unparsable(items: Items) -> Weighted:
    """Share of the answers in which no number can be read although the gold answer has one; they count as wrong."""
    return ratio(items.more[UNREAD], items.more[DUE])


def _pairs(table: Array) -> set[int]:
    """Rows of a table of bool that find a column of their own when as many as possible do."""
    if not table.size or not table.any():
        return set()
    sparse = need("scipy.sparse", "evaluate")
    matching = need("scipy.sparse.csgraph", "evaluate").maximum_bipartite_matching
    return set(np.flatnonzero(matching(sparse.csr_matrix(table), perm_type="column") >= 0).tolist())
