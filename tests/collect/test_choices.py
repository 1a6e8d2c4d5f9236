"""Tables of questions with options: every usual layout is one form, and what is no single right answer is told."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest

from metier.collect.shapes import recognise
from metier.collect.shaping import make
from metier.collect.spans import Misfit

Q = {"question": "Which?"}
FOUR = {"A": "一", "B": "二", "C": "三", "D": "四"}
LAYOUTS: dict[str, list[dict[str, Any]]] = {
    "letters in columns": [{**Q, **FOUR, "answer": "B"}],
    "a Chinese examination": [{"题目": "哪一个？", **{f"选项{k}": v for k, v in FOUR.items()}, "答案": "Ｂ"}],
    "input and output": [{"input": "哪一个？", "output": "B", **FOUR, "source": "s"}],
    "a list and a number from 0": [{**Q, "choices": [*FOUR.values()], "answer": 1},
                                   {**Q, "choices": [*FOUR.values()], "answer": 0}],
    "columns and a number from 1": [{**Q, "opa": "一", "opb": "二", "opc": "三", "opd": "四", "cop": 2},
                                    {**Q, "opa": "一", "opb": "二", "opc": "三", "opd": "四", "cop": 4}],
    "texts and labels": [{**Q, "choices": {"text": [*FOUR.values()], "label": [*FOUR]}, "answerKey": "B"}],
    "labelled texts": [{**Q, "choices": [{"label": k, "text": v} for k, v in FOUR.items()], "answerKey": "B"}],
    "an object, and the words": [{**Q, "options": FOUR, "answer": "二", "answer_idx": "B"}],
    "an object as JSON": [{**Q, "options": '{"A": "一", "B": "二", "C": "三", "D": "四"}', "answer": "(B)"}],
    "options with numbers": [{"sentence": "Which?", "option1": "一", "option2": "二", "option3": "三", "option4": "四",
                              "answer": "2"}, {"sentence": "Which?", "option1": "一", "option2": "二", "option3": "三",
                                               "option4": "四", "answer": "4"}],
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_one_form(layout: str) -> None:
    rows = LAYOUTS[layout]
    shape = recognise(list(rows[0]), rows)
    assert shape is not None and shape.name == "choice"
    (made,) = make(shape, rows[0])
    assert (made.metadata["options"], made.metadata["correct"]) == ([*FOUR.values()], 1)
    for field in made.metadata["fields"]:
        wanted = made.metadata["question"] if field["path"] == "question" else "一二三四"[int(field["path"][-1])]
        assert made.text[field["start"] : field["end"]] == wanted


def test_a_question_may_have_fewer_options_and_a_text_to_read() -> None:
    rows = [{"passage": "Long ago.", **Q, "A": "x", "B": "y", "C": "", "D": None, "answer": "y"},
            {"passage": "Long ago.", **Q, **FOUR, "answer": "D"}]  # fmt: skip
    shape = recognise(list(rows[0]), rows)
    assert shape is not None
    (made,) = make(shape, rows[0])
    assert made.metadata["options"] == ["x", "y"] and made.metadata["correct"] == 1
    assert made.text.startswith("Long ago.\n\nWhich?")


@pytest.mark.parametrize(("row", "field", "what"), [
    ({**Q, **FOUR, "answer": "AB"}, "answer", "names several options"),
    ({**Q, **FOUR, "answer": "A, C"}, "answer", "names several options"),
    ({**Q, **FOUR, "answer": "E"}, "answer", "no option is called or reads so"),
    ({**Q, **FOUR, "answer": ""}, "answer", "is missing"),
    ({**Q, **FOUR, "B": "一", "answer": "A"}, "options", "two of them are the same"),
    ({**Q, **FOUR, "B": " ", "answer": "A"}, "options", "option B is empty"),
    ({**Q, **FOUR, "answer": 2}, "answer", "nothing shows whether options count from 0 or from 1"),
])  # fmt: skip
def test_what_is_no_single_right_answer_is_told(row: dict[str, Any], field: str, what: str) -> None:
    good = {**Q, **FOUR, "answer": "B"}
    shape = recognise(list(good), [good])
    assert shape is not None
    with pytest.raises(Misfit, match=what) as told:
        make(shape, row)
    assert told.value.field == field


def test_numbers_that_do_not_show_where_they_begin_are_not_guessed() -> None:
    rows = [{**Q, "choices": ["x", "y", "z"], "answer": 1}]
    shape = recognise(list(rows[0]), rows)
    assert shape is not None and shape.columns["answer"] == "answer"
    with pytest.raises(Misfit, match="count from 0 or from 1"):
        make(shape, rows[0])


def test_columns_that_happen_to_be_called_so_are_no_options() -> None:
    rows = [
        {"text": "a mail", "label": "spam", "A": 0.3, "B": 1.5},
        {"text": "hello", "label": "ham", "A": 0.1, "B": 2},
    ]
    assert recognise(list(rows[0]), rows, answered=True) is None
    asked = [{"question": "how?", "answer": "so", "options": "none"}]
    assert getattr(recognise(list(asked[0]), asked), "name", "") == "question-answer"


@pytest.mark.realdata
def test_chinese_law_examinations_are_read_whole() -> None:
    root = Path(os.environ.get("METIER_DATA_MIRROR") or Path(__file__).parents[3] / "shared" / "data")
    folder = root / "legal" / "disclaw-eval-zh" / "objective"
    if not folder.is_dir():
        pytest.skip(f"needs legal/disclaw-eval-zh below METIER_DATA_MIRROR (looked in {root})")
    made = refused = 0
    for file in sorted(folder.glob("mcq_sing_*.csv")):
        rows = list(csv.DictReader(file.open(encoding="utf-8-sig", newline="")))
        shape = recognise(list(rows[0]), rows)
        assert shape is not None and shape.name == "choice", file.name
        for row in rows:
            try:
                made += len(make(shape, row)[0].metadata["options"]) == 4
            except Misfit as misfit:
                refused += 1
                assert "two of them are the same" in str(misfit)
    assert (made, refused) == (1614, 3)
