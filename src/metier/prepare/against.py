"""Evaluation texts from files that the recipe names: a public benchmark, an examination, last year's test set.

Purpose: only their words are needed, not their labels, so any of the usual shapes will do. A text file is one text; a
table gives one a row: its column `text`, or all its columns of strings together (question, context, answers).
Not covered: folders, archives, encodings but UTF-8; convert such a set, or collect it as a source with `split: test`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metier import tables
from metier.errors import UserError

KINDS = (".txt", ".md", ".jsonl", ".json", ".csv", ".parquet")


def read_texts(path: Path) -> list[str]:
    """The texts of one file; UserError if it has none or cannot be read."""
    try:
        found = [text for text in _texts(path) if text.strip()]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"the evaluation texts cannot be read: {error}", f"prepare.decontaminate.against, {path}",
                        "convert the file to .jsonl or .parquet with a column `text`, in UTF-8") from None  # fmt: skip
    if not found:
        raise UserError("there is no text in the file", f"prepare.decontaminate.against, {path}",
                        "name another file, or leave it out")  # fmt: skip
    return found


def _texts(path: Path) -> Iterator[str]:
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise ValueError(f"{kind or 'a file without extension'} is none of {', '.join(KINDS)}")
    if kind == ".parquet":
        for row in tables.read(path).to_pylist():
            yield _of_row(row)
    elif kind == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield from map(_of_row, csv.DictReader(stream))
    elif kind == ".json":
        whole = json.loads(path.read_text(encoding="utf-8-sig"))
        yield from map(_of_row, whole if isinstance(whole, list) else [whole])
    elif kind == ".jsonl":
        with path.open(encoding="utf-8-sig") as stream:
            yield from (_of_row(json.loads(line)) for line in stream if line.strip())
    else:
        yield path.read_text(encoding="utf-8-sig")


def _of_row(row: Any) -> str:
    if isinstance(row, dict) and isinstance(row.get("text"), str):
        return str(row["text"])
    return "\n".join(_strings(row))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)
