"""Texts with marked spans: nothing of the text is lost or shown twice, and every span has its kind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metier.report.marks import pieces, types_only

TEXT = "take aspirin and ibuprofen for a low fever today"


def marks(gold: list[Any], tuned: list[Any]) -> str:
    return json.dumps({"gold": gold, "base": [], "tuned": tuned})


def test_each_span_is_found_missed_or_invented() -> None:
    shown = pieces(TEXT, marks([[5, 12, "drug"], [17, 26, "drug"]], [[5, 12, "drug"], [43, 48, "time"]]), 500)
    assert [(p["text"], p["kind"], p["label"]) for p in shown] == [
        ("take ", "", ""), ("aspirin", "found", "drug"), (" and ", "", ""), ("ibuprofen", "missed", "drug"),
        (" for a low fever ", "", ""), ("today", "extra", "time"),
    ]  # fmt: skip
    assert "".join(p["text"] for p in shown) == TEXT


def test_a_wrong_border_is_a_missed_and_an_invented_span() -> None:
    shown = pieces(TEXT, marks([[33, 42, "sign"]], [[37, 42, "sign"]]), 500)
    assert [p["kind"] for p in shown if p["kind"]] == ["missed", "extra"]
    assert {p["text"] for p in shown if p["kind"]} == {"low fever", "fever"}


def test_a_long_text_is_cut_around_its_first_mistake() -> None:
    text = "x" * 300 + " fever " + "y" * 300
    shown = pieces(text, marks([[301, 306, "sign"]], []), 100)
    whole = "".join(p["text"] for p in shown)
    assert whole.startswith("… ") and "fever" in whole and len(whole) < 130 and whole.endswith("]")
    assert [p["text"] for p in shown if p["kind"] == "missed"] == ["fever"]


@pytest.mark.parametrize("name", ["gold", "tuned"])
def test_hidden_texts_show_types_only(name: str) -> None:
    assert types_only(marks([[0, 4, "a"], [5, 12, "b"]], [[0, 4, "a"], [5, 12, "b"]]), name) == "1 × a, 1 × b"


def test_the_page_marks_broken_cases_in_both_languages(tmp_path: Any) -> None:
    from tests.report import facts as facts_of

    from metier.report.config import ReportConfig
    from metier.report.stage import page

    made = facts_of.bank()
    case = {"id": "e1", "source": "a#1", "group": "", "text": TEXT, "gold": "aspirin (drug)", "base": "aspirin (drug)",
            "tuned": "", "kind": "broken", "severity": 1.0, "marks": marks([[5, 12, "drug"]], [])}  # fmt: skip
    made["cases"] = [case]
    shown = page(ReportConfig(), made)
    assert shown.count('<mark class="m-missed"><span aria-hidden="true">✕</span>aspirin<small>drug</small></mark>') == 4
    assert "✕ missed" in shown and "✕ 漏标" in shown
    hidden = page(ReportConfig(show_texts=False), made)
    assert "aspirin" not in hidden and "1 × drug" in hidden
