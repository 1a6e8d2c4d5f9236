"""From documents to examples: read label, labels, value, spans or written answers out of each row's metadata.

Purpose: what the collect stage found in the column with the role `label` or `value`, as spans (see spans.py) or as
questions about a document (see questions.py), becomes the thing to learn (written answers: `answers.py`); which of
them a task learns from stands in its profile. A cell that holds none is rejected and listed, never guessed.
Numbers: 3.5, 1e-3, ３．５ and −2 are read. "3,5" is read as 3.5 only if the whole column writes a comma and no point;
"1,234" is read as 1234 only if the column proves that the comma groups thousands. A column that allows both readings
is rejected with that reason rather than guessed at.
Several labels in one cell: a list, a JSON list, or text with `task.label_separator`; "[]" means "none of them" and is
an answer, an empty cell is no answer.
Not covered: label spellings ("Fraud" and "fraud" stay two labels; `labels` warns).
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from metier.errors import UserError
from metier.prepare import answers
from metier.prepare.flow import Flow, Row, count
from metier.prepare.normalize import MISSING, clean
from metier.prepare.queries import read_queries
from metier.prepare.questions import no_answers, read_answers, spread, told
from metier.prepare.spans import read_spans
from metier.registry import register

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
SUSPICIOUS = 0.05  # share of label cells from which a word such as "None" may be a class
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?")


@register("operation", "task")
def examples(flow: Flow) -> str:
    """Fill the column that holds the task's answer; every row that has none leaves with its reason."""
    answer = flow.profile.answer
    if answer not in READERS:
        raise UserError(
            f"the prepare stage can read no '{answer}', which the task '{flow.task.name}' learns from", "task.name",
            f"choose a task that learns from one of: {', '.join(READERS)}",
        )  # fmt: skip
    before = len(flow.rows)
    if (refuses := flow.profile.refuses) is not None:
        flow.reject(lambda row: refuses(row.text))
    if flow.profile.pair:
        spread(flow)
        flow.reject(_read_pair)
    note = READERS[answer](flow)
    if before and not flow.rows:
        _nothing(flow)
    return note


def _classify(flow: Flow) -> str:
    several = flow.task.multi_label

    def leaves(row: Row) -> tuple[str, str] | None:
        cell = told(row, "label")
        found = read_labels(cell, flow.task.label_separator if several else None)
        if found is None:
            return "no label", f"the label is {flow.quote(cell)}" if cell not in (None, "") else "the label is empty"
        if several:
            row.labels = found
        elif len(found) != 1:
            return "several labels", f"the cell holds {len(found)} labels; task.multi_label=true reads them all"
        else:
            row.label = found[0]
        return None

    _warn_missing(flow)
    before = len(flow.rows)
    flow.reject(leaves)
    _warn_unlabelled(flow, before)
    names = {name for row in flow.rows for name in row.strata if name}
    return f"{len(names):,} labels"


def _warn_missing(flow: Flow) -> None:
    """A word for a missing cell that stands in many cells may be the name of a class."""
    cells = [told(row, "label") for row in flow.rows]
    words = Counter(word for cell in cells if isinstance(cell, str) and (word := cell.strip()) in MISSING and word)
    for word, number in words.most_common():
        if number > SUSPICIOUS * len(cells):
            flow.warn(
                f"'{word}' stands in {number:,} of {len(cells):,} label cells ({number / len(cells):.0%}) and is taken "
                "for a missing label; if it is a class, call it something else in the data, such as 'other'"
            )


def _warn_unlabelled(flow: Flow, before: int) -> None:
    """Most documents without a label are hardly what somebody meant: say what would give them one."""
    missing = flow.reasons["no label"]
    if flow.rows and missing > 0.5 * before:
        flow.warn(
            f"{missing:,} of {before:,} documents have no label and are left out; map a column (collect.sources.0."
            "columns.label=NAME), take the folder's name (collect.sources.0.label_from=folder), or exclude those files "
            "(collect.exclude)"
        )


def read_labels(cell: Any, separator: str | None) -> list[str] | None:
    """The labels of a cell, sorted and each once; None when it holds no answer. `separator` None: one label a text."""
    if isinstance(cell, str) and separator is not None and cell.strip().startswith("["):
        try:
            parsed = json.loads(cell)
            cell = parsed if isinstance(parsed, list) else cell
        except ValueError:
            pass
    if isinstance(cell, (list, tuple)):
        names = {_name(item) for item in cell} - {""}
        return sorted(names) if names or not cell else None
    text = _name(cell)
    if separator:
        names = {_name(part) for part in text.split(separator)} - {""}
        return sorted(names) or None
    return [text] if text else None


def _name(cell: Any) -> str:
    """A label's name; whole floats lose their point, because a gap in a column of integers turns 1 into 1.0."""
    if isinstance(cell, float):
        if not math.isfinite(cell):
            return ""
        cell = int(cell) if cell.is_integer() else cell
    text = "" if cell is None else unicodedata.normalize("NFC", str(cell)).strip()
    return "" if text in MISSING else text


def _score(flow: Flow) -> str:
    cells = [told(row, "value") for row in flow.rows]
    values = dict(zip((row.id for row in flow.rows), read_values(cells), strict=True))

    def leaves(row: Row) -> tuple[str, str] | None:
        value = values[row.id]
        if isinstance(value, str):
            told = (
                value if flow.config.deidentify.policy == "off" else "the value is not shown: texts are de-identified"
            )
            return ("no value", "the value is empty") if value == "" else ("not a number", told)
        row.value = value
        return None

    flow.reject(leaves)
    found = [row.value for row in flow.rows if row.value is not None]
    return f"values from {min(found):g} to {max(found):g}" if found else "no values"


