"""Test rows that were changed, asked, kept, and held against the answers to the rows as they were.

Purpose: what robustness and counterfactual swaps share. All changed rows go to a model in one call, the same rows to
the tuned model and to the base. Kept are the changed rows themselves with their edits, so that gold spans and words are
those of the changed text and a judgement needs no model.
Not covered: which changes there are (changes.py, swaps.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metier.evaluate import load, words
from metier.evaluate.checks.base import Asked, Model, Told
from metier.evaluate.checks.edits import Edit, carried_spans
from metier.evaluate.compare import Pair, Setting, compare
from metier.evaluate.items import (
    ANSWERS,
    BITS,
    MULTI_LABEL,
    RANKING,
    SCORE,
    SPANS,
    TEXT,
    TEXTS,
    Array,
    Items,
    objects,
    right,
    take,
)
from metier.evaluate.metrics import Metric, value
from metier.evaluate.resample import bootstrap, units
from metier.train.tasks import profile

EDITS = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32()), ("new", pa.string())]))
COUNTS = pa.schema([("change", pa.string()), ("reason", pa.string()), ("rows", pa.int64())])
SMALL_MOVE = 0.1  # score: an answer counts as changed when it moves by more than this share of the gold values' spread
SAME_WORDS = 0.5  # texts: an answer counts as changed when it shares less than this with the one before (F1 of words)


@dataclass(frozen=True)
class Changed:
    """One test row under one change. columns: what replaces the row's own cells. edits: of its column `text`."""

    row: int
    change: str
    columns: Mapping[str, Any]
    edits: Sequence[Edit] = field(default_factory=tuple)


def ask(asked: Asked, changed: Sequence[Changed]) -> dict[str, pa.Table]:
    """`rows`: the changed examples with `row`, `change` and `edits`; `answers`: PREDICTIONS of each model for them."""
    rows = table(asked.parts["test"], changed)
    if not changed:
        return {"rows": rows}
    models: list[Model] = ["tuned", "base"] if asked.config.base else ["tuned"]
    return {"rows": rows, "answers": pa.concat_tables([asked.answer(model, rows) for model in models])}


def table(test: pa.Table, changed: Sequence[Changed]) -> pa.Table:
    """The examples with their new cells, one row each; a column that is not one of the examples' holds strings."""
    made = test.take(pa.array([one.row for one in changed], pa.int64()))
    for name in sorted({name for one in changed for name in one.columns}):
        new = any(name not in one.columns for one in changed) and name not in test.column_names
        assert not new, f"the column '{name}' must be given for every row"
        old = made[name].to_pylist() if name in made.column_names else [None] * len(changed)
        cells = [one.columns.get(name, cell) for one, cell in zip(changed, old, strict=True)]
        if name in made.column_names:
            at = made.schema.get_field_index(name)
            made = made.set_column(at, made.schema.field(at), pa.array(cells, made.schema.field(at).type))
        else:
            made = made.append_column(name, pa.array(cells, pa.string()))
    edits = [[edit._asdict() for edit in one.edits] for one in changed]
    return (
        made.append_column("row", pa.array([one.row for one in changed], pa.int64()))
        .append_column("change", pa.array([one.change for one in changed], pa.string()))
        .append_column("edits", pa.array(edits, EDITS))
    )


def counts(found: Mapping[tuple[str, str], int]) -> pa.Table:
    """(change, reason) -> rows that were left out, as a table."""
    rows = [{"change": change, "reason": reason, "rows": number} for (change, reason), number in sorted(found.items())]
    return pa.Table.from_pylist(rows, schema=COUNTS)


@dataclass(frozen=True)
class Answered:
    """One model's answers under one change, beside its answers to the same rows unchanged. n items each."""

    row: Array  # (n,) of the test split
    before: Items
    after: Items
    rows: pa.Table  # (n,) the changed examples

    def __len__(self) -> int:
        return len(self.row)


def together(stored: Mapping[str, pa.Table], told: Told, model: str) -> Answered | None:
    """All changed rows; None where there are none, or the model was not asked."""
    if "answers" not in stored or model not in told.models:
        return None
    rows, answers = stored["rows"], stored["answers"].filter(pc.equal(stored["answers"]["model"], model))
    if not answers.num_rows:
        return None
    place = rows["row"].to_numpy()
    both = {"before": take(told.models[model], place), "after": _items(answers, rows, told, model)}
    both = load.same_classes(both)
    return Answered(place, both["before"], both["after"], rows)


