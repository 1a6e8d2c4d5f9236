"""Stored answers of tasks that write, or that learn texts, as Items; and what is asked of each, for people.

A model gives what it can: a floor that copies an answer has no likelihoods, an n-gram model writes nothing. What it
lacks is not in `Items.more`, and the metrics that need it are null for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from metier.errors import UserError
from metier.evaluate.choosing import OPTIONS, choice_items
from metier.evaluate.items import (
    BITS,
    CHOICE,
    FINISHED,
    GENERAL,
    HIDDEN,
    LIKELIHOODS,
    MARGINS,
    PREFERENCE,
    TEXT,
    TEXTS,
    Array,
    Items,
    objects,
)
from metier.lettering import LETTERS, listed

GOLD = {TEXT: "answer", BITS: "text", PREFERENCE: "chosen"}  # column of the examples
STORED = ("written", "finished", "bits", "bytes", "tokens", "margin", "raw_margin")  # columns of the predictions
CHOSEN = ("rotations", "option_bits")  # likewise, of the task choose


def items(rows: pa.Table, answers: pa.Table, kind: str, model: str) -> Items:
    """rows: test examples. answers: what `model` gave for them, in their order, with the columns of STORED."""
    if kind == CHOICE:
        return choice_items(rows, answers, model)
    more: dict[str, Array] = {}
    gold = [text or "" for text in rows.column(GOLD[kind]).to_pylist()]
    written = answers.column("written")
    if kind == TEXT and not written.null_count:
        more[TEXTS] = objects(written.to_pylist())
    if not answers.column("finished").null_count:
        more[FINISHED] = np.array(answers.column("finished").to_pylist(), dtype=bool)
    for name, column in (
        (LIKELIHOODS, "bits"),
        ("bytes", "bytes"),
        (HIDDEN, "tokens"),
        (MARGINS, "margin"),
        ("raw_margins", "raw_margin"),
    ):
        if not answers.column(column).null_count:
            more[name] = _finite(np.array(answers.column(column).to_pylist(), dtype=np.float64), model)
    if kind == BITS and GENERAL in rows.column_names and any(rows.column(GENERAL).to_pylist()):
        more[GENERAL] = np.array(rows.column(GENERAL).to_pylist(), dtype=bool)
    if kind == TEXT:
        return Items(kind, objects(gold), more.get(TEXTS, objects([""] * len(gold))), more=more)
    missing = {BITS: LIKELIHOODS, PREFERENCE: MARGINS}[kind]
    if missing not in more:
        raise UserError(f"the model '{model}' gives no {missing}, which this task is judged by", "evaluate.floors",
                        "leave it out, or name a floor of this task")  # fmt: skip
    if kind == BITS:
        return Items(kind, objects(gold), more[LIKELIHOODS], more=more)
    both = list(zip(gold, [text or "" for text in rows.column("rejected").to_pylist()], strict=True))
    return Items(kind, objects(both), more["raw_margins"] > 0, more=more)


def asked(rows: pa.Table, kind: str) -> pa.Table:
    """The test examples with all that was asked in their column `text`: the question too, where there is one."""
    if kind not in (TEXT, CHOICE):
        return rows
    questions = rows.column("pair").to_pylist()
    if kind == CHOICE:
        options = rows.column("options").to_pylist()
        questions = [listed(asked, own) for asked, own in zip(questions, options, strict=True)]
    texts = [
        "\n\n".join(part for part in pair if part)
        for pair in zip(rows.column("text").to_pylist(), questions, strict=True)
    ]
    return rows.set_column(rows.schema.get_field_index("text"), "text", pa.array(texts, pa.string()))


def answer(items: Items, answers: Array, index: int) -> str:
    """One answer for people: the text; bits per byte; or, of a pair, the one that is preferred."""
    given: Any = answers[index]
    if items.kind == TEXT:
        return str(given)
    if items.kind == CHOICE:
        return f"{LETTERS[given]}. {items.more[OPTIONS][index][given]}" if given >= 0 else ""
    if items.kind == BITS:
        paid = float(items.more["bytes"][index])
        return "" if isinstance(given, str) else f"{given / paid:.3f}" if paid else "0"
    chosen, rejected = items.gold[index]
    return str(chosen if isinstance(given, tuple) or given else rejected)


def _finite(numbers: Array, model: str) -> Array:
    if not np.isfinite(numbers).all():
        raise UserError(
            f"the model '{model}' gave {int((~np.isfinite(numbers)).sum())} likelihoods that are no numbers",
            "predictions", "lower train.learning_rate, or look at its training history",
        )  # fmt: skip
    return numbers
