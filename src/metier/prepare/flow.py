"""What passes through the operations of `prepare`: the rows, and the account of what became of every document.

Purpose: one mutable object that each operation is handed. An operation changes `flow.rows`, says why each row left
through `flow.reject`, and returns one sentence for the funnel. So nothing can leave without a reason, and the account
(kept + folded + rejected = documents) is checked at the end of the stage.
Trade-off: rows are Python objects in memory (about 400 bytes each, their texts lie in a file); ten million of them take
4 GB. Operations that need one text at a time are no flow functions but text operations (operation.py).
Not covered: what the operations do.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from metier.console import Console
from metier.prepare.config import PrepareConfig
from metier.prepare.texts import Texts
from metier.registry import lookup
from metier.tables import REJECTED, Spool, rejection
from metier.train.config import TaskConfig

if TYPE_CHECKING:
    from metier.prepare.deidentify.cover import Cover

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)


# Of the metadata: copies of what a row's columns hold once it is formed.
COPIES = frozenset({"answer", "chosen", "completion", "fields", "history", "input", "instruction", "messages",
                    "options", "pair", "prompt", "question", "rejected", "system", "tools"})  # fmt: skip


class Row:
    """A document on its way to being an example. Its text and metadata lie in `Texts` once it has been given a place.

    A million rows are in memory at once, so a row holds little: about 400 bytes with its strings.
    """

    __slots__ = ("_ids", "_metadata", "_text", "answers", "asked", "cluster", "formed", "group", "id", "key", "label",
                 "labels", "language", "negatives", "pair", "place", "source", "spans", "split", "texts", "time",
                 "value")  # fmt: skip

    def __init__(
        self, id: str, source: str, text: str | None = None, language: str = "", group: str = "",
        metadata: dict[str, Any] | None = None, cluster: str = "", split: str = "",
    ) -> None:  # fmt: skip
        self.id, self.source = id, source
        self.language, self.group = sys.intern(language), sys.intern(group)
        self.label = ""
        self.labels: list[str] | None = None  # None unless the task has several labels a text
        self.value: float | None = None
        self.spans: list[dict[str, Any]] | None = None  # {"start", "end", "label"} into `text`
        self.answers: list[dict[str, int]] | None = None  # {"start", "end"} into `text`: gold answers to `pair`
        self.asked: dict[str, Any] | None = None  # the one of its document's questions that the row is about
        self.pair = ""  # the short text that is read with `text`, where the task has pairs
        self.formed = False  # `become` was called: there are `columns`, and `text` is what is asked
        self.negatives: list[str] | None = None  # passages that do not answer the query `pair`
        self.key = ""  # digest of the folded text; equal for exact duplicates
        self.cluster = cluster  # id of the first row of the duplicate cluster
        self.split = split
        self.time = ""  # as the data writes it
        self.texts: Texts | None = None
        self.place = -1  # in `texts`
        self._text, self._metadata = text, metadata  # only while there is no place
        self._ids: list[str] | None = None

    @property
    def text(self) -> str:
        """The text, read from the file."""
        return self._text or "" if self.texts is None else self.texts.text[self.place]

    @text.setter
    def text(self, text: str) -> None:
        self.key = ""
        if self.texts is None:
            self._text = text
        else:
            self.place = self.texts.append(text, self.texts.metadata[self.place])

    @property
    def metadata(self) -> dict[str, Any]:
        """What the reader saw, label, value and split among it; a copy, to be read only."""
        if self.texts is None:
            return self._metadata or {}
        found = json.loads(self.texts.metadata[self.place] or "{}")
        return found if isinstance(found, dict) else {}

    def become(self, text: str, columns: dict[str, str]) -> None:
        """Take the form of a task whose answers are texts; columns: of the examples, kept in the file with the text."""
        metadata = {name: value for name, value in self.metadata.items() if name not in COPIES} | {"columns": columns}
        self.key, self.formed = "", True
        if self.texts is None:
            self._text, self._metadata = text, metadata
        else:
            self.place = self.texts.append(text, json.dumps(metadata, ensure_ascii=False))

    @property
    def columns(self) -> dict[str, str]:
        """What `become` was given; {} for other tasks."""
        return dict(self.metadata["columns"]) if self.formed else {}

    @property
    def document_ids(self) -> list[str]:
        """The document and the duplicates that were folded into it; the list may be extended."""
        if self._ids is None:
            self._ids = [self.id]
        return self._ids

    @property
    def documents(self) -> int:
        """How many documents the row stands for."""
        return 1 if self._ids is None else len(self._ids)

    @property
    def compared(self) -> str:
        """What must be equal, or nearly so, for two rows to be duplicates: both texts of a pair; with its answers, in
        no order, where they are texts; with its options, where it has them."""
        if self.formed:
            columns = self.columns
            answers = sorted(filter(None, (columns.get("chosen"), columns.get("rejected")))) or [
                columns["answer"],
                *columns.get("options", ()),
            ]
            return "\n".join(part for part in (self.pair, self.text, *answers) if part)
        return f"{self.pair}\n{self.text}" if self.pair else self.text

    @property
    def whole(self) -> str:
        """The text, with question and answer where these are texts too: what may leak into training."""
        return self.compared if self.formed else self.text

    @property
    def answer(self) -> str:
        """Label, sorted labels, value or answer as one string; equal strings mean that two rows agree."""
        if self.formed:
            columns = self.columns
            return columns.get("chosen") or columns["answer"]
        if self.labels is not None:
            return json.dumps(self.labels, ensure_ascii=False)
        if self.spans is not None:
            marked = [(span["label"], self.text[span["start"] : span["end"]]) for span in self.spans]
            return "; ".join(f"{label}: {words}" for label, words in marked)
        if self.answers is not None:
            return "; ".join(self.text[one["start"] : one["end"]] for one in self.answers)
        return self.label if self.value is None else repr(self.value)

    @property
    def strata(self) -> list[str]:
        """The labels of the row, or of its spans, or whether it has an answer; "" stands for no label where there may
        be several."""
        if self.spans is not None:
            return sorted({span["label"] for span in self.spans}) or [""]
        if self.answers is not None:
            return ["answered" if self.answers else "unanswered"]
        return [self.label] if self.labels is None else (self.labels or [""])


@dataclass
class Flow:
    """All rows in source order, with everything the stage will report."""

    config: PrepareConfig
    task: TaskConfig
    seed: int
    console: Console
    rows: list[Row]
    texts: Texts
    rejected: Spool  # rows of the rejected table
    made: int = 0  # rows beyond the first that were made of one document
    reasons: Counter[str] = field(default_factory=Counter)  # of `rejected`
    funnel: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    conflicts: list[dict[str, Any]] = field(default_factory=list)  # with the row in place of its text
    duplicates: dict[str, dict[str, Any]] = field(default_factory=dict)  # by the id of the later row
    near: Iterable[tuple[str, str, float]] = ()  # keys of earlier and later text, similarity
    split_by: str = ""  # group, stratified, time or column
    overlaps: list[dict[str, Any]] = field(default_factory=list)  # passages shared with evaluation texts
    leaks: dict[str, Any] = field(default_factory=dict)  # what the splits share
    embed: Callable[[Sequence[str]], Any] | None = None  # texts -> vectors (n, C), of the base model
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # of each operation on texts
    cover: Cover | None = None  # of what was listed before texts were de-identified
    rejected_uncovered: int = 0  # so many of `rejected` were listed before

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
            self.reasons[why[0]] += row.documents
        removed = len(self.rows) - len(kept)
        self.rows = kept
        return removed

    def rejected_before(self, rows: pa.Table) -> None:
        """Keep an account of documents that left before there were rows."""
        self.rejected.extend(rows.cast(REJECTED))
        self.reasons.update(rows["reason"].to_pylist())

    def rejected_parts(self) -> Iterator[pa.Table]:
        """The rejected rows as they are kept; nothing can be rejected afterwards."""
        uncovered = self.rejected_uncovered if self.cover else 0
        for part in self.rejected.parts():
            if self.cover and uncovered > 0:
                part = pa.concat_tables([self.cover.rejected(part.slice(0, uncovered)), part.slice(uncovered)])
                uncovered -= min(uncovered, part.num_rows)
            yield part

    def quote(self, cell: Any) -> str:
        """A cell of the data for a detail; not where texts are de-identified, for cells are left as they are."""
        return repr(cell) if self.config.deidentify.policy == "off" else "not shown"

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
