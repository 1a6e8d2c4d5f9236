"""The stage as a fixture."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metier import tables
from metier.collect.config import CollectConfig
from metier.collect.stage import collect, find_inputs
from metier.console import Console


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]]:
    """run(sources=..., index=...) -> (summary, documents with metadata as a dict, rejected rows)."""

    def go(base: Path | None = None, **config: Any) -> Any:
        settings = CollectConfig(**{"workers": 1, **config})
        out = tmp_path / "out"
        summary = collect(settings, find_inputs(settings, base or tmp_path / "in"), out, Console(quiet=True))
        documents = tables.read(out / "documents.parquet").to_pylist()
        for document in documents:
            document["metadata"] = json.loads(document["metadata"])
        return summary, documents, tables.read(out / "rejected.parquet").to_pylist()

    return go


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder
