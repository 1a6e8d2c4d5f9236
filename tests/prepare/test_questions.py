"""Questions about a document become rows: over one text, in one group, their answers found again after repair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metier.artifact import Artifact
from metier.collect.config import CollectConfig
from metier.collect.stage import collect, find_inputs
from metier.console import Console
from metier.errors import UserError
from metier.prepare.config import PrepareConfig
from metier.prepare.questions import _places
from metier.prepare.stage import prepare
from metier.tables import read
from metier.train.config import TaskConfig

QUIET, EXTRACT = Console(quiet=True), TaskConfig(name="extract")


def paragraph(number: int) -> dict[str, Any]:
    """A contract with a question that it answers twice, one that it does not, and one in other words."""
    notice = f"{number + 20} days"
    context = (
        f"\ufeffContract {number}：the notice is {notice}.  After {notice} the contract {number} is at its end. 👍🏽"
    )
    first = context.index(notice)
    return {"context": context, "qas": [
        {"id": f"q{number}a", "question": "How long is the notice？", "answers": [
            {"text": notice, "answer_start": context.index(notice, first + 1)},
            {"text": notice, "answer_start": first}, {"text": "a while", "answer_start": -1}]},
        {"id": f"q{number}b", "question": "Who pays?", "answers": [], "is_impossible": True},
        {"id": f"q{number}c", "question": "Is it short?", "answers": [{"text": "rather", "answer_start": -1}]},
        {"id": f"q{number}d", "question": "Which?", "answers": [{"text": "wrong", "answer_start": 3}]},
    ]}  # fmt: skip


def prepared(folder: Path, task: TaskConfig, content: Any, **sections: Any) -> tuple[list[dict], list[dict], dict]:
    (folder / "data.json").write_text(json.dumps(content), encoding="utf-8")
    config = CollectConfig.model_validate({"sources": [{"path": "data.json"}], "workers": 1})
    (folder / "collected").mkdir()
    collect(config, find_inputs(config, folder), folder / "collected", QUIET)
    (folder / "prepared").mkdir()
    artifact = Artifact(folder / "collected", "collect", "x", {}, {}, {})
    settings = PrepareConfig.model_validate(sections)
    summary = prepare(settings, task, 0, artifact, folder / "prepared", QUIET)
    rejected = read(folder / "collected" / "rejected.parquet").to_pylist()
    rejected += read(folder / "prepared" / "rejected.parquet").to_pylist()
    return read(folder / "prepared" / "examples.parquet").to_pylist(), rejected, summary


def test_each_question_is_a_row_and_every_loss_has_a_reason(tmp_path):
    content = {"version": "1", "data": [{"title": "t", "paragraphs": [paragraph(n) for n in range(12)]}]}
    rows, rejected, summary = prepared(tmp_path, EXTRACT, content)
    assert len(rows) == 24 and {len(row["document_ids"]) for row in rows} == {1}
    for row in rows:
        texts = [row["text"][one["start"] : one["end"]] for one in row["answers"]]
        if row["pair"].startswith("How"):
            assert len(texts) == 2 and texts[0] == texts[1] and texts[0].endswith(" days")
            assert row["answers"][0]["start"] > row["answers"][1]["start"]  # in the order of the data
        else:
            assert row["pair"] == "Who pays?" and row["answers"] == []
    assert not any(row["text"].startswith("\ufeff") for row in rows)  # repaired, and the answers moved along
    reasons = [row["reason"] for row in rejected]
    assert reasons.count("answer not in the text") == 12 and reasons.count("malformed row") == 12
    by_group = {row["group"]: {other["split"] for other in rows if other["group"] == row["group"]} for row in rows}
    assert len(by_group) == 12 and all(len(splits) == 1 for splits in by_group.values())
    assert summary["labels"]["answered"]["train"] > 0 and summary["labels"]["unanswered"]["train"] > 0
    note = next(step["note"] for step in summary["funnel"] if step["step"] == "task")
    assert note == ("24 questions about 12 groups, 12 without an answer; "
                    "12 further gold answers do not stand in their text")  # fmt: skip


def test_questions_without_an_answer_are_left_out_on_request(tmp_path):
    content = {"data": [{"paragraphs": [paragraph(n) for n in range(12)]}]}
    task = EXTRACT.model_copy(update={"no_answer": False})
    rows, rejected, _ = prepared(tmp_path, task, content)
    assert len(rows) == 12 and sum(row["reason"] == "no answer" for row in rejected) == 12


def test_hypotheses_about_a_document_are_pairs_with_labels(tmp_path):
    """One document of ContractNLI's form with two hypotheses, one of them not judged by anybody."""
    content = {
        "documents": [
            {"id": n, "text": " ".join(f"clause{n}of{part}" for part in range(9)), "spans": [[0, 5]],
             "annotation_sets": [{"annotations": {"h-1": {"choice": ["Entailment", "Contradiction"][n % 2],
                                                          "spans": [0]},
                                                  "h-2": {"choice": "NotMentioned", "spans": []},
                                                  "h-9": {"choice": "Entailment", "spans": []}}}]}
            for n in range(20)
        ],
        "labels": {"h-1": {"hypothesis": "Secrets are kept.", "short_description": "x"},
                   "h-2": {"hypothesis": "It ends in a year."}},
    }  # fmt: skip
    rows, rejected, summary = prepared(tmp_path, TaskConfig(pair=True), content)
    assert {row["pair"] for row in rows} == {"Secrets are kept.", "It ends in a year."} and len(rows) == 40
    assert set(summary["classes"]) == {"Contradiction", "Entailment", "NotMentioned"}
    assert sum(row["reason"] == "malformed row" and "h-9" in row["detail"] for row in rejected) == 20
    assert {row["label"] for row in rows if row["pair"] == "It ends in a year."} == {"NotMentioned"}


