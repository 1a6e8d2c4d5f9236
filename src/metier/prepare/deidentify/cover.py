"""What was listed of a document before it was de-identified, made fit to be kept.

Purpose: documents leave and texts are repaired before the step `deidentify`, and what those steps listed goes into the
same artifact as the clean examples. Here such rows get the source (file name) that the step would have given them,
quoted text is taken out of the changes, and so are the details that steps of other packages wrote. The id stays: with
the documents as they were collected it leads back to the file.
Trade-off: what a correction put in is not shown either, for it was taken from other texts of the corpus. Details of our
own steps stay, since they hold figures and names of rules only (tests/prepare/deidentify/test_cover.py).
Not covered: words that a package puts into its reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metier.prepare.deidentify.config import DeidentifyConfig
from metier.prepare.deidentify.documents import Knowledge, Worker

# Reasons of our own steps before de-identification; what their details say is made of figures and names of rules.
PLAIN = frozenset({"same document", "empty", "too short", "language not wanted"})
PLAIN_STEP = "boilerplate"  # its reasons are how often a line stands in the corpus
NOT_SHOWN = "not shown, because the recipe de-identifies texts"
COLUMNS = ["id", "source", "language", "group", "metadata"]


class Cover:
    """The sources and the quotes of rows that were listed before the step."""

    def __init__(self, config: DeidentifyConfig, knowledge: Knowledge, documents: Path) -> None:
        self.worker, self.documents = Worker(config, knowledge), documents

    def rejected(self, rows: pa.Table) -> pa.Table:
        """Rows of tables.REJECTED, fit to be kept."""
        details = [
            detail if reason in PLAIN or reason.startswith("quality: ") else NOT_SHOWN
            for reason, detail in zip(rows["reason"].to_pylist(), rows["detail"].to_pylist(), strict=True)
        ]
        return _set(self._renamed(rows), "detail", details)

    def changes(self, rows: pa.Table) -> pa.Table:
        """Rows of operation.CHANGES, fit to be kept."""
        reasons = [
            reason if step == PLAIN_STEP else NOT_SHOWN
            for step, reason in zip(rows["step"].to_pylist(), rows["reason"].to_pylist(), strict=True)
        ]
        rows = _set(self._renamed(rows), "reason", reasons)
        return _set(_set(rows, "before", [""] * len(reasons)), "after", [""] * len(reasons))

    def _renamed(self, rows: pa.Table) -> pa.Table:
        ids, sources = rows["id"].to_pylist(), rows["source"].to_pylist()
        named = {row["id"]: self.worker.source(row) for row in self._collected(ids)}
        for id, source in zip(ids, sources, strict=True):  # parts that an operation made have no document of their own
            if id not in named:
                named[id] = self.worker.source(
                    {"id": id, "source": source, "language": "", "group": "", "metadata": ""}
                )
        return _set(rows, "source", [named[id] for id in ids])

    def _collected(self, ids: Iterable[str]) -> Iterator[dict[str, str]]:
        """The documents with these ids, without their texts."""
        wanted = pa.array(sorted(set(ids)), pa.string())
        with pq.ParquetFile(self.documents) as file:
            for batch in file.iter_batches(columns=COLUMNS):
                yield from batch.filter(pc.is_in(batch["id"], wanted)).to_pylist()


def _set(rows: pa.Table, name: str, values: list[str]) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), name, pa.array(values, pa.string()))
