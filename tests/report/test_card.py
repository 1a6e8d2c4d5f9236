"""The model card: front matter that the Hub reads, verdict first, nothing invented."""

import pytest
import yaml

from metier.report.card import card, front_matter
from metier.report.config import ReportConfig
from metier.report.words import Words

from .facts import bank
from .variants import bank_zh, empty, reject, score


def parts(text):
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_front_matter():
    facts = bank()
    front, _ = parts(card(ReportConfig(), facts))
    assert front == front_matter(facts)
    assert front["language"] == ["en", "zh"]  # 44 mixed texts hold both
    assert front["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert front["pipeline_tag"] == "text-classification" and "license" not in front
    result = front["model-index"][0]["results"][0]
    accuracy = next(metric for metric in result["metrics"] if metric["type"] == "accuracy")
    tuned = facts["results"]["models"]["tuned"]["accuracy"]
    assert accuracy["value"] == tuned["value"]
    assert (accuracy["args"]["low"], accuracy["args"]["high"], accuracy["args"]["n"]) == (
        tuned["low"],
        tuned["high"],
        tuned["n"],
    )


def test_no_data_is_left_out_of_the_index():
    front = front_matter(empty())
    types = {metric["type"] for metric in front["model-index"][0]["results"][0]["metrics"]}
    assert "accuracy" not in types and "macro_f1" in types
    assert "base_model" not in front  # "minilm" is no address on the Hub
    assert "language" not in front


@pytest.mark.parametrize("language", ["en", "zh"])
def test_sections_in_both_languages_verdict_first(language):
    text = card(ReportConfig(language=language), bank())
    words, other = Words(language), Words("zh" if language == "en" else "en")
    heads = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    names = ["verdict", "use", "data", "training", "evaluation", "breaks", "limits", "environment", "reproduce"]
    assert heads == [words(f"card.{name}") for name in names] + [other(f"card.{name}") for name in names]
    assert text.index(words("decision.sign")) < text.index(words("card.use"))
    assert words("not_provided") in text and other("not_provided") in text


def test_warnings_floors_and_what_breaks():
    _, body = parts(card(ReportConfig(), reject()))
    assert body.index("not proven better than the word-counting model") < body.index("REJECT")
    assert "Worse than the word-counting model" in body[0:] or "worse than the word-counting model" in body
    assert "Weakest classes:" in body and "Commonest confusions:" in body
    assert "| The" not in body.split("\n")[0]


def test_markup_in_names_is_defused():
    facts = bank(labels=["<img src=x>", "a|b", *[f"x{i}" for i in range(12)]])
    _, body = parts(card(ReportConfig(title="<i>x</i>"), facts))
    assert "<img" not in body and "<i>" not in body


def test_other_kinds():
    front, body = parts(card(ReportConfig(), score()))
    assert "text-scoring" in front["tags"] and "Mean error" in body
    assert parts(card(ReportConfig(language="zh"), bank_zh()))[0]["language"] == ["zh"]
