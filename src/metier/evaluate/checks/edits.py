"""Edits of a text, and where a marked stretch stands after them.

Purpose: a changed text keeps its gold answers: every edit says which characters it replaces, so spans and answers are
carried through it. Edits do not overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Edit(NamedTuple):
    """Characters from start to end (exclusive) become `new`; start == end inserts."""

    start: int
    end: int
    new: str

    @property
    def shift(self) -> int:
        """How far what follows moves."""
        return len(self.new) - (self.end - self.start)


def applied(text: str, edits: Sequence[Edit]) -> str:
    """The text with the edits made."""
    parts, at = [], 0
    for edit in sorted(edits):
        assert at <= edit.start <= edit.end <= len(text), "edits overlap or reach beyond the text"
        parts += [text[at : edit.start], edit.new]
        at = edit.end
    return "".join([*parts, text[at:]])


def carried(start: int, end: int, edits: Sequence[Edit]) -> tuple[int, int]:
    """Where the stretch from start to end (exclusive) stands after the edits.

    An edit that reaches into it belongs to it with all its new characters; what is inserted at its borders does not.
    """
    return _place(start, edits, False), _place(end, edits, True)


def carried_spans(spans: Sequence[dict[str, Any]], edits: Sequence[Edit]) -> list[dict[str, Any]]:
    """Rows with `start` and `end`, moved; whatever else they hold stays."""
    moved = []
    for span in spans:
        start, end = carried(span["start"], span["end"], edits)
        moved.append({**span, "start": start, "end": end})
    return moved


def _place(at: int, edits: Sequence[Edit], is_end: bool) -> int:
    shift = 0
    for edit in sorted(edits):
        if edit.end <= at and not (is_end and edit.start == at):
            shift += edit.shift
        elif edit.start < at < edit.end:  # within what is replaced
            if edit.shift == 0:
                return at + shift
            return edit.start + shift + (len(edit.new) if is_end else 0)
    return at + shift
