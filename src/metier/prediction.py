"""Ask a tuned model about new texts, files or folders.

Purpose: the same reading, the same repair and the same windows as in training; every row that cannot be answered is
told with its reason. Output as CSV, JSONL or Parquet with one row a document.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa

from metier.console import Console
from metier.errors import UserError
from metier.tables import read, write

SUFFIXES = (".csv", ".jsonl", ".parquet")


def predict_to(name: str, texts: list[str], source: Path | None, output: Path | None) -> None:
    """Predict for `texts` or for what `source` holds; print a table, or write `output`."""
    if bool(texts) == bool(source):
        what = "texts and --input were both given" if texts else "there is nothing to predict"
        raise UserError(what, "command line", 'metier predict NAME "a text", or metier predict NAME --input file')
    if output is not None and output.suffix.lower() not in SUFFIXES:
        raise UserError(f"'{output.suffix}' is not a format for predictions", str(output), f"use {', '.join(SUFFIXES)}")
    from metier.train.model import load

    console = Console()
    folder = find_model(name)
    model = load(folder)
    sources = [f"text {index + 1}" for index in range(len(texts))]
    if source is not None:
        sources, texts = collect_texts(source, console)
    texts = _repair(texts, folder)
    decoded, encoded = model.predict(texts, console)
    if encoded.cut:
        console.warn(f"{encoded.cut} texts were cut ({encoded.cut_tokens} tokens left out)")
    rows = _rows(sources, texts, decoded, list(getattr(model.task, "classes", [])))
    if output is None:
        keys = list(rows[0])
        Console(sys.stdout).table(keys, [[_short(row[key]) for key in keys] for row in rows])
    else:
        _write(rows, output)
        console.say(f"{len(rows):,} predictions in {output}")


def find_model(name: str) -> Path:
    """The model folder of a run, or the folder itself."""
    runs = Path(os.environ.get("METIER_RUNS") or "runs")
    for path in (Path(name), Path(name) / "model", runs / name / "model"):
        if (path / "metier.json").is_file():
            return path
    known = sorted(path.parent.parent.name for path in runs.glob("*/model/metier.json"))
    raise UserError(f"there is no model called '{name}'", str(runs.absolute()),
                    f"known runs: {', '.join(known) or 'none'}; or give a model folder")  # fmt: skip


def collect_texts(source: Path, console: Console) -> tuple[list[str], list[str]]:
    """Sources and texts of everything that can be read at `source`; the rest is counted on the screen."""
    from metier.collect.config import CollectConfig
    from metier.collect.stage import collect, find_inputs

    config = CollectConfig.model_validate({"sources": [{"path": str(source)}]})
    with tempfile.TemporaryDirectory() as folder:
        collect(config, find_inputs(config, Path.cwd()), Path(folder), console)
        table = read(Path(folder) / "documents.parquet", ["source", "text"])
    return table["source"].to_pylist(), table["text"].to_pylist()


def _repair(texts: list[str], folder: Path) -> list[str]:
    """The same Unicode repair as the training texts had."""
    from metier.prepare.config import NormalizeConfig
    from metier.prepare.normalize import clean

    facts = json.loads((folder / "metier.json").read_text(encoding="utf-8"))
    config = NormalizeConfig.model_validate(facts.get("normalize", {}))
    return [clean(text, config.repair, config.strip_markup) for text in texts]


def _rows(sources: list[str], texts: list[str], decoded: Any, classes: list[str]) -> list[dict[str, Any]]:
    rows = []
    for index, (source, text) in enumerate(zip(sources, texts, strict=True)):
        row: dict[str, Any] = {"source": source, "text": text}
        if decoded.values:
            row["value"] = decoded.values[index]
        elif decoded.label_lists:
            row["labels"] = "|".join(decoded.label_lists[index])
        else:
            row["label"] = decoded.labels[index]
            row["confidence"] = float(decoded.scores[index].max())
        if decoded.scores is not None:
            row["scores"] = json.dumps(
                {label: round(float(p), 6) for label, p in zip(classes, decoded.scores[index], strict=True)},
                ensure_ascii=False,
            )
        rows.append(row)
    return rows


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".parquet":
        write(pa.Table.from_pylist(rows), path)
    elif path.suffix.lower() == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8-sig", newline="") as stream:  # the mark lets spreadsheets read Chinese
            writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def _short(value: Any) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value).replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
