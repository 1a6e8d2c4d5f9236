"""Every model answers the test split once; all later figures come from these stored answers.

Purpose: the tuned model, the untouched base (probe.py) and the floors are fitted on the training split alone and asked
the same questions in the same order.
Not covered: figures and tests (stage.py, compare.py); they need no model.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metier.artifact import Artifact
from metier.console import Console, seconds
from metier.errors import UserError
from metier.evaluate import frozen, probe, written
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.floors import floor_names
from metier.evaluate.floors.base import FloorData, FloorPrediction
from metier.evaluate.items import ANSWERS, BITS, CLASSIFY, MULTI_LABEL, PREFERENCE, RANKING, SCORE, WRITTEN
from metier.registry import lookup
from metier.tables import SPANS, read, write, write_json
from metier.train import bases
from metier.train.config import TaskConfig, TrainConfig
from metier.train.spending import Spending
from metier.train.tasks import Span, profile
from metier.train.tasks.base import short_texts, strings

PREDICTIONS = pa.schema(
    [
        ("model", pa.string()),
        ("id", pa.string()),
        ("label", pa.string()),
        ("labels", pa.list_(pa.string())),
        ("value", pa.float64()),
        ("scores", pa.list_(pa.float64())),  # probability of each class, in the order of classes.json
        ("spans", pa.list_(pa.struct([*SPANS.value_type, ("score", pa.float64())]))),
        ("written", pa.string()),  # the answer of a model that writes
        ("finished", pa.bool_()),  # it ended by itself, not by the limit
        ("bits", pa.float64()),  # code length of the right answer, or of the text
        ("bytes", pa.int64()),  # of UTF-8 that the bits pay for
        ("tokens", pa.int64()),  # hidden ones that the bits pay for
        ("margin", pa.float64()),  # chosen minus rejected answer: mean log-likelihood of a token
        ("raw_margin", pa.float64()),  # chosen minus rejected answer: log-likelihood
        ("rotations", pa.list_(pa.string())),  # choose: what was written for each rotation of the options
        ("option_bits", pa.list_(pa.float64())),  # choose: code length of each option, in the order of the data
        ("ranked", pa.list_(pa.int32())),  # rows of corpus.parquet, best first
    ]
)
CALIBRATED = (CLASSIFY, MULTI_LABEL, ANSWERS, SCORE)  # kinds whose confidence, or error, is set right on validation
UNASKED = (BITS, PREFERENCE)  # kinds whose model only measures the test texts; in use it is asked something else
FLOOR_TITLES = {
    "majority": "most frequent label",
    "mean": "mean of the training values",
    "tfidf": "word statistics (TF-IDF)",
    "dictionary": "dictionary of training entities",
    "linear_tagger": "linear chain over words (CRF)",
    "best_sentence": "the sentence nearest to the question (BM25)",
    "no_answer": 'always "no answer"',
    "lead": "the first three sentences",
    "nearest": "the answer to the nearest training question",
    "ngram": "n-gram model (Kneser-Ney)",
    "longer": "always the longer answer",
    "majority_letter": "most frequent letter",
    "longest_option": "always the longest option",
    "bm25": "shared words (BM25)",
}


def predict_all(
    config: EvaluateConfig, task_config: TaskConfig, seed: int, examples: Artifact, trained: Artifact,
    train_config: TrainConfig, out: Path, console: Console, near: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write criteria.json, predictions.parquet, classes.json and models.json; returns seconds and counts by model."""
    from metier.train import model

    promised = frozen.freeze(config, task_config, out)  # before the test set is opened
    table = read(examples.path / "examples.parquet")
    parts = {name: table.filter(pc.equal(table["split"], name)) for name in ("train", "validation", "test")}
    if not parts["test"].num_rows:
        raise UserError("there are no test examples", "split 'test'", "set prepare.split.test, or bring a test split")
    if profile(task_config).kind == RANKING:
        from metier.evaluate.retrieval import rank_all

        ranked = rank_all(config, task_config, seed, parts, trained, train_config, out, console, near)
        return {**ranked, "criteria": promised}
    texts = strings(parts["test"]["text"])
    ids = strings(parts["test"]["id"])
    tuned = model.load(trained.path / "model", train_config.device)
    classes = list(getattr(tuned.task, "classes", []))
    answers: dict[str, FloorPrediction] = {}
    models: dict[str, Any] = {}

    def keep(name: str, title: str, kind: str, how: str, start: float, answer: FloorPrediction) -> None:
        spent = round(time.monotonic() - start, 3)
        answers[name], models[name] = answer, {"title": title, "kind": kind, "how": how, "seconds": spent}
        console.say(f"  {title}: {len(ids):,} test items in {seconds(spent)}")

    start = time.monotonic()
    spending = Spending(next(tuned.module.parameters()).device.type, train_config.energy_country)
    decoded, encoded = replace(tuned, spending=spending).predict(parts["test"], console)
    cost = spending.facts(len(ids)) if profile(task_config).kind not in UNASKED else {"missing": "unasked"}
    losses = encoded.loss_report()
    keep(
        "tuned",
        "tuned model",
        "tuned",
        f"{trained.summary['base']['model']}, {trained.summary['method']}",
        start,
        probe.as_prediction(decoded),
    )
    data = floor_data(parts["train"], task_config, classes, short_texts(task_config, parts["test"]), parts["test"])
    data = replace(data, stretches=decoded.stretches or None)
    if config.base:
        base = bases.resolve(train_config.base_model, train_config.revision, near)
        for name, title, how, start, answer in probe.ask(parts, data, task_config, seed, base, tuned, console):
            keep(name, title, "base", how, start, answer)
    for name in floor_names(config, task_config):
        start = time.monotonic()
        answer = lookup("floor", name)(data, texts, task_config, seed)
        keep(name, FLOOR_TITLES.get(name, name), "floor", answer.how, start, answer)
    write(answers_table(answers, ids), out / "predictions.parquet")
    write_json(classes, out / "classes.json")
    write_json(models, out / "models.json")
    if config.validation_items and profile(task_config).kind in CALIBRATED:
        write(_validation(tuned, parts["validation"], config.validation_items, console), out / "validation.parquet")
    lost = {f"test_{key}": losses[key] for key in ("windowed", "cut", "cut_tokens")}
    return {"test": len(ids), "models": models, "criteria": promised, "cost": cost, **lost}


