"""Reading files on the machines of a cluster: the files travel there, what was found travels back.

Purpose: `read_all` with the same outcomes, for an engine that is not this machine. A batch of files is one piece of
work; where it arrives, the files are put into a temporary folder and read as they would be here, in processes of their
own with the same limits, so that a file that breaks its parser costs that file there too.
Trade-off: every byte passes through this machine once, which has hashed it anyway.
Not covered: files that are larger than a machine's memory.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from metier.collect.workers import Outcome, Task, read_all
from metier.engines import Engine

BATCH_FILES, BATCH_BYTES = 64, 16_000_000  # a process that reads costs half a second to start, once a batch


@dataclass(frozen=True)
class Files:
    """A batch of files; `data` where they were sent along, None for one that could not be read here."""

    tasks: tuple[Task, ...]
    data: tuple[bytes | None, ...] = ()

    @property
    def size(self) -> int:
        return sum(task.size for task in self.tasks)

    def carried(self) -> Files:
        """The batch with the files' bytes."""
        found: list[bytes | None] = []
        for task in self.tasks:
            try:
                found.append(Path(task.path).read_bytes())
            except OSError:
                found.append(None)
        return replace(self, data=tuple(found))


def read_on(engine: Engine, tasks: Sequence[Task], seconds: float, memory: int = 0) -> Iterator[tuple[int, Outcome]]:
    """(index, outcome) in the order of the tasks. seconds, memory: limits for one file, as in `read_all`."""
    modules = tasks[0].modules if tasks else ()
    for result in engine.map(read_there, (seconds, memory), list(_batches(tasks)), modules):
        yield from pickle.loads(result)


def read_there(limits: tuple[float, int], files: Files) -> bytes:
    """In a worker: the outcomes of a batch."""
    with tempfile.TemporaryDirectory() as folder:
        tasks = list(files.tasks)
        for number, data in enumerate(files.data):
            path = os.path.join(folder, str(number))
            if data is not None:
                with contextlib.suppress(OSError), open(path, "wb") as stream:  # a full disk: it is missing, and told
                    stream.write(data)
            tasks[number] = replace(tasks[number], path=path)
        return pickle.dumps(sorted(read_all(tasks, 1, *limits), key=lambda pair: pair[0]))


def _batches(tasks: Sequence[Task]) -> Iterator[Files]:
    batch: list[Task] = []
    for task in tasks:
        if batch and (len(batch) >= BATCH_FILES or sum(one.size for one in batch) + task.size > BATCH_BYTES):
            yield Files(tuple(batch))
            batch = []
        batch.append(task)
    if batch:
        yield Files(tuple(batch))
