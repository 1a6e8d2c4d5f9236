"""The page for tasks whose answers are texts: side by side, cut or hidden, lower is better, two metrics."""

from __future__ import annotations

from typing import Any

import pytest

from metier.report.config import ReportConfig
from metier.report.opening import listed, opening, primary_comparisons
from metier.report.stage import page
from metier.report.words import Words

from .facts import bank, comparison, figure


def facts_of(kind: str, primary: str, floor: str, answers: tuple[str, str, str]) -> dict[str, Any]:
    facts = bank(name="writes")
    results, n = facts["results"], facts["results"]["data"]["test"]
    results |= {"primary": primary, "profile": {"kind": kind, "pipeline": "text-generation"},
                "task": {"name": "generate"}, "warnings": []}  # fmt: skip
    results["models"] = {
        name: {"title": name, "kind": told, "how": "h", "seconds": 1.0, primary: figure(value, n)}
        for name, told, value in (("tuned", "tuned", 0.5), ("base", "base", 0.7), (floor, "floor", 0.6))
    }
    lower = primary == "bits_per_byte"
    results["comparisons"] = [
        {**comparison(name, -0.1 if lower else 0.1, 0.02, "better", n=n), "metric": primary,
         "better": "lower" if lower else "higher"} for name in ("base", floor)
    ]  # fmt: skip
    gold, base, tuned = answers
    case = {"id": "e1", "source": "s#1", "group": "", "text": "What of the fee?", "severity": 0.8, "marks": ""}
    case |= {"gold": gold, "base": base, "tuned": tuned}
    facts["cases"] = [{**case, "kind": one} for one in ("broken", "mended")]
    results["cases"] = {"broken": 1, "mended": 1, "both_right": 3, "both_wrong": 4, "against": "base"}
    return facts


def test_answers_stand_side_by_side_and_are_cut_with_a_note() -> None:
    facts = facts_of("text", "rouge_l", "nearest", ("five euros", "no " * 400, "5 euros"))
    row = listed(facts, "broken", Words("en"), True, 5, 100)["rows"][0]
    assert row["gold"] == "five euros" and row["tuned"] == "5 euros"
    assert len(row["base"]) < 120 and "[+" in row["base"]
    shown = page(ReportConfig(), facts)
    assert "five euros" in shown and "五" not in row["gold"] and "ROUGE-L" in shown


@pytest.mark.parametrize("kind", ["text", "preference"])
def test_answers_are_hidden_with_the_texts(kind: str) -> None:
    primary, floor = ("rouge_l", "nearest") if kind == "text" else ("preference_accuracy", "longer")
    facts = facts_of(kind, primary, floor, ("SECRET gold", "SECRET base", "SECRET tuned"))
    assert "SECRET" in page(ReportConfig(), facts)
    assert "SECRET" not in page(ReportConfig(show_texts=False), facts)


def test_lower_is_better_is_drawn_and_told_so() -> None:
    facts = facts_of("bits", "bits_per_byte", "ngram", ("", "1.400", "1.300"))
    for language, word in (("en", "lower"), ("zh", "低")):
        told = opening(facts, Words(language), True)
        assert all(row["outcome"] == "better" and word in row["sentence"] for row in told["opponents"])
        assert not told["warnings"]
    assert "1.300" in page(ReportConfig(), facts)


def test_a_floor_that_only_writes_is_compared_by_another_metric() -> None:
    facts = facts_of("text", "bits_per_byte", "nearest", ("a", "b", "c"))
    results = facts["results"]
    results["decided_by"] = {"tuned": "bits_per_byte", "base": "bits_per_byte", "nearest": "chrf"}
    row = {**comparison("nearest", 0.2, 0.05, "better", n=50), "metric": "chrf"}
    results["comparisons"] = [results["comparisons"][0], row]
    assert [(row["against"], row["metric"]) for row in primary_comparisons(results)] == [
        ("base", "bits_per_byte"), ("nearest", "chrf")]  # fmt: skip
    told = opening(facts, Words("en"), True)["opponents"]
    assert "chrF" in told[1]["sentence"] and "chrF" not in told[0]["sentence"]
    assert all(row["picture"] for row in told)
    page(ReportConfig(), facts)
