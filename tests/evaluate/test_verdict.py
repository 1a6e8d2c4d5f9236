"""Verdicts, table-driven: criteria and figures in, decision and sentences out."""

from __future__ import annotations

from typing import Any

import pytest

from metier.evaluate.criteria import parse
from metier.evaluate.verdict import Evidence, Key, decide, shortfalls, with_checks
from metier.evaluate.wording import hundred, number


def row(
    difference: float | None, low: float | None, high: float | None, outcome: str, better: str = "higher"
) -> dict[str, Any]:
    return {"difference": difference, "low": low, "high": high, "outcome": outcome, "better": better}


def evidence(
    rows: dict[str, dict[str, Any]] | None = None, value: Any = 0.93, low: Any = 0.92, high: Any = 0.94
) -> Evidence:
    figures: dict[Key, dict[str, Any]] = {
        ("accuracy", "", ""): {"value": value, "low": low, "high": high, "n": 1000},
        ("recall", "fraud", ""): {"value": 0.81, "low": 0.7, "high": 0.9, "n": 60},
    }
    return Evidence("accuracy", figures, {("accuracy", "", model): given for model, given in (rows or {}).items()})


GOOD = row(0.03, 0.01, 0.05, "better")
MAYBE = row(0.01, -0.01, 0.03, "same")
BAD = row(-0.02, -0.04, -0.01, "worse")
LEVEL = row(0.0, -0.02, 0.02, "same")


@pytest.mark.parametrize(
    ("criteria", "given", "met", "decision"),
    [
        (["accuracy >= 0.9"], evidence(), ["yes"], "SIGN OFF"),
        (["accuracy >= 0.92"], evidence(), ["yes"], "SIGN OFF"),
        (["accuracy > 0.92"], evidence(), ["unclear"], "CONDITIONAL"),
        (["accuracy >= 0.925"], evidence(), ["unclear"], "CONDITIONAL"),
        (["accuracy >= 0.95"], evidence(), ["no"], "REJECT"),
        (["accuracy >= 0.9", "recall[fraud] >= 0.8"], evidence(), ["yes", "unclear"], "CONDITIONAL"),
        (["accuracy >= 0.95", "recall[fraud] >= 0.8"], evidence(), ["no", "unclear"], "REJECT"),
        (["accuracy > base"], evidence({"base": GOOD}), ["yes"], "SIGN OFF"),
        (["accuracy > base + 0.01"], evidence({"base": GOOD}), ["unclear"], "CONDITIONAL"),
        (["accuracy > base + 0.05"], evidence({"base": GOOD}), ["no"], "REJECT"),
        (["accuracy > base"], evidence({"base": MAYBE}), ["unclear"], "CONDITIONAL"),
        (["accuracy > base"], evidence({"base": {**GOOD, "outcome": "same"}}), ["unclear"], "CONDITIONAL"),
        (["accuracy >= base - 0.02"], evidence({"base": MAYBE}), ["yes"], "SIGN OFF"),
        (["accuracy >= base - 0.02"], evidence({"base": BAD}), ["unclear"], "CONDITIONAL"),
        (["accuracy >= base - 0.01"], evidence({"base": BAD}), ["no"], "REJECT"),
        (["accuracy >= 0.9"], evidence(low=None, high=None), ["unclear"], "CONDITIONAL"),
        (["accuracy >= 0.9"], evidence(value=None, low=None, high=None), ["unclear"], "CONDITIONAL"),
        (["accuracy > base"], evidence(), ["unclear"], "CONDITIONAL"),
        ([], evidence(), [], "CONDITIONAL"),
    ],
)
def test_decisions(criteria: list[str], given: Evidence, met: list[str], decision: str) -> None:
    verdict = decide([parse(text) for text in criteria], given, "recipe")
    assert [reason["met"] for reason in verdict["reasons"]] == met and verdict["decision"] == decision
    for reason in verdict["reasons"]:
        assert reason["text"].endswith(".") and reason["text_zh"].endswith("。")
        assert "None" not in reason["text"] and "nan" not in reason["text"].lower()


