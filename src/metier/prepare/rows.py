"""The two worlds of the stage brought together: texts in shards on an engine, and rows in this process.

Purpose: `prepare` goes through its operations in one order. Text operations are only noted (`ask`); when an operation
over rows comes, or the end, those noted run over all shards (`settle`) and the rows are there. A flow operation of a
plug-in may stand between text operations: the rows it left are then written down as shards again, and what comes back
is laid over the same rows.
Trade-off: such a flow operation costs a pass of its own, and what follows it is not resumed.
Not covered: what the operations do.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from metier import tables
from metier.console import Console
from metier.engines import open_engine
from metier.engines.config import EngineConfig
from metier.errors import UserError
from metier.prepare import passes
from metier.prepare.config import PrepareConfig
from metier.prepare.deidentify.operation import NAME as DEIDENTIFY
from metier.prepare.flow import Flow, Row
from metier.prepare.operation import CHANGES, Settings
from metier.prepare.shards import Ordered, Shard, in_order
from metier.prepare.texts import Texts
from metier.train.config import TaskConfig

NO_GROUP = ("nan", "NaN", "None", "<NA>")  # what a missing cell looks like after a table library turned it into text


class Rows:
    """The documents of a stage on their way from shards to rows; a context manager that gives the flow."""

    def __init__(
        self, config: PrepareConfig, task: TaskConfig, seed: int, documents: Path, out: Path, engine: EngineConfig,
        console: Console,
    ) -> None:  # fmt: skip
        self.folder, self.out, self.console = out / "work", out, console
        self.settings, self.documents, self.engine_config = Settings(config, task, seed), documents, engine
        self.given = 0  # documents that came in, and parts that were made of them
        self.asked: list[str] = []
        self.times = 0
        self.last: list[Shard] = []  # what the rows were made of
        self.flow: Flow

    def __enter__(self) -> Flow:
        settings, rejected = self.settings, tables.Spool(self.folder / "rejected.arrow", tables.REJECTED)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.changes = tables.Spool(self.folder / "changes.arrow", CHANGES)
        self.ordered = ordered = in_order(self.documents, self.folder)
        number = sum(shard.rows for shard in ordered.shards())
        if not number:
            raise UserError("there are no documents to prepare", str(self.documents),
                            "look into rejected.parquet beside it, and check collect.sources")  # fmt: skip
        self.flow = Flow(settings.config, settings.task, settings.seed, self.console, [], Texts(self.folder), rejected)
        self.given = number + len(ordered.repeated)
        self.flow.rejected_before(tables.table(
            [tables.rejection(source, "prepare", "same document",
                              "the same source with the same content was collected twice", id)
             for source, id in ordered.repeated], tables.REJECTED))  # fmt: skip
        self.flow.funnel.append(
            {"step": "documents", "rows": number, "removed": len(ordered.repeated), "note": "collected"}
        )
        self.engine = open_engine(self.engine_config, self.console)
        return self.flow

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if hasattr(self, "flow"):
            self.flow.texts.close()
        if kind is None:
            self._write_changes()
            shutil.rmtree(self.folder)

    def ask(self, step: str) -> None:
        """Have a text operation run before the next operation over rows."""
        self.asked.append(step)

    def settle(self) -> None:
        """Run what was asked for; afterwards `flow.rows` is true."""
        if not self.asked:
            return
        folder = self.folder / f"texts{self.times}"
        ordered = self.ordered if self.times == 0 else self._as_shards()
        if self.times:
            shutil.rmtree(folder, ignore_errors=True)
        done = passes.run(self.asked, self.settings, ordered, folder, self.engine, self.console)
        uncovered = self._uncovered()
        for name, rows in passes.listed(done, "rejected"):
            self.flow.rejected_before(rows)
            self._folded(rows)
            if name in uncovered:
                self.flow.rejected_uncovered = len(self.flow.rejected)
        for _, rows in passes.listed(done, "changes"):
            self.changes.extend(rows)
        self._cover(done)
        for step in passes.steps(done):
            self.given += step.made
            self.flow.counts[step.name] = dict(step.counts)
            self.flow.funnel.append({"step": step.name, "rows": step.rows, "removed": step.removed, "note": step.note})
            something_left(self.flow, step.name, step.rows)
        self.last = done[-1].shards
        self.flow.rows = self._rows(self.last)
        self.asked, self.times = [], self.times + 1

    def _uncovered(self) -> tuple[str, ...]:
        """Of the operations asked for, those whose texts will be de-identified later, if any."""
        return tuple(self.asked[: self.asked.index(DEIDENTIFY)]) if DEIDENTIFY in self.asked else ()

    def _cover(self, done: list[passes.Pass]) -> None:
        """Once texts are de-identified: what was listed before must not tell what they held."""
        config = self.settings.config.deidentify
        for one in done:
            if DEIDENTIFY in one.names and one.knowledge is not None:
                from metier.prepare.deidentify.cover import Cover

                self.flow.cover = Cover(config, one.knowledge, self.documents)

    def _rows(self, shards: list[Shard]) -> list[Row]:
        """A row for each document of the shards; one that was there before keeps what it knows."""
        before = {row.id: row for row in self.flow.rows}
        texts, rows = self.flow.texts, []
        for shard in shards:
            batch = shard.read()
            place = len(texts.text)
            texts.extend(batch)
            columns = (batch[name].to_pylist() for name in ("id", "source", "language", "group", "time", "key"))
            for id, source, language, group, time, key in zip(*columns, strict=True):
                group = group.strip()
                row = before.get(id) or Row(id, source)
                row.source = source  # an operation may have changed it, as de-identification does
                row.language, row.group = sys.intern(language), "" if group in NO_GROUP else sys.intern(group)
                row.texts, row.place, row.key, row.time = texts, place, key, time
                rows.append(row)
                place += 1
        return rows

    def _as_shards(self) -> Ordered:
        """The rows as documents again; what a row does not hold (title, time, ...) comes from where it came from."""
        path = self.folder / f"rows{self.times}.parquet"
        left = {row.id: row for row in self.flow.rows}
        with tables.Writer(path, tables.DOCUMENTS) as writer:
            for shard in self.last:
                found = [{**record, **_held(row)} for record in shard.read().select(tables.DOCUMENTS.names).to_pylist()
                         if (row := left.pop(record["id"], None))]  # fmt: skip
                writer.write(tables.table(found, tables.DOCUMENTS))
            writer.write(tables.table(map(_held, left.values()), tables.DOCUMENTS))  # rows that the operation made
        return in_order(path, self.folder / f"rows{self.times}")

    def _folded(self, rejected: pa.Table) -> None:
        """Documents that were folded into one that left have left with it."""
        folded = {row.id: row for row in self.flow.rows if row.documents > 1}
        more = [{**entry, "id": id} for entry in rejected.to_pylist() if entry["id"] in folded
                for id in folded[entry["id"]].document_ids[1:]]  # fmt: skip
        self.flow.rejected_before(tables.table(more, tables.REJECTED))

    def _write_changes(self) -> None:
        if len(self.changes):
            with tables.Writer(self.out / "changes.parquet", CHANGES) as writer:
                for part in self.changes.parts():
                    writer.write(part if self.flow.cover is None else self.flow.cover.changes(part))


def something_left(flow: Flow, step: str, rows: int | None = None) -> None:
    """UserError with the reasons when nothing is left after a step."""
    if (len(flow.rows) if rows is None else rows) == 0:
        went = ", ".join(f"{number:,} × {reason}" for reason, number in flow.reasons.most_common())
        raise UserError("no example is left", f"prepare, step {step}: {went}",
                        "mend the data or loosen the prepare section")  # fmt: skip


def _held(row: Row) -> dict[str, str]:
    return {"id": row.id, "text": row.text, "source": row.source, "language": row.language, "group": row.group,
            "metadata": json.dumps(row.metadata, ensure_ascii=False)}  # fmt: skip
