"""Parts of the test set, as a table that reads worst first.

Not covered: computing anything; the figures come from the evaluation (evaluate/slices.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metier.report.words import Words

FIRST = 20  # rows that stand open; the rest opens on demand, and in print


def slices(results: Mapping[str, Any], words: Words) -> dict[str, Any] | None:
    """Everything of the section, ready to be laid out; None where no column has two parts to show."""
    block = results.get("slices") or {}
    columns = [one for one in block.get("columns", ()) if one["parts"] > 1]
    if not columns:
        return None
    names = {one["column"] for one in columns}
    rows = [_row(row, words) for row in block["rows"] if row["column"] in names]
    opponent = words.model("base", results["models"])
    return {
        "note": words("slices.note", opponent=opponent, minimum=block["minimum"]),
        "opponent": opponent,
        "first": rows[:FIRST],
        "rest": rows[FIRST:],
        "looked": [_looked(one, words) for one in columns],
    }


def _looked(one: Mapping[str, Any], words: Words) -> str:
    """What was looked at by one column, and what was not."""
    said = [words("slices.looked", column=_column(one["column"], words), shown=one["shown"], parts=one["parts"])]
    said += [words(f"slices.{key}", n=words.count(one[key])) for key in ("small_examples", "unknown") if one[key]]
    return words("slices.join").join(said) + words("slices.end")


def _row(row: Mapping[str, Any], words: Words) -> dict[str, Any]:
    base = next((one for one in row["comparisons"] if one["against"] == "base"), None)
    return {
        "column": _column(row["column"], words),
        "value": row["value"],
        "metric": words.metric(row["metric"]),
        "n": words.count(row["n"]),
        "tuned": _cell(row["metric"], row["models"]["tuned"], words),
        "other": _cell(row["metric"], row["models"].get("base"), words),
        "outcome": base["outcome"] if base else "",
        "word": words(f"outcome.{base['outcome']}") if base else "",
        "difference": words.difference(base) if base else "",
    }


def _column(name: str, words: Words) -> str:
    return words.known("slice", name, name)


def _cell(metric: str, figure: Mapping[str, Any] | None, words: Words) -> dict[str, str]:
    if figure is None:
        return {"value": words("not_applicable"), "interval": ""}
    return {"value": words.value(metric, figure["value"]), "interval": words.interval(metric, figure)}
