"""Test sets and answers that say little or nothing: each gives a sentence, and no number that means nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from metier.console import Console
from metier.errors import UserError
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.stage import evaluate
from metier.report.config import ReportConfig
from metier.report.stage import page
from metier.train.config import TaskConfig

from .conftest import classify_run, write_run
from .test_written_stage import judged


def results(folder: Path, made: Any, quiet: Console, task: str = "classify", **config: Any) -> dict[str, Any]:
    setting = EvaluateConfig.model_validate({"bootstrap": 200, **config})
    evaluate(setting, TaskConfig(name=task), 0, *made, folder / "out", quiet)
    return json.loads((folder / "out" / "results.json").read_text(encoding="utf-8"))


def said(found: dict[str, Any], english: str, chinese: str) -> None:
    """A warning says so in both languages, and both are on the report's page."""
    assert any(english in w["text"] and chinese in w["text_zh"] for w in found["warnings"]), found["warnings"]
    shown = page(ReportConfig(), {"results": found})
    assert english in shown and chinese in shown


def labelled(folder: Path, gold: list[str], given: list[str | None], texts: list[str] | None = None) -> Any:
    examples = [{"id": f"e{i}", "split": "test", "text": texts[i] if texts else f"text {i}", "label": label}
                for i, label in enumerate(gold)]  # fmt: skip
    answers = {name: [{"label": label} for label in given] for name in ("tuned", "base")}
    return write_run(folder, examples, answers, ["a", "b"])


def test_five_items(tmp_path: Path, quiet: Console) -> None:
    found = results(tmp_path, classify_run(tmp_path, n=5), quiet)
    said(found, "The test split has only 5 examples", "测试集只有 5 条样本")
    tuned = found["models"]["tuned"]
    assert tuned["accuracy"]["high"] - tuned["accuracy"]["low"] > 0.4, "wide, and honest"
    assert all(tuned[name]["low"] is None for name in ("macro_f1", "mcc", "ece", "brier"))
    assert all(row["mde"] is None for row in found["comparisons"])
    assert found["verdict"]["decision"] != "SIGN OFF" and found["slices"]["rows"] == []


def test_one_class(tmp_path: Path, quiet: Console) -> None:
    found = results(tmp_path, labelled(tmp_path, ["a"] * 40, ["a"] * 38 + ["b"] * 2), quiet)
    said(found, "one and the same label", "都是同一个标签")
    tuned = found["models"]["tuned"]
    assert tuned["mcc"] == {"value": None, "low": None, "high": None, "n": 0}, "a correlation with a constant is none"
    assert tuned["per_class"][1]["recall"] == {"value": None, "low": None, "high": None, "n": 0}


def test_duplicates(tmp_path: Path, quiet: Console) -> None:
    texts = [f"text {i}" for i in range(30)] + [f"  TEXT {i}" for i in range(10)]
    found = results(tmp_path, labelled(tmp_path, ["a", "b"] * 20, ["a", "b"] * 20, texts), quiet)
    said(found, "10 of 40 test examples repeat another one", "40 条测试样本中有 10 条与其他样本重复")
    apart = results(tmp_path / "2", labelled(tmp_path / "2", ["a", "b"] * 20, ["a", "b"] * 20), quiet)
    assert not any("repeat" in warning["text"] for warning in apart["warnings"])


def test_labels_that_the_model_does_not_know(tmp_path: Path, quiet: Console) -> None:
    found = results(tmp_path, labelled(tmp_path, ["a", "new"] * 20, ["a", "b"] * 20), quiet)
    said(found, "carry a label that training never saw", "标签在训练中从未出现")
    assert found["models"]["tuned"]["accuracy"]["value"] == 0.5


@pytest.mark.parametrize("nothing", ["", None])
def test_empty_labels_count_as_wrong(tmp_path: Path, quiet: Console, nothing: str | None) -> None:
    found = results(tmp_path, labelled(tmp_path, ["a", "b"] * 20, ["a", nothing] * 20), quiet)
    assert found["models"]["tuned"]["accuracy"]["value"] == 0.5
    said(found, "20 of 40 answers of the tuned model are empty", "40 条回答中有 20 条为空")


