"""One test row under one change of robustness: its new cells, or why the change cannot alter it.

Purpose: which text of a row a change belongs to. Changes of characters (changes.py) go to what the model is given to
read: the text and the short text beside it, the last turn of a conversation, the query of a search. Gold spans and
answers are carried through the edits. Here are the changes that need more than a text: the instruction in other words,
the options in another order, the text among others.
Trade-off: long_context buries a text that is judged by itself (a label, a score) among general paragraphs that come
with the package, because a second text of the data set would have a label of its own; a text with a question, or with
marked spans, stands among other test texts, whose spans are gold too.
Not covered: changes of pictures, tables, or earlier turns of a conversation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from metier.evaluate.checks import changes
from metier.evaluate.checks.changed import Changed
from metier.evaluate.checks.edits import Edit, applied, carried_spans
from metier.evaluate.config_behaviour import RobustnessConfig
from metier.evaluate.items import ANSWERS, PREFERENCE, RANKING, SPANS, TEXT
from metier.train.config import TaskConfig
from metier.train.tasks import profile

Row = Mapping[str, Any]
NOTHING = "there is nothing in it to change"
NO_INSTRUCTION, NO_OPTIONS = "it has no instruction", "it has no options whose letter is the answer"
NO_OTHERS, ALONE = "there is no other text to put it among", "for this task a longer text is another question"
_OPTION = re.compile(r"^[ \t]*[（(]?([A-H])[)）.、:：．][ \t]*(.+)$", re.MULTILINE)
_LETTER = re.compile(r"[（(]?([A-H])[)）.、:：．]?")


@dataclass(frozen=True)
class Around:
    """What a row is changed with: the task, the settings, and the texts that it may stand among."""

    task: TaskConfig
    config: RobustnessConfig
    rows: Sequence[Row]  # test rows
    general: Mapping[bool, Sequence[str]]  # general paragraphs: Chinese or not -> texts

    @property
    def kind(self) -> str:
        return profile(self.task).kind


def alter(number: int, change: str, around: Around, random: Random) -> Changed | str:
    """Row `number` of the test rows under the change, or the reason why not."""
    row = around.rows[number]
    made: Changed | str
    if change == "instruction":
        made = _instruction(number, row, around, random)
    elif change == "options":
        made = _options(number, row, around)
    elif change == "long_context":
        made = _long_context(number, row, around, random)
    else:
        made = _characters(number, row, change, around, random)
    if isinstance(made, Changed) and around.kind == TEXT and around.task.name == "generate":
        return Changed(made.row, made.change, {"instruction": around.task.instruction, **made.columns}, made.edits)
    return made


def _characters(number: int, row: Row, change: str, around: Around, random: Random) -> Changed | str:
    turn = changes.TEXT_CHANGES[change]
    if around.kind == RANKING:
        query = row["pair"] or ""
        edits = turn(query, random, around.config.errors)
        return Changed(number, change, {"pair": applied(query, edits)}) if edits else NOTHING
    if row.get("messages"):
        messages, text = _last_turn(row)
        edits = turn(text, random, around.config.errors)
        return Changed(number, change, _said(messages, applied(text, edits))) if edits else NOTHING
    marks = around.task.markers if around.task.name == "relate" else ()
    text, pair = row["text"] or "", row["pair"] or ""
    edits = outside(turn(text, random, around.config.errors), text, marks)
    also = turn(pair, random, around.config.errors) if pair else []
    if not edits and not also:
        return NOTHING
    return Changed(number, change, {**with_edits(row, edits), "pair": applied(pair, also)}, edits)


def with_edits(row: Row, edits: Sequence[Edit]) -> dict[str, Any]:
    """The row's text and whatever points into it, after the edits."""
    cells: dict[str, Any] = {"text": applied(row["text"] or "", edits)}
    for name in ("spans", "answers"):
        if row.get(name):
            cells[name] = carried_spans(row[name], edits)
    return cells


def outside(edits: Sequence[Edit], text: str, marks: Sequence[str]) -> list[Edit]:
    """The edits that touch none of the marks, which the task itself has put into the text."""
    kept = [place.span() for mark in marks for place in re.finditer(re.escape(mark), text)]
    return [edit for edit in edits if not any(edit.start < end and start < edit.end for start, end in kept)]


def _instruction(number: int, row: Row, around: Around, random: Random) -> Changed | str:
    if around.kind not in (TEXT, PREFERENCE):
        return NO_INSTRUCTION
    if row.get("messages"):
        messages, text = _last_turn(row)
        return Changed(number, "instruction", _said(messages, reworded(text, random))) if text else NO_INSTRUCTION
    if around.task.instruction:
        return Changed(number, "instruction", {"instruction": reworded(around.task.instruction, random)})
    if row["pair"]:
        return Changed(number, "instruction", {"pair": reworded(row["pair"], random)})
    return NO_INSTRUCTION


def reworded(text: str, random: Random) -> str:
    """The same wish in one of the wordings of wordings.yaml."""
    return str(random.choice(_wordings()["instruction"]["zh" if changes.is_chinese(text) else "en"]).format(text))


