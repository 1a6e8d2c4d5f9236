"""Pairs: from a column of their own or from the end of a text that holds both; equal documents are no duplicates."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.prepare.conftest import document

from metier.train.config import TaskConfig

PAIR = TaskConfig(pair=True)
ANSWERS = ("yes", "no")


def paired(number: int, text: str, label: str, group: str = "", **fields: str) -> dict[str, Any]:
    row = document(number, text, label, group=group)
    return {**row, "metadata": json.dumps({**json.loads(row["metadata"]), **fields}, ensure_ascii=False)}


def contracts(n: int = 12) -> list[dict[str, Any]]:
    """The same two questions about each of n contracts, answered differently."""
    return [
        paired(2 * i + k, f"contract {chr(97 + i)}{chr(110 - i)} binds party {i}", ANSWERS[(i + k) % 2], f"c{i}",
               pair=f"may they share it, question {'ab'[k]}?")
        for i in range(n) for k in range(2)
    ]  # fmt: skip


def test_many_questions_about_one_document_stay_and_stay_together(stage: Any) -> None:
    done = stage(contracts(), task=PAIR)
    assert len(done.examples) == 24 and done.reasons() == {}
    assert {row["pair"] for row in done.examples} == {f"may they share it, question {k}?" for k in "ab"}
    assert all(len(splits) == 1 for splits in done.sides("group").values())
    assert done.conflicts == []


def test_the_second_text_of_a_known_shape_is_taken_off_the_text(stage: Any) -> None:
    documents = [
        paired(i, f"premise {chr(97 + i)}\n\nhypothesis {chr(110 - i)}\u200b", ANSWERS[i % 2],
               first=f"premise {chr(97 + i)}", second=f"hypothesis {chr(110 - i)}\u200b")
        for i in range(12)
    ]  # fmt: skip
    done = stage(documents, task=PAIR)
    assert {(row["text"], row["pair"]) for row in done.examples} == {
        (f"premise {chr(97 + i)}", f"hypothesis {chr(110 - i)}") for i in range(12)
    }


def test_the_same_pair_twice_with_different_answers_is_a_conflict(stage: Any) -> None:
    documents = [
        *contracts(),
        paired(90, "contract an binds party 0", "no", "c0", pair="may they share it, question a?"),
    ]
    assert stage(documents, task=PAIR).reasons() == {"conflicting label": 2}


@pytest.mark.parametrize("fields", [{}, {"pair": " "}, {"second": "words that are not there"}])
def test_a_missing_second_text_is_a_reason(fields: dict[str, str], stage: Any) -> None:
    done = stage([*contracts(), paired(90, "contract zz", "no", "c99", **fields)], task=PAIR)
    assert done.reasons() == {"no pair": 1}
