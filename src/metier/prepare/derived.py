"""Examples made out of a document: where they come from, and that they go where their document goes.

Purpose: a question and an answer that were read out of a text, or written about it by a model, are a row of their own.
It names its document and the span that supports it, carries the document's group (or its id as group), so that no split
can part them, and is told from human data by `derived` in its metadata. `derived_from_test`, a step behind the split,
takes out those whose document came to validation or test: nothing that is measured was made up.
Not covered: how the pairs are made (`comprehend.py`, `synthesize.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from metier import tables
from metier.prepare.flow import TRAIN, Flow, Row, count
from metier.registry import register


def made(
    row: Mapping[str, Any], by: str, number: int, question: str, answer: str, span: tuple[int, int], **more: Any
) -> dict[str, Any]:
    """A row of DOCUMENTS for one pair; span: characters of the document's text that support it."""
    source = f"{row['source']}#{by}{number}"
    text = f"{question}\n{answer}"
    parent = json.loads(row["metadata"] or "{}")
    metadata = {
        "shape": "question-answer", "question": question, "answer": answer, "prompt": question, "completion": answer,
        "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}],
        "derived": {"by": by, "parent": row["id"], "start": span[0], "end": span[1], **more},
    }  # fmt: skip
    if "split" in parent:
        metadata["split"] = parent["split"]
    return {**row, "id": tables.digest(source, row["id"], text), "source": source, "text": text,
            "group": row["group"] or row["id"], "metadata": json.dumps(metadata, ensure_ascii=False)}  # fmt: skip


def kept_with(row: Mapping[str, Any]) -> dict[str, Any]:
    """The document itself, in the group of what was made out of it."""
    return {**row, "group": row["group"] or row["id"]}


def of_test(row: Mapping[str, Any]) -> bool:
    """Whether the data itself puts the document into a test or validation split."""
    said = str(json.loads(row["metadata"] or "{}").get("split", "")).strip().casefold()
    return bool(said) and said not in ("train", "training", "训练", "训练集", "nan", "none")


@register("operation", "derived")
def derived_from_test(flow: Flow) -> str:
    """Reject made examples outside the training split (reason "made from a test document")."""

    def leaves(row: Row) -> tuple[str, str] | None:
        if row.split in ("", TRAIN) or "derived" not in row.metadata:
            return None
        return "made from a test document", f"its document is in {row.split}; made examples are for training only"

    removed = flow.reject(leaves)
    left = sum("derived" in row.metadata for row in flow.rows)
    return f"{count(left, 'made example')} for training" + (f", {removed:,} from test documents" if removed else "")
