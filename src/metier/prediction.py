"""Ask a tuned model about new texts, files or folders.

Purpose: the same reading, the same repair and the same windows as in training; every row that cannot be answered is
told with its reason. Output as CSV, JSONL or Parquet with one row a document.
"""

from __future__ import annotations

import contextlib
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
from metier.recipe import Recipe
from metier.tables import read, write
from metier.train.tasks import profile
from metier.train.tasks.extract import GIVEN

_ASKED = ("pair", "question", "问题", "hypothesis")  # usual names of the column with the short text
SUFFIXES = (".csv", ".jsonl", ".parquet")


def predict_to(
    name: str, texts: list[str], source: Path | None, output: Path | None, column: str | None = None,
    question: str | None = None,
) -> None:  # fmt: skip
    """Predict for `texts` or for what `source` holds; print a table, or write `output`.

    question: what is asked about every text without a question of its own, where the task reads two texts.
    """
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
    pairs: list[str] = [""] * len(texts)
    if source is not None:
        rejects = output.with_name(f"{output.stem}.rejected.csv") if output else None
        sources, texts, pairs = collect_texts(source, console, column, rejects, _recipe_of(name, folder))
    collected, texts = texts, repaired(texts, folder)
    asked: dict[str, list[str]] = {"text": texts}
    told = profile(model.task.config)
    if told.kind == "preference":
        raise UserError(
            "this model was tuned to prefer one answer to another, and has no answers to predict", str(folder),
            "load it with Transformers and let it write, or judge pairs with metier run",
        )  # fmt: skip
    if told.kind == "choice":
        raise UserError(
            "this model chooses among options, and texts alone have none", str(folder),
            "judge a file with options by metier run, or ask the model through a server, with the options in the text",
        )  # fmt: skip
    if told.kind == "text" and not told.conversation:
        asked["pair"] = repaired([pair or question or "" for pair in pairs], folder)
    elif told.pair:
        pairs = _short_texts([pair or question or "" for pair in pairs])
        asked["pair"] = repaired(pairs, folder)
    elif question:
        raise UserError("this model reads one text, and a question was given", "--question", "leave it out")
    decoded, encoded = model.predict(pa.table(asked), console)
    if encoded.cut:
        console.warn(f"{encoded.cut} texts were cut ({encoded.cut_tokens} tokens left out)")
    if profile(model.task.config).answer == "answers":
        rows = _answer_rows(sources, pairs, collected, texts, decoded.spans)
    else:
        rows = _rows(sources, texts, decoded, list(getattr(model.task, "classes", [])),
                     output is not None and output.suffix.lower() != ".csv")  # fmt: skip
    if output is None and "spans" in rows[0]:
        for row in rows:  # for a person: the words and their type, not the places
            row["spans"] = "; ".join(f"{s['text']} ({s['label']}, {s['score']:.2f})" for s in json.loads(row["spans"]))
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
        if path.with_suffix(".path.txt").is_file():  # where links cannot be made, a file names the folder
            return Path(path.with_suffix(".path.txt").read_text(encoding="utf-8").strip())
    known = sorted({path.relative_to(runs).parts[0] for name_of in ("*/model/metier.json", "*/model.path.txt")
                    for path in runs.glob(name_of)})  # fmt: skip
    raise UserError(f"there is no model called '{name}'", str(runs.absolute()),
                    f"known runs: {', '.join(known) or 'none'}; or give a model folder")  # fmt: skip


