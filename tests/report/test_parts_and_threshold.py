"""The sections on parts of the test set and on what can be answered without a person, in both languages."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import html

from metier.report.config import ReportConfig
from metier.report.stage import page

from .facts import bank, comparison, figure


def part(column: str, value: str, accuracy: float, outcome: str, n: int = 120) -> dict[str, Any]:
    return {
        "column": column, "value": value, "metric": "accuracy", "n": n, "groups": None,
        "models": {"tuned": figure(accuracy, n), "base": figure(0.85, n)},
        "comparisons": [comparison("base", round(accuracy - 0.85, 6), 0.03, outcome)],
    }  # fmt: skip


def with_parts(count: int = 3) -> dict[str, Any]:
    facts = bank()
    rows = [part("language", "zh", 0.71, "worse"), part("source", "<b>branch</b>", 0.9, "same"),
            part("language", "en", 0.95, "better")]  # fmt: skip
    rows += [part("source", f"branch-{i}", 0.96, "better") for i in range(count - 3)]
    facts["results"]["slices"] = {
        "minimum": 30, "rows": rows,
        "columns": [{"column": "language", "parts": 3, "shown": 2, "small": 1, "small_examples": 12, "unknown": 4},
                    {"column": "source", "parts": count, "shown": count - 2, "small": 0, "small_examples": 0,
                     "unknown": 0},
                    {"column": "time", "parts": 1, "shown": 1, "small": 0, "small_examples": 0, "unknown": 0}],
    }  # fmt: skip
    return facts


def calibrated(**served: Any) -> dict[str, Any]:
    facts = bank()
    ece = {"before": figure(0.061, 900), "after": figure(0.012, 900), "difference": -0.05, "low": -0.06, "high": -0.03}
    given = {"wanted": 0.02, "threshold": 0.831, "chosen": "bound", "validation": [0.83, 0.009],
             "share": figure(0.82, 900), "error": figure(0.011, 738, 0.006), "kept": "yes", **served}  # fmt: skip
    sets = {name: {"coverage": figure(0.91, 900), "size": figure(1.4, 900, 0.1), "kept": kept, "sizes": {"1": 900}}
            for name, kept in (("lac", "yes"), ("aps", "no"))}  # fmt: skip
    facts["results"]["calibration"] = {
        "validation": 400, "why": "", "served": given, "sets": {"level": 0.9, "methods": sets},
        "temperature": {"value": 1.7, "metrics": {"ece": ece}, "reliability": []},
        "risk_coverage": {"points": [[0.1, 0.0], [0.5, 0.004], [1.0, 0.08]], "aurc": figure(0.02, 900, 0.01)},
    }  # fmt: skip
    return facts


def articles(facts: dict[str, Any]) -> dict[str, Any]:
    tree = html.document_fromstring(page(ReportConfig(), facts))
    return {node.get("lang"): node for node in tree.iter("article")}


def words(node: Any) -> str:
    return " ".join(node.text_content().split())


def test_parts_read_worst_first_and_are_told_in_both_languages() -> None:
    for language, head, looked, note in (
        ("en", "Part by part", "language: 2 of 3 parts shown; 12 examples", "fewer than 30 examples"),
        ("zh-Hans", "分部分查看", "语言：共 3 个部分，列出 2 个；12 条样本", "少于 30 条样本"),
    ):
        text = words(articles(with_parts())[language])
        assert head in text and looked in text and note in text
        assert text.index("71.0%") < text.index("<b>branch</b>") < text.rindex("95.0%")
        assert "year" not in text and "年份：共" not in text, "a column with one part says nothing"


def test_many_parts_fold_and_none_leave_no_section() -> None:
    assert "Show 5 more parts" in words(articles(with_parts(25))["en"])
    assert "Part by part" not in words(articles(bank())["en"])


@pytest.mark.parametrize(
    ("served", "english", "chinese"),
    [
        ({}, "errs in 1.1%", "其中 1.1%"),
        ({"kept": "unclear"}, "too small to confirm it", "测试集太小，无法证实"),
        ({"kept": "no"}, "do not use this threshold", "不要使用这个阈值"),
        ({"chosen": "observed"}, "margin for chance", "未能为偶然波动留出余地"),
        (
            {"threshold": None, "share": None, "error": None},
            "everything must be seen by a person",
            "全部都须经人工查看",
        ),
    ],
)
def test_the_threshold_is_told(served: dict[str, Any], english: str, chinese: str) -> None:
    found = articles(calibrated(**served))
    for language, expected in (("en", english), ("zh-Hans", chinese)):
        assert expected in words(found[language])
    pictures = [svg for svg in found["en"].iter("svg") if "surest answers" in (svg.get("aria-label") or "")]
    assert len(pictures) == 1 and pictures[0].find(".//polyline") is not None
    assert (pictures[0].find(".//line[@class='c-best']") is None) == (served.get("threshold", 1) is None)


def test_temperature_and_sets_are_told() -> None:
    found = articles(calibrated())
    for language, said in (
        (
            "en",
            ("Dividing the logits by 1.700", "6.1% (4.1 to 7.9) before", "name 1.400 (1.300 to", "less than promised"),
        ),
        ("zh-Hans", ("将 logits 除以 1.700", "校准误差由 6.1%", "平均列出 1.400", "低于承诺")),
    ):
        for expected in said:
            assert expected in words(found[language]), expected
