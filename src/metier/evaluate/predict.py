"""Every model answers the test split once; all later figures come from these stored answers.

Purpose: the tuned model, the untouched base (a linear probe on its frozen embeddings, and zero-shot by label names)
and the floors are fitted on the training split alone and asked the same questions in the same order.
Trade-off: the probe tunes its regularisation on the validation split, as fair a use of the base as costs seconds.
Not covered: figures and tests (stage.py, compare.py); they need no model.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metier.artifact import Artifact
from metier.console import Console, seconds
from metier.errors import UserError, need
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.floors import floor_names
from metier.evaluate.floors.base import FloorData, FloorPrediction
from metier.registry import lookup
from metier.tables import read, write, write_json
from metier.train import bases
from metier.train.config import TaskConfig, TrainConfig
from metier.train.tasks.base import softmax, strings

PREDICTIONS = pa.schema(
    [
        ("model", pa.string()),
        ("id", pa.string()),
        ("label", pa.string()),
        ("labels", pa.list_(pa.string())),
        ("value", pa.float64()),
        ("scores", pa.list_(pa.float64())),  # probability of each class, in the order of classes.json
    ]
)
PROBE_C = (0.1, 1.0, 10.0, 100.0)  # inverse regularisation of the linear probe, chosen on validation
FLOOR_TITLES = {
    "majority": "most frequent label",
    "mean": "mean of the training values",
    "tfidf": "word statistics (TF-IDF)",
}


def predict_all(
    config: EvaluateConfig, task_config: TaskConfig, seed: int, examples: Artifact, trained: Artifact,
    train_config: TrainConfig, out: Path, console: Console, near: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write predictions.parquet, classes.json and models.json into `out`; returns seconds and counts by model."""
    from metier.train import model

    table = read(examples.path / "examples.parquet")
    parts = {name: table.filter(pc.equal(table["split"], name)) for name in ("train", "validation", "test")}
    if not parts["test"].num_rows:
        raise UserError("there are no test examples", "split 'test'", "set prepare.split.test, or bring a test split")
    texts = {name: strings(part["text"]) for name, part in parts.items()}
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
    decoded, encoded = tuned.predict(texts["test"], console)
    losses = encoded.loss_report()
    keep("tuned", "tuned model", "tuned", f"{trained.summary['base']['model']}, {trained.summary['method']}", start,
         FloorPrediction(decoded.labels or None, decoded.label_lists or None,
                         np.array(decoded.values) if decoded.values else None, decoded.scores))  # fmt: skip
    data = floor_data(parts["train"], task_config, classes)
    if config.base:
        base = bases.resolve(train_config.base_model, train_config.revision, near)
        _ask_base(parts, texts, data, task_config, seed, base, tuned, keep, console)
    for name in floor_names(config, task_config):
        start = time.monotonic()
        answer = lookup("floor", name)(data, texts["test"], task_config, seed)
        keep(name, FLOOR_TITLES.get(name, name), "floor", answer.how, start, answer)
    write(_table(answers, ids), out / "predictions.parquet")
    write_json(classes, out / "classes.json")
    write_json(models, out / "models.json")
    lost = {f"test_{key}": losses[key] for key in ("windowed", "cut", "cut_tokens")}
    return {"test": len(ids), "models": models, **lost}


def floor_data(train: pa.Table, task: TaskConfig, classes: list[str]) -> FloorData:
    """The training split as the floors want it."""
    return FloorData(
        texts=strings(train["text"]),
        labels=strings(train["label"]) if task.name == "classify" and not task.multi_label else None,
        label_lists=[row or [] for row in train["labels"].to_pylist()] if task.multi_label else None,
        values=[float(value) for value in train["value"].to_pylist()] if task.name == "score" else None,
        classes=tuple(classes),
    )


