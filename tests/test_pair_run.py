"""A whole run over pairs of texts, from a table to the report and new answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from small import Answer, write_csv

Metier = Callable[..., Answer]


def test_from_a_table_of_pairs_to_answers(tiny_base: Path, work: Path, metier: Metier) -> None:
    data = [{"document": f"the loan of my friend is new {i}" if i % 2 else f"please send my card to the house {i}",
             "question": "is it the card" if i % 3 else "is it the loan",
             "answer": "yes" if bool(i % 2) == (not i % 3) else "no"} for i in range(120)]  # fmt: skip
    write_csv(Path("data.csv"), data)
    Path("recipe.yaml").write_text(
        "name: asked\ntask: {name: classify, pair: true}\ncollect:\n  sources:\n    - path: data.csv\n"
        "      columns: {text: document, pair: question, label: answer}\n  workers: 1\n"
        f"train: {{base_model: {tiny_base}, epochs: 2, threads: 1}}\n"
        'evaluate: {bootstrap: 200, accept: ["accuracy >= 0.1"]}\n', encoding="utf-8"
    )  # fmt: skip
    answer = metier("run", "recipe.yaml")
    assert answer.code == 0, answer.text
    results = json.loads(Path("runs/asked/results.json").read_text(encoding="utf-8"))
    assert set(results["models"]) == {
        "tuned",
        "base",
        "majority",
        "tfidf",
    }  # no zero-shot: a label does not name a pair
    assert "of both texts" in results["models"]["tfidf"]["how"]
    write_csv(Path("new.csv"), [{"document": row["document"], "question": row["question"]} for row in data[:4]])
    told = metier("predict", "asked", "--input", "new.csv", "-o", "answers.jsonl")
    assert told.code == 0, told.text
    answers = [json.loads(line) for line in Path("answers.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(answers) == 4 and {row["label"] for row in answers} <= {"yes", "no"}
    alone = metier("predict", "asked", "the loan of my friend")
    assert alone.code == 2 and "two texts together" in alone.err and "Traceback" not in alone.text
