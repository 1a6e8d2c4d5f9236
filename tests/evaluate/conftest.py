"""Made-up answers of several models, as the earlier stages would leave them on disk."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from metier import tables
from metier.artifact import Artifact
from metier.console import Console

PREDICTIONS = pa.schema(
    [
        ("model", pa.string()),
        ("id", pa.string()),
        ("label", pa.string()),
        ("labels", pa.list_(pa.string())),
        ("value", pa.float64()),
        ("scores", pa.list_(pa.float64())),
    ]
)


def artifact(path: Path, stage: str) -> Artifact:
    return Artifact(path, stage, "0" * 32, {}, {}, {})


def write_run(folder: Path, examples: list[dict[str, Any]], answers: dict[str, list[dict[str, Any]]],
              classes: list[str]) -> tuple[Artifact, Artifact]:  # fmt: skip
    """examples and predictions on disk; answers: model -> one row for each test example, in order."""
    tables.write(tables.table(examples, tables.EXAMPLES), folder / "examples" / "examples.parquet")
    ids = [row["id"] for row in examples if row["split"] == "test"]
    rows = [
        {"model": model, "id": name, **row}
        for model, given in answers.items()
        for name, row in zip(ids, given, strict=True)
    ]
    tables.write(tables.table(rows, PREDICTIONS), folder / "predictions" / "predictions.parquet")
    tables.write_json(classes, folder / "predictions" / "classes.json")
    described = {
        name: {
            "title": name,
            "kind": {"tuned": "tuned", "base": "base"}.get(name, "floor"),
            "how": "made up",
            "seconds": 0.1,
        }
        for name in answers
    }
    tables.write_json(described, folder / "predictions" / "models.json")
    return artifact(folder / "examples", "prepare"), artifact(folder / "predictions", "predict")


def classify_run(folder: Path, n: int = 300, k: int = 4, skill: dict[str, float] | None = None, seed: int = 0,
                 groups: int = 0) -> tuple[Artifact, Artifact]:  # fmt: skip
    """Single-label answers whose accuracy is about `skill` for each model."""
    random = np.random.default_rng(seed)
    skill = skill or {"tuned": 0.9, "base": 0.8, "majority": 0.25, "tfidf": 0.82}
    classes = [f"label {index}" for index in range(k)]
    gold = random.integers(0, k, n)
    hard = random.random(n)
    examples = [
        {"id": f"e{i}", "source": f"s#{i}", "split": "test", "text": f"text {i}", "label": classes[gold[i]],
         "group": f"g{i % groups}" if groups else ""}
        for i in range(n)
    ]  # fmt: skip
    answers = {}
    for model, share in skill.items():
        trouble = 0.7 * hard + 0.3 * random.random(n)  # partly shared by all models
        wrong = trouble > np.quantile(trouble, min(share, 1.0))
        code = np.where(wrong, (gold + random.integers(1, k, n)) % k, gold)
        sure = 0.5 + 0.5 * random.random(n)
        scores = np.repeat(((1 - sure) / (k - 1))[:, None], k, axis=1)
        scores[np.arange(n), code] = sure
        answers[model] = [{"label": classes[code[i]], "scores": scores[i].tolist()} for i in range(n)]
    return write_run(folder, examples, answers, classes)


@pytest.fixture
def quiet() -> Console:
    return Console(stream=io.StringIO())
