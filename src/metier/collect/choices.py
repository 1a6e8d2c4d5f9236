"""Rows with a question, its options and the right one: the layouts of public multiple-choice data, as one form.

Purpose: options stand in one cell (a list, {"A": ...}, {"text": [...], "label": [...]}, [{"label", "text"}]) or in a
column each (A, B, C, D; opa, opb; option1, option2; ending0, ...), and the right one is named by letter, by its words
or by number. Numbers are read only where the table shows whether they count from 0 or from 1; the name of the shape's
field says which (`answer_from_0`, `answer_from_1`).
Not covered: several right options (those rows are told as malformed), options in the text of the question.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from metier.collect.roles import plain
from metier.collect.spans import Misfit, structure
from metier.lettering import LETTERS

LEAST, MOST = 2, 10  # options of a question
QUESTIONS = (
    "question",
    "query",
    "问题",
    "题目",
    "题干",
    "stem",
    "input",
    "instruction",
    "prompt",
    "ctx",
    "sentence",
    "text",
)
OPTIONS = ("options", "choices", "选项", "candidates", "endings", "alternatives")
ANSWERS = ("answer", "answerkey", "answer_key", "答案", "正确答案", "correct_answer", "correct", "answer_idx",
           "answer_index", "cop", "gold", "target", "label", "output")  # fmt: skip
CONTEXTS = ("context", "passage", "article", "support", "材料", "段落", "文章")
_COLUMNS = (
    "{}",
    "option_{}",
    "option{}",
    "opt{}",
    "op{}",
    "choice_{}",
    "choice{}",
    "选项{}",
    "ending{}",
    "ans{}",
    "answer{}",
)
_LETTER = re.compile(r"[(（\[]?\s*([A-Ja-j])\s*[)）\].．、:：]?")


def columns(names: Sequence[str]) -> list[str]:
    """The columns that hold an option each, in their order, under their plain names; [] where there are none."""
    have = set(names)
    for form in _COLUMNS:
        for marks in (LETTERS.casefold(), "123456789", "0123456789"):
            found = []
            for mark in marks:
                if (name := plain(form.format(mark))) not in have:
                    break
                found.append(name)
            if LEAST <= len(found) <= MOST and not (form == "{}" and marks[0].isdigit()):
                return found
    return []


def listed(cell: Any) -> dict[str, str] | None:
    """Marks (letters) and words of the options of one cell; None where it holds none."""
    found = structure(cell)
    if isinstance(found, Mapping) and isinstance(found.get("text"), (list, tuple)):
        texts = [*found["text"]]
        labels = [str(mark) for mark in found.get("label") or LETTERS[: len(texts)]]
        pairs = list(zip(labels, texts, strict=False)) if len(labels) >= len(texts) else []
    elif isinstance(found, Mapping):
        pairs = [(str(mark), text) for mark, text in sorted(found.items())]
    elif isinstance(found, (list, tuple)) and found and all(isinstance(one, Mapping) for one in found):
        pairs = [(str(one.get("label", one.get("key", ""))), one.get("text", one.get("content"))) for one in found]
    elif isinstance(found, (list, tuple)):
        pairs = list(zip(LETTERS, found, strict=False)) if len(found) <= MOST else []
    else:
        return None
    if not LEAST <= len(pairs) <= MOST or any(isinstance(text, (list, tuple, Mapping)) for _, text in pairs):
        return None
    return {mark: "" if text is None else str(text) for mark, text in pairs} if len(dict(pairs)) == len(pairs) else None


def counts_from(answers: Sequence[Any], sizes: Sequence[int], words: Sequence[Sequence[str]]) -> int | None:
    """Whether numbers name the options from 0 or from 1; None where the answers are no numbers, or do not show it.

    sizes: options of each row. words: the options, because "4" may also be the words of one.
    """
    numbers = [_whole(cell) for cell in answers]
    filled = [
        (number, size) for number, size, cell in zip(numbers, sizes, answers, strict=True) if cell not in (None, "")
    ]
    if not filled or any(number is None or not 0 <= number <= size for number, size in filled):
        return None
    if all(isinstance(cell, str) and cell in own for cell, own in zip(answers, words, strict=True) if cell):
        return None
    first = any(number == 0 for number, _ in filled)
    last = any(number == size for number, size in filled)
    return None if first == last else 0 if first else 1


def right(cell: Any, marks: Sequence[str], texts: Sequence[str], start: int | None) -> int:
    """The place of the right option. Misfit: the cell names none, or several. start: what numbers count from."""
    if start is not None:
        number = _whole(cell)
        if number is None or not start <= number < len(texts) + start:
            raise Misfit("answer", f"is {cell!r}, and there are {len(texts)} options, counted from {start}")
        return number - start
    said = _folded(cell)
    if not said:
        raise Misfit("answer", "is missing")
    same = [place for place, text in enumerate(texts) if _folded(text) == said]
    named = [place for place, mark in enumerate(marks) if mark.casefold() == said.strip("().:（）、 ")]
    letter = _LETTER.fullmatch(said)
    if not named and letter and all(mark in LETTERS for mark in marks):
        named = [place for place in [ord(letter[1].upper()) - ord("A")] if place < len(texts)]
    found = named or same
    if len(found) == 1:
        return found[0]
    if re.fullmatch(r"[a-j](?:[\s,，、;；]*[a-j])+", said):
        raise Misfit("answer", f"names several options ({cell}); one right answer is wanted")
    if _whole(cell) is not None:
        raise Misfit("answer", f"is {cell!r}, and nothing shows whether options count from 0 or from 1")
    raise Misfit("answer", f"is {str(cell)[:40]!r}, and no option is called or reads so")


def mostly_named(answers: Sequence[Any], words: Sequence[Sequence[str]], start: int | None) -> bool:
    """Whether most of the answers name one or several options, so that the column is what it looks like."""
    filled = [(cell, own) for cell, own in zip(answers, words, strict=True) if cell not in (None, "")]
    good = 0
    for cell, own in filled:
        try:
            right(cell, LETTERS[: len(own)], own, start)
            good += 1
        except Misfit as error:
            good += "several" in error.what or "count from" in error.what
    return not answers or (bool(filled) and good >= len(filled) / 2)


def _whole(cell: Any) -> int | None:
    if isinstance(cell, bool) or cell is None:
        return None
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() else None
    text = unicodedata.normalize("NFKC", str(cell)).strip()
    return int(text) if re.fullmatch(r"\d{1,2}(?:\.0)?", text.replace(".0", "")) else None


def _folded(cell: Any) -> str:
    return " ".join(unicodedata.normalize("NFKC", "" if cell is None else str(cell)).casefold().split())
