"""Tables of the earlier stages as Items: the only place of this stage that reads label strings.

Predictions are checked against the test split: every model answers every test example exactly once. Rows are put into
the order of the examples, so a prediction file that was sorted or merged on the way gives the same figures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metier.artifact import Artifact
from metier.errors import UserError
from metier.evaluate import written
from metier.evaluate.items import (
    ANSWERS,
    CHOICE,
    CLASSIFY,
    GENERAL,
    MULTI_LABEL,
    RANKING,
    SCORE,
    SPANS,
    WRITTEN,
    Array,
    Found,
    Items,
    objects,
)
from metier.train.tasks.extract import GIVEN

COLUMNS = {
    CLASSIFY: "label", MULTI_LABEL: "labels", SCORE: "value", SPANS: "spans", ANSWERS: "spans", RANKING: "ranked",
}  # fmt: skip
ORDER = ("tuned", "base", "zero_shot")


def split_rows(path: Path) -> pa.Table:
    """The examples of the test split, in the order of the file."""
    return pq.read_table(path, filters=[("split", "=", "test")])


def general_sources(examples: Artifact) -> tuple[str, ...]:
    """The sources of general text that the examples were prepared with (globs)."""
    found = examples.identity.get("config", {}).get("prepare", {}).get("mix", {}).get("general", ())
    return tuple(found)


def in_parts(rows: pa.Table, general: Sequence[str]) -> pa.Table:
    """The rows with a column that says which are general text, not of the field."""
    if GENERAL in rows.column_names or "source" not in rows.column_names:
        return rows
    sources = [(source or "").partition("#")[0] for source in rows.column("source").to_pylist()]
    flags = [any(fnmatch(source, pattern) for pattern in general) for source in sources]
    return rows.append_column(GENERAL, pa.array(flags, pa.bool_()))


def models(path: Path) -> dict[str, dict[str, Any]]:
    """What models.json says of each model in the predictions, the tuned one first."""
    known = json.loads((path / "models.json").read_text(encoding="utf-8")) if (path / "models.json").is_file() else {}
    there = pc.unique(pq.read_table(path / "predictions.parquet", columns=["model"]).column("model")).to_pylist()
    if "tuned" not in there and pq.read_metadata(path / "predictions.parquet").num_rows:
        raise UserError("the predictions hold no model called 'tuned'", str(path), "run the stage again")
    names = [name for name in ORDER if name in there] + sorted(set(there) - set(ORDER))
    empty = {"title": "", "kind": "floor", "how": "", "seconds": 0.0}
    return {name: {**empty, "title": name, **known.get(name, {})} for name in names}


def classes(path: Path) -> tuple[str, ...]:
    """The labels known in training, in the order of the scores."""
    file = path / "classes.json"
    return tuple(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else ()


def validation(path: Path, examples: Path, kind: str, known: Sequence[str]) -> Items | None:
    """The tuned model's answers on the validation split; None where none are stored."""
    file = path / "validation.parquet"
    if not file.is_file():
        return None
    ids = pq.read_table(file, columns=["id"]).column("id").combine_chunks()
    rows = pq.read_table(examples, filters=[("split", "=", "validation")])
    rows = rows.filter(pc.is_in(rows.column("id"), value_set=ids))
    return items(path, "tuned", rows, kind, known, file.name)


def items(
    path: Path, model: str, rows: pa.Table, kind: str, known: Sequence[str], file: str = "predictions.parquet"
) -> Items:
    """One model's answers on the test rows. known: labels of training; other labels come after these in `classes`.

    file: predictions.parquet, or validation.parquet with the rows of that split.
    """
    if kind in WRITTEN:
        wanted = ["id", *(written.CHOSEN if kind == CHOICE else written.STORED)]
    else:
        wanted = ["id", COLUMNS[kind], *(() if kind in (SCORE, SPANS, ANSWERS, RANKING) else ("scores",))]
    answers = pq.read_table(path / file, columns=wanted, filters=[("model", "=", model)])
    answers = _align(answers, rows, model, path)
    if kind == RANKING:
        return _ranking(path, rows, answers)
    return of_answers(answers, rows, kind, known, model, path)


def of_answers(
    answers: pa.Table, rows: pa.Table, kind: str, known: Sequence[str], model: str, path: Path | str
) -> Items:
    """As `items`, of answers that are already in the order of the rows; not for rankings. path: for messages."""
    if kind in WRITTEN:
        return written.items(rows, answers, kind, model)
    column = COLUMNS[kind]
    if kind == SCORE:
        gold, predicted = (np.asarray(table.column("value").to_numpy(), dtype=np.float64) for table in (rows, answers))
        if not np.isfinite(predicted).all():
            broken = int((~np.isfinite(predicted)).sum())
            raise UserError(f"the model '{model}' gave {broken} values that are no numbers", str(path),
                            "lower train.learning_rate, or look at its training history")  # fmt: skip
        if not np.isfinite(gold).all():
            lacking = int((~np.isfinite(gold)).sum())
            raise UserError(f"{lacking} test examples have no value", str(path), "leave them out, or give their values")
        return Items(kind, gold, predicted)
    if kind == SPANS:
        return _spans(rows.column("spans").to_pylist(), answers.column("spans").to_pylist(), known)
    if kind == ANSWERS:
        return _answers(rows, answers.column("spans").to_pylist())
    every = (*known, *_unknown(rows.column(column), known))
    every = (*every, *_unknown(answers.column(column), every))
    probabilities = _scores(answers.column("scores"), len(rows), len(known))
    if kind == MULTI_LABEL:
        gold, predicted = _lists(rows.column(column), every), _lists(answers.column(column), every)
    else:
        gold, predicted = _codes(rows.column(column), every), _codes(answers.column(column), every)
    return Items(kind, gold, predicted, probabilities, every)


