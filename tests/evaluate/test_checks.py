"""The contract of checks: asked once, judged from what is stored, told in the report; one that fails loses no other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metier import registry
from metier.errors import UserError
from metier.evaluate.checks import Asked, Figure, Findings, Table, Told
from metier.evaluate.checks.base import quote
from metier.train.config import TaskConfig
from small import Answer, write_csv

Metier = Callable[..., Answer]


class Shouting:
    """Does the answer change when the text is written in capitals?"""

    title = ("Capitals", "大写")
    figures: Mapping[str, Any] = {"changed": "lower"}

    def __init__(self) -> None:
        self.asked = 0

    def unfit(self, task: TaskConfig) -> tuple[str, str] | None:
        return None if task.name == "classify" else ("only for labels", "仅适用于标签")

    def ask(self, asked: Asked) -> Mapping[str, pa.Table]:
        self.asked += 1
        test = asked.parts["test"]
        loud = [text.upper() for text in test["text"].to_pylist()]
        rows = test.set_column(test.schema.get_field_index("text"), "text", pa.array(loud))
        return {"answers": pa.concat_tables([asked.answer("tuned", rows), asked.answer("base", rows)])}

    def judge(self, stored: Mapping[str, pa.Table], told: Told) -> Findings:
        answers = stored["answers"].to_pylist()
        assert {row["model"] for row in answers} == {"tuned", "base"}
        before = told.models["tuned"].predicted
        after = [row["label"] for row in answers if row["model"] == "tuned"]
        changed = [told.models["tuned"].classes[code] != label for code, label in zip(before, after, strict=True)]
        share = sum(changed) / len(changed)
        return Findings(
            self.title,
            {"changed": Figure(("Answers that change", "改变的答案"), share, n=len(changed), percent=True)},
            [("Capitals matter.", "大小写有影响。")], [("Look at the capitals.", "请注意大小写。")],
            [Table(("Texts", "文本"), [("Text", "文本"), ("Share", "比例")],
                   [[quote(told.rows["text"][0].as_py()), share], [("both", "两者"), None]])],
        )  # fmt: skip


class Absent(Shouting):
    """Needs something that is not there."""

    title = ("Nothing there", "不存在")

    def ask(self, asked: Asked) -> Mapping[str, pa.Table]:
        raise UserError("no endpoint answers", "evaluate.absent", "start one")


@pytest.fixture
def loud() -> Iterator[Shouting]:
    check = Shouting()
    registry.register("check", "loud")(check)
    registry.register("check", "absent")(Absent())
    yield check
    for name in ("loud", "absent"):
        del registry._entries["check"][name]


def test_a_check_is_asked_once_and_told_in_the_report(
    tiny_base: Path, work: Path, metier: Metier, loud: Shouting
) -> None:
    write_csv(Path("data.csv"), [{"text": f"my {'card' if i % 2 else 'loan'} number {i}",
                                  "label": "card" if i % 2 else "loan"} for i in range(120)])  # fmt: skip
    Path("recipe.yaml").write_text(
        "name: checked\ntask: {name: classify}\ncollect:\n  sources: [{path: data.csv}]\n  workers: 1\n"
        f"train: {{base_model: {tiny_base}, epochs: 1, threads: 1}}\n"
        'evaluate: {bootstrap: 200, checks: [loud, absent], accept: ["accuracy >= 0.01"]}\n', encoding="utf-8"
    )  # fmt: skip
    answer = metier("run", "recipe.yaml")
    assert answer.code == 0, answer.text
    results = json.loads(Path("runs/checked/results.json").read_text(encoding="utf-8"))
    assert set(results["checks"]) == {"loud", "absent"}
    figure = results["checks"]["loud"]["figures"]["changed"]
    assert figure["n"] == results["data"]["test"] and 0 <= figure["value"] <= 1
    assert "no endpoint answers" in results["checks"]["absent"]["missing"]["en"]
    assert {"text": "Look at the capitals.", "text_zh": "请注意大小写。"} in results["warnings"]
    page = Path("runs/checked/report.html").read_text(encoding="utf-8")
    for wanted in ("loud.changed", "大小写有影响。", "No result: not done: no endpoint answers", "lower is better"):
        assert wanted in page
    text = results["checks"]["loud"]["tables"][0]["rows"][0][0]["quote"]
    assert re.search(f"<bdi>{re.escape(text)}</bdi>", page)

    again = metier("run", "recipe.yaml", 'evaluate.accept=["accuracy >= 0.02"]', "report.show_texts=false")
    assert again.code == 0 and loud.asked == 1, again.text  # another criterion asks no model again
    assert f"<bdi>{text}</bdi>" not in Path("runs/checked/report.html").read_text(encoding="utf-8")
    wrong = metier("run", "recipe.yaml", "evaluate.checks=[lout]")
    assert wrong.code == 2 and "no check called 'lout'" in wrong.err and "loud" in wrong.err


def test_without_checks_there_is_no_such_stage(tiny_base: Path, work: Path, metier: Metier) -> None:
    write_csv(
        Path("data.csv"), [{"text": f"{'card' if i % 2 else 'loan'} {i}", "label": str(i % 2)} for i in range(60)]
    )
    Path("recipe.yaml").write_text(
        "name: plain\ntask: {name: classify}\ncollect: {sources: [{path: data.csv}], workers: 1}\n", encoding="utf-8"
    )
    answer = metier("why", "recipe.yaml", f"train.base_model={tiny_base}")
    assert answer.code == 0 and "check" not in answer.text, answer.text
