"""The stage as a whole, on made-up answers: results, cases, verdict, and what is said when there is too little."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metier import tables
from metier.console import Console
from metier.errors import UserError
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.stage import evaluate
from metier.train.config import TaskConfig

from .conftest import classify_run, write_run

FAST = EvaluateConfig(bootstrap=300)


def run(folder: Path, made: Any, console: Console, config: EvaluateConfig = FAST, task: TaskConfig | None = None,
        seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
    summary = evaluate(config, task or TaskConfig(), seed, *made, folder / "out", console)
    return json.loads((folder / "out" / "results.json").read_text(encoding="utf-8")), summary


def test_classify_results(tmp_path: Path, quiet: Console) -> None:
    results, summary = run(tmp_path, classify_run(tmp_path), quiet)
    assert list(results["models"]) == sorted(["tuned", "base", "majority", "tfidf"])
    tuned = results["models"]["tuned"]
    for name in ("accuracy", "macro_f1", "mcc", "ece", "brier"):
        assert 0 <= tuned[name]["low"] <= tuned[name]["value"] <= tuned[name]["high"] <= 1 and tuned[name]["n"] == 300
    assert np.trace(np.array(tuned["confusion"]["counts"])) == round(tuned["accuracy"]["value"] * 300)
    assert len(tuned["per_class"]) == 4 and sum(row["n"] for row in tuned["reliability"]) == 300
    assert {(row["metric"], row["against"]) for row in results["comparisons"]} == {
        (metric, other)
        for metric in ("accuracy", "macro_f1", "mcc", "ece", "brier")
        for other in ("base", "majority", "tfidf")
    }
    for row in results["comparisons"]:
        assert row["low"] <= row["difference"] <= row["high"] and row["p"] <= row["p_holm"] <= 1 and row["mde"] > 0
    assert results["verdict"]["decision"] == summary["decision"] == "SIGN OFF"
    assert results["verdict"]["criteria_source"] == "default" and results["data"] == {
        "test": 300,
        "groups": 0,
        "classes": 4,
    }
    assert summary["figures"]["tuned"] == tuned["accuracy"]
    shown = quiet.stream.getvalue()  # type: ignore[attr-defined]
    assert "SIGN OFF" in shown and "tfidf" in shown


def test_cases_are_broken_and_mended_worst_first(tmp_path: Path, quiet: Console) -> None:
    results, _ = run(tmp_path, classify_run(tmp_path), quiet)
    rows = tables.read(tmp_path / "out" / "cases.parquet").to_pylist()
    counts = results["cases"]
    assert (
        counts["against"] == "base" and sum(counts[k] for k in ("broken", "mended", "both_right", "both_wrong")) == 300
    )
    kinds = [row["kind"] for row in rows]
    assert kinds == ["broken"] * counts["broken"] + ["mended"] * counts["mended"] and counts["broken"] > 2
    for kind in ("broken", "mended"):
        severity = [row["severity"] for row in rows if row["kind"] == kind]
        assert severity == sorted(severity, reverse=True)
    for row in rows:
        good, bad = (row["base"], row["tuned"]) if row["kind"] == "broken" else (row["tuned"], row["base"])
        assert good == row["gold"] != bad
    accuracy = next(r for r in results["comparisons"] if r["metric"] == "accuracy" and r["against"] == "base")
    assert accuracy["discordant"] == counts["broken"] + counts["mended"]


def test_replay_gives_the_same_bytes_and_order_does_not_matter(tmp_path: Path, quiet: Console) -> None:
    made = classify_run(tmp_path / "a")
    run(tmp_path / "a", made, quiet)
    run(tmp_path / "b", made, quiet)
    for name in ("results.json", "cases.parquet"):
        assert (tmp_path / "a" / "out" / name).read_bytes() == (tmp_path / "b" / "out" / name).read_bytes()
    path = made[1].path / "predictions.parquet"
    data = tables.read(path)
    tables.write(data.take(np.random.default_rng(0).permutation(len(data))), path)
    run(tmp_path / "c", made, quiet)
    assert (tmp_path / "a" / "out" / "results.json").read_text() == (
        tmp_path / "c" / "out" / "results.json"
    ).read_text()


def test_groups_widen_and_change_the_tests(tmp_path: Path, quiet: Console) -> None:
    results, _ = run(tmp_path, classify_run(tmp_path, groups=40), quiet)
    assert results["data"]["groups"] == 40
    assert {row["test"] for row in results["comparisons"]} == {
        "cluster sign-flip",
        "cluster permutation",
        "cluster bootstrap",
    }
    assert any("40 groups" in warning["text"] for warning in results["warnings"])


def test_criteria_of_the_recipe_with_one_label_against_a_model(tmp_path: Path, quiet: Console) -> None:
    config = EvaluateConfig(
        bootstrap=300, accept=("recall[label 1] >= 0.5", "f1[label 2] > majority", "accuracy >= 99.9%")
    )
    results, _ = run(tmp_path, classify_run(tmp_path), quiet, config)
    assert [reason["met"] for reason in results["verdict"]["reasons"]] == ["yes", "yes", "no"]
    assert results["verdict"]["decision"] == "REJECT" and results["verdict"]["criteria_source"] == "recipe"
    with pytest.raises(UserError, match="no label 'label 9'"):
        run(tmp_path, classify_run(tmp_path), quiet, EvaluateConfig(accept=("recall[label 9] >= 0.5",)))


def test_not_better_than_a_floor_is_said_first(tmp_path: Path, quiet: Console) -> None:
    made = classify_run(tmp_path, skill={"tuned": 0.8, "base": 0.7, "tfidf": 0.9})
    results, summary = run(tmp_path, made, quiet, EvaluateConfig(bootstrap=300, accept=("accuracy >= 0.6",)))
    assert results["verdict"]["decision"] == "SIGN OFF"
    assert summary["headline"].startswith("The tuned model is worse than the word-counting model (tfidf).")
    assert results["warnings"][0]["text"].startswith("The tuned model is worse")


def test_a_perfect_model(tmp_path: Path, quiet: Console) -> None:
    results, _ = run(tmp_path, classify_run(tmp_path, n=100, skill={"tuned": 1.1, "base": 1.1, "majority": 0.2}), quiet)
    tuned = results["models"]["tuned"]
    for name in ("accuracy", "macro_f1", "mcc"):
        assert tuned[name]["value"] == tuned[name]["high"] == 1.0 and 0.9 < tuned[name]["low"] < 1.0
    row = next(r for r in results["comparisons"] if (r["metric"], r["against"]) == ("accuracy", "base"))
    assert (row["difference"], row["p"], row["outcome"]) == (0.0, 1.0, "same")
    assert results["verdict"]["decision"] == "REJECT", "better than the base was demanded, and it is not"


def test_a_tiny_test_split_claims_nothing(tmp_path: Path, quiet: Console) -> None:
    results, _ = run(tmp_path, classify_run(tmp_path, n=12), quiet)
    tuned = results["models"]["tuned"]
    assert tuned["accuracy"]["low"] is not None and tuned["macro_f1"]["low"] is None
    assert all(row["mde"] is None for row in results["comparisons"])
    assert "only 12 examples" in results["warnings"][-1]["text"] or any("12" in w["text"] for w in results["warnings"])


def test_no_test_split(tmp_path: Path, quiet: Console) -> None:
    results, summary = run(tmp_path, write_run(tmp_path, [], {}, ["a", "b"]), quiet)
    assert results["verdict"]["decision"] == "CONDITIONAL" and summary["test"] == 0
    assert results["verdict"]["headline"].startswith("There are no test examples")


def test_a_label_that_only_the_test_split_has(tmp_path: Path, quiet: Console) -> None:
    examples = [
        {"id": f"e{i}", "split": "test", "text": "t", "label": "new" if i < 10 else "ab"[i % 2]} for i in range(40)
    ]
    answers = {
        name: [{"label": "ab"[i % 2], "scores": [0.9, 0.1] if i % 2 == 0 else [0.1, 0.9]} for i in range(40)]
        for name in ("tuned", "base")
    }
    results, _ = run(tmp_path, write_run(tmp_path, examples, answers, ["a", "b"]), quiet)
    tuned = results["models"]["tuned"]
    assert tuned["accuracy"]["value"] == 0.75
    assert [row["label"] for row in tuned["per_class"]] == ["a", "b", "new"]
    assert tuned["per_class"][2]["recall"]["value"] == 0.0 and tuned["per_class"][2]["precision"]["n"] == 0
    assert any(
        "10 test examples carry a label that training never saw ('new')" in w["text"] for w in results["warnings"]
    )


def test_predictions_of_other_examples_are_refused(tmp_path: Path, quiet: Console) -> None:
    made = classify_run(tmp_path, n=40)
    rows = tables.read(made[1].path / "predictions.parquet")
    tables.write(rows.slice(1), made[1].path / "predictions.parquet")
    with pytest.raises(UserError, match="39 answers for 40 test examples"):
        run(tmp_path, made, quiet)


def several_run(folder: Path) -> Any:
    random, names = np.random.default_rng(0), ["x", "y", "z"]
    gold = random.random((150, 3)) < 0.4
    examples = [
        {"id": f"e{i}", "split": "test", "text": "t", "labels": [n for n, on in zip(names, gold[i], strict=True) if on]}
        for i in range(150)
    ]
    answers = {}
    for model, flip in (("tuned", 0.05), ("base", 0.3), ("majority", 0.5), ("tfidf", 0.2)):
        made = gold ^ (random.random((150, 3)) < flip)
        answers[model] = [
            {"labels": [n for n, on in zip(names, row, strict=True) if on], "scores": np.where(row, 0.9, 0.1).tolist()}
            for row in made
        ]
    return write_run(folder, examples, answers, names)


def test_several_labels(tmp_path: Path, quiet: Console) -> None:
    results, _ = run(tmp_path, several_run(tmp_path), quiet, task=TaskConfig(multi_label=True))
    tuned = results["models"]["tuned"]
    assert results["primary"] == "macro_f1" and {"accuracy", "micro_f1", "macro_f1", "ece"} <= set(tuned)
    assert "confusion" not in tuned and len(tuned["per_class"]) == 3
    assert results["verdict"]["decision"] == "SIGN OFF" and sum(r["n"] for r in tuned["reliability"]) == 450
    row = tables.read(tmp_path / "out" / "cases.parquet").to_pylist()[0]
    assert row["severity"] == pytest.approx(0.9, abs=1e-6) and set(row["gold"].replace("|", "")) <= set("xyz")


def test_scores(tmp_path: Path, quiet: Console) -> None:
    random = np.random.default_rng(0)
    gold = random.normal(size=200)
    examples = [{"id": f"e{i}", "split": "test", "text": "t", "value": float(gold[i])} for i in range(200)]
    answers = {
        model: [{"value": float(v)} for v in gold * keep + random.normal(size=200) * noise]
        for model, keep, noise in (("tuned", 1, 0.3), ("base", 1, 0.6), ("mean", 0, 0.0), ("tfidf", 1, 0.5))
    }
    config = EvaluateConfig(
        bootstrap=300, accept=("mae < base", "mae <= 0.4", "spearman >= 0.8", "rmse < tfidf - 0.01")
    )
    results, _ = run(tmp_path, write_run(tmp_path, examples, answers, []), quiet, config, TaskConfig(name="score"))
    assert results["primary"] == "mae" and results["verdict"]["decision"] == "SIGN OFF"
    assert results["models"]["mean"]["spearman"] == {"value": None, "low": None, "high": None, "n": 0}
    assert ("spearman", "mean") not in {(row["metric"], row["against"]) for row in results["comparisons"]}
    tests = {row["metric"]: row["test"] for row in results["comparisons"]}
    assert tests == {"mae": "paired sign-flip", "rmse": "paired sign-flip", "spearman": "paired bootstrap"}
    mended = [row for row in tables.read(tmp_path / "out" / "cases.parquet").to_pylist() if row["kind"] == "mended"]
    assert mended and abs(float(mended[0]["gold"]) - float(mended[0]["tuned"])) == pytest.approx(
        mended[0]["severity"], abs=1e-4
    )


def test_without_probabilities_the_calibration_is_not_known(tmp_path: Path, quiet: Console) -> None:
    made = classify_run(tmp_path, n=60)
    rows = tables.read(made[1].path / "predictions.parquet").to_pylist()
    kept = [{**row, "scores": None} if row["model"] == "tuned" else row for row in rows]
    from .conftest import PREDICTIONS

    tables.write(tables.table(kept, PREDICTIONS), made[1].path / "predictions.parquet")
    results, _ = run(tmp_path, made, quiet)
    assert results["models"]["tuned"]["ece"] == {"value": None, "low": None, "high": None, "n": 0}
    assert results["models"]["tuned"]["reliability"] == []
    assert not [row for row in results["comparisons"] if row["metric"] == "ece"]
    assert any("calibration is not known" in warning["text"] for warning in results["warnings"])
