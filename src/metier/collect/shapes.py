"""Known shapes of data sets: what the columns and cells of a table make it.

Purpose: conversations, instructions, preferences, questions with answers, pairs and marked entities come in a dozen
usual forms. They are recognised by their columns and by what most cells hold, without a registry; `shaping.py` makes
one form of each. Every guess is told.
Trade-off: the names are those of public data sets; a column that the user maps as text switches all of this off.
Not covered: pictures and sounds in conversations; several shapes in one table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metier.collect import choices
from metier.collect.roles import plain
from metier.collect.spans import spans_like, structure, tags_like

SAMPLE = 50  # rows that are looked at
FITTING = 0.5  # share of them whose cells must have the shape's form; the others are told as malformed later

TURNS = ("messages", "conversations", "conversation", "dialog", "dialogue", "turns", "chat")
NAMES: dict[str, tuple[str, ...]] = {
    "instruction": ("instruction", "指令", "instructions"),
    "input": ("input", "输入", "context"),
    "output": ("output", "response", "输出", "completion"),
    "prompt": ("prompt", "input", "提示", "source text"),
    "completion": ("completion", "response", "output", "target text", "reply"),
    "question": ("question", "query", "问题", "提问"),
    "answer": ("answer", "response", "答案", "回答", "reply", "答复"),
    "context": ("context", "passage", "paragraph", "context_text", "段落", "文章"),
    "answers": ("answers", "answer", "答案"),
    "chosen": ("chosen", "chosen_response", "preferred"),
    "rejected": ("rejected", "rejected_response", "dispreferred"),
    "tokens": ("tokens", "words"),
    "tags": ("tags", "ner_tags", "labels", "ner", "pos_tags", "tag", "entities_tags"),
    "spans": ("spans", "entities", "annotations", "label", "labels", "ner", "entity"),
    "marked": ("text", "sentence", "full_text", "content", "文本", "originaltext"),
}
PAIRS = (
    ("premise", "hypothesis"), ("sentence1", "sentence2"), ("text1", "text2"), ("sentence_a", "sentence_b"),
    ("text_a", "text_b"), ("question1", "question2"), ("query1", "query2"), ("s1", "s2"), ("句子1", "句子2"),
)  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """What a table is. columns: field of the shape -> column of the table."""

    name: str
    columns: dict[str, str]


Row = Mapping[str, Any]


def recognise(columns: Sequence[str], rows: Sequence[Row], answered: bool = False) -> Shape | None:
    """The shape of a table, None for one that has none of its own (a text, a text with a label).

    rows: a sample. answered: a text and a label (or value) were found by their names, so that `question`, `answer` and
    `label` are a text with a label and not a question to be answered.
    """
    table = _Sample(columns, rows[:SAMPLE])
    for name, test in _TESTS:
        if (name not in _UNANSWERED or not answered) and (found := test(table)) is not None:
            return Shape(name, found)
    return None


class _Sample:
    """A few rows, and questions about them."""

    def __init__(self, columns: Sequence[str], rows: Sequence[Row]) -> None:
        self.names = {plain(name): name for name in reversed(columns)}
        self.rows = rows

    def find(self, role: str, fits: Callable[[Any], bool] = lambda cell: isinstance(cell, str)) -> str | None:
        """The first column with one of the role's names whose cells mostly fit."""
        for name in NAMES[role]:
            if (column := self.names.get(plain(name))) and self.mostly(column, fits):
                return column
        return None

    def mostly(self, column: str, fits: Callable[[Any], bool]) -> bool:
        cells = [row.get(column) for row in self.rows]
        filled = [cell for cell in cells if cell not in (None, "")]
        return not cells or (bool(filled) and sum(map(fits, filled)) >= FITTING * len(filled))

    def all(self, *roles: str) -> dict[str, str] | None:
        found = {role: self.find(role) for role in roles}
        columns = [column for column in found.values() if column]
        return {role: str(column) for role, column in found.items()} if len({*columns}) == len(roles) else None


def _turns(keys: tuple[str, str]) -> Callable[[_Sample], dict[str, str] | None]:
    def test(table: _Sample) -> dict[str, str] | None:
        for name in TURNS:
            column = table.names.get(name)
            if column and table.mostly(column, lambda cell: _has_keys(cell, keys)):
                return {"messages": column}
        return None

    return test


def _has_keys(cell: Any, keys: tuple[str, str]) -> bool:
    found = structure(cell)
    return isinstance(found, (list, tuple)) and bool(found) and any(
        isinstance(item, Mapping) and keys[0] in item for item in found)  # fmt: skip


def _preference(table: _Sample) -> dict[str, str] | None:
    chosen, rejected = (table.find(name, lambda cell: bool(cell)) for name in ("chosen", "rejected"))
    if not chosen or not rejected:
        return None
    prompt = table.find("prompt", lambda cell: bool(cell)) or table.find("question")
    return {"chosen": chosen, "rejected": rejected, **({"prompt": prompt} if prompt else {})}


