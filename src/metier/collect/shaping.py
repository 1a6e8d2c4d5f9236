"""Rows of a known shape as documents: one form for each shape, and what is wrong with a row that does not fit.

Purpose: a row becomes a text with everything in it that a model may learn from, and the structured fields beside it in
`metadata` (docs/guide/dataset-shapes.md). A row that does not fit is told with the field that is wrong and why, and is
not mended by guess.
Not covered: which shape a table has (`shapes.py`); entities and their spans (`spans.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metier.collect import choices
from metier.collect.roles import plain
from metier.collect.shapes import Row, Shape
from metier.collect.spans import Misfit, read_spans, read_tags, structure
from metier.lettering import LETTERS

ROLE_NAMES = {"system": "system", "user": "user", "human": "user", "prompter": "user", "assistant": "assistant",
              "gpt": "assistant", "bot": "assistant", "model": "assistant", "chatgpt": "assistant", "bing": "assistant",
              "tool": "tool", "function": "tool", "observation": "tool", "functioncall": "assistant",
              "developer": "system", "用户": "user", "助手": "assistant", "系统": "system"}  # fmt: skip
TRANSCRIPT = "\n\nAssistant:"  # transcripts of chosen and rejected answers share all up to the last of these
_SPEAKER = re.compile(r"(?:^|\n\n)(Human|Assistant):")


@dataclass
class Made:
    """One document out of a row. part: what follows the row's number; misfits: what of the row had to stay out."""

    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    part: str = ""
    misfits: list[Misfit] = field(default_factory=list)


def make(shape: Shape, row: Row) -> list[Made]:
    """The documents of one row. Misfit: the row is not of the shape; it says which field and why."""
    cells = {name: row.get(column) for name, column in shape.columns.items()}
    try:
        return _MAKERS[shape.name](cells)
    except Misfit as error:  # told with the column's own name
        first, dot, rest = error.field.partition(".")
        stem, bracket, index = first.partition("[")
        raise Misfit(f"{shape.columns.get(stem, stem)}{bracket}{index}{dot}{rest}", error.what) from None


def joined(fields: Sequence[tuple[str, str]]) -> tuple[str, list[dict[str, Any]]]:
    """The fields' texts with a blank line between, and where each stands: {"path", "start", "end"}."""
    texts, places, position = [], [], 0
    for path, text in fields:
        if not text.strip():
            continue
        texts.append(text)
        places.append({"path": path, "start": position, "end": position + len(text)})
        position += len(text) + 2
    return "\n\n".join(texts), places


def _made(fields: Sequence[tuple[str, str]], metadata: Mapping[str, Any]) -> list[Made]:
    text, places = joined(fields)
    if not text:
        raise Misfit(fields[0][0] if fields else "row", "is empty")
    return [Made(text, {**metadata, "fields": places})]


def _string(cells: Row, name: str, needed: bool = True) -> str:
    """A field that must be text. A number is text too: 42 is an answer."""
    cell = cells.get(name)
    if (
        isinstance(cell, (int, float))
        and not isinstance(cell, bool)
        and not (isinstance(cell, float) and math.isnan(cell))
    ):
        return str(cell)
    if cell is None or cell == "" or isinstance(cell, float):
        if needed:
            raise Misfit(name, "is missing" if name not in cells or cell is None else "is empty")
        return ""
    if not isinstance(cell, str):
        raise Misfit(name, f"should be text, and is {_kind(cell)}")
    if needed and not cell.strip():
        raise Misfit(name, "is empty")
    return cell


def messages(cell: Any, name: str = "messages") -> list[dict[str, Any]]:
    """Turns as [{"role", "content", ...}] with our names of roles. Misfit: which turn and which key is wrong."""
    turns = structure(cell)
    if not isinstance(turns, (list, tuple)):
        raise Misfit(name, f"should be a list of turns, and is {_kind(turns)}")
    if not turns:
        raise Misfit(name, "holds no turn")
    return [_turn(turn, f"{name}[{number}]") for number, turn in enumerate(turns)]