def _spans(gold: list[Any], answers: list[Any], known: Sequence[str]) -> Items:
    """Spans with codes for their types; types of the test split that training lacks come after the known ones."""
    every = dict.fromkeys(known)
    every |= dict.fromkeys(sorted({span["label"] for spans in (*gold, *answers) for span in spans or []} - set(every)))
    code = {label: index for index, label in enumerate(every)}

    def coded(column: list[Any]) -> Array:
        return objects(
            [tuple(sorted((s["start"], s["end"], code[s["label"]]) for s in spans or [])) for spans in column]
        )

    return Items(SPANS, coded(gold), coded(answers), None, tuple(every))


def _answers(rows: pa.Table, answers: list[Any]) -> Items:
    """Gold answers and what was found, as words; a model that found nothing is as unsure as can be."""
    gold, predicted, sure = [], [], []
    for text, wanted, spans in zip(rows.column("text").to_pylist(), rows.column("answers").to_pylist(), answers,
                                   strict=True):  # fmt: skip
        gold.append(tuple(text[one["start"] : one["end"]] for one in wanted or ()))
        span = spans[0] if spans else None
        predicted.append(Found(text[span["start"] : span["end"]], span["label"] == GIVEN) if span else Found())
        sure.append(span["score"] if span else 0.0)
    return Items(ANSWERS, objects(gold), objects(predicted), np.array(sure, dtype=np.float32)[:, None])


def _ranking(path: Path, rows: pa.Table, answers: pa.Table) -> Items:
    """Right is every passage that some test row gives to the same query."""
    passages = tuple(pq.read_table(path / "corpus.parquet", columns=["text"]).column("text").to_pylist())
    place = {text: code for code, text in enumerate(passages)}
    queries = rows.column("pair").to_pylist()
    right: dict[str, dict[int, None]] = {}  # codes in the order of the rows, each once
    for query, text in zip(queries, rows.column("text").to_pylist(), strict=True):
        right.setdefault(query, {})[place[text]] = None
    gold = objects([tuple(right[query]) for query in queries])
    return Items(
        RANKING, gold, objects([tuple(found) for found in answers.column("ranked").to_pylist()]), None, passages
    )


def same_classes(found: dict[str, Items]) -> dict[str, Items]:
    """All models with one list of classes (a model may have answered a label that the others do not know)."""
    from dataclasses import replace

    longest = max((one.classes for one in found.values()), key=len, default=())
    every = list(longest)
    for one in found.values():
        every += [name for name in one.classes if name not in every]
    done = {}
    for name, one in found.items():
        if one.kind in (SCORE, ANSWERS) or one.classes == tuple(every):
            done[name] = one
            continue
        place = np.array([every.index(label) for label in one.classes], dtype=np.int64)
        if one.kind == SPANS:
            gold, predicted = (objects([tuple((*span[:2], int(place[span[2]])) for span in spans) for spans in column])
                               for column in (one.gold, one.predicted))  # fmt: skip
        elif one.kind == CLASSIFY:
            gold, predicted = place[one.gold], place[one.predicted]
        else:
            gold, predicted = np.zeros((2, len(one), len(every)), dtype=bool)
            gold[:, place], predicted[:, place] = one.gold, one.predicted
        done[name] = replace(one, gold=gold, predicted=predicted, classes=tuple(every))
    return done


def _align(answers: pa.Table, rows: pa.Table, model: str, path: Path) -> pa.Table:
    wanted, given = rows.column("id").combine_chunks(), answers.column("id").combine_chunks()
    if wanted.equals(given):
        return answers
    place = pc.index_in(wanted, value_set=given)
    missing = place.null_count
    if missing or len(given) != len(wanted):
        raise UserError(
            f"the model '{model}' has {len(given)} answers for {len(wanted)} test examples, {missing} have none",
            str(path), "the predictions belong to other examples; run the stage again",
        )  # fmt: skip
    return answers.take(place)


def _unknown(column: pa.ChunkedArray, known: Sequence[str]) -> list[str]:
    flat = pc.list_flatten(column) if pa.types.is_list(column.type) else column
    have = set(known)
    return sorted({name or "" for name in pc.unique(flat).to_pylist()} - have)


def _codes(column: pa.ChunkedArray, every: Sequence[str]) -> Array:
    """A label that was not given (null) is the empty one, which is never right."""
    codes = pc.index_in(pc.fill_null(column, ""), value_set=pa.array(every, pa.string()))
    return np.asarray(codes.to_numpy(), dtype=np.int64)


def _lists(column: pa.ChunkedArray, every: Sequence[str]) -> Array:
    column = column.combine_chunks()
    table = np.zeros((len(column), len(every)), dtype=bool)
    flat = pc.index_in(pc.list_flatten(column), value_set=pa.array(every, pa.string()))
    table[pc.list_parent_indices(column).to_numpy(), flat.to_numpy(zero_copy_only=False).astype(np.int64)] = True
    return table


def _scores(column: pa.ChunkedArray, n: int, k: int) -> Array | None:
    """(n, k) of float32, or None when any row lacks its scores."""
    flat = pc.list_flatten(column)
    if not n or not k or len(flat) != n * k or column.null_count:
        return None
    table = np.asarray(flat.to_numpy(), dtype=np.float32).reshape(n, k)
    return table if np.isfinite(table).all() else None
