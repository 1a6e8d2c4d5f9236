"""How long judging stored predictions takes, and how much memory: no model is asked.

Run: `python benchmarks/eval_scale.py`. Made-up answers to test sets of three shapes go through the stage `evaluate` as
a run would (figures, intervals, tests, parts, calibration, cases, verdict), each in a process of its own, whose peak
memory the operating system tells. 77 labels with all their probabilities for two models, labels alone for the others,
as a run on Banking77 stores them.
"""

from __future__ import annotations

import argparse
import io
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from metier import tables
from metier.artifact import Artifact
from metier.console import Console
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.predict import PREDICTIONS
from metier.evaluate.stage import evaluate
from metier.train.config import TaskConfig

SKILL = {"tuned": 0.92, "base": 0.88, "zero_shot": 0.5, "majority": 0.02, "tfidf": 0.9}
# test examples, labels, models: Banking77; a million stored predictions; a million test examples.
SHAPES = {
    "banking77": (3_080, 77, tuple(SKILL)),
    "million predictions": (250_000, 77, ("tuned", "base", "tfidf", "majority")),
    "million examples": (1_000_000, 10, ("tuned", "base")),
}


def make(folder: Path, n: int, k: int, models: tuple[str, ...]) -> None:
    """Examples, predictions and validation answers on disk."""
    random = np.random.default_rng(0)
    labels = np.array([f"label_{index}" for index in range(k)])
    gold, hard = random.integers(0, k, n), random.random(n)
    few = min(2000, n)
    ids = [f"{index:016x}" for index in range(n + few)]
    languages = random.choice(["en", "zh"], n + few)
    columns = {"id": ids, "source": [f"mail.csv#{i}" for i in range(n + few)], "language": languages,
               "split": ["test"] * n + ["validation"] * few,
               "text": [f"a message of a customer, number {i}" for i in range(n + few)],
               "label": labels[np.append(gold, gold[:few])]}  # fmt: skip
    empty = pa.table({field.name: pa.nulls(n + few, field.type) for field in tables.EXAMPLES})
    for name, column in columns.items():
        empty = empty.set_column(empty.schema.get_field_index(name), name, pa.array(column, pa.string()))
    blank = pa.array([""] * (n + few))
    for name in ("group", "cluster", "pair"):
        empty = empty.set_column(empty.schema.get_field_index(name), name, blank)
    tables.write(empty.cast(tables.EXAMPLES), folder / "examples" / "examples.parquet")
    with pq.ParquetWriter(folder / "predictions" / "predictions.parquet", PREDICTIONS, compression="zstd") as writer:
        for model in models:
            answers = answer(random, gold, hard, SKILL[model], k, labels, model, ids[:n])
            writer.write_table(answers)
            if model == "tuned":
                rows = answers.slice(0, few).set_column(1, "id", pa.array(ids[n:]))
                tables.write(rows.cast(PREDICTIONS), folder / "predictions" / "validation.parquet")
    tables.write_json(labels.tolist(), folder / "predictions" / "classes.json")
    tables.write_json({}, folder / "predictions" / "models.json")


def answer(
    random: np.random.Generator, gold: np.ndarray, hard: np.ndarray, skill: float, k: int, labels: np.ndarray,
    model: str, ids: list[str],
) -> pa.Table:  # fmt: skip
    """One model's answers, right in about `skill` of the items; the same items are hard for all models."""
    n = len(gold)
    trouble = 0.7 * hard + 0.3 * random.random(n)
    wrong = trouble > np.quantile(trouble, skill)
    code = np.where(wrong, (gold + random.integers(1, k, n)) % k, gold)
    table = {field.name: pa.nulls(n, field.type) for field in PREDICTIONS}
    table |= {"model": pa.array([model] * n), "id": pa.array(ids), "label": pa.array(labels[code], pa.string())}
    if model in ("tuned", "base"):
        sure = np.where(wrong, random.uniform(0.2, 0.9, n), random.uniform(0.4, 1.0, n))
        flat = np.repeat((1 - sure) / (k - 1), k)
        flat[np.arange(n) * k + code] = sure
        table["scores"] = pa.ListArray.from_arrays(pa.array(np.arange(0, n * k + 1, k), pa.int32()), pa.array(flat))
    return pa.table(table, schema=PREDICTIONS)


def judge(folder: Path) -> None:
    """Judge what stands in a folder, and print what it cost (the child process)."""
    start, used = time.monotonic(), time.process_time()
    examples, predictions = (Artifact(folder / name, name, "", {}, {}, {}) for name in ("examples", "predictions"))
    summary = evaluate(EvaluateConfig(), TaskConfig(), 0, examples, predictions, folder / "out", Console(io.StringIO()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    spent = time.monotonic() - start, time.process_time() - used
    print(f"{spent[0]:.1f} | {spent[1]:.1f} | {peak:.2f} | {summary['decision']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(SHAPES))
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.judge:
        judge(given.judge)
        return
    print("| test set | examples | labels | stored predictions | seconds | processor seconds | peak GiB | verdict |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for name in [given.only] if given.only else list(SHAPES):
        n, k, models = SHAPES[name]
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            (folder / "predictions").mkdir()
            make(folder, n, k, models)
            done = subprocess.run([sys.executable, __file__, "--judge", str(folder)], check=True, text=True,
                                  stdout=subprocess.PIPE)  # fmt: skip
            print(f"| {name} | {n:,} | {k} | {n * len(models):,} | {done.stdout.strip()} |", flush=True)


if __name__ == "__main__":
    main()
