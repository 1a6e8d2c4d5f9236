"""The stage `evaluate` on stored predictions of tasks that write, foresee or prefer: figures, tests, cases, verdict."""

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
from metier.evaluate.criteria import check_config, decided_by
from metier.evaluate.floors import model_names
from metier.evaluate.predict import PREDICTIONS
from metier.evaluate.stage import evaluate
from metier.train.config import TaskConfig

from .conftest import artifact

N = 60
WORDS = ["fee", "card", "loan", "rent", "bank", "tax", "gold", "wage", "share", "bond", "grant", "note"]


def judged(folder: Path, task: str, rows: list[dict[str, Any]], answers: dict[str, list[dict[str, Any]]],
           config: dict[str, Any] | None = None) -> tuple[dict[str, Any], list[dict[str, Any]]]:  # fmt: skip
    """results.json and the cases; answers: model -> one row for each test example."""
    examples = [{"id": f"e{i}", "source": f"s#{i}", "split": "test", **row} for i, row in enumerate(rows)]
    tables.write(tables.table(examples, tables.EXAMPLES), folder / "examples.parquet")
    given = [{"model": name, "id": f"e{i}", **row} for name, mine in answers.items() for i, row in enumerate(mine)]
    columns = {field.name for field in PREDICTIONS}
    assert all(set(row) <= columns for row in given)
    table = tables.table(given, PREDICTIONS)
    silent = [row.get("written") for row in given]
    import pyarrow as pa

    table = table.set_column(table.schema.get_field_index("written"), "written", pa.array(silent, pa.string()))
    tables.write(table, folder / "predictions.parquet")
    kinds = {name: {"tuned": "tuned", "base": "base"}.get(name, "floor") for name in answers}
    tables.write_json({name: {"title": name, "kind": kind, "how": "", "seconds": 0.1} for name, kind in kinds.items()},
                      folder / "models.json")  # fmt: skip
    setting = EvaluateConfig.model_validate({"bootstrap": 400, **(config or {})})
    evaluate(setting, TaskConfig(name=task), 0, artifact(folder, "prepare"), artifact(folder, "predictions"), folder,
             Console(quiet=True))  # fmt: skip
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return results, tables.read(folder / "cases.parquet").to_pylist()


def sentence(i: int, wrong: int = 0) -> str:
    """Seven words of which the last ones may be wrong."""
    words = [WORDS[(i + k) % len(WORDS)] for k in range(7)]
    return " ".join([*words[: 7 - wrong], *["zzz"] * wrong])


def generated() -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    rows = [{"text": f"text {i}", "pair": f"what of {i}?", "answer": sentence(i)} for i in range(N)]
    size = [len(row["answer"].encode()) for row in rows]
    answers = {
        "tuned": [{"written": sentence(i, i % 3), "finished": i % 5 > 0, "bits": 1.0 * size[i], "bytes": size[i]}
                  for i in range(N)],
        "base": [{"written": sentence(i, 4 - (i % 10 == 0) * 4), "finished": True, "bits": (1.4 + i % 2) * size[i],
                  "bytes": size[i]} for i in range(N)],
        "lead": [{"written": "text"} for _ in range(N)],
        "nearest": [{"written": sentence(i + 1, 5)} for i in range(N)],
    }  # fmt: skip
    return rows, answers


def test_written_answers(tmp_path: Path) -> None:
    rows, answers = generated()
    results, cases = judged(tmp_path, "generate", rows, answers)
    tuned = results["models"]["tuned"]
    assert tuned["rouge_l"]["value"] == pytest.approx((1 + 6 / 7 + 5 / 7) / 3, abs=0.01)
    assert tuned["rouge_l"]["low"] < tuned["rouge_l"]["value"] < tuned["rouge_l"]["high"]
    assert tuned["finished"]["value"] == 0.8 and results["models"]["nearest"]["finished"]["value"] is None
    assert results["models"]["lead"]["bits_per_byte"]["value"] is None
    rows_ = {(row["metric"], row["against"]): row for row in results["comparisons"]}
    assert rows_["rouge_l", "base"]["outcome"] == "better" and rows_["rouge_l", "base"]["test"] == "paired sign-flip"
    assert rows_["chrf", "nearest"]["test"] == "paired permutation" and rows_["chrf", "nearest"]["p"] < 0.01
    assert rows_["exact_match", "base"]["test"] == "mid-p McNemar"
    assert rows_["bits_per_byte", "base"]["outcome"] == "better" and rows_["bits_per_byte", "base"]["difference"] < 0
    assert ("bits_per_byte", "lead") not in rows_
    assert results["verdict"]["decision"] == "SIGN OFF"
    assert [row["criterion"] for row in results["verdict"]["reasons"]] == [
        f"rouge_l > {model}" for model in ("base", "lead", "nearest")
    ]
    assert any(
        "12 of 60 answers of the tuned model were ended by the limit" in row["text"] for row in results["warnings"]
    )
    broken = [row for row in cases if row["kind"] == "broken"]
    assert {row["id"] for row in broken} == {f"e{i}" for i in range(0, N, 10) if i % 3} and results["cases"][
        "against"
    ] == "base"
    assert broken[0]["text"].endswith("?") and broken[0]["gold"] == sentence(int(broken[0]["id"][1:]))


