"""What passes through the operations of `prepare`: the rows, and the account of what became of every document.

Purpose: one mutable object that each operation is handed. An operation changes `flow.rows`, says why each row left
through `flow.reject`, and returns one sentence for the funnel. So nothing can leave without a reason, and the account
(kept + folded + rejected = documents) is checked at the end of the stage.
Trade-off: rows are Python objects in memory (about 1 KB a short text); ten million short texts need another engine.
Not covered: what the operations do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from metier.console import Console
from metier.prepare.config import PrepareConfig
from metier.registry import lookup
from metier.tables import rejection
from metier.train.config import TaskConfig

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)


@dataclass(slots=True)
class Row:
    """A document on its way to being an example."""

    id: str
    source: str
    text: str
    language: str = ""
    group: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    document_ids: list[str] = field(default_factory=list)
    label: str = ""
    labels: list[str] | None = None  # None unless the task has several labels a text
    value: float | None = None
    pair: str = ""  # the short text that is read with `text`, where the task has pairs
    spans: list[dict[str, Any]] | None = None  # {"start", "end", "label"} into `text`
    key: str = ""  # digest of the folded text; equal for exact duplicates
    cluster: str = ""  # id of the first row of the duplicate cluster
    split: str = ""

    @property
    def compared(self) -> str:
        """What must be equal, or nearly so, for two rows to be duplicates: both texts of a pair."""
        return f"{self.pair}\n{self.text}" if self.pair else self.text

    @property
    def answer(self) -> str:
        """Label, sorted labels or value as one string; equal strings mean that two rows agree."""
        if self.labels is not None:
            return json.dumps(self.labels, ensure_ascii=False)
        if self.spans is not None:
            marked = [(span["label"], self.text[span["start"] : span["end"]]) for span in self.spans]
            return "; ".join(f"{label}: {words}" for label, words in marked)
        return self.label if self.value is None else repr(self.value)

    @property
    def strata(self) -> list[str]:
        """The labels of the row, or of its spans; "" stands for none of them where there may be several."""
        if self.spans is not None:
            return sorted({span["label"] for span in self.spans}) or [""]
        return [self.label] if self.labels is None else (self.labels or [""])


@dataclass
class Flow:
    """All rows in source order, with everything the stage will report."""

    config: PrepareConfig
    task: TaskConfig
    seed: int
    console: Console
    rows: list[Row]
    rejected: list[dict[str, str]] = field(default_factory=list)
    funnel: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    conflicts: list[dict[str, str]] = field(default_factory=list)
    duplicates: dict[str, dict[str, Any]] = field(default_factory=dict)  # by the id of the later row
    near: list[tuple[str, str, float]] = field(default_factory=list)  # keys of earlier and later text, similarity
    split_by: str = ""  # group, stratified or column

    @property
    def profile(self) -> Any:
        """What the task says of itself (train/tasks/base.py), asked through its door."""
        return lookup("task", self.task.name).profile(self.task)

    @property
    def official(self) -> bool:
        """The data brings its own test split."""
        return self.split_by == "column"

    def reject(self, leaves: Callable[[Row], tuple[str, str] | None]) -> int:
        """Take out every row for which `leaves` gives (reason, detail); returns how many."""
        kept = []
        for row in self.rows:
            why = leaves(row)
            if why is None:
                kept.append(row)
                continue
            for id in row.document_ids:
                self.rejected.append(rejection(row.source, "prepare", why[0], why[1], id))
        removed = len(self.rows) - len(kept)
        self.rows = kept
        return removed

    def by_key(self) -> dict[str, list[Row]]:
        """The rows of each folded text, in source order."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.key, []).append(row)
        return found

    def warn(self, text: str) -> None:
        """Something the reader should know; kept for the report."""
        self.warnings.append(text)
        self.console.warn(text)


def natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key in which `a.csv#9` comes before `a.csv#10`."""
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", text) if part)


def some(names: Iterable[str], limit: int = 5) -> str:
    """The first few names for a message: "a, b, c and 4 more"."""
    names = list(names)
    shown = ", ".join(f"'{name}'" for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def count(number: int, noun: str) -> str:
    """ "1 text", "2 texts"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
