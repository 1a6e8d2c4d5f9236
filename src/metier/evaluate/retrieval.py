"""Every model ranks the corpus for each test query once, where the task is retrieval; beside predict.py.

Purpose: the corpus is all different passages of the test split, with `evaluate.corpus: all` those of the other splits
too; it is kept as corpus.parquet, and an answer is the first hundred of its rows. The untouched base is asked as the
tuned model is: the same windows, the same pooling, without what was learned.
Trade-off: exact search over all passages, in blocks of queries; a vector index would be quicker and say less.
Not covered: figures (metrics/ranking.py).
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from metier.artifact import Artifact
from metier.console import Console, seconds
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.floors import floor_names
from metier.evaluate.floors.base import FloorData, FloorPrediction
from metier.evaluate.floors.bm25 import KEPT
from metier.evaluate.predict import FLOOR_TITLES, answers_table
from metier.registry import lookup
from metier.tables import write, write_json
from metier.train import bases
from metier.train.bm25 import BLOCK, best
from metier.train.config import TaskConfig, TrainConfig
from metier.train.spending import Spending
from metier.train.tasks.base import strings

CORPUS = pa.schema([("id", pa.string()), ("text", pa.string()), ("split", pa.string())])


def rank_all(
    config: EvaluateConfig, task_config: TaskConfig, seed: int, parts: dict[str, pa.Table], trained: Artifact,
    train_config: TrainConfig, out: Path, console: Console, near: Path | None,
) -> dict[str, Any]:  # fmt: skip
    """Write predictions.parquet, corpus.parquet, classes.json and models.json; returns counts and seconds by model."""
    from metier.train import model

    passages = corpus(parts, config.corpus == "all")
    write(passages, out / "corpus.parquet")
    test, texts = parts["test"], strings(passages["text"])
    queries, ids = strings(test["pair"]), strings(test["id"])
    answers: dict[str, FloorPrediction] = {}
    models: dict[str, Any] = {}

    def keep(name: str, title: str, kind: str, start: float, answer: FloorPrediction) -> None:
        spent = round(time.monotonic() - start, 3)
        answers[name], models[name] = answer, {"title": title, "kind": kind, "how": answer.how, "seconds": spent}
        console.say(f"  {title}: {len(queries):,} test queries, {len(texts):,} passages, in {seconds(spent)}")

    start = time.monotonic()
    tuned = model.load(trained.path / "model", train_config.device)
    spending = Spending(next(tuned.module.parameters()).device.type, train_config.energy_country)
    ranked, lost = ranked_by(tuned, queries, texts, console, spending)
    about = trained.summary["base"]["model"]
    keep("tuned", "tuned model", "tuned", start,
         FloorPrediction(ranked=ranked, how=f"{about}, {trained.summary['method']}"))  # fmt: skip
    if config.base:
        start = time.monotonic()
        base = bases.resolve(train_config.base_model, train_config.revision, near)
        ranked, _ = ranked_by(model.untouched(tuned, base), queries, texts, console)
        how = f"{base.model} as it is; passages by the cosine of their vectors"
        keep("base", "untouched base", "base", start, FloorPrediction(ranked=ranked, how=how))
    data = FloorData(strings(parts["train"]["text"]), pairs=strings(parts["train"]["pair"]), asked_pairs=queries,
                     corpus=texts)  # fmt: skip
    for name in floor_names(config, task_config):
        start = time.monotonic()
        answer = lookup("floor", name)(data, strings(test["text"]), task_config, seed)
        keep(name, FLOOR_TITLES.get(name, name), "floor", start, answer)
    write(answers_table(answers, ids), out / "predictions.parquet")
    write_json([], out / "classes.json")
    write_json(models, out / "models.json")
    return {"test": len(ids), "corpus": len(texts), "models": models, "cost": spending.facts(len(queries)),
            **{f"test_{key}": lost[key] for key in ("windowed", "cut", "cut_tokens")}}  # fmt: skip


def corpus(parts: dict[str, pa.Table], everything: bool) -> pa.Table:
    """The different passages, those of the test split first; with `everything` those of the others after them."""
    found: dict[str, dict[str, str]] = {}
    for name in ("test", "validation", "train") if everything else ("test",):
        for id, text in zip(strings(parts[name]["id"]), strings(parts[name]["text"]), strict=True):
            found.setdefault(text, {"id": id, "text": text, "split": name})
    return pa.Table.from_pylist(list(found.values()), schema=CORPUS)


def ranked_by(
    asked: Any, queries: list[str], passages: list[str], console: Console, spending: Spending | None = None
) -> tuple[list[list[int]], dict[str, int]]:
    """Places of passages for each query, best first, and what of the texts was not read.

    spending: counts the queries and their search; the vectors of the passages are made once, and cost no request.
    """
    told = asked.task.config.embed
    vectors, lost = asked.vectors(passages, told.passage_prefix, console)
    if spending is not None:
        spending.begin()
        asked = replace(asked, spending=spending)
    wanted, also = asked.vectors(queries, told.query_prefix, console)
    ranked: list[list[int]] = []
    for start in range(0, len(wanted), BLOCK):
        scores = np.nan_to_num(wanted[start : start + BLOCK] @ vectors.T, nan=-2.0)
        ranked += [found.tolist() for found in best(scores, KEPT)]
    if spending is not None:
        spending.end()
    return ranked, {name: lost[name] + also[name] for name in lost}
