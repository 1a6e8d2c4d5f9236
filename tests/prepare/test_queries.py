"""Queries and passages: from mapped columns, from known shapes, with their negatives; none on two sides of a split."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from metier.console import Console
from metier.errors import UserError
from metier.prepare.queries import read_negatives, split_off
from metier.recipe import parse
from metier.run import default_context, run
from metier.tables import read


def prepared(folder: Path, rows: list[dict[str, Any]], columns: dict[str, str] | None = None) -> tuple[list[Any], Any]:
    with (folder / "data.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    source = {"path": "data.csv"} | ({"columns": columns} if columns else {})
    recipe = parse({"name": "small", "task": "embed", "collect": {"sources": [source], "workers": 1}})
    done = run(recipe, default_context(folder, Console(quiet=True)), until="prepare")["prepare"]
    rejected = read(done.path / "rejected.parquet")["reason"].to_pylist()
    return read(done.path / "examples.parquet").to_pylist(), (done.summary, rejected)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METIER_STORE", str(tmp_path / "store"))


def test_a_question_and_its_answer_without_any_mapping(tmp_path: Path) -> None:
    rows = [{"question": f"What helps against fever number {i}?", "answer": f"Remedy {i} helps, taken {i} times a day."}
            for i in range(30)]  # fmt: skip
    examples, (summary, _) = prepared(tmp_path, rows)
    assert {(row["pair"], row["text"]) for row in examples} == {(row["question"], row["answer"]) for row in rows}
    assert any(step["step"] == "task" and step["note"] == "30 queries" for step in summary["funnel"])
    assert all(count > 0 for count in summary["splits"].values())


def test_mapped_columns_negatives_and_rows_without_a_query(tmp_path: Path) -> None:
    rows = [
        {
            "doc": f"第{i}号药片可以退烧，每天服用{i}次。",
            "asked": "" if i == 3 else f"第{i}号药怎么用？",
            "negatives": json.dumps([f"第{i}号药膏用于皮肤。", ""], ensure_ascii=False),
        }
        for i in range(24)
    ]
    examples, (summary, rejected) = prepared(tmp_path, rows, {"text": "doc", "pair": "asked"})
    assert len(examples) == 23 and rejected == ["no query"]
    assert all(len(row["negatives"]) == 1 and row["negatives"][0] != row["text"] for row in examples)
    assert any("23 negatives" in step["note"] for step in summary["funnel"])


def test_one_answer_never_stands_on_two_sides(tmp_path: Path) -> None:
    """Each answer is that of two questions that share hardly a word, so no near duplicates tie them."""
    asked = ("What is it that helps here and now", "Por que no te callas tanto")
    rows = [{"question": f"{word} {i}?", "answer": f"Answer {i}: see page {i * 7}."}
            for i in range(40) for word in asked]  # fmt: skip
    examples, _ = prepared(tmp_path, rows, {"text": "answer", "pair": "question"})
    sides: dict[str, set[str]] = {}
    for row in examples:
        sides.setdefault(row["text"], set()).add(row["split"])
    assert len(examples) == 80 and all(len(splits) == 1 for splits in sides.values())


def test_texts_without_queries_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no document has a query"):
        prepared(tmp_path, [{"text": f"a text of its own, number {i}"} for i in range(9)])


def test_the_passage_must_stand_at_the_end_of_the_repaired_text() -> None:
    assert split_off("Who?\n\nMe.", {"answer": "Me."}) == ("Who?", "Me.")
    assert split_off("Who?\n\n[NAME].", {"answer": "Me."}) is None  # de-identified since: nothing old comes back
    assert split_off("Me.", {"answer": "Me."}) is None and split_off("Who?", {}) is None


def test_negatives_of_every_form() -> None:
    assert read_negatives({"negative": "b"}, "a") == ["b"]
    assert read_negatives({"hard_negatives": ["b", "b", "a", 3, " "]}, "a") == ["b"]
    assert read_negatives({"neg": '["b", "c"]'}, "a") == ["b", "c"]
    assert read_negatives({"neg": "[not json"}, "a") == ["[not json"] and read_negatives({}, "a") == []
