"""What readers found, on disk until the stage writes its table: one part of one file in memory, nothing read twice.

Purpose: files are read in whatever order processes finish, documents are written in the order of the files. Between
the two, each outcome lies in one growing log. A collect that was killed finds the log again and reads only what is
missing; a record that was cut off by the kill is dropped, and a file of which not all parts are there is read anew.
Trade-off: everything that was read is written twice, once into the log.
Not covered: outcomes that may be others the next time (`PASSING`); they are told, and tried again by the next run.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from metier.collect.inputs import Input
from metier.collect.reading import Reading, Unreadable
from metier.collect.workers import PASSING
from metier.tables import digest

HEAD = 12  # bytes before a record: its length and its checksum


class Kept:
    """The log of a stage in `folder`; a context manager. made_by: what decides an outcome beside the file's bytes."""

    def __init__(self, folder: Path, made_by: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "outcomes.log"
        self._places: dict[str, list[int]] = {}  # file -> where its parts lie
        self._whole: set[str] = set()  # files whose last part is there
        self._file = self.path.open("a+b")
        self._recall(made_by)

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def __contains__(self, item: Input) -> bool:
        return _key(item) in self._whole

    def add(self, item: Input, outcome: Reading | Unreadable, last: bool = True) -> None:
        """Keep a part of what was found in a file. An Unreadable after other parts: the rest could not be read."""
        key = _key(item)
        self._places.setdefault(key, []).append(self._append((key, outcome, last)))
        if last:
            self._whole.add(key)

    def parts(self, item: Input) -> Iterator[Reading | Unreadable]:
        """What was found in a file, part by part."""
        for place in self._places[_key(item)]:
            self._file.seek(place)
            head = self._file.read(HEAD)
            yield pickle.loads(self._file.read(int.from_bytes(head[:8], "big")))[1]

    def _append(self, record: object) -> int:
        data = pickle.dumps(record, protocol=pickle.HIGHEST_PROTOCOL)
        place = self._file.seek(0, 2)
        self._file.write(len(data).to_bytes(8, "big") + zlib.crc32(data).to_bytes(4, "big") + data)
        self._file.flush()  # what was read survives the death of this process
        return place

    def _recall(self, made_by: str) -> None:
        """Find the finished files of an earlier attempt; forget everything that was made by something else."""
        end = 0
        for number, (place, data) in enumerate(self._records()):
            record = pickle.loads(data)
            if number == 0 and record != made_by:
                break
            end = place + HEAD + len(data)
            if number:
                key, outcome, last = record
                self._places.setdefault(key, []).append(place)
                if last and not (isinstance(outcome, Unreadable) and outcome.reason in PASSING):
                    self._whole.add(key)
                elif last:
                    del self._places[key]
        self._file.truncate(end)
        for key in [key for key in self._places if key not in self._whole]:
            del self._places[key]
        if end == 0:
            self._append(made_by)

    def _records(self) -> Iterator[tuple[int, bytes]]:
        place = 0
        while True:
            self._file.seek(place)
            head = self._file.read(HEAD)
            data = self._file.read(int.from_bytes(head[:8], "big")) if len(head) == HEAD else b""
            if len(head) < HEAD or zlib.crc32(data).to_bytes(4, "big") != head[8:]:
                return
            yield place, data
            place += HEAD + len(data)


def _key(item: Input) -> str:
    return digest(str(item.source), item.name, item.sha256)
