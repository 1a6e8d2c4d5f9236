"""What is asked and what is to be answered, out of each row: instructions, conversations, preferences, plain texts.

Purpose: whatever shape the data has, there is one form for each task. A text task reads `text`, a question about it
(`pair`) and the `answer`; a conversation is its `messages` up to the last answer and that `answer`; a preference is
`messages`, `chosen` and `rejected`. Questions and answers are taken from the text as the operations left it
(fields.py), so what was repaired or de-identified is what is learned. A row that is malformed leaves with its reason.
Trade-off: one row gives one example: a conversation is learned with all its answers at once.
Not covered: how a template writes a conversation, and which tokens are learned (train/).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from metier.prepare.fields import BETWEEN, parts
from metier.prepare.flow import Flow, Row, count
from metier.prepare.normalize import clean
from metier.prepare.questions import spread

Turn = dict[str, Any]  # {"role", "content", ...}
SYSTEM, USER, ASSISTANT, TOOL = "system", "user", "assistant", "tool"
NO_ANSWER, EMPTY, ORDER, MOVED = "no answer", "empty turn", "turns out of order", "fields not in the text"
# What may come before a turn of each role; None: the beginning of the conversation.
BEFORE = {SYSTEM: (None, SYSTEM), USER: (None, SYSTEM, ASSISTANT), ASSISTANT: (USER, TOOL), TOOL: (ASSISTANT, TOOL)}


class Refused(NamedTuple):
    """Why a row has no example."""

    reason: str
    detail: str


def text_answers(flow: Flow) -> str:
    """Fill `text`, `pair` and `answer` of every row, or `messages` too where the task holds conversations."""
    if getattr(flow.profile, "conversation", False):
        return _conversations(flow)
    if getattr(flow.profile, "kind", "") == "choice":
        from metier.prepare.choices import choices

        return choices(flow)
    systems = 0
    spread(flow)

    def leaves(row: Row) -> Refused | None:
        nonlocal systems
        found = read_pair(row.metadata, row.text) if row.asked is None else read_question(row.asked, row.text)
        if isinstance(found, Refused):
            return found
        systems += found.pop("system")
        row.pair = found["pair"]
        row.become(found.pop("text"), found)
        return None

    flow.reject(leaves)
    if systems:
        flow.warn(f"{count(systems, 'text')} came with a system prompt of their own, which this task does not read; "
                  "the task `chat` does")  # fmt: skip
    return f"{count(len(flow.rows), 'answer')}, {count(sum(bool(row.pair) for row in flow.rows), 'question')}"


def _conversations(flow: Flow) -> str:
    turns = late = 0

    def leaves(row: Row) -> Refused | None:
        nonlocal turns, late
        metadata = row.metadata
        found, tools = read_conversation(metadata, row.text, flow.quote), read_tools(metadata.get("tools"))
        if isinstance(found, Refused):
            return found
        if isinstance(tools, Refused):
            return tools
        asked, answer, left = found
        turns += sum(turn["role"] == ASSISTANT and turn.get("loss") is not False for turn in asked) + 1
        late += left
        row.become(said(asked), {"messages": _json(asked), "answer": answer, "tools": tools})
        return None

    flow.reject(leaves)
    if late:
        flow.warn(f"{count(late, 'turn')} behind the last answer of a conversation left out: nobody answered them")
    return f"{count(len(flow.rows), 'conversation')} with {count(turns, 'answer')} to learn"


def preferences(flow: Flow) -> str:
    """Fill `messages`, `chosen` and `rejected` of every row."""

    def leaves(row: Row) -> Refused | None:
        found = read_preference(row.metadata, row.text, flow.quote)
        if isinstance(found, Refused):
            return found
        asked = found.pop("messages")
        row.become(said(asked), {**found, "messages": _json(asked)})
        return None

    flow.reject(leaves)
    return count(len(flow.rows), "pair")


def plain_texts(flow: Flow) -> str:
    """Nothing has to be read: the text itself is what is learned."""
    return f"{sum(len(row.text) for row in flow.rows):,} characters"


def read_pair(metadata: Mapping[str, Any], text: str) -> dict[str, Any] | Refused:
    """{"text", "pair", "answer", "system"} of one row; system: whether it has a system prompt. Or why it has none."""
    if "answer" in metadata and "shape" not in metadata:  # columns that the recipe names
        answer = clean(str(metadata["answer"]))
        pair = clean(str(metadata.get("pair") or ""))
        if not answer:
            return Refused(NO_ANSWER, "the answer is empty")
        return {"text": text, "pair": pair, "answer": answer, "system": False}
    turns = read_turns(metadata, text)
    if isinstance(turns, Refused):
        return turns
    system = any(turn["role"] == SYSTEM for turn in turns)
    turns = [turn for turn in turns if turn["role"] != SYSTEM]
    if [turn["role"] for turn in turns] != [USER, ASSISTANT]:
        return Refused(
            "not one question", f"{count(len(turns), 'turn')}; a conversation of several turns is for the task `chat`"
        )
    found = parts(text, metadata) or {}
    asked, answer = turns[0]["content"].strip(), turns[1]["content"].strip()
    if not asked or not answer:
        return Refused(NO_ANSWER, "the answer is empty") if asked else Refused(EMPTY, "nothing is asked")
    if found.get("input") and found.get("instruction"):
        return {"text": found["input"], "pair": found["instruction"], "answer": answer, "system": system}
    return {"text": "", "pair": asked, "answer": answer, "system": system}


def read_question(asked: Mapping[str, Any], text: str) -> dict[str, Any] | Refused:
    """As `read_pair` for one of the questions about a document; of several right answers the first."""
    given = [clean(str(one.get("text") or "")) for one in asked.get("answers") or [] if isinstance(one, Mapping)]
    if not given or not given[0]:
        return Refused(NO_ANSWER, "the question has no answer in its text")
    return {"text": text, "pair": clean(str(asked.get("question") or "")), "answer": given[0], "system": False}


def read_conversation(
    metadata: Mapping[str, Any], text: str, quote: Callable[[Any], str] = repr
) -> tuple[list[Turn], str, int] | Refused:
    """The turns up to the last answer that is to be learned, that answer, and how many turns come after it."""
    turns = read_turns(metadata, text)
    if isinstance(turns, Refused):
        return turns
    if wrong := malformed(turns, quote):
        return wrong
    answers = [place for place, turn in enumerate(turns) if turn["role"] == ASSISTANT]
    if not answers:
        return Refused(NO_ANSWER, "no turn of the assistant")
    learned = [at for at in answers if turns[at]["content"].strip() and turns[at].get("loss") is not False]
    if not learned:
        return Refused(NO_ANSWER, "every turn of the assistant is empty or says that it is not to be learned")
    last = learned[-1]
    return turns[:last], turns[last]["content"].strip(), len(turns) - last - 1


def read_preference(
    metadata: Mapping[str, Any], text: str, quote: Callable[[Any], str] = repr
) -> dict[str, Any] | Refused:
    """{"messages", "chosen", "rejected"} of one row, or why it has none."""
    if metadata.get("chosen") is None or metadata.get("rejected") is None:
        return Refused("no preference", "no chosen and rejected answer")
    found = parts(text, metadata)
    if found is None:
        return Refused(MOVED, "an operation changed the text, and not the places of its fields")
    asked = _side(metadata.get("prompt"), "prompt", found, USER)
    chosen, rejected = (_side(metadata[name], name, found, ASSISTANT) for name in ("chosen", "rejected"))
    if not asked:
        return Refused("no question", "the two answers share no beginning, and there is no prompt")
    for name, side in (("chosen", chosen), ("rejected", rejected)):
        if len(side) != 1 or side[0]["role"] != ASSISTANT:
            return Refused(
                ORDER, f"'{name}' should be one answer, and is {count(len(side), 'turn')}: the two part earlier"
            )
        if not side[0]["content"].strip():
            return Refused(NO_ANSWER, f"'{name}' is empty")
    if wrong := malformed([*asked, chosen[0]], quote):
        return wrong
    both = [side[0]["content"].strip() for side in (chosen, rejected)]
    if both[0] == both[1]:
        return Refused("equal answers", "chosen and rejected are the same")
    return {"messages": asked, "chosen": both[0], "rejected": both[1]}


def read_turns(metadata: Mapping[str, Any], text: str) -> list[Turn] | Refused:
    """The row as a conversation, whatever its shape."""
    found = parts(text, metadata)
    if found is None and "fields" in metadata:
        return Refused(MOVED, "an operation changed the text, and not the places of its fields")
    if isinstance(metadata.get("messages"), list):
        return _side(metadata["messages"], "messages", found, USER)
    if found is None:
        if "answer" not in metadata:
            return Refused(NO_ANSWER, "neither a conversation nor an answer stands beside the text")
        asked = BETWEEN.join(part for part in (text, clean(str(metadata.get("pair") or ""))) if part)
        return [_turn(USER, asked), _turn(ASSISTANT, clean(str(metadata["answer"])))]
    if "correct" in metadata:
        from metier.prepare.choices import as_turns

        return as_turns(metadata, text)
    answer = found.get("completion", found.get("answer"))
    if answer is None:
        return Refused(NO_ANSWER, "its shape has no answer: " + str(metadata.get("shape", "a text")))
    parts_asked = [found[name] for name in ("instruction", "input", "prompt", "question") if found.get(name)]
    turns = [_turn(SYSTEM, found["system"])] if found.get("system") else []
    return [*turns, *_earlier(metadata), _turn(USER, BETWEEN.join(parts_asked)), _turn(ASSISTANT, answer)]


def malformed(turns: Sequence[Turn], quote: Callable[[Any], str] = repr) -> Refused | None:
    """What is wrong with the order of the turns, or with one of them. quote: how a cell of the data stands in it."""
    before = None
    for number, turn in enumerate(turns, 1):
        role = turn["role"]
        if role not in BEFORE:
            return Refused("unknown role", f"turn {number} is of {quote(role):.40}; known: {', '.join(BEFORE)}")
        if before not in BEFORE[role]:
            return Refused(
                ORDER, f"turn {number}, {role}, stands {f'behind {before}' if before else 'at the beginning'}"
            )
        if not turn["content"].strip() and not turn.get("tool_calls") and role != TOOL:
            return Refused(EMPTY, f"turn {number}, {role}, says nothing")
        before = role
    return None


def read_tools(cell: Any) -> str | Refused:
    """The tools of a conversation as JSON, "" where there are none."""
    if cell in (None, "", [], {}):
        return ""
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except ValueError:
            return Refused("malformed tools", "the cell with the tools is no JSON")
    return _json(cell)


def said(turns: Sequence[Turn]) -> str:
    """What the turns say, without the system prompt, which many conversations share."""
    return BETWEEN.join(turn["content"].strip() for turn in turns if turn["role"] != SYSTEM and turn["content"].strip())


def _side(given: Any, name: str, found: Mapping[str, str] | None, role: str) -> list[Turn]:
    """Turns whose contents are those of the text; a plain text is one turn of the role."""
    if not isinstance(given, list):
        content = (found or {}).get(name, "" if found is not None else str(given or ""))
        return [_turn(role, content)] if content else []
    turns = []
    for number, turn in enumerate(given):
        kept = {key: value for key, value in turn.items() if key not in ("role", "content", "weight")}
        own = clean(str(turn.get("content") or ""))
        content = own if found is None else found.get(f"{name}.{number}.content", "")
        loss = {"loss": False} if turn.get("weight") == 0 or turn.get("loss") is False else {}
        turns.append({"role": turn.get("role", ""), "content": content, **kept, **loss})
    return turns


def _earlier(metadata: Mapping[str, Any]) -> list[Turn]:
    """Alpaca's `history`: questions and answers of before."""
    turns = []
    for entry in metadata.get("history") or []:
        if isinstance(entry, (list, tuple)) and len(entry) == 2:
            turns += [_turn(USER, clean(str(entry[0]))), _turn(ASSISTANT, clean(str(entry[1])))]
    return turns


def _turn(role: str, content: str) -> Turn:
    return {"role": role, "content": content}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


Reader = Callable[[Flow], str]
# The column of the examples that holds the answer -> what fills it.
READERS: dict[str, Reader] = {"answer": text_answers, "text": plain_texts, "chosen": preferences}
