"""What tests of operations on texts share: rows, settings, and an operation run over batches of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from metier import tables
from metier.prepare.config import PrepareConfig
from metier.prepare.operation import Result, Settings, TextOperation
from metier.train.config import TaskConfig


def settings(seed: int = 0, **sections: Any) -> Settings:
    return Settings(PrepareConfig.model_validate(sections), TaskConfig(), seed)


def documents(texts: Sequence[str], source: str = "notes/{}.txt", **columns: str) -> pa.Table:
    """One document a text; `source` may hold {} for its number."""
    rows = [{"id": tables.digest(source.format(n), text), "text": text, "source": source.format(n), "metadata": "{}",
             **columns} for n, text in enumerate(texts)]  # fmt: skip
    return tables.table(rows, tables.DOCUMENTS)


def operate(operation: TextOperation, table: pa.Table, given: Settings, size: int = 1000) -> Result:
    """The operation over the table in batches of `size`, brought together as the engine does."""
    batches = [table.slice(start, size) for start in range(0, max(1, len(table)), size)]
    knowledge = None
    if operation.observe is not None and operation.conclude is not None:
        knowledge = operation.conclude([operation.observe(batch, given) for batch in batches], given)
    done = [operation.apply(batch, given, knowledge) for batch in batches]
    whole = Result(pa.concat_tables([result.batch for result in done]))
    for result in done:
        assert result.batch.schema == tables.DOCUMENTS
        whole.rejected += result.rejected
        whole.changes += result.changes
        for name, number in result.counts.items():
            whole.counts[name] = whole.counts.get(name, 0) + number
    return whole


def same(left: Result, right: Result) -> bool:
    """Whether two runs over other batch sizes gave the same."""
    counts = [{name: number for name, number in side.counts.items() if number} for side in (left, right)]
    return (left.batch.equals(right.batch) and left.rejected == right.rejected and left.changes == right.changes
            and counts[0] == counts[1])  # fmt: skip
