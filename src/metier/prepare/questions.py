"""Questions about a document: a row for each, and its gold answers found again in the repaired text.

Purpose: a context is collected, cleaned and compared once, with its questions beside it (`metadata.questions`, see
collect/questions.py); here each question becomes a row of its own over the same text. The rows of a document carry its
group, or its id as group, so that no split can part them.
An answer is looked up by its words near to where it stood. One whose words do not stand in the text, because it says
the thing in other words or an operation changed them, is left out and counted; a question that loses all of its answers
that way leaves with the reason, because learning "no answer" from it would be wrong.
Not covered: answers that are made of several pieces.
"""

from __future__ import annotations

from typing import Any

from metier.errors import UserError
from metier.prepare.flow import Flow, Row, count
from metier.prepare.spans import locate
from metier.tables import digest

LOST = "answer not in the text"


def spread(flow: Flow) -> None:
    """Put in place of each document that has questions one row for each of them; others stay as they are."""
    rows: list[Row] = []
    for row in flow.rows:
        questions = row.metadata.get("questions")
        if not isinstance(questions, list):
            rows.append(row)
            continue
        asked = [question for question in questions if isinstance(question, dict)]
        for number, question in enumerate(asked):
            rows.append(_about(row, question, number))
        if not asked:
            rows.append(row)  # leaves below: there is nothing to be read with it
        flow.made += max(0, len(asked) - 1)
    flow.rows = rows


def told(row: Row, name: str) -> Any:
    """What was collected under this name: with the row's question, or with its document."""
    return row.asked.get(name) if row.asked is not None else row.metadata.get(name)


def read_answers(flow: Flow) -> str:
    """Fill `answers` of every row; rows that have none to learn from leave with the reason."""
    gone = 0

    def leaves(row: Row) -> tuple[str, str] | None:
        nonlocal gone
        given = told(row, "answers")
        if given is None:
            return "no answers", "nothing says whether the question has an answer in the text"
        if not given:
            row.answers = []
            why = "the question has no answer in its text, and task.no_answer is off"
            return None if flow.task.no_answer else ("no answer", why)
        found = _places(row.text, given)
        if not found:
            return LOST, f"{flow.quote(given[0]['text']):.60} does not stand in the repaired text"
        gone += len(given) - len(found)
        row.answers = [{"start": start, "end": end} for start, end in dict.fromkeys(found)]
        return None

    flow.reject(leaves)
    none = sum(not row.answers for row in flow.rows)
    note = f"{count(len(flow.rows), 'question')} about {count(len({row.group for row in flow.rows}), 'group')}"
    return note + (f", {none:,} without an answer" if none else "") + (
        f"; {gone:,} further gold answers do not stand in their text" if gone else "")  # fmt: skip


def no_answers(flow: Flow) -> None:
    """Every document left: say what is missing and what to bring."""
    raise UserError(
        "no document has questions with answers that can be used",
        "prepare, step task: " + ", ".join(f"{number:,} × {reason}" for reason, number in flow.reasons.most_common()),
        "bring rows with `context`, `question` and `answers` ({text, answer_start}), or a file as SQuAD has it",
    )


def _about(row: Row, question: dict[str, Any], number: int) -> Row:
    made = Row(digest(row.id, "question", str(number)), f"{row.source}?{question.get('id') or number + 1}",
               language=row.language, group=row.group or row.id, split=row.split)  # fmt: skip
    made.texts, made.place, made.time = row.texts, row.place, row.time
    if row.texts is None:
        made._text, made._metadata = row.text, row.metadata
    made.asked, made._ids = question, [row.id]
    return made


def _places(text: str, given: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Where each gold answer stands now, in the order given; without those that stand nowhere."""
    order = sorted((number for number, one in enumerate(given) if one["start"] >= 0), key=lambda n: given[n]["start"])
    found = locate(text, [(given[number]["start"], given[number]["text"]) for number in order])
    by_number = dict(zip(order, found, strict=True))
    return [place for number in range(len(given)) if (place := by_number.get(number)) is not None]
