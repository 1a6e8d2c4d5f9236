"""A whole run of tagging, from rows with spans to the report and new answers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from small import Answer

Metier = Callable[..., Answer]


def rows(n: int = 90) -> list[dict[str, object]]:
    draw, out = random.Random(0), []
    for index in range(n):
        thing = draw.choice(["card", "loan", "卡"])
        text = f"please send my {thing} to {draw.choice(['the', 'a', 'my'])} {draw.choice(['friend', 'house'])} {index}"
        out.append({"text": text, "spans": [{"start": 15, "end": 15 + len(thing), "label": "thing"}]})
    return out


@pytest.mark.parametrize("method", ["full", "frozen"])
def test_from_rows_to_report_and_answers(method: str, tiny_base: Path, work: Path, metier: Metier) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows()]
    Path("data.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    Path("recipe.yaml").write_text(
        "name: things\ntask: tag\ncollect:\n  sources: [{path: data.jsonl, columns: {text: text}}]\n  workers: 1\n"
        f"train: {{base_model: {tiny_base}, method: {method}, epochs: 6, threads: 1, learning_rate: 0.005}}\n"
        'evaluate: {bootstrap: 200, accept: ["entity_f1 >= 0.1", "recall[thing] >= 0.1"]}\n', encoding="utf-8"
    )  # fmt: skip
    answer = metier("run", "recipe.yaml")
    assert answer.code == 0, answer.text
    results = json.loads(Path("runs/things/results.json").read_text(encoding="utf-8"))
    assert set(results["models"]) == {"tuned", "base", "dictionary", "linear_tagger"}
    assert results["models"]["dictionary"]["entity_f1"]["value"] == 1.0  # every entity was seen in training
    card = Path("runs/things/README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: token-classification" in card and "tagging of entities of 1 types" in card
    page = Path("runs/things/report.html").read_text(encoding="utf-8")
    assert "Entity F1" in page and "实体 F1" in page and "线性标注器" in page
    told = metier("predict", "things", "please send my card to a friend")
    assert told.code == 0 and "spans" in told.out
    Path("new.csv").write_text("text\nplease send my card to a friend\nthe house\n", encoding="utf-8")
    assert metier("predict", "things", "--input", "new.csv", "-o", "marked.jsonl").code == 0
    marked = [json.loads(line) for line in Path("marked.jsonl").read_text(encoding="utf-8").splitlines()]
    for row in marked:
        for span in json.loads(row["spans"]):
            assert row["text"][span["start"] : span["end"]] == span["text"] and 0 < span["score"] <= 1
    if method == "full":
        assert [s["text"] for s in json.loads(marked[0]["spans"])] == ["card"]
