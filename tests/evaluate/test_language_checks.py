"""Relevance and fluency: signs one by one in both languages, planted truths on stored tables, one whole run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier import tables
from metier.console import Console
from metier.evaluate.checks import defects
from metier.evaluate.checks.base import Told
from metier.evaluate.checks.fluency import ANSWERS, Fluency, usual
from metier.evaluate.checks.means import mean
from metier.evaluate.checks.relevance import SCORES, Relevance, another
from metier.evaluate.compare import Setting
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.resample import units
from metier.recipe import parse
from metier.run import default_context, run
from metier.train.config import TaskConfig

N = 60


def told(n: int = N, **more: Any) -> Told:
    rows = tables.table([{"id": f"e{i}", "split": "test", "text": f"q {i}"} for i in range(n)], tables.EXAMPLES)
    setting = Setting(units([""] * n), 0.05, 0.8, 400, 0)
    return Told(EvaluateConfig.model_validate(more), TaskConfig(name="generate"), 0, rows, {}, (), setting)


@pytest.mark.parametrize(("text", "gold", "wanted"), [
    ("The fee is 3 euros, payable at the end of each month by transfer.", "A fee.", set()),
    ("费用为每月三元，请于月底前通过转账方式缴纳。", "费用。", set()),
    ("The fee that has to be paid at the end of each", "A fee.", {"unfinished"}),
    ("本合同所称费用是指乙方应当在每个月的月底之前向", "费用。", {"unfinished"}),
    ("pay the fee now " * 8 + ".", "A fee.", {"repetition"}),
    ("请缴纳费用。" * 8, "费用。", {"repetition"}),
    ("费用 is due on the first day of the month.", "费用于每月一日到期。", {"mixed"}),
    ("The fee 应当在每月一日之前缴纳。", "The fee is due on the first.", {"mixed"}),
    ("费用按 LPR 加点计算。", "费用按利率计算。", set()),  # an abbreviation is no other language
    ("CafÃ© fees are due.", "Fees are due.", {"mojibake"}),
    ("费用锟斤拷元。", "费用三元。", {"mojibake"}),
    ("The fee is due.<|im_end|>", "Due.", {"leaked"}),
    ("[INST] What is the fee?", "Due.", {"leaked"}),
    ("a < b and b > c.", "Due.", set()),
])  # fmt: skip
def test_each_defect_in_both_languages(text: str, gold: str, wanted: set[str]) -> None:
    found = {"unfinished": defects.unfinished(text), "repetition": defects.repetition(text) > defects.REPEATED,
             "mixed": defects.mixed(text, gold) > defects.MIXED, "mojibake": defects.mojibake(text),
             "leaked": defects.leaked(text)}  # fmt: skip
    assert {name for name, shown in found.items() if shown} == wanted


@given(st.text(max_size=60))
def test_a_right_answer_mixes_nothing_and_shares_are_shares(text: str) -> None:
    assert defects.mixed(text, text) == 0 and 0 <= defects.repetition(text) <= 1


def answers(broken: int) -> pa.Table:
    """The first `broken` answers of the tuned model are empty or repeat themselves; all others are whole."""
    rows = []
    for name in ("gold", "base", "tuned"):
        for i in range(N):
            bad = name == "tuned" and i < broken
            text = "" if bad and i % 2 else "stop now go " * 9 + "." if bad else f"The fee of case {i} is due in May."
            size = float(len(text.encode())) or float("nan")
            rate = 6.0 if bad else 2.0 + (i % 10) / 20
            rows.append({"id": f"e{i}", "model": name, "text": text, "gold": f"The fee of case {i} is due in May.",
                         "finished": True, "bits": rate * size, "bytes": size})  # fmt: skip
    return pa.Table.from_pylist(rows, ANSWERS)


def test_a_model_that_breaks_its_language_is_flagged_and_one_that_does_not_is_not() -> None:
    bad = Fluency().judge({"answers": answers(20)}, told())
    assert bad.figures["defects"].value == pytest.approx(20 / N) and bad.figures["empty"].value == pytest.approx(10 / N)
    assert bad.figures["repetition"].value == pytest.approx(10 / N) and bad.figures["repetition"].low is not None
    assert bad.figures["defects_more"].value == pytest.approx(20 / N) and bad.warnings
    assert bad.figures["outside_band"].n == N - 10 and (bad.figures["outside_band"].value or 0) >= 10 / (N - 10)
    good = Fluency().judge({"answers": answers(0)}, told())
    assert good.figures["defects"].value == 0 and not good.warnings and (good.figures["outside_band"].value or 0) <= 0.2
    assert len(bad.tables[1].rows) == 10 and not good.tables[1].rows


def test_too_few_right_answers_make_no_band() -> None:
    rows = answers(0).to_pylist()
    assert usual(rows[:19], 0.9) is None and usual(rows[:20], 0.9) is not None
    few = pa.Table.from_pylist([row for row in rows if int(row["id"][1:]) < 10], ANSWERS)
    found = Fluency().judge({"answers": few}, told(10))
    assert "outside_band" not in found.figures and "fewer than 20" in found.said[0][0]
    assert found.figures["defects"].low is None  # ten items make no interval


def scores(right: float, seed: int = 1) -> pa.Table:
    random = np.random.default_rng(seed)
    rows = []
    for name, share in (("gold", 1.0), ("base", 0.5), ("tuned", right)):
        for i in range(N):
            fits = random.random() < share
            rows.append({"id": f"e{i}", "model": name, "measure": "words", "own": float(fits), "other": 0.5})
    return pa.Table.from_pylist(rows, SCORES)


def test_answers_to_any_question_are_at_chance_and_told() -> None:
    good = Relevance().judge({"scores": scores(0.95)}, told())
    assert (good.figures["words"].low or 0) > 0.5 and (good.figures["words_gain"].low or 0) > 0
    assert not any("not shown" in text for text, _ in good.said)
    assert good.said[-1][0].startswith(f"{N} of {N} test items were compared")
    poor = Relevance().judge({"scores": scores(0.5)}, told())
    assert any("not shown to be better than answers to any question" in text for text, _ in poor.said)
    assert good.tables[0].rows[0][3].value == 1.0
    empty = pa.Table.from_pylist(
        [{**row, "own": float("nan")} if row["model"] == "tuned" else row for row in scores(1.0).to_pylist()], SCORES
    )
    assert Relevance().judge({"scores": empty}, told()).figures["words"].value == 0  # an empty answer fits nothing
    none = Relevance().judge({"scores": pa.Table.from_pylist([], SCORES)}, told())
    assert none.missing and not none.figures


def test_another_row_has_another_text_and_another_group() -> None:
    questions, groups = ["a", "a", "b", "c", "c"], ["g", "", "g", "", "h"]
    found = another(questions, groups, 0)
    for row, other in enumerate(found):
        assert other >= 0 and questions[other] != questions[row] and (not groups[row] or groups[other] != groups[row])
    assert another(["same"] * 3, [""] * 3, 0).tolist() == [-1] * 3


def test_means_have_the_evaluation_s_statistics() -> None:
    setting = told().setting
    values = [1.0] * 45 + [0.0] * 15
    found = mean([*values, float("nan")], [""] * 61, setting, 0, 1, centre=0.5)
    assert (
        found.value == 0.75 and found.n == 60 and found.low is not None and 0.5 < found.low < 0.75 < (found.high or 0)
    )
    assert found.p is not None and found.p < 0.01
    same = mean(values, ["one"] * 60, setting, 0, 1, centre=0.5)
    assert same.low is None and same.p is not None and same.p >= 0.5  # one group says nothing
    assert mean([], [], setting).value is None


def test_from_a_recipe_to_the_report(work: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.train.models import build_writer

    base = tmp_path_factory.mktemp("base") / "tiny-writer"
    build_writer("qwen2", base)
    rows = [{"text": f"what of the {'loan' if i % 2 else 'card'} in case {i}?", "answer": f"it follows rule {i % 5}.",
             "split": "test" if i % 3 == 0 else "train"} for i in range(72)]  # fmt: skip
    Path("data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = {
        "name": "written", "task": {"name": "generate", "max_new_tokens": 6},
        "collect": {"workers": 1, "sources": [
            {"path": "data.jsonl", "columns": {name: name for name in ("text", "answer", "split")}}]},
        "prepare": {"split": {"by": "column"}}, "train": {"base_model": str(base), "epochs": 1, "threads": 1},
        "evaluate": {"bootstrap": 200, "checks": ["relevance", "fluency", "judge"]},
    }  # fmt: skip
    done = run(parse(recipe), default_context(work, Console(quiet=True)))
    results = json.loads((done["evaluate"].path / "results.json").read_text(encoding="utf-8"))["checks"]
    assert results["relevance"]["figures"]["likelihood"]["n"] == 24 == results["fluency"]["figures"]["defects"]["n"]
    assert 0 <= results["relevance"]["figures"]["words"]["value"] <= 1
    assert "no judge is named" in results["judge"]["missing"]["en"]
    gold = [row for row in results["fluency"]["tables"][0]["rows"] if row[0]["en"] == "Right answers"]
    assert gold[0][1] > 0 and sum(gold[0][2:]) == 0
    page = (done["report"].path / "report.html").read_text(encoding="utf-8")
    assert "fluency.defects" in page and "relevance.words" in page
