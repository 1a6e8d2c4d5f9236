"""The tables that carry all data between stages, and the only functions that write and read them.

documents: one row a text with its source (collect -> prepare). examples: one row a training or test item
(prepare -> train, evaluate). rejected: one row for whatever any stage left out, with its reason. predictions: one row
for each item and model. Each is a Parquet file; `metadata` is JSON so that a reader may add what it knows.
What may be larger than memory is written by `Writer`, row group by row group, and gathered in a `Spool` on disk.
Not covered: schemas of tasks beyond text+label(s) and text+value; a task that needs more columns adds them here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

GROUP_ROWS = 4096  # rows of a row group at most: a batch of short messages, a second or two of work
GROUP_BYTES = 8 << 20  # bytes of text after which a row group ends: what a worker holds many times over
SPANS = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())]))
ANSWERS = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32())]))

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
        ("pair", pa.string()),  # the short text that is read with `text`, where the task has pairs; embed: the query
        ("negatives", pa.list_(pa.string())),  # embed: passages that do not answer the query in `pair`
        ("spans", SPANS),  # tag: characters from start to end (exclusive) of `text`
        ("answers", ANSWERS),  # extract: likewise, each a gold answer to the question in `pair`; empty: there is none
        ("answer", pa.string()),  # generate, chat: what is to be written; choose: the right option
        ("options", pa.list_(pa.string())),  # choose: in the order of the data; one of them is `answer`
        ("messages", pa.string()),  # chat, prefer: JSON, the turns up to the answer; `text` is what they say
        ("tools", pa.string()),  # chat: JSON, "" where there are none
        ("chosen", pa.string()),  # prefer: the better answer
        ("rejected", pa.string()),  # prefer: the worse one
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


class Writer:
    """Writes a Parquet file as a stream of row groups, as a context manager.

    A row group ends after `rows` rows, or with the row that brings its column `text` to `size` bytes. So where groups
    end, and every byte of the file, follows from the rows alone and not from the pieces in which they were handed over.
    """

    def __init__(self, path: Path, schema: pa.Schema, rows: int = GROUP_ROWS, size: int = GROUP_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.schema, self.rows, self.size = schema, rows, size
        self.written = 0  # rows
        self._waiting: list[pa.Table] = []
        self._waiting_rows = self._waiting_bytes = 0
        self._file = pq.ParquetWriter(path, schema, compression="zstd")

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._group()
        self._file.close()

    def write(self, data: pa.Table) -> None:
        """Add rows; what fills a row group goes to the file."""
        self.written += data.num_rows
        while data.num_rows:
            sizes = _text_bytes(data)
            full = int(np.searchsorted(sizes, self.size - self._waiting_bytes)) + 1
            taken = min(full, self.rows - self._waiting_rows, data.num_rows)
            self._waiting.append(data.slice(0, taken))
            self._waiting_rows += taken
            self._waiting_bytes += int(sizes[taken - 1])
            if self._waiting_rows >= self.rows or self._waiting_bytes >= self.size:
                self._group()
            data = data.slice(taken)

    def _group(self) -> None:
        if self._waiting_rows:
            whole = pa.concat_tables(self._waiting).combine_chunks()
            self._file.write_table(whole, row_group_size=self._waiting_rows)
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0


class Spool:
    """Rows that are gathered in order and read again later: in memory while they are few, in a file beyond that."""

    def __init__(self, path: Path, schema: pa.Schema, limit: int = 10_000) -> None:
        self.path, self.schema, self.limit = path, schema, limit
        self._rows: list[Mapping[str, Any]] = []
        self._file: pa.RecordBatchFileWriter | None = None
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for part in self.parts():
            yield from part.to_pylist()

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row."""
        self._rows.append(row)
        self._length += 1
        if len(self._rows) >= self.limit:
            self._spill()

    def extend(self, rows: pa.Table) -> None:
        """Add the rows of a table."""
        if rows.num_rows:
            self._spill()
            self._open().write_table(rows.select(self.schema.names))
            self._length += rows.num_rows

    def parts(self) -> Iterator[pa.Table]:
        """All rows in their order, a table at a time. Nothing can be added afterwards."""
        if self._file is not None:
            self._spill()
            self._file.close()
            with pa.OSFile(str(self.path)) as stream:
                reader = pa.ipc.open_file(stream)
                for number in range(reader.num_record_batches):
                    yield pa.Table.from_batches([reader.get_batch(number)])
        elif self._rows:
            yield table(self._rows, self.schema)

    def _spill(self) -> None:
        if self._rows:
            self._open().write_table(table(self._rows, self.schema))
            self._rows = []

    def _open(self) -> pa.RecordBatchFileWriter:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = pa.ipc.new_file(str(self.path), self.schema)
        return self._file


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


def _text_bytes(data: pa.Table) -> Any:
    """Running total of the bytes of the column `text`, int64 (rows,); zeros for a table without texts."""
    if "text" not in data.column_names:
        return np.zeros(data.num_rows, np.int64)
    sizes = pc.fill_null(pc.binary_length(data["text"]), 0)
    return np.cumsum(sizes.to_numpy(zero_copy_only=False).astype(np.int64))
