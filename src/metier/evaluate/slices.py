"""The test split in parts: the same figures and tests by language, length, time, source, or whatever the documents say.

Purpose: a model that is good on the whole may fail one branch, one language, one year. Every part of a column has the
primary metric (and those that criteria name) for the tuned model and the base with intervals, and the paired test
between them; all parts together are one family for Holm's correction, since whoever looks at twenty parts will
find one by chance. The worst part comes first.
Trade-off: parts below the minimum have no figure and no name (they are counted): their figures would say nothing, and
a handful of examples may point at a person. Lengths have fixed bins, so that two runs can be compared.
Not covered: parts of two columns at once; what a difference between parts is due to.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metier.errors import UserError, nearest
from metier.evaluate.compare import Setting, compare, finish
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.criteria import Criterion
from metier.evaluate.items import Items
from metier.evaluate.measure import figure_of, measure, pair_of, part, units_of
from metier.evaluate.metrics import Metric

EDGES = (0, 100, 500, 2000, 10_000)  # characters: a message, a paragraph, a page, a paper, a book
OWN = ("language", "source", "file", "group", "label", "length")  # columns that the examples have
DOCUMENTS = ("title", "media_type", "license", "time", "month")  # columns that their documents have


def columns_of(config: EvaluateConfig, criteria: Sequence[Criterion]) -> list[str]:
    """The columns by which the test split is looked at: those of the recipe, then those of criteria."""
    return list(dict.fromkeys([*config.slices, *(one.part[0] for one in criteria if one.part)]))


def attribute(column: str, rows: pa.Table, documents: Path | None) -> list[str]:
    """(n,) value of a column for each example; "" where it is not known.

    documents: documents.parquet, for what the examples do not say themselves. An example of several documents
    (duplicates were folded) has the value of the first.
    """
    if column == "length":
        return _lengths(rows)
    if column in OWN:
        named = "source" if column == "file" else column
        found = [value or "" for value in rows.column(named).to_pylist()]
        return {"source": [_origin(value) for value in found], "file": [_file(value) for value in found]}.get(
            column, found
        )
    first = [(ids or [""])[0] for ids in rows.column("document_ids").to_pylist()]
    if documents is None or not documents.is_file():
        return [""] * len(first)
    stored = {"month": "time"}.get(column, column if column in DOCUMENTS else "metadata")
    told = _of_documents(documents, set(first), stored)
    if stored == "metadata":
        return [_metadata(told.get(id, ""), column) for id in first]
    cut = {"time": 4, "month": 7}.get(column)
    return [told.get(id, "")[:cut] for id in first]


def check(criteria: Sequence[Criterion], rows: pa.Table, documents: Path | None) -> None:
    """UserError when a criterion names a part that the test split does not have; told before anything is trained."""
    for one in criteria:
        if not one.part:
            continue
        column, value = one.part
        values = Counter(attribute(column, rows, documents))
        known = sorted(name for name in values if name)
        where = f"evaluate.accept: {one.text}"
        if not known:
            raise UserError(f"no test example has a '{column}'", where,
                            nearest(column, [*OWN, *DOCUMENTS]) + ", or a key of the documents' metadata")  # fmt: skip
        if value not in values:
            raise UserError(f"no test example has {column}={value}", where, nearest(value, known))


def slices(
    columns: Sequence[str], rows: pa.Table, documents: Path | None, found: Mapping[str, Items],
    metrics: Sequence[Metric], setting: Setting, minimum: int,
) -> dict[str, Any]:  # fmt: skip
    """The block `slices` of results.json: {"minimum", "columns": what was looked at, "rows": the worst first}.

    found: the models to measure, `tuned` among them. A row is one part on one metric: {"column", "value", "metric",
    "n", "models": {model: figure}, "comparisons": [as in results.json]}.
    """
    measured, looked = [], []
    for column in columns:
        values = np.asarray(attribute(column, rows, documents), dtype=object)
        sizes = Counter(value for value in values.tolist() if value)
        large = sorted((value for value, n in sizes.items() if n >= minimum), key=lambda value: (-sizes[value], value))
        small = [n for n in sizes.values() if n < minimum]
        looked.append({"column": column, "parts": len(sizes), "shown": len(large), "small": len(small),
                       "small_examples": sum(small), "unknown": len(values) - sum(sizes.values())})  # fmt: skip
        for value in large:
            measured += _part(column, value, values == value, found, metrics, setting)
    done = finish([row for one in measured for row in one["comparisons"]], setting.alpha)
    for one in measured:
        one["comparisons"], done = done[: len(one["comparisons"])], done[len(one["comparisons"]) :]
    better = {metric.name: metric.better for metric in metrics}
    measured.sort(key=lambda one: (_bad(one, better[one["metric"]]), one["column"], one["value"]))
    return {"minimum": minimum, "columns": looked, "rows": measured}


def _part(
    column: str, value: str, chosen: Any, found: Mapping[str, Items], metrics: Sequence[Metric], setting: Setting
) -> list[dict[str, Any]]:
    """One row a metric."""
    inside = replace(setting, unit=units_of(setting.unit, chosen))
    some = measure({name: part(one, chosen) for name, one in found.items()}, metrics, inside)
    rows = []
    for metric in metrics:
        pairs = {other: pair for other in found if other != "tuned" and (pair := pair_of(some, metric, other))}
        rows.append({
            "column": column, "value": value, "metric": metric.name, "n": int(chosen.sum()),
            "groups": inside.unit.count if inside.unit.clustered else None,
            "models": {name: figure_of(metric, some, name, inside) for name in found},
            "comparisons": [compare(pair, other, inside) for other, pair in pairs.items()],
        })  # fmt: skip
    return rows


def _bad(row: dict[str, Any], better: str) -> tuple[int, str, float]:
    """Sorts the worst figure of the tuned model first; parts without a figure last."""
    value = row["models"]["tuned"]["value"]
    return int(value is None), row["metric"], (value or 0.0) * (1 if better == "higher" else -1)


def _lengths(rows: pa.Table) -> list[str]:
    """Names of the bins by characters of the text: "0-99", ..., "10000+"."""
    sizes = pc.fill_null(pc.utf8_length(rows.column("text")), 0).to_numpy()
    names = [f"{low}-{high - 1}" for low, high in pairwise(EDGES)] + [f"{EDGES[-1]}+"]
    return [names[code] for code in np.searchsorted(EDGES, sizes, side="right") - 1]


def _file(source: str) -> str:
    """The file without row, part or attachment."""
    return source.partition("#")[0].partition("!")[0]


def _origin(source: str) -> str:
    """The first folder, or the name of a file that lies in none, without its extension."""
    first, slash, _ = _file(source).partition("/")
    return first if slash else first.rpartition(".")[0] or first


def _of_documents(path: Path, wanted: set[str], column: str) -> dict[str, str]:
    """id -> the column, of these documents; read batch by batch, since there may be many."""
    told: dict[str, str] = {}
    for batch in pq.ParquetFile(path).iter_batches(columns=["id", column]):
        for id, value in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
            if id in wanted:
                told[id] = value or ""
    return told


def _metadata(stored: str, key: str) -> str:
    """A key of a document's metadata as text; lists and objects have no single value."""
    told = json.loads(stored) if stored else {}
    value = told.get(key, told.get(f"column:{key}"))  # a column whose name has another role (collect/table.py)
    if value is None or isinstance(value, list | dict):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()
