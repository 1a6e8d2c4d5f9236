"""The cases that a person should read: what the other model had right and the tuned one breaks, and the reverse.

The other model is the base; without one it is the strongest other model on the primary metric; the counts name it.
Right and wrong are the whole answer. For scores a case is broken when the error grew by more than the other model's
median error, mended when it shrank by as much; written answers and texts change by ROUGE-L and by bits per byte, and
a step that a reader would notice is one (STEPS). For spans the texts with the most wrong spans come first. A ranking is
right if a right passage stands first; the gold one and what each model put first are shown.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from metier.evaluate import written
from metier.evaluate.items import (
    ANSWERS,
    BITS,
    MULTI_LABEL,
    PREFERENCE,
    RANKING,
    SCORE,
    SPANS,
    TEXT,
    TEXTS,
    WRITTEN,
    Array,
    Found,
    Items,
    confidence,
    right,
)
from metier.evaluate.metrics.bits import rates
from metier.evaluate.metrics.ranking import first_right
from metier.evaluate.metrics.texts import overlaps

STEPS = {TEXT: 0.1, BITS: 0.05}  # change of ROUGE-L, of bits per byte, that a reader would notice

CASES = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("group", pa.string()),
        ("text", pa.string()),
        ("gold", pa.string()),  # several labels are joined by the task's separator; values as numbers
        ("base", pa.string()),  # answer of the model compared with
        ("tuned", pa.string()),
        ("kind", pa.string()),  # broken, mended
        # the tuned model's confidence; for scores its error, for spans how many are wrong, for rankings the place at
        # which it has the right passage (empty: not among the first 100)
        ("severity", pa.float64()),
        (
            "marks",
            pa.string(),
        ),  # spans: JSON {"gold": [[start, end, label], ...], "base": [...], "tuned": [...]}, else ""
    ]
)


def find(tuned: Items, other: Items, rows: pa.Table, separator: str) -> tuple[pa.Table, dict[str, int]]:
    """Broken and mended cases, broken first and worst first, and the counts of all four outcomes.

    rows: the examples of the test split with id, source, group, text, in the order of the items.
    """
    good, before = _outcomes(tuned, other)
    broken, mended = before & ~good, ~before & good
    severity = _severity(tuned)
    ids = np.asarray(rows.column("id").to_pylist(), dtype=object)
    chosen = []
    for kind, mask in (("broken", broken), ("mended", mended)):
        at = np.flatnonzero(mask)
        order = sorted(at.tolist(), key=lambda i: (-severity[i] if np.isfinite(severity[i]) else np.inf, ids[i]))
        chosen += [(kind, index) for index in order]
    index = pa.array([i for _, i in chosen], pa.int64())
    asked = "pair" if tuned.kind == RANKING else "text"  # a ranking is asked for by its query
    columns = [rows.column(name).take(index).cast(pa.string()) for name in ("id", "source", "group", asked)]
    columns_of = (("gold", tuned, tuned.gold), ("base", other, other.predicted), ("tuned", tuned, tuned.predicted))
    texts = rows.column("text")
    answers = [
        [answer(items, given, i, separator, texts[i].as_py()) for _, i in chosen] for _, items, given in columns_of
    ]
    marks = ["" if tuned.kind != SPANS else json.dumps(
        {name: [[*span[:2], items.classes[span[2]]] for span in given[i]] for name, items, given in columns_of},
        ensure_ascii=False) for _, i in chosen]  # fmt: skip
    figures = [float(severity[i]) if np.isfinite(severity[i]) else None for _, i in chosen]
    data = [*columns, *(pa.array(column, pa.string()) for column in answers),
            pa.array([kind for kind, _ in chosen], pa.string()), pa.array(figures, pa.float64()),
            pa.array(marks, pa.string())]  # fmt: skip
    counts = {
        "broken": int(broken.sum()), "mended": int(mended.sum()), "both_right": int((good & before).sum()),
        "both_wrong": int((~good & ~before).sum()),
    }  # fmt: skip
    return pa.table(data, schema=CASES), counts


def answer(items: Items, answers: Array, index: int, separator: str = "|", text: str = "") -> str:
    """One answer for people: a label, labels joined, a number, words (several gold ones with a stroke between; "": no
    answer), or spans as `words (type)`."""
    if items.kind in WRITTEN:
        return written.answer(items, answers, index)
    if items.kind == SPANS:
        return "; ".join(f"{text[start:end]} ({items.classes[code]})" for start, end, code in answers[index])
    if items.kind == ANSWERS:
        given = answers[index]
        return given.answer if isinstance(given, Found) else " / ".join(dict.fromkeys(given))
    if items.kind == RANKING:  # what should stand first, what does
        return items.classes[answers[index][0]] if answers[index] else ""
    if items.kind == SCORE:
        return f"{answers[index]:.6g}"
    if items.kind == MULTI_LABEL:
        return separator.join(items.classes[i] for i in np.flatnonzero(answers[index]))
    return items.classes[int(answers[index])]


def _outcomes(tuned: Items, other: Items) -> tuple[Array, Array]:
    """(n,) of bool each: the tuned model is right, the other one is right."""
    if tuned.kind not in (SCORE, *STEPS):
        return right(tuned), right(other)
    error, before = _errors(tuned), _errors(other)
    usual = float(np.median(before)) if len(before) else 0.0
    step = STEPS.get(tuned.kind, usual)
    grew, shrank = error - before > step, before - error > step
    neither = ~grew & ~shrank
    return shrank | (neither & (error <= usual)), grew | (neither & (error <= usual))


def _errors(items: Items) -> Array:
    """(n,) how far each answer is from the right one: what ROUGE-L lacks, bits per byte, or a difference."""
    if items.kind == TEXT:
        return 1 - overlaps(items)
    return rates(items) if items.kind == BITS else np.abs(items.predicted - items.gold)


def _severity(tuned: Items) -> Array:
    if tuned.kind in (SCORE, *STEPS):
        return _errors(tuned)
    if tuned.kind == PREFERENCE:
        return np.abs(tuned.more["margins"])
    if tuned.kind == SPANS:
        wrong = [len(set(a) ^ set(b)) for a, b in zip(tuned.gold, tuned.predicted, strict=True)]
        return np.array(wrong, dtype=np.float64)
    if tuned.kind == RANKING:
        return np.array(first_right(tuned))
    sure = confidence(tuned)
    if sure is None:
        return np.full(len(tuned), np.nan)
    if tuned.kind == MULTI_LABEL:
        wrong = (tuned.gold != tuned.predicted)[:, : sure.shape[1]]
        surest = np.where(wrong, sure, -np.inf).max(axis=1, initial=-np.inf)
        return np.where(np.isfinite(surest), surest, sure.min(axis=1, initial=1.0))
    return sure.astype(np.float64)


def strongest(models: Sequence[str], values: dict[str, float | None], better: str) -> str | None:
    """The model to compare cases with: the base if it is there, else the best on the primary metric."""
    if "base" in models:
        return "base"
    known = [name for name in models if values.get(name) is not None]
    sign = 1 if better == "higher" else -1
    return max(known, key=lambda name: sign * float(values[name] or 0.0), default=None)


def tells(items: Items) -> bool:
    """Whether the model's answers can be laid beside others."""
    return items.kind != TEXT or TEXTS in items.more


def empty() -> dict[str, Any]:
    """Counts when there is no model to compare cases with."""
    return {"broken": 0, "mended": 0, "both_right": 0, "both_wrong": 0, "against": None}
