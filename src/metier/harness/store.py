"""The answers of two logs as stored tables, and back: all that a comparison is judged from.

Purpose: the folder of a comparison needs neither the logs nor the program that made them, so it can be judged again.
examples.parquet and documents.parquet have the columns of every run (slices.py looks at them in parts),
predictions.parquet the answers in words, scores.parquet what each answer was given for each metric.
Not covered: figures (judge.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from metier.errors import UserError, nearest
from metier.evaluate.items import Items, objects
from metier.evaluate.predict import PREDICTIONS
from metier.harness.figures import KIND, SIZE
from metier.harness.join import MODELS, Joined
from metier.prepare.language import detect
from metier.tables import DOCUMENTS, EXAMPLES, REJECTED, digest, table, write

SCORES = pa.schema(
    [
        ("model", pa.string()),
        ("id", pa.string()),  # of the example
        ("metric", pa.string()),
        ("value", pa.float64()),  # as the other program gave it; the mean over `runs` answers
        ("size", pa.float64()),  # words or bytes that a log-likelihood pays for, else null
        ("runs", pa.int32()),  # answers that the value is the mean of
    ]
)


def write_tables(joined: Joined, program: str, group: str, out: Path) -> None:
    """Write examples, documents, predictions, scores and what was left out into `out`.

    group: the field of the documents whose values are drawn together (a patient, a client); "" for none.
    """
    ids = [digest(program, str(place), first.text) for place, (first, _) in enumerate(joined.pairs)]
    examples, documents = [], []
    for id, (first, second) in zip(ids, joined.pairs, strict=True):
        about = {**first.about, **second.about}
        row = {
            "id": id, "document_ids": [id], "text": second.text, "group": about.get(group, ""),
            "source": first.keys.get("id") or first.keys.get("number") or "", "split": "test", "answer": first.target,
            "language": about.get("language") or detect(second.text), "title": about.get("title", ""),
        }  # fmt: skip
        examples.append(row)
        documents.append({**row, "metadata": json.dumps(about, ensure_ascii=False, sort_keys=True)})
    if group and not any(row["group"] for row in examples):
        known = sorted({name for first, _ in joined.pairs for name in first.about})
        raise UserError(f"no item has a field '{group}' to be grouped by", "--group", nearest(group, known))
    write(table(examples, EXAMPLES), out / "examples.parquet")
    write(table(documents, DOCUMENTS), out / "documents.parquet")
    answered = [(model, id, pair[place]) for place, model in enumerate(MODELS)
                for id, pair in zip(ids, joined.pairs, strict=True)]  # fmt: skip
    write(table(({"model": model, "id": id, "written": item.answer} for model, id, item in answered), PREDICTIONS),
          out / "predictions.parquet")  # fmt: skip
    rows = ({"model": model, "id": id, "metric": name, "value": item.values[name].number,
             "size": item.values[name].size, "runs": item.runs}
            for model, id, item in answered for name in joined.metrics)  # fmt: skip
    write(table(rows, SCORES), out / "scores.parquet")
    write(table(joined.left_out, REJECTED), out / "rejected.parquet")


def read_tables(folder: Path, metrics: list[str]) -> tuple[pa.Table, dict[str, Items]]:
    """The examples, and both models' answers to them with their values by metric in `Items.more`, in the same order."""
    rows = pq.read_table(folder / "examples.parquet")
    scores = pq.read_table(folder / "scores.parquet")
    words = pq.read_table(folder / "predictions.parquet", columns=["model", "id", "written"])
    found = {}
    for model in reversed(MODELS):
        said = words.filter(pa.compute.equal(words["model"], model))
        more = {}
        for name in metrics:
            mine = pa.compute.and_(pa.compute.equal(scores["model"], model), pa.compute.equal(scores["metric"], name))
            given = scores.filter(mine)
            if not (given["id"].equals(rows["id"]) and said["id"].equals(rows["id"])):
                raise UserError(f"the stored values of {name} are not those of the examples", str(folder),
                                "compare the logs again")  # fmt: skip
            more[name] = np.asarray(given["value"].to_numpy(), dtype=np.float64)
            if given["size"].null_count == 0:
                more[name + SIZE] = np.asarray(given["size"].to_numpy(), dtype=np.float64)
        found[model] = Items(KIND, objects(rows["answer"].to_pylist()), objects(said["written"].to_pylist()), more=more)
    return rows, found
