"""Questions that were held out, with what the untouched base and the tuned model wrote: a look at a run in a terminal.

Purpose: a figure says that answers are better, and a few answers say what that means. The verdict stands first. Which
questions are shown is drawn by a hash of their ids, the same number of each language, so that nobody has chosen them.
Trade-off: few; the cases that changed most are in the report, all answers in predictions.parquet.
Not covered: tasks whose answers are no texts; asking anew (`metier predict`, `metier chat`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.errors import UserError
from metier.replay import artifacts_of, find_run, results_of
from metier.tables import digest, read

LONGEST = 160  # characters of a text without a question that are shown, from its end
MODELS = ("base", "tuned")


@dataclass(frozen=True)
class Asked:
    """One held-out question. answers: by model, those of MODELS that were asked."""

    language: str
    question: str
    right: str
    answers: dict[str, str]


@dataclass(frozen=True)
class Shown:
    """headline: decision and its sentence. figures: (model, value) of the primary metric."""

    headline: str
    metric: str
    figures: list[tuple[str, float]]
    asked: list[Asked]
    report: Path


def look(run: str, number: int = 3, language: str = "en") -> Shown:
    """`number` questions of each language of a finished run, by name or folder; UserError where it wrote no answers."""
    folder = find_run(run)
    results, done = results_of(folder), artifacts_of(folder)
    told = read(done["predictions"].path / "predictions.parquet", columns=["model", "id", "written"]).to_pylist()
    written: dict[str, dict[str, str]] = defaultdict(dict)
    for row in told:
        if row["model"] in MODELS and row["written"] is not None:
            written[row["id"]][row["model"]] = row["written"]
    rows = read(
        done["prepare"].path / "examples.parquet", columns=["id", "split", "language", "text", "pair", "answer"]
    )
    test = [row for row in rows.to_pylist() if row["split"] == "test" and row["id"] in written]
    if not test:
        raise UserError("this run wrote no answers", str(folder), "its cases stand in report.html")
    said = results["verdict"]
    return Shown(
        f"{said['decision']}: {said['headline' + ('_zh' if language == 'zh' else '')]}",
        results["primary"],
        [(name, value) for name, figures in results["models"].items()
         if (value := _value(figures.get(results["primary"]))) is not None],
        [Asked(row["language"], row["pair"] or _end(row["text"]), row["answer"], written[row["id"]])
         for row in _drawn(test, number)],
        folder / "report.html",
    )  # fmt: skip


def _drawn(rows: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """So many rows of each language, those with the smallest hashes."""
    by_language: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: digest("shown", row["id"])):
        by_language[row["language"]].append(row)
    return [row for language in sorted(by_language) for row in by_language[language][:number]]


def _value(figure: Any) -> float | None:
    found = figure["value"] if isinstance(figure, dict) else figure
    return None if found is None else float(found)


def _end(text: str) -> str:
    return text if len(text) <= LONGEST else "..." + text[-LONGEST:]