def collect_texts(
    source: Path, console: Console, column: str | None = None, rejects: Path | None = None, like: Recipe | None = None
) -> tuple[list[str], list[str], list[str]]:
    """Sources, texts and short texts ("": none) of everything that can be read at `source`; the rest is counted.

    column: the text column of a table; by default the one of the recipe `like` where the table has it, else guessed.
    rejects: CSV file for what was left out, written when there is any (an older one is removed when there is none).
    """
    from metier.collect.config import CollectConfig
    from metier.collect.stage import collect, find_inputs

    if column is None and like is not None and (column := _usual_column(source, like)):
        console.say(f"  text column '{column}', as in the run's recipe")
    config = CollectConfig.model_validate(
        {
            "sources": [{"path": str(source), "columns": _columns(source, column, like)}],
            "attachments": like.collect.attachments if like is not None else True,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        try:
            collect(config, find_inputs(config, Path.cwd()), Path(folder), console)
        finally:  # when nothing at all could be read, the reasons are what is left
            if rejects is not None:
                _keep_rejected(Path(folder) / "rejected.parquet", rejects, console)
        table = read(Path(folder) / "documents.parquet", ["source", "text", "metadata"])
    rows: list[tuple[str, str, str]] = []
    for name, text, told in zip(*(table[name].to_pylist() for name in table.column_names), strict=True):
        metadata = json.loads(told or "{}")
        asked = metadata.get("questions") if like is not None and _reads_two(like) else None
        for number, one in enumerate(asked or ()):
            rows.append((f"{name}?{one.get('id') or number + 1}", text, one["question"]))
        if not asked:
            rows.append((name, text, str(metadata.get("pair") or "")))
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def _short_texts(pairs: list[str]) -> list[str]:
    """The short texts of a task that reads pairs; UserError where one is missing."""
    missing = sum(not pair for pair in pairs)
    if missing:
        raise UserError(
            f"this model reads two texts together, and {missing} of {len(pairs)} rows have no second one",
            "metier predict", "give a table with --input that has the columns `text` and `pair`, or use --question",
        )  # fmt: skip
    return pairs


def _columns(source: Path, column: str | None, like: Recipe | None) -> dict[str, str]:
    """The mapping of a table: the text column, and the short text's where the recipe `like` reads pairs."""
    mapping = {"text": column} if column else {}
    if like is not None and _reads_two(like) and source.suffix.lower() in _tables():
        named = [one.columns["pair"] for one in like.collect.sources if "pair" in one.columns]
        columns = _known_columns(source)
        shown = [one for one in (*named, *_ASKED) if one in columns]
        if shown:
            mapping["pair"] = shown[0]
            if "text" not in mapping and "context" in columns:
                mapping["text"] = "context"
    return mapping


def _reads_two(like: Recipe) -> bool:
    """Whether a model of this recipe reads a short text beside each text, or may do so."""
    told = profile(like.task)
    return told.pair or (told.kind == "text" and not told.conversation)


def _known_columns(source: Path) -> list[str]:
    """The columns of a table; none where it is none (reading it will say why)."""
    from metier.collect.reading import Unreadable
    from metier.collect.table import peek

    with contextlib.suppress(Unreadable, UserError, OSError):
        return list(peek(source).columns)
    return []


def _tables() -> set[str]:
    from metier.drafting import TABLES

    return TABLES


def _recipe_of(name: str, folder: Path) -> Recipe | None:
    """The recipe of the run that the model came from, when it lies in the run's folder."""
    from metier.recipe import load

    runs = Path(os.environ.get("METIER_RUNS") or "runs")
    for place in (folder.parent, Path(name), runs / name):
        if (place / "recipe.yaml").is_file() and (place / "run.json").is_file():
            with contextlib.suppress(UserError):  # a recipe of another version does not keep the model from answering
                return load(place / "recipe.yaml")
    return None


def _usual_column(source: Path, like: Recipe) -> str | None:
    """The recipe's text column that the table `source` has; None for other files and folders."""
    from metier.collect.reading import Unreadable
    from metier.collect.roles import mapped
    from metier.collect.table import peek
    from metier.drafting import TABLES

    if source.suffix.lower() not in TABLES or not source.is_file():
        return None
    for column in dict.fromkeys(item.columns["text"] for item in like.collect.sources if "text" in item.columns):
        with contextlib.suppress(Unreadable, UserError, OSError):
            return mapped({"text": column}, peek(source).columns, str(source))["text"]
    return None


def _keep_rejected(found: Path, rejects: Path, console: Console) -> None:
    rows = read(found, ["source", "reason", "detail"]).to_pylist() if found.is_file() else []
    if rows:
        _write(rows, rejects)
        console.say(f"{len(rows):,} were left out, with reasons in {rejects}")
    else:
        rejects.unlink(missing_ok=True)


def repaired(texts: list[str], folder: Path) -> list[str]:
    """The same Unicode repair as the training texts had."""
    from metier.prepare.config import NormalizeConfig
    from metier.prepare.normalize import clean

    facts = json.loads((folder / "metier.json").read_text(encoding="utf-8"))
    config = NormalizeConfig.model_validate(facts.get("normalize", {}))
    return [clean(text, config.repair, config.strip_markup) for text in texts]


def _rows(
    sources: list[str], texts: list[str], decoded: Any, classes: list[str], as_lists: bool = False
) -> list[dict[str, Any]]:
    """One row a text. as_lists: vectors as lists of numbers, for a file that can hold them."""
    rows = []
    for index, (source, text) in enumerate(zip(sources, texts, strict=True)):
        row: dict[str, Any] = {"source": source, "text": text}
        if decoded.spans:
            row["spans"] = json.dumps(
                [{"start": s.start, "end": s.end, "label": s.label, "text": text[s.start : s.end],
                  "score": round(s.score, 6)} for s in decoded.spans[index]],
                ensure_ascii=False,
            )  # fmt: skip
        elif decoded.texts:
            row |= {"answer": decoded.texts[index], "finished": decoded.finished[index]}
        elif decoded.bits:
            row["bits_per_byte"] = decoded.bits[index] / max(1, decoded.bytes[index])
        elif decoded.vectors is not None:
            vector = [round(float(x), 7) for x in decoded.vectors[index]]
            row["vector"] = vector if as_lists else json.dumps(vector)
        elif decoded.values:
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


def _answer_rows(
    sources: list[str], questions: list[str], collected: list[str], texts: list[str], found: list[list[Any]]
) -> list[dict[str, Any]]:
    """A row for each question: the answer ("": none), how sure that is, and its characters in the text as collected.

    texts: the repaired ones that the model read; an answer is looked up again in the text as it was. start and end are
    -1 where there is no answer, or where repair changed its very words.
    """
    from metier.prepare.spans import locate

    rows = []
    for source, question, before, text, spans in zip(sources, questions, collected, texts, found, strict=True):
        span = spans[0] if spans else None
        row: dict[str, Any] = {"source": source, "question": question, "answer": "", "start": -1, "end": -1}
        if span is not None and span.label == GIVEN:
            words = text[span.start : span.end]
            row["answer"] = words
            if (place := locate(before, [(span.start, words)])[0]) is not None:
                row |= {"answer": before[slice(*place)], "start": place[0], "end": place[1]}
        given = bool(row["answer"])
        sure = span.score if span is not None else 0.0
        row["confidence"] = round(sure if given else 1 - sure, 6)
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
