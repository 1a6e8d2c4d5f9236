"""What an operation changed in a text, as a list that gives the old text back.

Purpose: every change has the characters it replaced (start, end into the text before the step), what stood there and
what stands there now. `applied` makes the new text of it and `undo` the old one, so nothing that was removed or
corrected is lost. Trade-off: an operation decides all its changes on one and the same text; they never overlap.
Where the recipe de-identifies, what stood there before is left empty (`hidden`): a signature that was removed must not
live on in the list of changes. Such changes cannot be undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metier.prepare.config import PrepareConfig

Change = dict[str, Any]  # a row of operation.CHANGES


def change(row: Mapping[str, Any], step: str, start: int, end: int, after: str, reason: str) -> Change:
    """One row of CHANGES for the document `row`, whose text is the one before the step."""
    return {"id": row["id"], "source": row["source"], "step": step, "start": start, "end": end,
            "before": row["text"][start:end], "after": after, "reason": reason}  # fmt: skip


def applied(text: str, changes: Sequence[Mapping[str, Any]]) -> str:
    """The text with the changes made."""
    parts, at = [], 0
    for entry in _ordered(changes):
        assert at <= entry["start"] <= entry["end"] <= len(text), "changes overlap or reach beyond the text"
        parts += [text[at : entry["start"]], entry["after"]]
        at = entry["end"]
    return "".join([*parts, text[at:]])


def undo(text: str, changes: Sequence[Mapping[str, Any]]) -> str:
    """The text as it was before one step; `changes` are all those of that step in this document.

    `undo(applied(text, changes), changes) == text`. ValueError when the text is not the one that the step left behind.
    """
    parts, at, shift = [], 0, 0  # `at` counts in the new text, `shift` is how far it has moved against the old one
    for entry in _ordered(changes):
        start = entry["start"] + shift
        end = start + len(entry["after"])
        if text[start:end] != entry["after"]:
            raise ValueError(f"the text does not hold {entry['after']!r} at {start}")
        parts += [text[at:start], entry["before"]]
        at, shift = end, shift + len(entry["after"]) - (entry["end"] - entry["start"])
    return "".join([*parts, text[at:]])


def hidden(changes: Sequence[Change], config: PrepareConfig) -> list[Change]:
    """The changes as they may be written: without the old characters where the recipe de-identifies texts."""
    if config.deidentify.policy == "off":
        return list(changes)
    return [{**entry, "before": ""} for entry in changes]


def _ordered(changes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(changes, key=lambda entry: (entry["start"], entry["end"]))


def has_copies(metadata: str | None) -> bool:
    """Whether a document's metadata holds parts of its text or offsets into it (spans, messages, questions).

    Such a text is a data set's own example: changing or cutting it would part it from its answers.
    """
    return bool(metadata) and any(f'"{name}":' in str(metadata) for name in ("shape", "spans", "fields", "messages"))