def test_smaller_is_better() -> None:
    figures: dict[Key, dict[str, Any]] = {("mae", "", ""): {"value": 0.2, "low": 0.18, "high": 0.22, "n": 100}}
    rows: dict[Key, dict[str, Any]] = {("mae", "", "base"): row(-0.05, -0.07, -0.03, "better", "lower")}
    given = Evidence("mae", figures, rows)
    found = decide(
        [parse(t) for t in ("mae <= 0.23", "mae <= 0.21", "mae < base", "mae < base - 0.04")], given, "recipe"
    )
    assert [reason["met"] for reason in found["reasons"]] == ["yes", "unclear", "yes", "unclear"]
    assert found["headline"].startswith("2 of 4 criteria cannot be confirmed") and not shortfalls(given)
    assert "0.05 lower" in found["reasons"][2]["text"] and "低 0.05" in found["reasons"][2]["text_zh"]


def test_a_floor_that_is_not_beaten_is_said_first_whatever_the_criteria() -> None:
    given = evidence({"base": GOOD, "tfidf": MAYBE})
    verdict = decide([parse("accuracy >= 0.9")], given, "recipe")
    assert verdict["decision"] == "SIGN OFF"
    assert verdict["headline"].startswith(
        "The tuned model is not shown to be better than the word-counting model (tfidf)."
    )
    assert verdict["headline_zh"].startswith("尚不能证明微调模型优于词频模型")


def test_the_worst_shortfall_comes_first() -> None:
    said = shortfalls(evidence({"base": MAYBE, "tfidf": BAD, "majority": LEVEL}))
    assert [text.split(".")[0] for text, _ in said] == [
        "The tuned model is worse than the word-counting model (tfidf)",
        "The tuned model is no better than always giving the most frequent answer",
        "The tuned model is not shown to be better than the untouched base model",
    ]


def test_sentences_for_people() -> None:
    found = decide([parse("accuracy >= 0.9"), parse("accuracy >= base - 0.02")], evidence({"base": GOOD}), "recipe")
    assert found["reasons"][0]["text"] == (
        "Of 100 texts the tuned model gets 93 right (between 92 and 94); asked for: at least 90. Met."
    )
    assert found["reasons"][0]["text_zh"] == (
        "每 100 条文本中，微调模型判对 93 条（介于 92 与 94 之间）；要求：不低于 90。达到。"
    )
    assert found["reasons"][1]["text"] == (
        "Of 100 texts the tuned model gets 3 more right than the untouched base model (between 1 more and 5 more); "
        "allowed: worse by at most 2 of 100 texts. Met."
    )
    assert found["headline"].startswith("All 2 criteria are met.")
    assert decide([parse("recall[fraud] >= 0.8")], evidence(), "recipe")["reasons"][0]["text"].startswith(
        "Of 100 texts that belong to 'fraud' the tuned model finds 81 (between 70 and 90)"
    )


def test_numbers_for_people() -> None:
    assert [hundred(x) for x in (0.9312, 0.93, 1.0, 0.0, 0.9999, 0.5)] == ["93.1", "93", "100", "0", "99.99", "50"]
    assert [number(x) for x in (0.1234, 12.0, 0.00123, 0.0)] == ["0.123", "12", "0.00123", "0"]


def test_figures_of_checks_are_judged_with_their_own_title() -> None:
    block = {"privacy": {"figures": {
        "membership_auc": {"title": {"en": "Membership inference (AUC)", "zh": "成员推断（AUC）"}, "value": 0.55,
                           "low": 0.51, "high": 0.59, "n": 400, "better": "lower", "percent": False},
        "exposure": {"title": {"en": "Exposure", "zh": "暴露度"}, "value": None, "low": None, "high": None, "n": 0,
                     "better": "lower", "percent": False},
    }}}  # fmt: skip
    given = with_checks(evidence(), block)
    criteria = ["privacy.membership_auc <= 0.6", "privacy.membership_auc <= 0.57", "privacy.membership_auc <= 0.5",
                "privacy.exposure <= 3"]  # fmt: skip
    verdict = decide([parse(text) for text in criteria], given, "recipe")
    assert [reason["met"] for reason in verdict["reasons"]] == ["yes", "unclear", "no", "unclear"]
    assert verdict["reasons"][0]["text"].startswith("Membership inference (AUC): 0.55 (between 0.51 and 0.59); allowed")
    assert verdict["reasons"][0]["text_zh"].startswith("成员推断（AUC）：0.55")
    assert "Exposure: no result" in verdict["reasons"][3]["text"]