def test_a_conversation_is_judged_by_bits_and_a_copied_answer_by_chrf(tmp_path: Path) -> None:
    rows, answers = generated()
    config = EvaluateConfig()
    task = TaskConfig(name="chat")
    wanted = ["bits_per_byte < base", "chrf > nearest"]
    assert [one.text for one in check_config(config, task)] == wanted
    answers.pop("lead")
    worse = {**answers, "nearest": [{"written": row["answer"]} for row in rows]}
    results, _ = judged(tmp_path, "chat", rows, worse)
    assert [(row["criterion"], row["met"]) for row in results["verdict"]["reasons"]] == [
        (wanted[0], "yes"),
        (wanted[1], "no"),
    ]
    assert results["decided_by"]["nearest"] == "chrf" == decided_by("bits_per_byte", "nearest")
    assert results["verdict"]["headline"].startswith("The tuned model is worse than copying the answer")
    assert results["verdict"]["headline_zh"].startswith("微调模型不如照抄")
    assert model_names(config, task) == ["tuned", "base", "nearest"]


def test_foreseen_texts_where_lower_is_better(tmp_path: Path) -> None:
    rows = [{"text": f"{sentence(i)}。贷款利率{i}"} for i in range(N)]
    size = [len(row["text"].encode()) for row in rows]
    noise = np.random.default_rng(0).normal(0, 0.02, (3, N))
    answers = {
        name: [{"bits": float(rate + noise[k, i] + 0.3 * (i % 4)) * size[i], "bytes": size[i]} for i in range(N)]
        for k, (name, rate) in enumerate((("tuned", 1.0), ("base", 1.2), ("ngram", 1.01)))
    }
    results, cases = judged(tmp_path, "pretrain", rows, answers)
    against = {row["against"]: row for row in results["comparisons"]}
    assert against["base"]["outcome"] == "better" and -0.25 < against["base"]["low"] <= against["base"]["high"] < -0.15
    assert against["base"]["p"] < 0.01 and against["base"]["mde"] < 0.05
    assert [row["criterion"] for row in results["verdict"]["reasons"]] == [
        "bits_per_byte < base",
        "bits_per_byte < ngram",
    ]
    assert "0.2 lower than that of the untouched base model" in results["verdict"]["reasons"][0]["text"]
    assert all(row["kind"] == "mended" and float(row["tuned"]) < float(row["base"]) for row in cases) and cases
    with pytest.raises(UserError, match="better when it is lower"):
        check_config(EvaluateConfig(accept=("bits_per_byte > base",)), TaskConfig(name="pretrain"))


def test_texts_that_were_not_read_whole_are_told(tmp_path: Path) -> None:
    rows = [{"text": sentence(i)} for i in range(N)]
    answers = {name: [{"bits": 20.0, "bytes": 10} for _ in range(N)] for name in ("tuned", "base", "ngram")}
    results, _ = judged(tmp_path, "pretrain", rows, answers)
    assert results["models"]["tuned"]["bits_per_byte"]["value"] == 2.0
    assert any("of the bytes of the test texts" in row["text"] for row in results["warnings"])


def test_preferences(tmp_path: Path) -> None:
    rows = [{"text": f"what of {i}?", "chosen": f"good {sentence(i)}", "rejected": f"bad {sentence(i, i % 2)}"}
            for i in range(N)]  # fmt: skip
    answers = {
        name: [{"margin": 0.1 if i % 10 < right else -0.1, "raw_margin": 1.0 if i % 10 < right else -1.0}
               for i in range(N)]
        for name, right in (("tuned", 8), ("base", 4), ("longer", 5))
    }  # fmt: skip
    results, cases = judged(tmp_path, "prefer", rows, answers, {"accept": ["preference_accuracy >= 0.7"]})
    tuned = results["models"]["tuned"]
    assert tuned["preference_accuracy"]["value"] == tuned["preference_by_token"]["value"] == 0.8
    assert tuned["preference_equal_length"]["value"] is not None
    row = next(
        row for row in results["comparisons"] if (row["metric"], row["against"]) == ("preference_accuracy", "base")
    )
    assert row["test"] == "mid-p McNemar" and row["discordant"] == 24 and row["outcome"] == "better"
    assert "Of 100 pairs the tuned model prefers the right answer in 80" in results["verdict"]["headline"]
    assert "asked for: at least 70" in results["verdict"]["reasons"][0]["text"]
    assert results["cases"]["mended"] == 24 and results["cases"]["broken"] == 0
    assert cases[0]["base"] == cases[0]["gold"].replace("good", "bad") or cases[0]["base"].startswith("bad")
    assert cases[0]["tuned"] == cases[0]["gold"]


@pytest.mark.parametrize("task", ["chat", "generate", "prefer", "pretrain"])
def test_no_test_split_claims_nothing(task: str, tmp_path: Path) -> None:
    results, cases = judged(tmp_path, task, [], {})
    assert results["verdict"]["decision"] == "CONDITIONAL" and cases == [] and results["data"]["test"] == 0
