"""The tables that carry all data between stages, and the only functions that write and read them.

documents: one row a text with its source (collect -> prepare). examples: one row a training or test item
(prepare -> train, evaluate). rejected: one row for whatever any stage left out, with its reason. predictions: one row
for each item and model. Each is a Parquet file; `metadata` is JSON so that a reader may add what it knows.
Not covered: schemas of tasks beyond text+label(s) and text+value; a task that needs more columns adds them here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SPANS = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())]))

DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),  # hash of source and content, 16 hex digits
        ("text", pa.string()),
        ("source", pa.string()),  # relative path of the file, with "#row" / "!part" for rows and attachments
        ("media_type", pa.string()),
        ("language", pa.string()),  # "en", "zh", "mixed", "" when not known
        ("title", pa.string()),
        ("group", pa.string()),  # patient, client, matter; "" when there is none
        ("time", pa.string()),  # ISO 8601, "" when not known
        ("license", pa.string()),
        ("metadata", pa.string()),  # JSON object: mapped roles (label, value, split) and whatever the reader saw
    ]
)

EXAMPLES = pa.schema(
    [
        ("id", pa.string()),
        ("document_ids", pa.list_(pa.string())),  # the document and the duplicates that were folded into it
        ("source", pa.string()),
        ("language", pa.string()),
        ("group", pa.string()),
        ("cluster", pa.string()),  # id of the duplicate cluster; never on both sides of our own split
        ("split", pa.string()),  # train, validation, test
        ("text", pa.string()),
        ("label", pa.string()),  # classify, one label
        ("labels", pa.list_(pa.string())),  # classify, several labels
        ("value", pa.float64()),  # score
        ("pair", pa.string()),  # the short text that is read with `text`, where the task has pairs
        ("spans", SPANS),  # tag: characters from start to end (exclusive) of `text`
    ]
)

REJECTED = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),  # a short code that can be counted, such as "empty" or "unreadable"
        ("detail", pa.string()),  # one sentence for a person
    ]
)


def digest(*parts: str | bytes) -> str:
    """16 hex digits of SHA-256 over the parts; parts are length-prefixed, so ("ab", "c") and ("a", "bc") differ."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big"))
        sha.update(data)
    return sha.hexdigest()[:16]


def rejection(source: str, stage: str, reason: str, detail: str = "", id: str = "") -> dict[str, str]:
    """One row of the rejected table."""
    return {"id": id or digest(source, reason, detail), "source": source, "stage": stage, "reason": reason,
            "detail": detail}  # fmt: skip


def table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as an Arrow table; a missing key is "" for strings and null for everything else."""
    rows = list(rows)
    columns = []
    for field in schema:
        empty = "" if pa.types.is_string(field.type) else None
        columns.append(pa.array([_or(row.get(field.name), empty) for row in rows], field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def write(data: pa.Table, path: Path) -> None:
    """Write Parquet with the same bytes for the same rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(data, path, compression="zstd")


def read(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet table, optionally only some columns."""
    return pq.read_table(path, columns=list(columns) if columns else None)


def write_json(data: Any, path: Path) -> None:
    """Write JSON for people and programs: sorted keys, UTF-8, a final newline, no NaN."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(data, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8"
    )


def _or(value: Any, empty: Any) -> Any:
    return empty if value is None else value
