"""Ends of sentences in Chinese, English and both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.prepare.sentences import sentences


@pytest.mark.parametrize(
    "expected",
    [
        ["Dr. Smith saw Mr. J. R. Brown on Jan. 5.", "He takes 2.5 mg q.d. for it.", "No change."],
        ["In Smith v. Jones, 12 F.3d 45 (2d Cir. 1999), the court relied on Sec. 5.1.", "It was reversed."],
        ["The fund lost 3.5 percent, i.e. $1.2 million.", "Why?", "Costs rose!"],
        ["Acme Inc. pays Beta Ltd. the price.", "It was founded by Acme Inc.", "The price is due."],
        ["See art. 12 (the rule applies. always) and go on.", "Then stop."],
        ['"Stop!" he said.', "He left."],
        ["患者，男，56岁。", "体温36.5℃！", "是否过敏？", "否。"],
        ["他问：“吃药了吗？”", "患者未答。"],
        ["“真的吗？”她问道。", "医生点头。"],
        ["甲方应当：（一）付款；", "（二）验收；", "（三）归档。"],
        ["参见《谁来承担风险？》一文（作者不详。）的结论。", "下文从略。"],
        ["患者服用 aspirin 100 mg q.d. 三天。", "Then 复诊。", "OK!"],
    ],
)
def test_sentences(expected: list[str]) -> None:
    text = ("" if "\u3002" in "".join(expected) else " ").join(expected)
    assert [text[start:end] for start, end in sentences(text)] == expected


def test_lines() -> None:
    text = ("# Plan\n1. Term\nThe term of this agreement is two years and it may\nbe extended.\n\nNo more\n"
            "第一条 本法所称的商业银行，是指依照本法的规定在中国境内设立的\n企业法人。\n第二条 略")  # fmt: skip
    assert [text[start:end].count("\n") for start, end in sentences(text)] == [0, 0, 1, 0, 1, 0]


@given(st.text("Aa. 。！？”“（）《》…;；\n\t1V", max_size=60))
def test_nothing_is_lost(text: str) -> None:
    last = 0
    for start, end in sentences(text):
        assert last <= start < end and not text[last:start].strip()
        assert text[start:end] == text[start:end].strip()
        last = end
    assert not text[last:].strip()