def _tokens(table: _Sample) -> dict[str, str] | None:
    tokens = table.find("tokens", lambda cell: isinstance(structure(cell), (list, tuple)))
    tags = table.find("tags", lambda cell: tags_like(structure(cell))) if tokens else None
    return {"tokens": tokens, "tags": tags} if tokens and tags else None


def _spans(table: _Sample) -> dict[str, str] | None:
    text = table.find("marked")
    spans = table.find("spans", lambda cell: spans_like(structure(cell))) if text else None
    return {"text": text, "spans": spans} if text and spans and text != spans else None


def _squad_nested(table: _Sample) -> dict[str, str] | None:
    column = table.names.get("paragraphs")
    if column and table.mostly(column, lambda cell: _has_keys(cell, ("qas", "context"))):
        return {"paragraphs": column, **({"title": table.names["title"]} if "title" in table.names else {})}
    qas = table.names.get("qas")
    context = table.find("context")
    return {"qas": qas, "context": context} if qas and context else None


def _squad(table: _Sample) -> dict[str, str] | None:
    base = table.all("context", "question")
    answers = table.find("answers", lambda cell: cell is not None) if base else None
    if not base or not answers or answers in base.values():
        return None
    return {**base, "answers": answers, **{name: table.names[name] for name in ("id", "title") if name in table.names}}


def _hypotheses(table: _Sample) -> dict[str, str] | None:
    sets, labels = table.names.get("annotationsets"), table.names.get("labels")
    text = table.find("marked")
    if not text or not sets or not labels or not table.mostly(sets, lambda cell: _has_keys(cell, ("annotations", ""))):
        return None
    return {"text": text, "annotation_sets": sets, "labels": labels, **({"spans": "spans"} if "spans" in table.names
                                                                       else {})}  # fmt: skip


def _alpaca(table: _Sample) -> dict[str, str] | None:
    found = table.all("instruction", "output")
    if not found:
        return None
    optional = {"input": NAMES["input"], "system": ("system",), "history": ("history",)}
    for role, names in optional.items():
        column = next((table.names[name] for name in names if name in table.names), None)
        if column and column not in found.values():
            found[role] = column
    return found


def _choice(table: _Sample) -> dict[str, str] | None:
    """Options in one column or in a column each, a question, and a column that names one of them."""
    one = next((table.names[name] for name in map(plain, choices.OPTIONS) if name in table.names and table.mostly(
        table.names[name], lambda cell: choices.listed(cell) is not None)), None)  # fmt: skip
    several = [] if one else [table.names[name] for name in choices.columns([*table.names])]
    taken = {one, *several}

    def first(names: Sequence[str], fits: Callable[[Any], bool]) -> str | None:
        known = [table.names[name] for name in map(plain, names) if name in table.names]
        return next((name for name in known if name not in taken and table.mostly(name, fits)), None)

    asked = first(choices.QUESTIONS, lambda cell: isinstance(cell, str))
    taken.add(asked)
    answer = first(choices.ANSWERS, lambda cell: isinstance(cell, (str, int, float)))
    if not (one or several) or asked is None or answer is None:
        return None
    options = {"options": one} if one else {f"option.{place}": name for place, name in enumerate(several)}
    taken.add(answer)
    context = first(choices.CONTEXTS, lambda cell: isinstance(cell, str))
    words = [[*(choices.listed(row.get(one)) or {}).values()] if one else
             [str(row[name]) for name in several if row.get(name) not in (None, "")] for row in table.rows]  # fmt: skip
    start = choices.counts_from([row.get(answer) for row in table.rows], [len(own) for own in words], words)
    if not choices.mostly_named([row.get(answer) for row in table.rows], words, start):
        return None
    named = {"answer" if start is None else f"answer_from_{start}": answer}
    return {"question": asked, **options, **named, **({"context": context} if context else {})}


def _pairs(table: _Sample) -> dict[str, str] | None:
    for first, second in PAIRS:
        one, other = table.names.get(plain(first)), table.names.get(plain(second))
        if one and other and all(table.mostly(column, lambda cell: isinstance(cell, str)) for column in (one, other)):
            return {"first": one, "second": other}
    return None


_TESTS: tuple[tuple[str, Callable[[_Sample], dict[str, str] | None]], ...] = (
    ("messages", _turns(("role", "content"))),
    ("sharegpt", _turns(("from", "value"))),
    ("preference", _preference),
    ("squad", _squad_nested),
    ("hypotheses", _hypotheses),
    ("choice", _choice),
    ("tokens", _tokens),
    ("spans", _spans),
    ("pairs", _pairs),
    ("alpaca", _alpaca),
    ("squad", _squad),
    ("question-answer", lambda table: table.all("question", "answer")),
    ("prompt-completion", lambda table: table.all("prompt", "completion")),
)
_UNANSWERED = ("question-answer", "prompt-completion")