def _ask_base(  # one call, one place: what the base can do without tuning
    parts: dict[str, pa.Table], texts: dict[str, list[str]], data: FloorData, task: TaskConfig, seed: int,
    base: bases.Base, tuned: Any, keep: Any, console: Console,
) -> None:  # fmt: skip
    """The linear probe on frozen embeddings, and (for single labels) zero-shot by label names."""
    start = time.monotonic()
    embedder = Embedder(base, tuned, console)
    features = {name: embedder(part) for name, part in texts.items()}
    answer = probe(features, parts, data, task, seed)
    how = f"{base.model} as it is; a linear model on its frozen embeddings, fitted on the training split"
    keep("base", "untouched base (linear probe)", "base", how, start, answer)
    if task.name == "classify" and not task.multi_label:
        start = time.monotonic()
        spoken = [task.label_names.get(label, label.replace("_", " ").replace("-", " ")) for label in data.classes]
        names = embedder(spoken)
        scores = softmax(features["test"] @ names.T * 20.0)  # 20: the temperature sentence encoders are trained with
        keep("zero_shot", "untouched base (zero-shot)", "base",
             f"{base.model} as it is; the label whose name is most similar to the text, no training at all", start,
             FloorPrediction(labels=[data.classes[k] for k in scores.argmax(1)], scores=scores))  # fmt: skip


class Embedder:
    """Texts to embeddings (n, C) of length 1 from the untouched base, windowed as in training."""

    def __init__(self, base: bases.Base, tuned: Any, console: Console) -> None:
        from metier.train.network import Shape, load, load_tokenizer

        self.tuned, self.console = tuned, console
        self.network = load(base, Shape(1, "regression", "mean"), 0)
        self.network.to(next(tuned.module.parameters()).device)
        self.encoder = tuned.encoder.__class__(**{**vars(tuned.encoder), "tokenizer": load_tokenizer(base)})

    def __call__(self, texts: list[str]) -> np.ndarray:
        import torch

        from metier.train.methods.frozen import embed

        if not texts:
            return np.zeros((0, self.network.config.get_text_config().hidden_size))
        device = next(self.network.parameters()).device.type
        with self.console.progress("embedding with the base", len(texts), "texts") as meter:
            encoded = self.encoder.encode(texts)
            with torch.autocast(device, torch.bfloat16, enabled=self.tuned.bf16):
                return embed(self.network, encoded, self.tuned.limit, meter).double().numpy()


def probe(
    features: dict[str, np.ndarray], parts: dict[str, pa.Table], data: FloorData, task: TaskConfig, seed: int
) -> FloorPrediction:
    """Logistic regression (ridge for score) on embeddings; regularisation chosen on validation, refitted on train."""
    need("sklearn", "evaluate")
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    def fit(strength: float) -> Any:
        if task.name == "score":
            return Ridge(alpha=1 / strength).fit(features["train"], data.values)
        regression = LogisticRegression(C=strength, max_iter=1000, random_state=seed)
        if task.multi_label:
            return OneVsRestClassifier(regression).fit(
                features["train"], _indicator(data.label_lists or [], data.classes)
            )
        return regression.fit(features["train"], data.labels)

    def quality(fitted: Any) -> float:
        part = parts["validation"]
        gold: Any = strings(part["label"])
        if task.name == "score":
            gold = part["value"].to_pylist()
        elif task.multi_label:
            gold = _indicator([row or [] for row in part["labels"].to_pylist()], data.classes)
        return float(fitted.score(features["validation"], gold))

    candidates = {strength: fit(strength) for strength in (PROBE_C if len(features["validation"]) else (10.0,))}
    best = max(candidates, key=lambda c: quality(candidates[c])) if len(candidates) > 1 else next(iter(candidates))
    fitted = candidates[best]
    if task.name == "score":
        return FloorPrediction(values=np.asarray(fitted.predict(features["test"]), dtype=float))
    scores = np.asarray(fitted.predict_proba(features["test"]))
    if task.multi_label:
        scores = scores[:, -len(data.classes) :]  # of a single label scikit-learn also gives the probability of "not"
        lists = [[data.classes[k] for k in np.flatnonzero(row >= 0.5)] for row in scores]
        return FloorPrediction(label_lists=lists, scores=scores)
    order = [list(fitted.classes_).index(label) for label in data.classes]
    scores = scores[:, order]
    return FloorPrediction(labels=[data.classes[k] for k in scores.argmax(1)], scores=scores)


def _indicator(lists: Sequence[Sequence[str]], classes: Sequence[str]) -> np.ndarray:
    return np.array([[label in row for label in classes] for row in lists], dtype=int)


def _table(answers: dict[str, FloorPrediction], ids: list[str]) -> pa.Table:
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
        ], schema=PREDICTIONS))  # fmt: skip
    return pa.concat_tables(tables)