def read_values(cells: Sequence[Any]) -> list[float | str]:
    """Each cell as a finite float, or a string that says why not ("" for an empty cell)."""
    texts = [_digits(cell) for cell in cells]
    commas = [text for text in texts if "," in text]
    grouped = [bool(_THOUSANDS.fullmatch(text)) for text in commas]
    points = any("." in text for text in texts if _NUMBER.fullmatch(text))
    proven = points or any("." in text or text.count(",") > 1 for text in commas)
    thousands = bool(commas) and all(grouped) and proven
    decimal = bool(commas) and not points and all(map(_COMMA.fullmatch, commas)) and not all(grouped)
    return [_value(text, cell, thousands, decimal) for text, cell in zip(texts, cells, strict=True)]


def _value(text: str, cell: Any, thousands: bool, decimal: bool) -> float | str:
    if text in MISSING:
        return ""
    if "," in text and thousands and _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    elif "," in text and decimal:
        text = text.replace(",", ".")
    elif _COMMA.fullmatch(text) or _THOUSANDS.fullmatch(text):
        return f"{cell!r}: the column does not show whether the comma is a decimal comma or groups thousands"
    if not _NUMBER.fullmatch(text):
        return f"{cell!r} is not a number"
    number = float(text)
    return number if math.isfinite(number) else f"{cell!r} is too large"


def _digits(cell: Any) -> str:
    if cell is None or isinstance(cell, bool):
        return "" if cell is None else str(cell)
    if isinstance(cell, float) and math.isnan(cell):
        return ""
    return unicodedata.normalize("NFKC", str(cell)).replace("\u2212", "-").strip()


def _read_pair(row: Row) -> tuple[str, str] | None:
    """Fill `pair` from its own column, or take it off the end of a text that holds both."""
    own = told(row, "question") if row.asked is not None else row.metadata.get("pair")
    if own is None and isinstance(row.metadata.get("second"), str):
        second = clean(row.metadata["second"])
        if not second or not row.text.endswith(second) or row.text == second:
            return "no pair", "the second text does not stand at the end of the repaired text"
        row.pair, row.text = second, row.text[: -len(second)].rstrip()
        return None
    row.pair = clean(own) if isinstance(own, str) else ""
    return None if row.pair else ("no pair", "the second text is empty or not mapped (columns.pair)")


def _spans(flow: Flow) -> str:
    def leaves(row: Row) -> tuple[str, str] | None:
        found = read_spans(row.metadata, row.text, flow.quote)
        if isinstance(found, tuple):
            return found
        row.spans = found
        return None

    flow.reject(leaves)
    spans = [span for row in flow.rows for span in row.spans or ()]
    empty = sum(not row.spans for row in flow.rows)
    return (f"{count(len(spans), 'span')} of {count(len({span['label'] for span in spans}), 'type')}, "
            f"{count(empty, 'text')} without any")  # fmt: skip


# The column of the examples that holds the answer -> what fills it.
READERS: dict[str, Callable[[Flow], str]] = {
    "label": _classify, "labels": _classify, "value": _score, "spans": _spans, "answers": read_answers,
    "pair": read_queries, **answers.READERS,
}  # fmt: skip


def _nothing(flow: Flow) -> None:
    """Every document left at this step: say what is missing and what to type."""
    answer = flow.profile.answer
    score = answer == "value"
    role = {"labels": "label"}.get(answer, answer)
    if answer == "spans":
        _no_spans(flow)
    if answer == "answers":
        no_answers(flow)
    if answer in answers.READERS:
        _no_answers(flow)
    if answer == "pair":
        columns = "collect.sources.0.columns"
        raise UserError("no document has a query", "prepare, step task",
                        f"name two columns, as in {columns}.text=ANSWER and {columns}.pair=QUESTION")  # fmt: skip
    reasons = flow.reasons
    details = [entry["detail"] for entry in flow.rejected if entry["reason"] == "not a number"] if score else []
    detail = details[-1] if details else ""
    raise UserError(
        f"no document has a {role} that can be used" + (f" ({detail})" if detail else ""),
        "prepare, step task: " + ", ".join(f"{number:,} × {reason}" for reason, number in reasons.most_common()),
        f"name the column, as in collect.sources.0.columns.{role}=NAME" + ("" if score else
        ", or set collect.sources.0.label_from=folder"),
    )  # fmt: skip


def _no_answers(flow: Flow) -> None:
    details = [entry["detail"] for entry in flow.rejected]
    wanted = {
        "answer": "rows of a known shape (messages, instruction and output, prompt and completion, question and "
        "answer), or name the columns, as in collect.sources.0.columns={text: NAME, answer: NAME}",
        "chosen": "rows with `chosen` and `rejected`, and a `prompt` or a beginning that both share",
        "text": "texts",
    }[flow.profile.answer]
    raise UserError(
        "no document holds what this task learns from" + (f" ({details[-1]})" if details else ""),
        "prepare, step task: " + ", ".join(f"{number:,} × {reason}" for reason, number in flow.reasons.most_common()),
        f"bring {wanted}; `metier inspect FILE` tells what a file is taken for",
    )  # fmt: skip


def _no_spans(flow: Flow) -> None:
    raise UserError(
        "no document has spans or tags that can be used",
        "prepare, step task: " + ", ".join(f"{number:,} × {reason}" for reason, number in flow.reasons.most_common()),
        "bring a CoNLL file (a token and its tag a line), or rows with `tokens` and `tags`, or with `text` and `spans` "
        "([{start, end, label}])",
    )