def _options(number: int, row: Row, around: Around) -> Changed | str:
    """The contents of the options move one letter on, and the gold letter with its content."""
    column = {"classify": "label", TEXT: "answer"}.get(around.kind, "")
    gold = _LETTER.fullmatch((row.get(column) or "").strip()) if column else None
    if gold is None:
        return NO_OPTIONS
    if row.get("messages"):
        messages, text = _last_turn(row)
        moved = rotated(text, gold[1])
        return Changed(number, "options", {**_said(messages, moved[0]), column: moved[1]}) if moved else NO_OPTIONS
    for name in ("pair", "text"):
        moved = rotated(row.get(name) or "", gold[1])
        if moved:
            return Changed(number, "options", {name: moved[0], column: row[column].replace(gold[1], moved[1])})
    return NO_OPTIONS


def rotated(text: str, gold: str) -> tuple[str, str] | None:
    """A text whose options A, B, ... (a line each) stand one letter further, and the letter that is right now."""
    found = list(_OPTION.finditer(text))
    letters = [one[1] for one in found]
    if len(found) < 2 or letters != [chr(ord("A") + place) for place in range(len(found))] or gold not in letters:
        return None
    edits = [Edit(*one.span(2), found[place - 1][2]) for place, one in enumerate(found)]
    return applied(text, edits), letters[(letters.index(gold) + 1) % len(letters)]


def _long_context(number: int, row: Row, around: Around, random: Random) -> Changed | str:
    if around.kind in (RANKING, PREFERENCE) or around.task.name == "relate":
        return ALONE
    if row.get("messages"):
        messages, text = _last_turn(row)
        if not text:
            return NOTHING
        before, _ = _among(_general(text, around, random), around.config.context)
        return Changed(number, "long_context", _said(messages, before + text)) if before else NO_OTHERS
    if around.kind == TEXT and not row["pair"]:
        return ALONE  # what shall be summarised must not stand among other texts
    if around.kind == SPANS:
        return _among_marked(number, row, around, random)
    asked = around.kind in (ANSWERS, TEXT)
    others = _others(number, row, around, random) if asked else _general(row["text"] or "", around, random)
    before, after = _among(others, around.config.context)
    if not before:
        return NO_OTHERS
    edits = [Edit(0, 0, before)]
    if after:
        edits.append(Edit(len(row["text"]), len(row["text"]), after))
    return Changed(number, "long_context", with_edits(row, edits), edits)


def _among_marked(number: int, row: Row, around: Around, random: Random) -> Changed | str:
    """Between other test texts with gold spans of their own, which are asked for too."""
    picked: list[Row] = []
    for other in _drawn(number, row, around, random):
        if sum(len(one["text"]) for one in picked) >= around.config.context:
            break
        picked.append(other)
    if not picked:
        return NO_OTHERS
    half = (len(picked) + 1) // 2
    spans: list[dict[str, Any]] = []
    text = own = ""
    for place, one in enumerate([*picked[:half], row, *picked[half:]]):
        if place:
            text += "\n\n"
        if one is row:
            own = text
        spans += [{**span, "start": span["start"] + len(text), "end": span["end"] + len(text)}
                  for span in one["spans"] or []]  # fmt: skip
        text += one["text"]
    end = len(own) + len(row["text"])
    edits = [Edit(0, 0, own), Edit(len(row["text"]), len(row["text"]), text[end:])]
    return Changed(number, "long_context", {"text": text, "spans": spans}, edits)


def _others(number: int, row: Row, around: Around, random: Random) -> list[str]:
    """Other test texts that hold none of the right answers."""
    golds = [row["text"][one["start"] : one["end"]] for one in row.get("answers") or []] + [row.get("answer") or ""]
    return [other["text"] for other in _drawn(number, row, around, random)
            if not any(gold and gold in other["text"] for gold in golds)]  # fmt: skip


def _drawn(number: int, row: Row, around: Around, random: Random) -> list[Row]:
    """Some other test rows of another group and with another text, in the same kind of writing."""
    some = random.sample(range(len(around.rows)), min(40, len(around.rows)))
    chinese = changes.is_chinese(row["text"] or "")
    return [other for other in (around.rows[place] for place in some if place != number)
            if other["text"] and other["text"] != row["text"] and changes.is_chinese(other["text"]) == chinese
            and not (row["group"] and other["group"] == row["group"])]  # fmt: skip


def _general(text: str, around: Around, random: Random) -> list[str]:
    paragraphs = list(around.general[changes.is_chinese(text)])
    random.shuffle(paragraphs)
    return paragraphs


def _among(others: Sequence[str], most: int) -> tuple[str, str]:
    """What stands before and after: other texts up to about `most` characters, half of them before."""
    picked: list[str] = []
    for other in others:
        if sum(map(len, picked)) >= most:
            break
        picked.append(other)
    half = (len(picked) + 1) // 2
    return "".join(f"{one}\n\n" for one in picked[:half]), "".join(f"\n\n{one}" for one in picked[half:])


def _last_turn(row: Row) -> tuple[list[dict[str, Any]], str]:
    """The conversation, and what its last message of a user says ("" where there is none)."""
    messages = json.loads(row["messages"])
    said = [one for one in messages if one.get("role") == "user" and isinstance(one.get("content"), str)]
    return messages, said[-1]["content"] if said else ""


def _said(messages: list[dict[str, Any]], text: str) -> dict[str, str]:
    """The cell of the conversation with another last message of the user."""
    last = max(place for place, one in enumerate(messages) if one.get("role") == "user")
    new = [{**one, "content": text} if place == last else one for place, one in enumerate(messages)]
    return {"messages": json.dumps(new, ensure_ascii=False)}


@cache
def _wordings() -> dict[str, Any]:
    import yaml

    return dict(yaml.safe_load(Path(__file__).with_name("wordings.yaml").read_text(encoding="utf-8")))
