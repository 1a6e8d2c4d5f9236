"""Texts in a file instead of in memory: appended once, read by number.

Purpose: the steps over rows compare millions of texts, but look at few of them at a time. `Strings` keeps the bytes in
one file and eight bytes a text in memory; reading in order costs one read a megabyte, reading at random one read a
text. `Texts` is what the rows of a stage share: each row's text and its metadata.
Trade-off: a text that is replaced stays in the file; the file is removed with the stage's working folder.
Not covered: use by several threads.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa

BLOCK = 1 << 20  # bytes read ahead where texts are read in their order


class Strings(Sequence[str]):
    """Strings in a file, numbered from 0."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w+b")
        self._ends = array("q", [0])
        self._unwritten = False
        self._next, self._start, self._block = 0, 0, b""  # the number expected next; what was read ahead

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, text: str) -> int:
        """Add one string; its number."""
        data = text.encode("utf-8", "surrogatepass")
        self._file.write(data)
        self._unwritten = True
        self._ends.append(self._ends[-1] + len(data))
        return len(self) - 1

    def extend(self, texts: pa.Array) -> None:
        """Add the strings of an Arrow array (no nulls) as they lie in memory."""
        for part in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
            if len(part) == 0:
                continue
            assert part.type == pa.string() and part.null_count == 0
            _, offsets, data = part.buffers()
            ends = np.frombuffer(offsets, np.int32)[part.offset : part.offset + len(part) + 1].astype(np.int64)
            if data is not None:
                self._file.write(memoryview(data)[int(ends[0]) : int(ends[-1])])
            self._unwritten = True
            self._ends.frombytes((ends[1:] - ends[0] + self._ends[-1]).tobytes())

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> list[str]: ...
    def __getitem__(self, number: int | slice) -> str | list[str]:
        if isinstance(number, slice):
            return [self[index] for index in range(*number.indices(len(self)))]
        begin, end = self._ends[number], self._ends[number + 1]
        if not self._start <= begin <= end <= self._start + len(self._block):
            if number != self._next:
                self._next = number + 1
                return self._read(begin, end - begin).decode("utf-8", "surrogatepass")
            self._start, self._block = begin, self._read(begin, max(BLOCK, end - begin))
        self._next = number + 1
        return self._block[begin - self._start : end - self._start].decode("utf-8", "surrogatepass")

    def _read(self, begin: int, size: int) -> bytes:
        if self._unwritten:
            self._file.flush()
            self._unwritten = False
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), size, begin)
        self._file.seek(begin)
        data = self._file.read(size)
        self._file.seek(0, os.SEEK_END)  # where the next string goes
        return data

    def size(self, number: int) -> int:
        """Bytes of a string, without reading it."""
        return self._ends[number + 1] - self._ends[number]

    def close(self) -> None:
        """Close the file; nothing can be read afterwards."""
        self._file.close()


class Texts:
    """What the rows of a stage leave on the disk; a row knows its place in here."""

    def __init__(self, folder: Path) -> None:
        self.text, self.metadata = Strings(folder / "text.strings"), Strings(folder / "metadata.strings")

    def extend(self, batch: pa.Table) -> None:
        """Add the rows of a batch of documents."""
        self.text.extend(batch["text"])
        self.metadata.extend(batch["metadata"])

    def append(self, text: str, metadata: str) -> int:
        """Add one row; its place."""
        self.metadata.append(metadata)
        return self.text.append(text)

    def close(self) -> None:
        """Close the files."""
        self.text.close()
        self.metadata.close()


def keyed(batch: pa.Table) -> pa.Table:
    """The batch with the column `key` by which exact duplicates are found: a digest of the folded text."""
    from metier.prepare.dedup import fold
    from metier.tables import digest

    keys = [digest(fold(text)) for text in batch["text"].to_pylist()]
    return batch.append_column("key", pa.array(keys, pa.string()))
