"""Public files with known text: every file ends as text or as a counted reason, and the text is the right one."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from metier.collect import readers
from metier.collect.reading import Options, Unreadable

from .samples import mirror

pytestmark = pytest.mark.realdata


def f1(found: str, expected: str) -> float:
    """Token F1 over words, case folded."""
    left, right = (Counter(re.findall(r"\w+", text.lower())) for text in (found, expected))
    common = sum((left & right).values())
    return 2 * common / max(1, sum(left.values()) + sum(right.values()))


def read(path: Path) -> str:
    return "\n".join(piece.text for piece in readers.read(path.read_bytes(), path.name, Options()).pieces)


def pairs(kind: str) -> list[tuple[Path, Path]]:
    root = mirror() / "documents"
    with (root / "INDEX.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["kind"] == kind and row["ground_truth"]]
    return [(root / row["path"], root / row["ground_truth"]) for row in rows]


def test_contracts_from_pdf() -> None:
    scores = [
        f1(read(path), truth.read_text(encoding="utf-8", errors="replace")) for path, truth in pairs("pdf contract")
    ]
    assert len(scores) >= 10 and sum(scores) / len(scores) >= 0.97 and min(scores) >= 0.9


def test_news_articles() -> None:
    found = pairs("news html.gz")
    truth: dict[str, Any] = json.loads(found[0][1].read_text(encoding="utf-8"))
    scores = [f1(read(path), truth[path.name.split(".")[0]]["articleBody"]) for path, _ in found]
    assert sum(scores) / len(scores) >= 0.94


def test_no_file_raises_anything_else() -> None:
    files = sorted(
        path for path in (mirror() / "documents").rglob("*") if path.is_file() and path.suffix.lower() != ".pdf"
    )
    reasons: Counter[str] = Counter()
    for path in files:
        try:
            assert readers.read(path.read_bytes(), path.name, Options()).pieces
        except Unreadable as error:
            assert error.reason and error.detail
            reasons[error.reason] += 1
    assert set(reasons) <= {"unsupported format", "empty", "no text column"}
    assert len(files) - reasons.total() > 100
