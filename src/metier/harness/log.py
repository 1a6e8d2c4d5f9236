"""What another evaluation program wrote about one model, in one form: items with the values they were given.

Purpose: readers (lmeval.py, inspect_log.py) turn files into a `Log`; whoever compares two logs (join.py) need not
know which program made them. Nothing is scored again: a value is what the program gave the item.
Trade-off: a whole log is held in memory, without the model's reasoning, events and prompts; a million short items fit.
Not covered: figures of whole tasks, which follow from the items and are computed anew with intervals.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

STAGE = "compare"  # in the table of what was left out


class Value(NamedTuple):
    """What a metric gave an item. size: words or bytes that a log-likelihood pays for; None for a plain number."""

    number: float
    size: float | None = None


@dataclass
class Item:
    """One document or sample of a task, as answered by one model.

    keys: names of what identifies it ("document": its content, "hash", "number", ...) -> value, surest first.
    text: what was asked. target, answer: right answer and given one, in words. about: simple fields of the document,
    by which items can be looked at in parts. values: metric -> the value; the mean over `runs` answers.
    """

    keys: dict[str, str]
    text: str
    target: str
    answer: str
    values: dict[str, Value]
    about: dict[str, str] = field(default_factory=dict)
    runs: int = 1


@dataclass
class Log:
    """All that a file says. better: metric -> "higher" or "lower", where it is known. settings: what was asked for,
    which two logs should share. left_out: rows of the rejected table. notes: sentences for the person who compares, in
    English and Chinese."""

    program: str
    path: str
    sha256: str
    task: str
    model: str
    items: list[Item]
    better: dict[str, str]
    settings: dict[str, str]
    left_out: list[dict[str, str]]
    notes: list[tuple[str, str]]

    @property
    def metrics(self) -> list[str]:
        """Every metric that some item has a value of, in the order of the file."""
        return list(dict.fromkeys(name for item in self.items for name in item.values))


def metric_name(*parts: str) -> str:
    """A name that criteria can be written with: other signs than letters, digits, "_" and "-" become "_"."""
    name = re.sub(r"[^\w-]", "_", "-".join(part for part in parts if part))
    return name if re.match(r"[A-Za-z_]", name) else f"_{name}"


def number(value: Any) -> float | None:
    """A finite number, a truth value, or a numeral as float; None for anything else."""
    try:
        found = float(value) if isinstance(value, bool | int | float | str) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def simple(fields: Mapping[str, Any]) -> dict[str, str]:
    """The fields whose values are words, numbers or truth values, as text."""
    told = {key: value for key, value in fields.items() if isinstance(value, str | int | float | bool)}
    return {key: str(value).lower() if isinstance(value, bool) else str(value).strip() for key, value in told.items()}


def together(items: list[Item]) -> Item:
    """One item from several answers to it: the mean of each value (log-likelihoods and sizes are added up)."""
    first = items[0]
    values = {}
    for name in dict.fromkeys(name for item in items for name in item.values):
        given = [item.values[name] for item in items if name in item.values]
        total = math.fsum(value.number for value in given)
        if any(value.size is not None for value in given):
            values[name] = Value(total, math.fsum(value.size or 0.0 for value in given))
        else:
            values[name] = Value(total / len(given))
    return Item(first.keys, first.text, first.target, first.answer, values, first.about, len(items))
