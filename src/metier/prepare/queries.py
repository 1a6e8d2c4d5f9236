"""Queries and the passages that answer them, for retrieval: read from mapped columns or from a known shape.

Purpose: `text` is the passage (what is found, and what must not stand on two sides of a split), `pair` the query.
Columns mapped as text and pair are taken as they are; rows of the shapes question-answer, prompt-completion and pairs
hold both in one repaired text, the query first. Hard negatives that the data brings (`negatives`) come with them.
Not covered: several right passages in one cell; write a row for each.
"""

from __future__ import annotations

import json
from typing import Any

from metier.prepare.flow import Flow, Row, count
from metier.prepare.normalize import clean

ENDS = ("answer", "completion", "second")  # what the second part of a text is called in the metadata of its shape
NEGATIVES = ("negatives", "negative", "hard_negatives", "neg")


def read_queries(flow: Flow) -> str:
    """Fill `pair` and `negatives` of every row; a row without a query is rejected ("no query")."""

    def leaves(row: Row) -> tuple[str, str] | None:
        metadata = row.metadata
        own = metadata.get("pair")
        if own is not None:
            row.pair = clean(own) if isinstance(own, str) else ""
            if not row.pair:
                return "no query", "the column with the role `pair` is empty"
        else:
            found = split_off(row.text, metadata)
            if found is None:
                return "no query", "neither a column with the role `pair` nor a question and its answer"
            row.pair, row.text = found
        row.negatives = read_negatives(metadata, row.text) or None
        return None

    flow.reject(leaves)
    brought = sum(len(row.negatives or ()) for row in flow.rows)
    queries = len({row.pair for row in flow.rows})
    return f"{count(queries, 'query').replace('querys', 'queries')}" + (f", {brought:,} negatives" if brought else "")


def split_off(text: str, metadata: dict[str, Any]) -> tuple[str, str] | None:
    """(query, passage) of a text that a known shape made of both; None where it does not end with the passage."""
    for name in ENDS:
        if isinstance(metadata.get(name), str) and (passage := clean(metadata[name])):
            query = text[: -len(passage)].rstrip()
            return (query, passage) if text.endswith(passage) and query else None
    return None


def read_negatives(metadata: dict[str, Any], passage: str) -> list[str]:
    """The row's own hard negatives, each once and none equal to the passage: a text, a list, or a list as JSON."""
    cell: Any = next((metadata[name] for name in NEGATIVES if metadata.get(name)), [])
    if isinstance(cell, str):
        try:
            parsed = json.loads(cell) if cell.lstrip().startswith("[") else cell
        except ValueError:
            parsed = cell
        cell = parsed if isinstance(parsed, list) else [cell]
    texts = [clean(text) for text in cell if isinstance(text, str)] if isinstance(cell, (list, tuple)) else []
    return [text for text in dict.fromkeys(texts) if text and text != passage]
