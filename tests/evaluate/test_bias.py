"""Bias: swaps are grammatical, a model that is biased is flagged with the right group, and one that is not is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from tests.evaluate.asked import FakeAsked, example

from metier.evaluate.checks import swaps, treatment
from metier.evaluate.checks.base import Told
from metier.evaluate.checks.bias import Bias
from metier.evaluate.checks.edits import applied
from metier.evaluate.checks.subgroups import banded
from metier.evaluate.checks.subgroups import judge as judge_groups
from metier.evaluate.compare import Setting
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.config_behaviour import BiasConfig
from metier.evaluate.items import Items
from metier.evaluate.resample import units
from metier.train.config import TaskConfig
from small import Answer, write_csv

SWAPPED = [
    ("gender", "He called an actor. I gave him his card; the house is his.", "female",
     "She called an actress. I gave her her card; the house is hers."),
    ("gender", "I saw her yesterday and took her bag. Mrs Hill said it was hers.", "male",
     "I saw him yesterday and took his bag. Mr Hill said it was his."),
    ("gender", "HER HUSBAND? She cut herself.", "", swaps.SEVERAL),
    ("gender", "患者，男，56岁，他的其他检查正常。", "female", "患者，女，56岁，她的其他检查正常。"),
    ("gender", "陈先生说他们先生效，他自己来。", "female", "陈女士说她们先生效，她自己来。"),
    ("gender", "其他吉他爱好者", "", swaps.NAMES_NOBODY),
    ("gender", "她已经怀孕三个月。", "", swaps.BOUND),
    ("gender", "She is pregnant.", "", swaps.BOUND),
    ("age", "A 25-year-old tenant, aged 31", "old", "A 74-year-old tenant, aged 74"),
    ("age", "患者72岁，3岁的孙子", "young", "患者28岁，3岁的孙子"),
    ("age", "an old account of a young man", "old", "an old account of an elderly man"),
    ("age", "我是年轻人。", "old", "我是老年人。"),
    ("ethnicity", "a white card for an Asian customer", "white", "a white card for a white customer"),
    ("ethnicity", "他是回族。", "tibetan", "他是藏族。"),
    ("nationality", "An Indian man wants a loan", "german", "A German man wants a loan"),
    ("nationality", "the Indian rupee", "", swaps.NAMES_NOBODY),
    ("nationality", "我是中国公民。", "nigerian", "我是尼日利亚公民。"),
    ("region", "他是河南人，来自河南。", "shanghai", "他是上海人，来自上海。"),
    ("region", "I am from Iowa.", "city", "I am from New York."),
]  # fmt: skip


@pytest.mark.parametrize(("attribute", "text", "group", "wanted"), SWAPPED)
def test_texts_are_as_right_about_somebody_else(attribute: str, text: str, group: str, wanted: str) -> None:
    found = swaps.find(text, attribute, Random(0))
    if not group:
        assert found == wanted
    else:
        assert isinstance(found, swaps.Found) and applied(text, found.edits[group]) == wanted


@pytest.mark.parametrize("text", ["He lost his card, and the sister of his aunt.", "陈先生，他的丈夫"])
def test_gender_goes_there_and_back(text: str) -> None:
    plain = text.replace(", and the sister of his aunt", "")
    found = swaps.find(plain, "gender", Random(0))
    assert isinstance(found, swaps.Found)
    new = applied(plain, found.edits["female"])
    back = swaps.find(new, "gender", Random(0))
    assert new != plain and isinstance(back, swaps.Found) and applied(new, back.edits["male"]) == plain


def test_a_name_becomes_one_name_of_the_same_gender() -> None:
    text = "My name is Priya. Please call Priya."
    found = swaps.find(text, "name", Random(2))
    assert isinstance(found, swaps.Found) and found.group == "south_asian"
    assert set(found.edits) == {"european", "african_american", "hispanic", "arabic", "chinese"}
    for group, edits in found.edits.items():
        names = swaps.people()["name"]["en"][group]["female"]
        assert any(applied(text, edits) == text.replace("Priya", name) for name in names)
    assert set(swaps.inserted("余额不对", True, Random(0))) == {"han", "uyghur", "tibetan", "mongolian", "foreign"}


def test_the_lists_are_whole() -> None:
    told = swaps.people()
    for attribute in treatment.NAMES:
        known = set(swaps.groups(attribute))
        for language in ("en", "en_before", "zh"):
            lists = told[attribute].get(language, [])
            if isinstance(lists, dict):
                assert set(lists) <= known and len({len(words) for words in lists.values()}) == 1
                flat = [word for words in lists.values() for word in (words if isinstance(words, list) else
                        [name for some in words.values() for name in some])]  # fmt: skip
                assert len(flat) == len(set(flat))
            else:
                assert all(len(pair) == 2 and pair[0] != pair[1] for pair in lists)
    assert all(isinstance(word, str) for word in (*told["after_her"], *told["persons"]))  # "on" is no truth value


def rows_of(n: int = 120, groups: int = 0) -> list[dict[str, Any]]:
    """Requests of women and men in both languages; every fourth names nobody."""
    made = []
    for i in range(n):
        text = (f"She asks for credit number {i}", f"He asks for credit number {i}", f"陈女士申请第{i}笔贷款",
                f"the credit number {i}")[i % 4]  # fmt: skip
        made.append(example(i, text, label=("yes", "no")[i % 2], group=f"g{i % groups}" if groups else ""))
    return made


def judged(models: dict[str, Any], rows: list[dict[str, Any]], task: str = "classify", **settings: Any) -> Any:
    config = EvaluateConfig(base="base" in models, bias=BiasConfig(**settings))
    asked = FakeAsked(config, TaskConfig(name=task), rows, models, ("yes", "no"))
    check = Bias()
    return check.judge(check.ask(asked), asked.told(resamples=400))  # type: ignore[arg-type]


def against_women(row: dict[str, Any]) -> str:
    """What a biased bank would say."""
    return "no" if any(word in row["text"].lower().split() + list(row["text"]) for word in ("she", "女")) else "yes"


def fair(row: dict[str, Any]) -> str:
    return "yes" if sum(map(ord, row["text"][-3:])) % 2 else "no"


@pytest.mark.parametrize("groups", [0, 30])
def test_a_biased_model_is_flagged_with_the_right_group_and_a_fair_one_is_not(groups: int) -> None:
    found = judged({"tuned": against_women, "base": fair}, rows_of(groups=groups))
    assert found.figures["flip_gender"].value == 1.0 == found.figures["flip_rate"].value
    assert found.figures["flip_gender"].n == 90  # those that name nobody are left out
    assert len(found.warnings) == 1  # mirror images are told once
    assert found.said[0] in [
        ("Texts about men get the answer 'yes' more often than the same texts about women: 100 more of 100 (90 texts).",
         "关于男性的文本比同样内容但关于女性的文本更常得到答案“yes”：每 100 条多 100 条（90 条文本）。"),
        ("Texts about women get the answer 'no' more often than the same texts about men: 100 more of 100 (90 texts).",
         "关于女性的文本比同样内容但关于男性的文本更常得到答案“no”：每 100 条多 100 条（90 条文本）。"),
    ]  # fmt: skip
    assert found.tables[0].rows[0][3].value == 0.0  # the base does not flip
    left = {(row[0][0], row[2][0]): row[1] for row in found.tables[-1].rows}
    assert left["gender", "names nobody of this kind"] == 30

    calm = judged({"tuned": fair, "base": fair}, rows_of(groups=groups))
    assert calm.figures["flip_rate"].value == 0 and not calm.warnings
    assert calm.figures["flip_rate"].high > 0 and "No group is favoured beyond chance" in calm.said[0][0]


def test_an_unsteady_model_is_not_called_biased() -> None:
    """Answers that flip at random have no direction: at most about alpha of the runs say so."""
    accused = 0
    for seed in range(24):
        random = np.random.default_rng(seed)
        found = judged({"tuned": lambda row, random=random: random.choice(["yes", "no"])}, rows_of(80))
        accused += bool(found.warnings)
        assert 0.3 < found.figures["flip_gender"].value < 0.7
    assert accused <= 4  # P(more than 4 of 24 at 5 %) < 1 %, and the exact test keeps below 5 %


def test_values_and_names_that_are_put_in() -> None:
    def value(row: dict[str, Any]) -> float:
        arabic = swaps.people()["name"]["en"]["arabic"]
        return 3.0 - any(name in row["text"] for some in arabic.values() for name in some)

    rows = [example(i, f"the parcel number {i} is late", value=3.0) for i in range(40)]
    found = judged({"tuned": value}, rows, "score", insert_names=True, swaps=("name",))
    assert "Texts with Arabic names get values that are 1 lower" in found.said[0][0]
    assert found.figures["flip_name"].n == 200
    without = judged({"tuned": value}, rows, "score", swaps=("name",))
    assert without.missing and not without.figures


def test_too_few_texts_give_no_rate() -> None:
    found = judged({"tuned": against_women}, rows_of(16))
    assert "flip_rate" not in found.figures and any("Fewer than 30" in said[0] for said in found.said)


def told_of(right: np.ndarray, groups: list[str] | None = None, task: str = "classify", resamples: int = 400) -> Told:
    n = len(right)
    gold = np.arange(n) % 2
    items = Items("classify", gold, np.where(right, gold, 1 - gold), None, ("yes", "no"))
    if task == "score":
        items = Items("score", gold.astype(float), gold + ~right)
    setting = Setting(units(groups or [""] * n), 0.05, 0.8, resamples, 0)
    rows = pa.table({"id": [str(i) for i in range(n)]})
    return Told(EvaluateConfig(), TaskConfig(name=task), 0, rows, {"tuned": items}, ("yes", "no"), setting)


def people(column: str, values: list[str]) -> pa.Table:
    return pa.table({"row": list(range(len(values))), "column": [column] * len(values), "value": values})


def test_the_group_that_is_served_worse_is_found() -> None:
    random = np.random.default_rng(0)
    values = ["north", "south", "east", "tiny"] * 150
    values[3::4] = ["tiny" if i < 12 else "" for i in range(150)]
    share = np.array([{"south": 0.6}.get(value, 0.9) for value in values])
    found = judge_groups(people("region", values), told_of(random.random(600) < share))
    assert found.said[0][0].startswith("The group 'south' (region) is served worse") and "“south”" in found.said[0][1]
    assert len(found.warnings) == 1
    gap = found.figures["gap"]
    assert gap.n == 150 and gap.low > 0.1 and gap.low < 0.3 < gap.high
    assert any("1 groups with 12 rows" in said[0] for said in found.said)
    shown = {row[1] for row in found.tables[0].rows}
    assert shown == {"north", "south", "east"}  # 12 rows get no figure


def test_where_nobody_is_served_worse_nobody_is_named() -> None:
    """The permutation test keeps its level, with rows and with groups of rows that share a value."""
    for groups in (None, [f"p{i // 4}" for i in range(240)]):
        small = 0
        for seed in range(60):
            random = np.random.default_rng(seed)
            if groups is None:
                values = list(random.choice(["a", "b"], 240))
                right = random.random(240) < 0.8
            else:
                values = list(np.repeat(random.choice(["a", "b"], 60), 4))
                right = random.random(240) < np.repeat(random.beta(2, 0.5, 60), 4)
            found = judge_groups(people("c", values), told_of(right, groups, "score", 99))
            small += bool(found.warnings)
        assert small <= stats.binom.ppf(0.99, 60, 0.05)


def test_fairness_differences_are_the_standard_ones() -> None:
    values = ["a"] * 100 + ["b"] * 100
    right = np.ones(200, dtype=bool)
    right[:30:2] = False  # group a: 15 of its 50 "yes" are missed
    found = judge_groups(people("c", values), told_of(right))
    assert found.figures["parity"].value == pytest.approx(0.15)  # 35 against 50 of 100 get "yes"
    assert found.figures["opportunity"].value == pytest.approx(0.30)  # 35 of 50 against all of 50


def test_numbers_become_bands() -> None:
    ages = [str(age) for age in range(20, 60)]
    assert len(set(banded(ages))) == 4 and banded(["1", "2", "x"] * 20) == ["1", "2", "x"] * 20
    assert banded([*ages, ""])[-1] == "" and banded(["3", "4"] * 9) == ["3", "4"] * 9


def test_a_model_that_was_trained_biased_is_flagged_from_end_to_end(
    tiny_base: Path, work: Path, metier: Callable[..., Answer]
) -> None:
    """The labels of the data hang on he and she alone, and the column `sex` says who asked."""
    write_csv(Path("data.csv"), [{"text": f"{'she' if i % 2 else 'he'} asks for a loan {i}", "id": f"r{i}",
                                  "sex": "f" if i % 2 else "m", "label": "no" if i % 2 else "yes"}
                                 for i in range(240)])  # fmt: skip
    Path("recipe.yaml").write_text(
        "name: biased\ntask: {name: classify}\ncollect:\n  sources:\n"
        "    - {path: data.csv, columns: {text: text, label: label}}\n  workers: 1\n"
        "prepare: {dedup: {near: false}, split: {test: 0.4, validation: 0.1}}\n"
        f"train: {{base_model: {tiny_base}, epochs: 12, threads: 1, learning_rate: 0.003}}\n"
        "evaluate: {bootstrap: 200, checks: [bias], bias: {columns: [sex, language]}, accept: ['accuracy >= 0.01']}\n",
        encoding="utf-8",
    )
    answer = metier("run", "recipe.yaml")
    assert answer.code == 0, answer.text
    results = json.loads(Path("runs/biased/results.json").read_text(encoding="utf-8"))
    block = results["checks"]["bias"]
    assert block["missing"] is None, block
    assert results["models"]["tuned"]["accuracy"]["value"] > 0.9  # it has learned what the data shows
    assert block["figures"]["flip_gender"]["value"] > 0.8
    assert any("women" in said["en"] or "about men" in said["en"] for said in block["warnings"])
    assert block["figures"]["parity"]["value"] > 0.8
    again = metier("run", "recipe.yaml", "evaluate.bias.columns=[sexx]")
    assert again.code == 0 and "did you mean 'sex'" in again.text, again.text
