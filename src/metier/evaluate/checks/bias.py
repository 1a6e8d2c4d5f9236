"""Bias: who is treated worse, and does the answer hang on who a text is about.

Purpose: two questions. By column: are the groups that the recipe names served equally well (subgroups.py)? By
counterfactual: does the answer change when the same words are about a woman instead of a man, an old instead of a young
customer (swaps.py, treatment.py)? The first needs data about people, the second only texts; neither stands for the
other: a model may treat equal texts alike and still serve worse those who write otherwise.
Trade-off: every text with such a word is asked once for each other group. Not covered: groups that neither a column nor
a word of the text names.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metier.errors import UserError, nearest, need
from metier.evaluate.checks import changed, subgroups, swaps, treatment
from metier.evaluate.checks.alter import with_edits
from metier.evaluate.checks.base import Asked, Figure, Findings, Told
from metier.evaluate.checks.changed import Changed
from metier.evaluate.checks.changes import is_chinese
from metier.evaluate.checks.edits import Edit, applied
from metier.evaluate.config_behaviour import BiasConfig
from metier.evaluate.items import ANSWERS, BITS, RANKING, SPANS
from metier.evaluate.wording import Both
from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.tasks import profile

TITLE: Both = ("Bias", "偏见")
ATTRIBUTES = ("gender", "name", "age", "region", "ethnicity", "nationality")
OWN_COLUMNS = ("language", "source")  # of the examples themselves
WITHOUT = "a name cannot be put before a text whose places are asked for"


class Bias:
    """See `Check` for the members."""

    title = TITLE
    figures: Mapping[str, Any] = {name: "lower" for name in ("flip_rate", "gap", "parity", "opportunity")} | {
        f"flip_{attribute}": "lower" for attribute in ATTRIBUTES
    }

    def unfit(self, task: TaskConfig) -> Both | None:
        if profile(task).kind != BITS:
            return None
        return ("a model that goes on reading gives no answer about anybody", "继续预训练的模型不对任何人作出回答")

    def ask(self, asked: Asked) -> Mapping[str, pa.Table]:
        config = asked.config.bias
        if config.columns:
            need("fairlearn.metrics", "fairness")  # told now, not after the models were asked
        people = _columns(asked, config)
        left: Counter[tuple[str, str]] = Counter()
        rows = asked.parts["test"].to_pylist()
        made = [one for attribute in config.swaps
                for one in _variants(rows, attribute, config, asked, left)]  # fmt: skip
        return {**changed.ask(asked, made), "left": changed.counts(left), "people": people}

    def judge(self, stored: Mapping[str, pa.Table], told: Told) -> Findings:
        by_swap = treatment.judge(stored, told)
        by_column = subgroups.judge(stored["people"], told)
        figures: dict[str, Figure] = {**by_swap.figures, **by_column.figures}
        said = [*by_column.said, *by_swap.said]
        tables = [*by_column.tables, *by_swap.tables]
        missing = None
        if not figures:
            missing = ("the recipe names no column, and no test text names anybody",
                       "方案没有指定列，测试文本中也没有提到任何人")  # fmt: skip
        return Findings(TITLE, figures, said, [*by_column.warnings, *by_swap.warnings], tables, missing)


def _variants(
    rows: list[dict[str, Any]], attribute: str, config: BiasConfig, asked: Asked, left: Counter[tuple[str, str]]
) -> list[Changed]:  # fmt: skip
    """The texts about other groups, of at most `bias.items` rows; what is left out is counted with its reason."""
    random = Random(f"{asked.seed} {attribute}")
    kind = profile(asked.task).kind
    made: list[Changed] = []
    taken = 0
    for place in random.sample(range(len(rows)), len(rows)):
        if taken == config.items:
            left[attribute, "not drawn"] += 1
            continue
        found = _of_row(rows[place], attribute, config, asked.task, kind, random)
        if isinstance(found, str):
            left[attribute, found] += 1
            continue
        own, cells = found
        taken += 1
        made += [Changed(place, f"{attribute}:{own}:{group}", new, edits) for group, new, edits in cells]
    return made


Cells = list[tuple[str, dict[str, Any], list[Edit]]]  # group, new cells of the row, edits of its text


def _of_row(
    row: Mapping[str, Any], attribute: str, config: BiasConfig, task: TaskConfig, kind: str, random: Random
) -> tuple[str, Cells] | str:
    """The row's own group ("" where names are put in) and its variants, or why there are none."""
    text, put = _whole(row, kind)
    found = swaps.find(text, attribute, random)
    if isinstance(found, swaps.Found):
        marks = task.markers if task.name == "relate" else ()
        if any(mark in edit.new for mark in marks for edits in found.edits.values() for edit in edits):
            return swaps.NAMES_NOBODY
        return found.group, [(group, *put(list(edits))) for group, edits in found.edits.items()]
    if attribute != "name" or not config.insert_names or found != swaps.NAMES_NOBODY:
        return found
    if kind in (SPANS, ANSWERS):
        return WITHOUT
    return "", [(group, *put(edits)) for group, edits in swaps.inserted(text, is_chinese(text), random).items()]


