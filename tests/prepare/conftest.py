"""Documents by hand, so that the stage is tested without any reader."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from metier import tables
from metier.artifact import Artifact
from metier.console import Console
from metier.prepare.config import PrepareConfig
from metier.prepare.stage import prepare
from metier.train.config import TaskConfig


@dataclass
class Prepared:
    """What the stage left behind."""

    summary: dict[str, Any]
    examples: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    conflicts: list[dict[str, Any]]
    duplicates: list[dict[str, Any]]
    screen: str = ""
    path: Path = field(default=Path())

    def reasons(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in self.rejected:
            found[row["reason"]] = found.get(row["reason"], 0) + 1
        return dict(sorted(found.items()))

    def texts(self, split: str = "") -> list[str]:
        return [row["text"] for row in self.examples if split in ("", row["split"])]

    def sides(self, column: str) -> dict[str, set[str]]:
        """Splits in which each value of a column stands."""
        found: dict[str, set[str]] = {}
        for row in self.examples:
            if row[column]:
                found.setdefault(row[column], set()).add(row["split"])
        return found


Document = dict[str, Any]


def document(number: int, text: str, label: Any = None, **more: Any) -> Document:
    """A row of the documents table; `value` and `split` go into the metadata."""
    metadata = {name: more.pop(name) for name in ("value", "split") if name in more}
    if label is not None:
        metadata["label"] = label
    source = more.pop("source", f"data.csv#{number}")
    return {"id": tables.digest(source, text), "text": text, "source": source,
            "metadata": json.dumps(metadata, ensure_ascii=False), **more}  # fmt: skip


def run(folder: Path, documents: Sequence[Document], config: Any = None, task: Any = None, seed: int = 0) -> Prepared:
    """Run the stage on documents in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tables.write(tables.table(documents, tables.DOCUMENTS), folder / "documents.parquet")
    artifact = Artifact(folder, "collect", "0" * 32, {}, {}, {})
    screen = io.StringIO()
    out = folder / "out"
    summary = prepare(PrepareConfig.model_validate(config or {}), TaskConfig.model_validate(task or {}), seed, artifact,
                      out, Console(screen))  # fmt: skip
    json.dumps(summary, allow_nan=False)
    names = ("examples", "rejected", "conflicts", "duplicates")
    return Prepared(
        summary, *(tables.read(out / f"{name}.parquet").to_pylist() for name in names), screen.getvalue(), out
    )


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., Prepared]:
    """The stage as a function of documents, prepare section, task section and seed."""
    calls = iter(range(1000))
    return lambda *args, **kwargs: run(tmp_path / str(next(calls)), *args, **kwargs)
