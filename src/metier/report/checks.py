"""The checks of results.json in words: figures, sentences and tables, whatever the check is.

Purpose: one form for every check, so that a check of another package is shown like a built-in one.
Not covered: judging; a check says itself what is bad about a figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metier.report.words import Words


def checks(facts: Mapping[str, Any], words: Words, show_texts: bool) -> list[dict[str, Any]]:
    """One block a check, in the order of the recipe; empty without checks."""
    found = facts["results"].get("checks") or {}
    return [_block(name, block, words, show_texts) for name, block in found.items()]


def _block(name: str, block: Mapping[str, Any], words: Words, show_texts: bool) -> dict[str, Any]:
    return {
        "name": name,
        "title": block["title"][words.language],
        "missing": block["missing"][words.language] if block["missing"] else "",
        "said": [sentence[words.language] for sentence in block["said"]],
        "figures": [
            {"name": figure["title"][words.language], "code": f"{name}.{code}", **_cell(figure, words, show_texts),
             "better": words(f"metric.{figure['better']}")}
            for code, figure in block["figures"].items()
        ],
        "tables": [
            {
                "title": table["title"][words.language],
                "heads": [head[words.language] for head in table["heads"]],
                "rows": [[_cell(cell, words, show_texts) for cell in row] for row in table["rows"]],
            }
            for table in block["tables"]
        ],
    }  # fmt: skip


def _cell(cell: Any, words: Words, show_texts: bool) -> dict[str, Any]:
    """Text, the small text below it, and whether it stands right-aligned as a number."""
    if cell is None:
        return {"text": words("no_data"), "of": "", "number": False}
    if isinstance(cell, bool) or not isinstance(cell, Mapping | int | float):
        return {"text": str(cell), "of": "", "number": False}
    if isinstance(cell, int | float):
        return {"text": words.count(cell) if isinstance(cell, int) else words.plain(cell), "of": "", "number": True}
    if "quote" in cell:
        return {"text": cell["quote"] if show_texts else words("hidden"), "of": "", "number": False}
    if "value" in cell:
        metric = "accuracy" if cell["percent"] else ""  # any metric that is shown in percent
        n = f"n = {words.count(cell['n'])}" if cell["n"] else ""
        below = " · ".join(part for part in (words.interval(metric, cell), n) if part)
        return {"text": words.value(metric, cell["value"]), "of": below, "number": True}
    return {"text": cell[words.language], "of": "", "number": False}
