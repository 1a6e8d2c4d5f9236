"""A whole retrieval run, from a table of questions and answers to the report and to vectors of new texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from small import Answer, write_csv

Metier = Callable[..., Answer]
THINGS = ("card", "loan", "house", "money", "machine", "friend")


def test_from_questions_and_answers_to_vectors(tiny_base: Path, work: Path, metier: Metier) -> None:
    data = [
        {
            "question": f"where is the {THINGS[i % 6]} of friend {i}",
            "answer": f"the {THINGS[i % 6]} {i} is lost in the new {THINGS[(i + 1) % 6]} {i}",
        }
        for i in range(120)
    ]
    write_csv(Path("data.csv"), data)
    Path("recipe.yaml").write_text(
        "name: found\ntask: {name: embed, embed: {hard_negatives: bm25}}\ncollect: {sources: data.csv, workers: 1}\n"
        f"prepare: {{dedup: {{near: false}}}}\ntrain: {{base_model: {tiny_base}, epochs: 2, threads: 1}}\n"
        'evaluate: {bootstrap: 200, corpus: all, accept: ["recall_100 >= 0.1"]}\n', encoding="utf-8"
    )  # fmt: skip
    answer = metier("run", "recipe.yaml")
    assert answer.code == 0 and "84 hard negatives by bm25" in answer.text, answer.text
    results = json.loads(Path("runs/found/results.json").read_text(encoding="utf-8"))
    assert set(results["models"]) == {"tuned", "base", "bm25"} and results["primary"] == "ndcg_10"
    assert results["models"]["bm25"]["recall_10"]["value"] > 0.5  # the number of each question stands in its answer
    asked = results["cost"]["request"]  # the vectors of the passages are made once, and are no part of a query
    assert asked["requests"] == results["data"]["test"] and asked["read"] < 20
    assert asked["seconds"] * asked["requests"] < results["models"]["tuned"]["seconds"]
    card = Path("runs/found/model-card.md")
    text = (card if card.is_file() else next(Path("runs/found").rglob("README.md"))).read_text(encoding="utf-8")
    assert "pipeline_tag: sentence-similarity" in text and "ndcg_10" in text
    page = Path("runs/found/report.html").read_text(encoding="utf-8")
    assert "nDCG@10" in page and "BM25" in page
    told = metier("predict", "found", "where is my card", "the loan is lost")
    assert told.code == 0 and "vector" in told.text, told.text
    write_csv(Path("new.csv"), [{"text": row["answer"]} for row in data[:4]])
    for name in ("vectors.parquet", "vectors.csv", "vectors.jsonl"):
        assert metier("predict", "found", "--input", "new.csv", "-o", name).code == 0
    vectors = np.array(pq.read_table("vectors.parquet")["vector"].to_pylist())
    assert vectors.shape[0] == 4 and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    first = json.loads(Path("vectors.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert np.allclose(first["vector"], vectors[0])
