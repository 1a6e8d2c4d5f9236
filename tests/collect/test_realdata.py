"""Public files with known text: every file ends as text or as a counted reason, and the text is the right one."""

from __future__ import annotations

import csv
import importlib.util
from collections import Counter, defaultdict
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from metier.collect import readers
from metier.collect.accounts import ACCOUNTS, ANY, told
from metier.collect.reading import Options, Unreadable

from .samples import mirror

pytestmark = pytest.mark.realdata
KINDS = ("docx", "html", "odt", "pdf", "pptx", "xlsx")


def _benchmark() -> Any:
    """benchmarks/documents.py, so that test and benchmark cannot score differently."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "documents.py"
    spec = spec_from_file_location("documents", path)
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


benchmark = _benchmark()


def pairs(kind: str) -> list[tuple[Path, Path]]:
    root = mirror() / "documents"
    with (root / "INDEX.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["kind"] == kind and row["ground_truth"]]
    return [(root / row["path"], root / row["ground_truth"]) for row in rows]


@pytest.fixture(scope="module")
def scores() -> dict[str, dict[str, float]]:
    """Format -> contestant -> mean token F1, as the benchmark prints it, without recognition."""
    benchmark.OPTIONS[0] = Options(ocr=False)
    chosen = {name: value for name, value in benchmark.CONTESTANTS.items() if name != "RapidOCR"}
    if importlib.util.find_spec("xberg") is None:
        chosen = {name: value for name, value in chosen.items() if not name.startswith("xberg")}
    root, found = mirror() / "documents", defaultdict(lambda: defaultdict(list))
    for row in benchmark.load(root):
        path, known = root / row["path"], benchmark.truth(root, row)
        if known is None or row["kind"] == benchmark.RECEIPTS:
            continue
        for name, (score, _, _) in benchmark.score(path.read_bytes(), path.name, known, chosen).items():
            found[row["kind"]][name].append(score)
    return {kind: {name: sum(values) / len(values) for name, values in row.items()} for kind, row in found.items()}


def test_every_format_is_read_at_least_as_well_as_by_the_others(scores: dict[str, dict[str, float]]) -> None:
    assert set(scores) == {"pdf contract", "news html.gz", *(f"docling {kind}" for kind in KINDS)}
    for kind, row in scores.items():
        ours = row["Metier, running lines kept" if kind == "pdf contract" else "Metier"]  # the truth keeps them too
        best = max(value for name, value in row.items() if not name.startswith("Metier"))
        assert ours >= best - 1e-9, (kind, row)


def test_contracts_and_news_reach_their_aims(scores: dict[str, dict[str, float]]) -> None:
    assert scores["pdf contract"]["Metier"] >= 0.97 and scores["news html.gz"]["Metier"] >= 0.95


def test_a_receipt_is_recognised() -> None:
    pytest.importorskip("rapidocr")
    path, truth = pairs(benchmark.RECEIPTS)[4]
    known = "\n".join(line.split(",", 8)[8] for line in truth.read_text().splitlines() if line.count(",") >= 8)
    (piece,) = readers.read(path.read_bytes(), path.name, Options()).pieces
    assert benchmark.f1(benchmark.tokens(piece.text), benchmark.tokens(known)) > 0.95
    assert piece.metadata["ocr_confidence"] > 0.9


def test_every_file_ends_as_text_or_as_a_reason_that_is_told() -> None:
    files = sorted(path for path in (mirror() / "documents").rglob("*") if path.is_file())
    reasons: Counter[str] = Counter()
    for path in files:
        data = path.read_bytes()
        try:
            reading = readers.read(data, path.name, Options(ocr=False))
        except Unreadable as error:
            assert error.reason and error.detail
            reasons[error.reason] += 1
            continue
        assert any(piece.text.strip() for piece in reading.pieces), path
        account = ACCOUNTS[readers.choose(data, path.name)] if not path.name.endswith(".gz") else ACCOUNTS["html"]
        assert {refusal.reason for refusal in reading.refused} <= {*account.refused, *ANY, "no text layer"}
        if account.name not in ("table", "mail"):
            for piece in reading.pieces:
                assert set(piece.metadata) <= told(account), path
    assert set(reasons) <= {"unsupported format", "empty", "no text column", "no text layer", "undecodable"}
    assert len(files) - reasons.total() > 130