def _turn(turn: Any, place: str) -> dict[str, Any]:
    if not isinstance(turn, Mapping):
        raise Misfit(place, f"should be an object, and is {_kind(turn)}")
    who = "role" if "role" in turn else "from"
    said = next((key for key in ("content", "value", "text") if key in turn), "content")
    role = turn.get(who)
    if role is None:
        raise Misfit(f"{place}.{who}", "is missing")
    known = ROLE_NAMES.get(plain(role)) if isinstance(role, str) else None
    if known is None:
        raise Misfit(f"{place}.{who}", f"is {role!r}; known: {', '.join(sorted({*ROLE_NAMES.values()}))}")
    content = turn.get(said)
    if isinstance(content, (list, tuple)):  # parts, as some programming interfaces have them
        content = "\n".join(
            str(part.get("text", "")) for part in content if isinstance(part, Mapping) and "text" in part
        )
    if content is None and (turn.get("tool_calls") or turn.get("function_call")):
        content = ""
    if content is None:
        raise Misfit(f"{place}.{said}", "is missing")
    if not isinstance(content, str):
        raise Misfit(f"{place}.{said}", f"should be text, and is {_kind(content)}")
    rest = {str(key): value for key, value in turn.items() if key not in (who, said) and value not in (None, "", [])}
    return {"role": known, "content": content, **rest}


def _of_messages(cells: Row) -> list[Made]:
    turns = messages(cells["messages"])
    return _made(
        [(f"messages.{number}.content", turn["content"]) for number, turn in enumerate(turns)], {"messages": turns}
    )


def _of_alpaca(cells: Row) -> list[Made]:
    instruction, output = _string(cells, "instruction"), _string(cells, "output")
    given = _string(cells, "input", needed=False)
    system = _string(cells, "system", needed=False)
    prompt = f"{instruction}\n\n{given}" if given.strip() else instruction
    metadata = {"prompt": prompt, "completion": output, "instruction": instruction, "input": given, "system": system,
                "history": structure(cells.get("history"))}  # fmt: skip
    metadata = {key: value for key, value in metadata.items() if value not in ("", None, [])}
    return _made([("system", system), ("instruction", instruction), ("input", given), ("completion", output)], metadata)


def _of_two(first: str, second: str) -> Callable[[Row], list[Made]]:
    def maker(cells: Row) -> list[Made]:
        one, other = _string(cells, first), _string(cells, second)
        metadata = {first: one, second: other}
        if first == "question":
            metadata |= {"prompt": one, "completion": other}
        return _made([(first, one), (second, other)], metadata)

    return maker


def _of_preference(cells: Row) -> list[Made]:
    sides: dict[str, Any] = {}
    for name in ("prompt", "chosen", "rejected"):
        cell = structure(cells.get(name))
        if isinstance(cell, (list, tuple)):
            sides[name] = messages(cell, name)
        elif name != "prompt" or cells.get(name):
            sides[name] = _string(cells, name)
    if type(sides["chosen"]) is not type(sides["rejected"]):
        raise Misfit("rejected", "should have the form of 'chosen'")
    if "prompt" not in sides:
        sides = _split_prompt(sides["chosen"], sides["rejected"]) or sides
    if isinstance(sides.get("prompt"), str):
        sides["prompt"] = transcript(sides["prompt"]) or sides["prompt"]
    if sides["chosen"] == sides["rejected"]:
        raise Misfit("rejected", "is the same as 'chosen'")
    fields = [item for name, side in sides.items() for item in (
        [(name, side)] if isinstance(side, str)
        else [(f"{name}.{number}.content", turn["content"]) for number, turn in enumerate(side)])]  # fmt: skip
    return _made(fields, sides)


def _split_prompt(chosen: Any, rejected: Any) -> dict[str, Any] | None:
    """The beginning that both answers share, where conversations were stored whole."""
    if isinstance(chosen, str):
        at = chosen.rfind(TRANSCRIPT)
        end = at + len(TRANSCRIPT)
        if at < 0 or chosen[:end] != rejected[:end]:
            return None
        return {"prompt": chosen[:end], "chosen": chosen[end:].strip(), "rejected": rejected[end:].strip()}
    shared = 0
    while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
        shared += 1
    if not shared:
        return None
    return {"prompt": chosen[:shared], "chosen": chosen[shared:], "rejected": rejected[shared:]}


