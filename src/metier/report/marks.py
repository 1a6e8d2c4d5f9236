"""A text with its spans marked: found, missed, and marked where nothing stands.

Purpose: a reader sees in the text itself what the tuned model got right and wrong, without colour too (a sign stands
before each). Trade-off: a span that is right but for a border is shown as a missed and a wrong one.
Not covered: laying it out (page.html.j2).
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

FOUND, MISSED, EXTRA = "found", "missed", "extra"
BEFORE = 40  # characters shown before the first span when a text is cut


def pieces(text: str, marks: str, most: int) -> list[dict[str, str]]:
    """The text in pieces {"text", "kind", "label"}, kind "" for what is not marked; cut to about `most` characters.

    marks: JSON {"gold": [[start, end, label], ...], "tuned": [...]} as in cases.parquet.
    """
    told = json.loads(marks)
    gold, tuned = ({(start, end, label) for start, end, label in told[name]} for name in ("gold", "tuned"))
    spans = [(*span, FOUND if span in gold & tuned else MISSED if span in gold else EXTRA) for span in gold | tuned]
    spans.sort(key=lambda span: (span[0], span[3] == EXTRA, -span[1]))
    wrong = [start for start, _, _, kind in spans if kind != FOUND]
    begin = max(0, min(wrong, default=0) - BEFORE) if len(text) > most else 0
    end = min(len(text), begin + most)
    out: list[dict[str, str]] = [_plain("\u2026 ")] if begin else []
    at = begin
    for start, stop, label, kind in spans:
        if start < begin or start >= end:
            continue
        out.append(_plain(text[at : max(start, at)]))
        out.append({"text": text[start:stop], "kind": kind, "label": label})
        at = max(at, stop) if kind != EXTRA or not _inside(start, stop, spans) else max(at, start)
    out.append(_plain(text[at:end]))
    if end < len(text):
        out.append(_plain(f" \u2026 [+{len(text) - end:,}]"))
    return [piece for piece in out if piece["text"]]


def types_only(marks: str, name: str) -> str:
    """How many spans of each type, for a report that quotes no text."""
    counts = Counter(label for _, _, label in json.loads(marks)[name])
    return ", ".join(f"{number} \u00d7 {label}" for label, number in sorted(counts.items()))


def _inside(start: int, stop: int, spans: list[Any]) -> bool:
    """Whether a wrong span overlaps a gold one that is shown by itself."""
    return any(kind != EXTRA and start < other and first < stop for first, other, _, kind in spans)


def _plain(text: str) -> dict[str, str]:
    return {"text": text, "kind": "", "label": ""}
