"""Criteria are written down before the test set is opened; changed ones are told in verdict, warnings and report."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from metier.artifact import canonical
from metier.console import Console
from metier.evaluate import frozen, predict
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.stage import evaluate
from metier.report.opening import criteria_source
from metier.report.words import Words
from metier.train.config import TaskConfig, TrainConfig

from .conftest import artifact, classify_run

TASK = TaskConfig()


def judged(folder: Path, made: Any, quiet: Console, *accept: str, alpha: float = 0.05) -> dict[str, Any]:
    evaluate(EvaluateConfig(bootstrap=200, accept=accept, alpha=alpha), TASK, 0, *made, folder / "out", quiet)
    return json.loads((folder / "out" / "results.json").read_text(encoding="utf-8"))


def test_the_promise_and_its_hash(tmp_path: Path) -> None:
    sha = frozen.freeze(EvaluateConfig(accept=("accuracy >= 0.9",)), TASK, tmp_path)
    stored = json.loads((tmp_path / "criteria.json").read_text(encoding="utf-8"))
    assert stored.pop("sha256") == sha == hashlib.sha256(canonical(stored).encode()).hexdigest()
    assert stored == {"criteria": ["accuracy >= 0.9"], "alpha": 0.05, "source": "recipe"}
    default = frozen.promise(EvaluateConfig(), TASK)
    assert default["criteria"] == ["accuracy > base", "accuracy > majority", "accuracy > tfidf"]
    assert default["source"] == "default" and default["sha256"] != sha


def test_it_stands_before_the_test_set_is_opened(
    tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def opened(path: Path) -> None:
        seen.append((tmp_path / "criteria.json").is_file())
        raise KeyboardInterrupt

    monkeypatch.setattr(predict, "read", opened)
    nothing = artifact(tmp_path / "nothing", "prepare")
    with pytest.raises(KeyboardInterrupt):
        predict.predict_all(EvaluateConfig(), TASK, 0, nothing, nothing, TrainConfig(base_model="x"), tmp_path, quiet)
    assert seen == [True]


def test_a_kept_promise_says_nothing(tmp_path: Path, quiet: Console) -> None:
    made = classify_run(tmp_path)
    frozen.freeze(EvaluateConfig(accept=("accuracy >= 0.8",)), TASK, made[1].path)
    found = judged(tmp_path, made, quiet, "accuracy >= 0.8")
    assert found["verdict"]["frozen"]["changed"] is False
    assert "changed" not in found["verdict"]["headline"]
    for code, said in (("en", "before the test set was opened"), ("zh", "打开测试集之前")):
        assert said in criteria_source({"results": found}, Words(code))


@pytest.mark.parametrize(("accept", "alpha"), [("accuracy >= 0.5", 0.05), ("accuracy >= 0.99", 0.2)])
def test_a_changed_promise_is_told_first(tmp_path: Path, quiet: Console, accept: str, alpha: float) -> None:
    made = classify_run(tmp_path)
    frozen.freeze(EvaluateConfig(accept=("accuracy >= 0.99",)), TASK, made[1].path)
    found = judged(tmp_path, made, quiet, accept, alpha=alpha)
    verdict = found["verdict"]
    assert verdict["frozen"]["changed"] is True and verdict["frozen"]["criteria"] == ["accuracy >= 0.99"]
    assert verdict["headline"].startswith("The criteria were changed after")
    assert verdict["headline_zh"].startswith("验收标准在得知答案之后被改动过")
    first = found["warnings"][0]
    assert "accuracy >= 0.99 (level 0.05)" in first["text"] and "accuracy >= 0.99" in first["text_zh"]
    for code in ("en", "zh"):
        assert "accuracy >= 0.99" in criteria_source({"results": found}, Words(code))


def test_answers_without_a_promise_are_judged_as_before(tmp_path: Path, quiet: Console) -> None:
    assert judged(tmp_path, classify_run(tmp_path), quiet, "accuracy >= 0.8")["verdict"]["frozen"] is None