def _validation(tuned: Any, rows: pa.Table, most: int, console: Console) -> pa.Table:
    """The tuned model's answers to validation examples; where there are more than `most`, those with the first ids,
    which are hashes, so that it is a fair draw."""
    asked = rows.take(pc.sort_indices(rows["id"])[:most])
    ids = strings(asked["id"])
    if not ids:
        return answers_table({}, ids)
    start = time.monotonic()
    decoded, _ = tuned.predict(asked, console)
    console.say(f"  tuned model: {len(ids):,} validation items in {seconds(time.monotonic() - start)}")
    return answers_table({"tuned": probe.as_prediction(decoded)}, ids)


def floor_data(
    train: pa.Table, task: TaskConfig, classes: list[str], asked: list[str] | None = None, test: pa.Table | None = None
) -> FloorData:
    """The training split as the floors see it: the field of the task's answer is filled. asked: short texts of the test
    split, where the task has pairs. test: the test split, for tasks whose answers are texts."""
    answer = profile(task).answer
    writes = profile(task).kind in WRITTEN
    return FloorData(
        texts=strings(train["text"]),
        labels=strings(train["label"]) if answer == "label" else None,
        label_lists=[row or [] for row in train["labels"].to_pylist()] if answer == "labels" else None,
        values=[float(value) for value in train["value"].to_pylist()] if answer == "value" else None,
        spans=[[Span(**span) for span in row or []] for row in train["spans"].to_pylist()]
        if answer == "spans"
        else None,
        answers=[[(one["start"], one["end"]) for one in row or []] for row in train["answers"].to_pylist()]
        if answer == "answers"
        else None,
        classes=tuple(classes),
        pairs=short_texts(task, train),
        asked_pairs=asked,
        learned=train if writes else None,
        tested=test if writes else None,
    )


def answers_table(answers: dict[str, FloorPrediction], ids: list[str]) -> pa.Table:
    """Rows of PREDICTIONS: each model's answers to the examples with these ids, in their order."""
    tables: list[pa.Table] = []
    for name, answer in answers.items():
        n = len(ids)
        scores: list[Any] = answer.scores.tolist() if answer.scores is not None else [None] * n
        tables.append(pa.Table.from_arrays([
            pa.array([name] * n), pa.array(ids),
            pa.array(answer.labels or [""] * n),
            pa.array(answer.label_lists if answer.label_lists else [None] * n, pa.list_(pa.string())),
            pa.array([None] * n if answer.values is None else np.asarray(answer.values).tolist(), pa.float64()),
            pa.array(scores, pa.list_(pa.float64())),
            pa.array([None] * n if answer.spans is None else [[asdict(span) for span in row] for row in answer.spans],
                     PREDICTIONS.field("spans").type),
            *(pa.array([None] * n if column is None else list(column), PREDICTIONS.field(field).type)
              for field, column in zip((*written.STORED, *written.CHOSEN), (
                  answer.texts, answer.finished, answer.bits, answer.bytes, answer.tokens, answer.margins,
                  answer.raw_margins, answer.rotations, answer.option_bits), strict=True)),
            pa.array([None] * n if answer.ranked is None else answer.ranked, PREDICTIONS.field("ranked").type),
        ], schema=PREDICTIONS))  # fmt: skip
    return pa.concat_tables(tables) if tables else PREDICTIONS.empty_table()
