"""`metier new` for data sets whose columns say by themselves what is to be learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metier.drafting import draft, render, write_recipe
from metier.errors import UserError
from metier.recipe import load, parse

CHAT = [{"role": "user", "content": "hello there"}, {"role": "assistant", "content": "hi"}]
ROWS: dict[
    str, tuple[dict[str, Any], str, str | None]
] = {  # a row, the task that is guessed, another one that is possible
    "messages": ({"messages": CHAT}, "chat", "generate"),
    "alpaca": ({"instruction": "Sum up.", "input": "long", "output": "short"}, "generate", "chat"),
    "prompt": ({"prompt": "2+2=", "completion": "4"}, "generate", None),
    "question": ({"question": "Who pays?", "answer": "The bank"}, "generate", None),
    "preference": ({"prompt": "p", "chosen": "good one", "rejected": "bad one"}, "prefer", None),
    "tokens": ({"tokens": ["Dr", "Li"], "ner_tags": ["O", "B-NAME"]}, "tag", None),
    "spans": ({"text": "Dr Li", "spans": [{"start": 3, "end": 5, "label": "NAME"}]}, "tag", None),
}


def written(work: Path, row: dict[str, Any], name: str = "data.jsonl") -> Path:
    path = work / name
    path.write_text((json.dumps(row, ensure_ascii=False) + "\n") * 8, encoding="utf-8")
    return path


@pytest.mark.parametrize("shape", ROWS)
def test_the_shape_tells_the_task(shape: str, work: Path) -> None:
    row, task, other = ROWS[shape]
    path = written(work, row)
    made = draft(path)
    assert made.data["task"] == task and any("taken for" in line for line in made.seen)
    if other:
        assert draft(path, other).data["task"] == other and any(other in line for line in made.seen)
    target = write_recipe(path, None, work / "recipe.yaml", force=True)
    assert load(target) == parse(draft(path, None, work).data)
    assert made.data["evaluate"]["accept"]


def test_a_task_that_writes_gets_a_base_that_writes(work: Path) -> None:
    made = draft(written(work, {"text": "Article 1. The lender shall pay."}), "pretrain")
    assert made.data["train"] == {"base_model": "Qwen/Qwen2.5-0.5B", "method": "full"}
    assert "base_model: Qwen/Qwen2.5-0.5B " in render(made) and "texts to read on" in render(made)
    made = draft(written(work, ROWS["messages"][0]))
    assert made.data["train"] == {"base_model": "Qwen/Qwen2.5-0.5B-Instruct", "method": "lora"}


def test_columns_that_are_named(work: Path) -> None:
    path = written(work, {"dialogue": "Doctor: hello. Patient: it hurts here.", "section": "HPI", "note": "pain"})
    said = {"text": "dialogue", "answer": "note"}
    made = draft(path, "generate", None, said)
    assert made.data["collect"]["sources"][0]["columns"] == said
    with pytest.raises(UserError, match="nothing that the task generate learns from") as error:
        draft(path, "generate")
    assert "--label COLUMN" in str(error.value.fix)


def test_a_wrong_shape_for_the_task_is_told(work: Path) -> None:
    with pytest.raises(UserError, match="nothing that the task prefer learns from"):
        draft(written(work, ROWS["alpaca"][0]), "prefer")
    with pytest.raises(UserError, match="nothing that the task tag learns from"):
        draft(written(work, {"text": "only words", "label": "a"}), "tag")


def test_files_that_are_no_tables(work: Path) -> None:
    (work / "data.conll").write_text("Dr O\nLi B-NAME\n", encoding="utf-8")
    assert draft(work / "data.conll", "tag").data["task"] == "tag"
    (work / "laws").mkdir()
    for name in ("a/one.txt", "b/two.txt"):
        (work / "laws" / name).parent.mkdir()
        (work / "laws" / name).write_text("Article 1.", encoding="utf-8")
    source = draft(work / "laws", "pretrain").data["collect"]["sources"][0]
    assert "label_from" not in source
    assert draft(work / "laws").data["collect"]["sources"][0]["label_from"] == "folder"


def test_a_text_with_a_label_stays_a_classification(work: Path) -> None:
    path = work / "data.jsonl"
    rows = [{"question": f"why this fee {i}", "answer": f"word {i}", "label": "ab"[i % 2]} for i in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert draft(path).data["task"] == "classify"


def test_questions_with_a_label_beside_them_get_their_columns_named(work: Path) -> None:
    path = work / "data.jsonl"
    rows = [{"question": f"why this fee {i}", "answer": f"word {i}", "label": "ab"[i % 2]} for i in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    source = draft(path, "generate").data["collect"]["sources"][0]
    assert source["columns"] == {"text": "question", "answer": "answer"}


def test_retrieval_is_drafted_from_a_shape_or_from_named_columns(tmp_path: Path) -> None:
    rows = "".join(f"what is thing {n},thing {n} is described here in a passage of some words\n" for n in range(30))
    for header, columns in (("question,answer\n", {}), ("q,p\n", {"text": "p", "pair": "q"})):
        path = tmp_path / "pairs.csv"
        path.write_text(header + rows, encoding="utf-8")
        made = draft(path, "embed", columns=columns)
        assert made.data["task"] == "embed" and made.data["evaluate"]["accept"] == ["ndcg_10 > bm25", "ndcg_10 > base"]
        assert made.data["collect"]["sources"][0].get("columns", {}) == columns
    with pytest.raises(UserError, match="a query and the passage"):
        draft(path, "embed")
