"""Documents cut into shards: ranges of rows that depend on the documents alone, not on engine, workers or memory.

Purpose: the unit of work, of memory and of resuming. Documents are taken in the natural order of their sources (`a#9`
before `a#10`), whatever their order in the file; a shard is a row group of a Parquet file in that order. The collect
stage writes row groups of that size, so that its file mostly serves as it is. Any other file is sorted on disk: rows
are dealt to buckets by their rank, and each bucket, small enough for memory, is sorted and written.
Memory: 8 bytes a document; while sorting, also its id and source.
Not covered: a single document larger than memory.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metier import tables

BUCKET = 64 << 20  # bytes of documents sorted in memory at once
BATCH = 4096  # rows read at once


@dataclass(frozen=True)
class Shard:
    """Some rows: a row group of a Parquet file, an Arrow file, or `data` where they were sent along.

    size: bytes that the rows take in memory, about.
    """

    path: str
    group: int
    rows: int
    size: int
    data: bytes = b""

    def read(self) -> pa.Table:
        """The rows, schema tables.DOCUMENTS."""
        if self.data:
            return unpack(self.data)
        if self.group < 0:
            return unpack(Path(self.path).read_bytes())
        with pq.ParquetFile(self.path) as file:
            return documents_of(file.read_row_group(self.group))

    def carried(self) -> Shard:
        """The shard with its rows in it, for a machine that does not see this disk."""
        return replace(self, data=pack(self.read()))


def pack(table: pa.Table) -> bytes:
    """A table as the bytes of an Arrow stream, compressed."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table.combine_chunks())
    return sink.getvalue().to_pybytes()


def unpack(data: bytes) -> pa.Table:
    """What `pack` packed."""
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()


def documents_of(table: pa.Table) -> pa.Table:
    """The columns of tables.DOCUMENTS, "" where a cell is missing."""
    columns = [table[field.name].cast(field.type) for field in tables.DOCUMENTS]
    columns = [pc.fill_null(column, "") if column.null_count else column for column in columns]
    return pa.Table.from_arrays(columns, schema=tables.DOCUMENTS)


@dataclass(frozen=True)
class Ordered:
    """A file whose row groups are the shards, the file that it was made of, and (source, id) of rows left out."""

    path: Path
    origin: Path
    repeated: list[tuple[str, str]]

    def shards(self) -> list[Shard]:
        """The row groups of the file."""
        with pq.ParquetFile(self.path) as file:
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        return [Shard(str(self.path), n, group.num_rows, group.total_byte_size) for n, group in enumerate(groups)]


def in_order(documents: Path, folder: Path, rows: int = tables.GROUP_ROWS, size: int = tables.GROUP_BYTES) -> Ordered:
    """The documents in the natural order of their sources, one id once, in row groups of at most that size.

    The file itself when it is so already, else a sorted copy in `folder`.
    """
    with pq.ParquetFile(documents) as file:
        count = file.metadata.num_rows
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        fits = all(group.num_rows <= rows and (group.total_byte_size <= 4 * size or group.num_rows == 1)
                   for group in groups)  # fmt: skip
        total = sum(group.total_byte_size for group in groups)
    if fits and _sorted(documents, count):
        return Ordered(documents, documents, [])
    rank, kept, repeated = _ranked(documents, count)
    target = folder / "documents.parquet"
    with tables.Writer(target, tables.DOCUMENTS, rows, size) as writer:
        for bucket in _buckets(documents, rank, kept, max(1, -(-total // BUCKET)), folder):
            writer.write(bucket)
    return Ordered(target, documents, repeated)


def _ranked(documents: Path, count: int) -> tuple[Any, int, list[tuple[str, str]]]:
    """(place of each row in the order or -1 where its id was there before, number of places, the repeated rows)."""
    keys: list[str] = []
    ids: list[str] = []
    sources: list[str] = []
    for batch in _batches(documents, ["id", "source"]):
        ids += [id or "" for id in batch["id"].to_pylist()]
        sources += [source or "" for source in batch["source"].to_pylist()]
        keys += map(sortable, sources[len(keys) :])
    seen: set[str] = set()
    rank = np.full(count, -1, np.int64)
    repeated = []
    for row in sorted(range(count), key=lambda row: (keys[row], ids[row])):
        if ids[row] in seen:
            repeated.append((sources[row], ids[row]))
        else:
            rank[row] = len(seen)
            seen.add(ids[row])
    return rank, len(seen), repeated


def sortable(source: str) -> str:
    """A string that sorts as a person would: `a#9` before `a#10`, numbers before letters."""
    return re.sub(r"\d+|\x00", _part, source)


def _part(found: re.Match[str]) -> str:
    """A number as its length and its digits behind a NUL, which sorts before any letter."""
    if found[0] == "\x00":
        return "\x00\U0010ffff"
    digits = found[0] if found[0].isascii() else "".join(str(unicodedata.decimal(char)) for char in found[0])
    digits = digits.lstrip("0") or "0"
    return f"\x00{chr(min(len(digits), 0xD7FF))}{digits}"


def _batches(documents: Path, columns: list[str]) -> Iterator[pa.Table]:
    """The file as a stream; a large row group is not read at once."""
    with pq.ParquetFile(documents, pre_buffer=False, buffer_size=1 << 20) as file:
        for batch in file.iter_batches(BATCH, columns=columns):
            yield pa.Table.from_batches([batch])


def _sorted(documents: Path, count: int) -> bool:
    """Whether the rows stand in order and no id stands twice."""
    numbers = np.zeros(count, np.uint64)
    before, row = ("", ""), 0
    for batch in _batches(documents, ["id", "source"]):
        for id, source in zip(batch["id"].to_pylist(), batch["source"].to_pylist(), strict=True):
            here = (sortable(source or ""), id or "")
            if row and here <= before:
                return False
            numbers[row] = _number(id or "")
            before, row = here, row + 1
    numbers.sort()
    return bool((numbers[1:] != numbers[:-1]).all())


def _number(id: str) -> int:
    """An id as 64 bits; equal ones are equal, and of others two in a million million are."""
    try:
        return int(id, 16) if len(id) == 16 else int(tables.digest(id), 16)
    except ValueError:
        return int(tables.digest(id), 16)


def _buckets(documents: Path, rank: Any, kept: int, count: int, folder: Path) -> Iterator[pa.Table]:
    """Rows by their rank, a bucket at a time."""
    if count == 1:
        whole = pa.concat_tables(_batches(documents, tables.DOCUMENTS.names))
        chosen = np.flatnonzero(rank >= 0)
        yield documents_of(whole.take(chosen[np.argsort(rank[chosen])]))
        return
    schema = tables.DOCUMENTS.append(pa.field("rank", pa.int64()))
    paths = [folder / f"bucket{number}.arrow" for number in range(count)]
    files = [pa.ipc.new_stream(str(path), schema) for path in paths]
    row = 0
    for batch in _batches(documents, tables.DOCUMENTS.names):
        here = rank[row : row + batch.num_rows]
        row += batch.num_rows
        batch = documents_of(batch).append_column("rank", pa.array(here))
        target = np.where(here < 0, -1, here * count // max(kept, 1))
        for number in np.unique(target[target >= 0]).tolist():
            files[number].write_table(batch.take(np.flatnonzero(target == number)))
    for file in files:
        file.close()
    for path in paths:
        with pa.OSFile(str(path)) as stream:
            table = pa.ipc.open_stream(stream).read_all()
        path.unlink()
        yield table.sort_by("rank").drop_columns("rank")