def test_a_file_without_questions_says_what_to_bring(tmp_path):
    with pytest.raises(UserError, match="questions with answers"):
        prepared(tmp_path, EXTRACT, [{"text": "a text without any question", "pair": "q"}] * 3)


def test_answers_are_looked_up_near_to_where_they_stood() -> None:
    text = "二十天。 Notice: 二十天 after 二十天"
    given = [{"text": "二十天", "start": 20}, {"text": "二十天", "start": 0}, {"text": "x", "start": -1}]
    found = _places(text, given)
    assert [text[a:b] for a, b in found] == ["二十天", "二十天"] and found[1] == (0, 3) and found[0][0] > 12


def test_a_list_of_ids_is_the_official_test_set(tmp_path):
    """Rows under keys, a text in its parts, and a register that is a JSON object (as PubMedQA is published)."""
    rows = {str(n): {"CONTEXTS": [f"part{n}", f"rest{n} of it"], "QUESTION": f"Is it {n}?", "LONG_ANSWER": "Yes, so.",
                     "final_decision": ["yes", "no"][n % 2]} for n in range(20)}  # fmt: skip
    (tmp_path / "data.json").write_text(json.dumps(rows), encoding="utf-8")
    (tmp_path / "test.json").write_text(json.dumps({"3": "no", "4": "yes", "99": "yes"}), encoding="utf-8")
    columns = {"text": "CONTEXTS", "pair": "QUESTION", "label": "final_decision", "id": "key"}
    config = CollectConfig.model_validate({
        "sources": [{"path": "data.json", "columns": columns, "split": "train"}], "workers": 1,
        "index": {"path": "test.json", "key": "key", "split": "test"}})  # fmt: skip
    (tmp_path / "out").mkdir()
    collect(config, find_inputs(config, tmp_path), tmp_path / "out", QUIET)
    documents = read(tmp_path / "out" / "documents.parquet").to_pylist()
    told = {row["text"]: json.loads(row["metadata"]) for row in documents}
    assert told["part3\n\nrest3 of it"]["split"] == "test" and told["part5\n\nrest5 of it"]["split"] == "train"
    assert sum(one["split"] == "test" for one in told.values()) == 2
    assert told["part3\n\nrest3 of it"]["pair"] == "Is it 3?" and not any("Yes, so" in text for text in told)
    (lost,) = read(tmp_path / "out" / "rejected.parquet").to_pylist()
    assert lost["reason"] == "in register but not found" and "99" in lost["detail"]
