"""Changed texts: edits carry gold spans, errors are of the right kind, and a model that minds them is found out."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluate.asked import FakeAsked, example

from metier.evaluate.checks import changes, general
from metier.evaluate.checks.alter import Around, alter, rotated
from metier.evaluate.checks.changed import Changed
from metier.evaluate.checks.edits import Edit, applied, carried
from metier.evaluate.checks.robustness import Robustness
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.config_behaviour import CHANGES, RobustnessConfig
from metier.train.config import TaskConfig
from small import Answer, write_csv

ENGLISH = "The customer lost a wallet near the central station and called the branch twice."
CHINESE = "我的信用卡在银行门口丢了，请尽快帮我处理账单和余额。"


def around(task: str, rows: list[dict[str, Any]], **more: Any) -> Around:
    both = {language == "zh": [text for _, text in general.paragraphs(language)] for language in general.LANGUAGES}
    filled = [{"pair": "", "messages": "", "group": "", "spans": None, "answers": None, **row} for row in rows]
    return Around(TaskConfig(name=task, **more), RobustnessConfig(), filled, both)


@given(st.text("ab文字 ", min_size=1, max_size=20), st.data())
def test_what_an_edit_does_not_touch_is_found_again(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=4, max_size=4)))
    edits = [Edit(cuts[0], cuts[1], data.draw(st.text("xy", max_size=3))),
             Edit(cuts[2], cuts[3], data.draw(st.text("xy", max_size=3)))]  # fmt: skip
    new = applied(text, edits)
    for start, end in ((0, cuts[0]), (cuts[1], cuts[2]), (cuts[3], len(text))):
        if start < end:
            begin, stop = carried(start, end, edits)
            assert new[begin:stop] == text[start:end]
    start, end = carried(0, len(text), edits)
    assert 0 <= start <= end <= len(new)


def test_errors_are_slips_that_people_and_scanners_make() -> None:
    for text in (ENGLISH, CHINESE):
        for name in ("typing", "ocr"):
            turn = changes.TEXT_CHANGES[name]
            few, many = (len(turn(text, Random(3), share)) for share in (0.05, 0.5))
            assert 1 <= few < many
            new = applied(text, turn(text, Random(3), 0.2))
            assert new != text and abs(len(new) - len(text)) < 8
            assert applied(text, turn(text, Random(3), 0.2)) == new  # seeded
            digits = f"{text} 3500 三"
            changed = applied(digits, turn(digits, Random(3), 1.0))
            assert changed.endswith("3500 三")  # no figure is altered
    assert not changes.typing("ok 123", Random(0), 1.0) and not changes.ocr("", Random(0), 1.0)


def test_scripts_and_widths_are_the_standard_ones() -> None:
    def turned(name: str, text: str) -> str:
        return applied(text, changes.TEXT_CHANGES[name](text, Random(0), 1.0))

    assert turned("traditional", "头发，发现") == "頭髮，發現"  # by phrase, not by character
    assert turned("simplified", turned("traditional", CHINESE)) == CHINESE
    wide = turned("full_width", "Card no. 12, ok?")
    assert wide == "Ｃａｒｄ ｎｏ． １２， ｏｋ？" and unicodedata.normalize("NFKC", wide) == "Card no. 12, ok?"
    assert turned("half_width", wide) == "Card no. 12, ok?"
    assert turned("half_width", "好。") == "好。" and not changes.half_width("plain", Random(0), 1.0)
    assert changes.to_script_of("發現", "头发") == "发现" and changes.to_script_of("yes", "no") == "yes"


def test_gold_spans_and_answers_go_with_the_change() -> None:
    text = "Doctor Ann Greenhill gave aspirin."
    row = example(0, text, spans=[{"start": 7, "end": 20, "label": "person"}],
                  answers=[{"start": 26, "end": 33}])  # fmt: skip
    other = example(1, "Nurse Bo gave water.", spans=[{"start": 6, "end": 8, "label": "person"}])
    for change in ("typing", "upper_case", "full_width", "long_context"):
        made = alter(0, change, around("tag", [row, other]), Random(5))
        assert isinstance(made, Changed)
        new, spans = made.columns["text"], made.columns["spans"]
        whole = [new[one["start"] : one["end"]] for one in spans]
        plain = [unicodedata.normalize("NFKC", one).lower() for one in whole]
        if change == "typing":
            assert len(whole[0]) in (12, 13, 14) and new != text
        elif change == "long_context":
            assert sorted(plain) == ["ann greenhill", "bo"]  # what stands around is gold too
        else:
            assert plain == ["ann greenhill"]
    found = alter(0, "typing", around("extract", [{**row, "pair": "Which medicine?"}]), Random(1))
    assert isinstance(found, Changed)
    answer = found.columns["answers"][0]
    assert found.columns["text"][answer["start"] : answer["end"]][0] == "a" and found.columns["pair"] != ""


def test_marks_of_a_relation_stay() -> None:
    row = example(0, "<< aspirin >> blocks [[ COX-1 ]] strongly", label="x")
    made = alter(0, "full_width", around("relate", [row]), Random(0))
    assert isinstance(made, Changed)
    assert (
        all(mark in made.columns["text"] for mark in ("<<", ">>", "[[", "]]"))
        and "ａｓｐｉｒｉｎ" in made.columns["text"]
    )


def test_options_move_with_the_right_letter() -> None:
    text = "Which is a bird?\nA. trout\nB) robin\nC. oak"
    assert rotated(text, "B") == ("Which is a bird?\nA. oak\nB) trout\nC. robin", "C")
    assert rotated("A. only one", "A") is None and rotated(text, "D") is None
    row = example(0, text, label="B")
    made = alter(0, "options", around("classify", [row]), Random(0))
    assert isinstance(made, Changed) and made.columns["label"] == "C"
    assert "options" in str(alter(0, "options", around("classify", [example(0, text, label="bird")]), Random(0)))


def test_an_instruction_is_asked_in_other_words() -> None:
    asked = json.dumps([{"role": "user", "content": "first"}, {"role": "assistant", "content": "ok"},
                        {"role": "user", "content": "请总结"}])  # fmt: skip
    made = alter(0, "instruction", around("chat", [example(0, "", messages=asked, answer="x")]), Random(0))
    assert isinstance(made, Changed)
    turns = json.loads(made.columns["messages"])
    assert turns[0]["content"] == "first" and "请总结" in turns[2]["content"] != "请总结"
    row = example(0, "Long report.", answer="Short.")
    made = alter(0, "instruction", around("generate", [row], instruction="Summarise."), Random(0))
    assert isinstance(made, Changed) and "Summarise." in made.columns["instruction"] != "Summarise."
    typed = alter(0, "typing", around("generate", [row], instruction="Summarise."), Random(0))
    assert isinstance(typed, Changed) and typed.columns["instruction"] == "Summarise."
    assert isinstance(alter(0, "instruction", around("classify", [row]), Random(0)), str)


def rows_of(n: int = 200, groups: int = 0) -> list[dict[str, Any]]:
    """English and Chinese rows whose label is a word that stands in them."""
    made = []
    for i in range(n):
        word = ("payment", "address", "转账", "密码")[i % 4]
        rest = ENGLISH if i % 4 < 2 else CHINESE
        made.append(example(i, f"{rest} {word} number{i}", label=word, group=f"g{i % groups}" if groups else ""))
    return made


def judged(models: dict[str, Any], rows: list[dict[str, Any]], resamples: int = 400, **settings: Any) -> Any:
    config = EvaluateConfig(base="base" in models, robustness=RobustnessConfig(**settings))
    asked = FakeAsked(config, TaskConfig(), rows, models, ("payment", "address", "转账", "密码"))
    check = Robustness()
    return check.judge(check.ask(asked), asked.told(resamples=resamples))  # type: ignore[arg-type]


@pytest.mark.parametrize("groups", [0, 40])
def test_a_model_that_minds_capitals_is_found_out_and_a_calm_one_is_not(groups: int) -> None:
    def by_word(row: dict[str, Any]) -> str:
        return next((word for word in ("payment", "address", "转账", "密码") if word in row["text"]), "payment")

    def calm(row: dict[str, Any]) -> str:
        return str(row["label"])

    wanted = ("upper_case", "lower_case", "traditional")
    found = judged({"tuned": by_word, "base": calm}, rows_of(groups=groups), changes=wanted)
    # 'address' and 转账 are lost in capitals and in traditional characters; small letters change nothing in them.
    assert found.figures["upper_case"].value == pytest.approx(0.25, abs=0.06)
    assert found.figures["upper_case"].low > 0.1 and found.figures["traditional"].low > 0.1
    assert found.figures["lower_case"].value == 0 and found.figures["lower_case_changed"].value == 0
    assert found.figures["worst"].value == max(found.figures[name].value for name in wanted)
    told = " ".join(sentence[0] for sentence in found.said)
    assert "With capital letters the tuned model loses" in told and "The base loses less by capital letters" in told
    assert "No loss can be told from chance by small letters" in told
    assert found.warnings and found.tables[0].rows[-1][0][0] == "small letters"
    left = {(row[0][0], row[3][0]): row[2] for row in found.tables[1].rows}
    assert left["traditional characters", "nothing in it to change"] == 100  # the English rows

    quiet = judged({"tuned": calm, "base": calm}, rows_of(groups=groups), changes=("typing", "ocr", "upper_case"))
    assert quiet.figures["worst"].value == 0 and not quiet.warnings
    assert quiet.figures["worst"].high < 0.1  # and it is said how sure that is
    assert len(quiet.said) == 1


def test_a_model_that_errs_by_chance_is_seldom_accused() -> None:
    """A loss where there is none, in about alpha of the runs at most (Holm over the changes)."""
    accused = 0
    for seed in range(40):
        random = np.random.default_rng(seed)

        def noisy(row: dict[str, Any], random: Any = random) -> str:
            return str(row["label"]) if random.random() < 0.8 else "payment"

        found = judged({"tuned": noisy}, rows_of(60), 50, changes=("typing", "ocr", "full_width"))
        accused += any("loses" in sentence[0] for sentence in found.said)
    assert accused <= 6  # P(more than 6 of 40 at 5 %) < 1 %


def test_figures_have_declared_names_and_items_are_limited() -> None:
    found = judged({"tuned": lambda row: row["label"]}, rows_of(80), items=10)
    assert set(found.figures) <= set(Robustness.figures)
    assert all(found.figures[name].n <= 10 for name in found.figures)
    assert {f"{change}_changed" for change in CHANGES} <= set(Robustness.figures)


def test_from_end_to_end(tiny_base: Path, work: Path, metier: Callable[..., Answer]) -> None:
    write_csv(Path("data.csv"), [{"text": f"my {'card' if i % 2 else 'loan'} number {i} 请",
                                  "label": "card" if i % 2 else "loan"} for i in range(80)])  # fmt: skip
    Path("recipe.yaml").write_text(
        "name: checked\ntask: {name: classify}\ncollect:\n  sources: [{path: data.csv}]\n  workers: 1\n"
        f"train: {{base_model: {tiny_base}, epochs: 1, threads: 1}}\n"
        "evaluate: {bootstrap: 200, checks: [robustness], robustness: {items: 10}, accept: ['accuracy >= 0.01']}\n",
        encoding="utf-8",
    )
    answer = metier("run", "recipe.yaml")
    assert answer.code == 0, answer.text
    block = json.loads(Path("runs/checked/results.json").read_text(encoding="utf-8"))["checks"]["robustness"]
    assert block["missing"] is None and 0 <= block["figures"]["typing_changed"]["value"] <= 1
    assert block["figures"]["long_context"]["n"] == 10 and "instruction" not in block["figures"]
    assert "稳健性" in Path("runs/checked/report.html").read_text(encoding="utf-8")