def transcript(text: str) -> list[dict[str, Any]] | None:
    """The turns of "\n\nHuman: ...\n\nAssistant: ..."; an empty last answer, which is asked for, is left out."""
    pieces = _SPEAKER.split(text)
    if len(pieces) < 3 or pieces[0].strip():
        return None
    turns = [{"role": ROLE_NAMES[plain(who)], "content": said.strip()}
             for who, said in zip(pieces[1::2], pieces[2::2], strict=True)]  # fmt: skip
    return turns[:-1] if turns[-1] == {"role": "assistant", "content": ""} else turns


def _of_pairs(cells: Row) -> list[Made]:
    first, second = _string(cells, "first"), _string(cells, "second")
    return _made([("first", first), ("second", second)], {"first": first, "second": second})


def _of_choice(cells: Row) -> list[Made]:
    """The question with its options; `correct` is the place of the right one."""
    asked, context = _string(cells, "question"), _string(cells, "context", needed=False)
    if "options" in cells:
        found = choices.listed(cells["options"])
        if found is None:
            raise Misfit("options", f"should be {choices.LEAST} to {choices.MOST} texts")
    else:
        columns = [name for name in cells if name.startswith("option.")]
        texts = [_string(cells, name, needed=False) for name in columns]
        while texts and not texts[-1].strip():  # a question with fewer options than the table has columns
            texts.pop()
        found = dict(zip(LETTERS, texts, strict=False))
    marks, options = [*found], [text.strip() for text in found.values()]
    if len(options) < choices.LEAST:
        raise Misfit("options", "should be two or more, and is fewer")
    if not all(options):
        raise Misfit("options", f"option {marks[options.index('')]} is empty")
    if len(set(options)) < len(options):
        raise Misfit("options", "two of them are the same")
    named = next(name for name in cells if name.startswith("answer"))
    start = int(named[-1]) if named != "answer" else None
    try:
        correct = choices.right(cells[named], marks, options, start)
    except Misfit as error:
        raise Misfit(named, error.what) from None
    fields = [("context", context), ("question", asked), *((f"options.{at}", text) for at, text in enumerate(options))]
    return _made(fields, {"question": asked, "options": options, "correct": correct})


def _of_tokens(cells: Row) -> list[Made]:
    text, metadata = read_tags(structure(cells["tokens"]), structure(cells["tags"]))
    return [Made(text, metadata)]


def _of_spans(cells: Row) -> list[Made]:
    text = _string(cells, "text")
    return [Made(text, {"spans": read_spans(structure(cells["spans"]), text)})]


def _of_hypotheses(cells: Row) -> list[Made]:
    from metier.collect.questions import hypotheses

    text = _string(cells, "text")
    asked, misfits = hypotheses(cells)
    return [Made(text, {"questions": asked}, misfits=misfits)]


def _of_squad(cells: Row) -> list[Made]:
    from metier.collect.questions import paragraphs, single

    if "paragraphs" in cells:
        return paragraphs(structure(cells["paragraphs"]), cells.get("title"))
    if "qas" in cells:
        return paragraphs([{"context": cells.get("context"), "qas": structure(cells["qas"])}], None)
    return [single(cells)]


def _kind(value: Any) -> str:
    names = {"str": "text", "list": "a list", "dict": "an object", "int": "a number", "float": "a number",
             "bool": "true or false", "NoneType": "missing"}  # fmt: skip
    return names.get(type(value).__name__, type(value).__name__)


_MAKERS: dict[str, Callable[[Row], list[Made]]] = {
    "messages": _of_messages, "sharegpt": _of_messages, "alpaca": _of_alpaca, "preference": _of_preference,
    "prompt-completion": _of_two("prompt", "completion"), "question-answer": _of_two("question", "answer"),
    "squad": _of_squad, "pairs": _of_pairs, "tokens": _of_tokens, "spans": _of_spans,
    "hypotheses": _of_hypotheses, "choice": _of_choice,
}  # fmt: skip