def answered(stored: Mapping[str, pa.Table], told: Told, model: str) -> dict[str, Answered]:
    """As `together`, by change; empty where there is nothing."""
    every = together(stored, told, model)
    if every is None:
        return {}
    names = np.array(every.rows["change"].to_pylist())
    found = {}
    for change in dict.fromkeys(names.tolist()):
        some = np.flatnonzero(names == change)
        found[change] = Answered(
            every.row[some], take(every.before, some), take(every.after, some), every.rows.take(pa.array(some))
        )
    return found


def _items(answers: pa.Table, rows: pa.Table, told: Told, model: str) -> Items:
    if profile(told.task).kind == RANKING:  # the right passages are the unchanged query's
        before = take(told.models[model], rows["row"].to_numpy())
        return replace(before, predicted=objects([tuple(found) for found in answers["ranked"].to_pylist()]))
    return load.of_answers(answers, rows, profile(told.task).kind, told.classes, model, "the check's answers")


def differs(before: Items, after: Items, edits: Sequence[Sequence[Edit]]) -> Array:
    """(n,) of bool: the model answers otherwise than before.

    Labels: any of them. score: by more than a tenth of the gold values' spread. Spans: not the same ones, carried
    through the edits. Answers found in a text: right before and not after, or the reverse. Rankings: another passage
    stands first. Written answers: they share less than half of their words. Code lengths: see `BITS`, never asked.
    """
    kind = before.kind
    assert kind != BITS
    if kind == SCORE:
        return np.abs(after.predicted - before.predicted) > SMALL_MOVE * float(np.std(before.gold))
    if kind == SPANS:
        carried = [_carried(spans, made) for spans, made in zip(before.predicted, edits, strict=True)]
        return np.array([set(a) != set(b) for a, b in zip(carried, after.predicted, strict=True)], dtype=bool)
    if kind == ANSWERS:
        return right(before) != right(after)
    if kind == RANKING:
        pairs = zip(before.predicted, after.predicted, strict=True)
        return np.array([a[:1] != b[:1] for a, b in pairs], dtype=bool)
    if kind == TEXT:
        pairs = zip(before.more[TEXTS], after.more[TEXTS], strict=True)
        return np.array([words.token_f1(b, (a,)) < SAME_WORDS for a, b in pairs], dtype=bool)
    different = before.predicted != after.predicted
    return np.asarray(different.any(axis=1) if kind == MULTI_LABEL else different)


def edits_of(rows: pa.Table) -> list[list[Edit]]:
    """The stored edits of each changed row."""
    return [[Edit(**edit) for edit in edits or []] for edits in rows["edits"].to_pylist()]


def setting_of(told: Told, row: Array) -> Setting:
    """The run's setting for some test rows: their groups are drawn together, and so are several variants of a row."""
    of = told.setting.unit.of
    return replace(told.setting, unit=units([f"unit {of[place]}" for place in row]))


def pair(metric: Metric, first: Items, second: Items, setting: Setting) -> Pair | None:
    """Two sets of answers for `compare`: its difference is first minus second; None where there is no figure."""
    values = value(metric, first), value(metric, second)
    if values[0] is None or values[1] is None:
        return None
    bound = {"first": metric.over(first), "second": metric.over(second)}
    drawn = bootstrap(bound, setting.unit, setting.resamples, setting.seed)
    return Pair(metric, first, second, values[0], values[1], drawn["first"] - drawn["second"])


def compared(metric: Metric, one: Answered, told: Told, name: str) -> dict[str, Any] | None:
    """A row as `compare` gives it, difference = changed minus unchanged; None where there is no figure."""
    setting = setting_of(told, one.row)
    made = pair(metric, one.after, one.before, setting)
    return None if made is None else compare(made, name, setting)


def _carried(spans: Sequence[tuple[int, int, int]], edits: Sequence[Edit]) -> list[tuple[int, int, int]]:
    moved = carried_spans([{"start": start, "end": end, "code": code} for start, end, code in spans], edits)
    return [(one["start"], one["end"], one["code"]) for one in moved]