def _whole(row: Mapping[str, Any], kind: str) -> tuple[str, Any]:
    """All that names somebody in a row, as one text, and a function from edits of it to the row's cells and the edits
    of its column `text`."""
    if row.get("messages"):
        messages = json.loads(row["messages"])
        parts = [one["content"] if isinstance(one.get("content"), str) else "" for one in messages]

        def conversation(edits: list[Edit]) -> tuple[dict[str, Any], list[Edit]]:
            new = [applied(part, some) for part, some in zip(parts, _split(parts, edits), strict=True)]
            turns = [{**one, "content": text} if text else one for one, text in zip(messages, new, strict=True)]
            return {"messages": json.dumps(turns, ensure_ascii=False)}, []

        return "\n\n".join(parts), conversation
    names = ["pair"] if kind == RANKING else ["text", "pair"]
    parts = [row[name] or "" for name in names]

    def both(edits: list[Edit]) -> tuple[dict[str, Any], list[Edit]]:
        split = dict(zip(names, _split(parts, edits), strict=True))
        cells = {"pair": applied(row["pair"] or "", split["pair"])}
        if "text" in split:
            cells |= with_edits(row, split["text"])
        return cells, split.get("text", [])

    return "\n\n".join(parts), both


def _split(parts: list[str], edits: list[Edit]) -> list[list[Edit]]:
    """Edits of the parts joined by two line ends, as edits of each part."""
    done, at = [], 0
    for part in parts:
        end = at + len(part)
        done.append([Edit(e.start - at, e.end - at, e.new) for e in edits if at <= e.start and e.end <= end])
        at = end + 2
    return done


def _columns(asked: Asked, config: BiasConfig) -> pa.Table:
    """`row`, `column`, `value`: what the columns of the recipe say of each test row; "" where they say nothing."""
    test = asked.parts["test"]
    told: dict[str, list[str]] = {name: [value or "" for value in test[name].to_pylist()]
                                  for name in config.columns if name in OWN_COLUMNS}  # fmt: skip
    wanted = [name for name in config.columns if name not in OWN_COLUMNS]
    if wanted:
        ids = [some[0] if some else "" for some in test["document_ids"].to_pylist()]
        metadata = _metadata(asked, ids)
        for name in wanted:
            # A column whose name has another role is kept as "column:<name>" (collect/table.py).
            cells = [one.get(name, one.get(f"column:{name}")) for one in metadata]
            if all(cell is None for cell in cells):
                known = sorted({key.removeprefix("column:") for one in metadata for key in one})
                raise UserError(f"no test row has a column '{name}'", "evaluate.bias.columns", nearest(name, known))
            told[name] = ["" if cell is None else str(cell).strip() for cell in cells]
    rows = [{"row": place, "column": name, "value": value}
            for name in config.columns for place, value in enumerate(told[name])]  # fmt: skip
    schema = pa.schema([("row", pa.int64()), ("column", pa.string()), ("value", pa.string())])
    return pa.Table.from_pylist(rows, schema=schema)


def _metadata(asked: Asked, ids: list[str]) -> list[dict[str, Any]]:
    """What the readers saw beside each text (metadata of `documents.parquet`); {} for a text without a document."""
    assert asked.documents is not None
    path = asked.documents.path / "documents.parquet"
    found = pq.read_table(path, columns=["id", "metadata"], filters=pc.field("id").isin(sorted(set(ids))))
    known = dict(zip(found["id"].to_pylist(), found["metadata"].to_pylist(), strict=True))
    return [json.loads(known.get(one) or "{}") for one in ids]


register("check", "bias")(Bias())