def test_empty_texts_count_as_wrong(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "pair": "q", "answer": "the card is lost"} for i in range(40)]
    written = [{"written": "the card is lost" if i % 2 else " \n", "finished": True} for i in range(40)]
    found, _ = judged(tmp_path, "generate", rows, {"tuned": written, "base": written},
                      {"accept": ("rouge_l >= 0.1",)})  # fmt: skip
    said(found, "20 of 40 answers of the tuned model are empty", "40 条回答中有 20 条为空")
    tuned = found["models"]["tuned"]
    assert (tuned["rouge_l"]["value"], tuned["exact_match"]["value"], tuned["empty"]["value"]) == (0.5, 0.5, 0.5)


def test_answers_of_a_hundred_thousand_characters(tmp_path: Path) -> None:
    """One answer that went round in circles must neither stop the evaluation nor be called good."""
    rows = [
        {"text": f"t{i}", "pair": "q", "answer": "贷款利率为3.5%" if i % 2 else "the card is lost"} for i in range(30)
    ]
    long = [{"written": ("贷款" * 50_000 if i % 2 else "card " * 20_000) if i < 4 else rows[i]["answer"],
             "finished": i >= 4} for i in range(30)]  # fmt: skip
    start = time.process_time()
    base = [{**row, "written": "no"} for row in long]
    accept = {"accept": ("rouge_l >= 0.1",)}
    found, cases = judged(tmp_path, "generate", rows, {"tuned": long, "base": base}, accept)
    assert time.process_time() - start < 20
    tuned = found["models"]["tuned"]
    assert 26 / 30 <= tuned["rouge_l"]["value"] < 26 / 30 + 0.01 and tuned["exact_match"]["value"] == 26 / 30
    assert tuned["finished"]["value"] == 26 / 30
    said(found, "4 of 30 answers of the tuned model were ended by the limit", "30 条回答中有 4 条因长度上限")
    shown = page(ReportConfig(), {"results": found, "cases": cases})
    assert len(shown) < 1_000_000, "quotes are cut"


@pytest.mark.parametrize(
    ("accept", "task", "fix"),
    [
        ("mae <= 0.1", "classify", "known"), ("accuracy >= 0.9", "score", "mae"),
        ("entity_f1 >= 0.5", "classify", "F1"), ("rouge_l >= 0.5", "classify", "known"),
    ],
)  # fmt: skip
def test_a_metric_that_does_not_apply_is_refused(
    tmp_path: Path, quiet: Console, accept: str, task: str, fix: str
) -> None:
    with pytest.raises(UserError, match="there is no metric") as caught:
        results(tmp_path, classify_run(tmp_path, n=40), quiet, task, accept=(accept,))
    assert fix.lower() in caught.value.fix.lower()


def test_a_metric_that_has_no_value_here_is_no_number(tmp_path: Path, quiet: Console) -> None:
    examples = [{"id": f"e{i}", "split": "test", "text": f"t{i}", "value": 2.0} for i in range(40)]
    answers = {name: [{"value": 2.0 + i / 40} for i in range(40)] for name in ("tuned", "base")}
    accept = ("spearman >= 0.5", "mae <= 0.1")
    found = results(tmp_path, write_run(tmp_path, examples, answers, []), quiet, "score", accept=accept)
    assert found["models"]["tuned"]["spearman"] == {"value": None, "low": None, "high": None, "n": 0}
    said(found, "a rank correlation does not exist", "不存在等级相关")
    assert found["verdict"]["reasons"][0]["met"] == "unclear"
    assert "cannot be computed on this test set" in found["verdict"]["reasons"][0]["text"]


def test_test_examples_without_a_value_are_told(tmp_path: Path, quiet: Console) -> None:
    examples = [{"id": f"e{i}", "split": "test", "text": f"t{i}", "value": None if i < 3 else 1.0} for i in range(40)]
    answers = {name: [{"value": 1.0}] * 40 for name in ("tuned", "base")}
    with pytest.raises(UserError, match="3 test examples have no value"):
        results(tmp_path, write_run(tmp_path, examples, answers, []), quiet, "score")
