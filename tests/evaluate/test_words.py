"""Answers in words: the rules of SQuAD and CMRC, both languages, and what no answer means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.evaluate.words import exact_match, token_f1, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Notice, period!", ("notice", "period")),
        ("the don't-touch rule", ("donttouch", "rule")),  # as SQuAD's script joins them
        ("30 days（日历日）", ("30", "days", "日", "历", "日")),
        ("《合同法》第12条", ("合", "同", "法", "第", "12", "条")),
        ("１２３ＡＢＣ", ("123abc",)),
        ("$1,200.50.", ("1200.50",)),
        ("A", ("a",)),  # a grade, not an article
        ("!?", ("!?",)),
        ("soft\u00adware \u200b", ("software",)),
        (" \n", ()),
        ("👍 fine", ("👍", "fine")),
    ],
)
def test_words(text: str, expected: tuple[str, ...]) -> None:
    assert words(text) == expected


def test_the_best_gold_answer_counts() -> None:
    assert exact_match("thirty days", ["30 days", "Thirty Days."]) == 1.0
    assert token_f1("thirty days notice", ["30 days", "thirty days"]) == pytest.approx(0.8)
    assert token_f1("北京市", ["北京"]) == pytest.approx(0.8)


def test_words_count_as_often_as_they_stand() -> None:
    assert token_f1("very very good", ["very good"]) == pytest.approx(0.8)
    assert token_f1("哈哈哈", ["哈"]) == pytest.approx(0.5)


def test_no_answer() -> None:
    assert exact_match("", []) == token_f1("", []) == 1.0
    assert exact_match("x", []) == token_f1("x", []) == 0.0
    assert exact_match("", ["x"]) == token_f1("", ["x"]) == 0.0


def test_numbers_keep_their_point() -> None:
    assert exact_match("3.5", ["35"]) == 0.0
    assert exact_match("1,000", ["1000"]) == 1.0


@given(st.text(max_size=40), st.lists(st.text(max_size=40), max_size=3))
def test_an_identical_answer_is_perfect(answer: str, others: list[str]) -> None:
    gold = [*others, answer]
    assert exact_match(answer, gold) == token_f1(answer, gold) == 1.0


@given(st.text(max_size=40), st.text(max_size=40))
def test_f1_is_symmetric_and_never_below_exact_match(one: str, other: str) -> None:
    assert token_f1(one, [other]) == token_f1(other, [one])
    assert exact_match(one, [other]) <= token_f1(one, [other]) <= 1.0
