"""What an operation on texts takes and gives: one batch of documents in, one batch out, and an account of the rest.

Purpose: cleaning, judging, masking and cutting texts needs no row but the one at hand, so it is a plain function over
Arrow batches that any engine can run, one shard at a time, on a laptop or a cluster. An operation that must first see
the whole corpus (a lexicon, lines that repeat on every page) says so by `observe` and `conclude`: what `observe` finds
in each batch is brought together once, and every batch then gets that knowledge.
Trade-off: an operation never sees two batches at once; comparing texts with each other is a step over rows (flow.py).
Not covered: running it (the engine does), the order of operations (`stage.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from metier.prepare.config import PrepareConfig
from metier.registry import register
from metier.train.config import TaskConfig

CHANGES = pa.schema(
    [
        ("id", pa.string()),  # the document
        ("source", pa.string()),
        ("step", pa.string()),  # the operation
        ("start", pa.int64()),  # characters into the text as it was before this step; end is exclusive
        ("end", pa.int64()),
        ("before", pa.string()),  # "" where it must not be kept (personal data)
        ("after", pa.string()),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class Settings:
    """What bears meaning in this stage; the same for every batch, and can be sent to another process."""

    config: PrepareConfig
    task: TaskConfig
    seed: int


@dataclass
class Result:
    """What became of one batch.

    batch: the rows that go on, schema tables.DOCUMENTS, in their order (one document may become several, or none).
    rejected: rows of tables.rejection(source, "prepare", reason, detail, id), one for every document that left.
    changes: rows of CHANGES as mappings; applied backwards from the end they give the old text back.
    counts: whatever the funnel and the report shall say, added up over all batches.
    """

    batch: pa.Table
    rejected: list[dict[str, str]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TextOperation:
    """An operation on texts; made by `text_operation`, found behind the door `operation`."""

    name: str
    apply: Callable[[pa.Table, Settings, Any], Result]
    """(batch, settings, knowledge) -> Result. knowledge is None unless `conclude` is given."""
    note: Callable[[dict[str, int]], str]
    """The summed counts -> one sentence for the funnel."""
    wanted: Callable[[PrepareConfig], bool]
    """Whether the recipe asks for it."""
    observe: Callable[[pa.Table, Settings], pa.Table] | None = None
    """What one batch tells about the corpus, as a small table."""
    conclude: Callable[[Sequence[pa.Table], Settings], Any] | None = None
    """All observations, in the order of the batches -> knowledge (can be pickled; does not depend on batch sizes)."""


def text_operation(
    name: str,
    note: Callable[[dict[str, int]], str],
    wanted: Callable[[PrepareConfig], bool] = lambda config: True,
    observe: Callable[[pa.Table, Settings], pa.Table] | None = None,
    conclude: Callable[[Sequence[pa.Table], Settings], Any] | None = None,
) -> Callable[[Callable[[pa.Table, Settings, Any], Result]], TextOperation]:
    """Decorator: put `apply(batch, settings, knowledge) -> Result` behind the door `operation` as a TextOperation."""
    assert (observe is None) == (conclude is None), "observe and conclude come together"

    def put(apply: Callable[[pa.Table, Settings, Any], Result]) -> TextOperation:
        return register("operation", name)(TextOperation(name, apply, note, wanted, observe, conclude))

    return put


def with_texts(batch: pa.Table, texts: Sequence[str]) -> pa.Table:
    """The batch with its column `text` replaced, row by row."""
    return batch.set_column(batch.schema.get_field_index("text"), "text", pa.array(texts, pa.string()))
