"""Numbers in written answers: what they are worth, when two are one, and the figures over them."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.evaluate.config_writing import NumbersConfig
from metier.evaluate.items import Items, objects
from metier.evaluate.metrics import value
from metier.evaluate.metrics.numbers import compare, graded
from metier.evaluate.numerals import read, same, scales
from metier.registry import lookup

from .test_written_stage import judged

EXACT = NumbersConfig(relative=0.0)


def worth(text: str) -> list[float]:
    return [number.value for number in read(text)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,234.5", [1234.5]),
        ("１，２３４", [1, 234]),
        ("１２３４．５", [1234.5]),
        ("12,34,567", [1234567]),
        (".5", [0.5]),
        ("1.5e3", [1500]),
        ("in 2017,2018 and 2019.", [2017, 2018, 2019]),
        ("COVID-19 and H1N1, 5-10 km", [19, 5, 10000]),
        ("3.5%", [0.035]),
        ("三点五%", [0.035]),
        ("百分之三点五", [0.035]),
        ("-22.22 percent", [-0.2222]),
        ("20 bps", [0.002]),
        ("下降了5个百分点", [0.05]),
        ("3‰", [0.003]),
        ("$3.5 million", [3.5e6]),
        ("US$ 3bn", [3e9]),
        ("10k", [10000]),
        ("1.2亿", [1.2e8]),
        ("3.5万元", [35000]),
        ("3亿5千万", [3.5e8]),
        ("约300万美元", [3e6]),
        ("5千克", [5000]),
        ("五十万元", [500000]),
        ("1.2万億", [1.2e12]),
        ("一千二百三十四点五", [1234.5]),
        ("二〇一九年", [2019]),
        ("一亿二千三百四十五万六千七百八十九", [123456789]),
        ("一万亿", [1e12]),
        ("十五", [15]),
        ("贰佰叁拾元", [230]),
        ("三点五亿", [3.5e8]),
        ("第三十二条", [32]),
        ("十年", [10]),
        ("三家公司", [3]),
        ("一般来说，十分重要，万一涉及第三方，千万不要统一处理一些问题", []),
        ("三", [3]),
        ("一个", [1]),
        ("(1,234)", [-1234]),
        ("($1,234.5)", [-1234.5]),
        ("a change of (1,234)", [-1234]),
        ("rose to 5 (3.2)", [5, 3.2]),
        ("revenue (2019)", [2019]),
        ("$3 million (¥2.1 billion)", [3e6, 2.1e9]),
        ("(12) (5)", [-12, -5]),
        ("−1,234", [-1234]),
        ("-$5", [-5]),
        ("$-5", [-5]),
        ("负三点五", [-3.5]),
        ("minus 5", [-5]),
        ("零下5度", [-5]),
        ("twenty-five", [25]),
        ("two hundred and five thousand people", [205000]),
        ("one of them", []),
        ("One.", [1]),
        ("1. first\n2. second: 7", [7]),
        ("", []),
        ("no number", []),
    ],
)
def test_numbers_are_read(text: str, values: list[float]) -> None:
    assert worth(text) == pytest.approx(values)


CHINESE = "零一二三四五六七八九"


def in_chinese(number: int) -> str:
    """A number below a hundred million in Chinese numerals, by the rule and not by the reader's own table."""
    if number >= 10**4:
        high, low = divmod(number, 10**4)
        return in_chinese(high) + "万" + (("零" if low < 1000 else "") + in_chinese(low) if low else "")
    out, gap = "", False
    for place, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // place % 10
        if digit:
            out, gap = out + ("零" if gap and out else "") + CHINESE[digit] + name, False
        else:
            gap = True
    return out


@given(st.integers(1, 10**8 - 1))
def test_a_number_is_the_same_in_either_language(number: int) -> None:
    texts = (str(number), f"{number:,}", in_chinese(number) + "元", f"{number / 10**4}万" if number < 10**12 else "")
    for text in texts:
        assert worth(text) == pytest.approx([number], rel=1e-12), text


@given(
    st.text("0123456789.,-%()$ 一二三十百千万亿点元年million负分之第", max_size=24), st.text("a 0123万%", max_size=8)
)
def test_any_text_is_read_and_is_right_against_itself(text: str, question: str) -> None:
    assert all(math.isfinite(number.value) for number in read(text))
    due, right, shared, unread = compare(text, text, question, EXACT)
    assert (right, shared, unread) == (due, due, 0.0)


@pytest.mark.parametrize(
    ("question", "sizes"),
    [
        ("What was revenue in millions?", (1e6,)),
        ("Total assets, in US$ thousands", (1e3,)),
        ("(单位：万元)", (1e4,)),
        ("营收为多少亿元？", (1e8,)),
        ("What is the percentage change?", (0.01,)),
        ("占比是多少", (0.01,)),
        ("How many?", ()),
    ],
)
def test_the_question_says_in_what_it_asks(question: str, sizes: tuple[float, ...]) -> None:
    assert scales(question) == sizes


@pytest.mark.parametrize(("answer", "gold", "question", "right"), [
    ("The total was $1,496.5 million.", "1,496.5", "What were sales in millions?", True),
    ("1.4965 billion", "$1,496.5", "What were sales in millions?", True),
    ("1,496.5", "1,496.5 million", "What were sales?", False),
    ("-22.22%", "-22.22", "What is the percentage change?", True),
    ("In 2019 it was 592.", "592", "What was it in 2019?", True),
    ("In 2018 it was 592.", "592", "What was it in 2019?", False),
    ("57,768 and 73,260", "73,260 and 57,768", "", True),
    ("73,260 and 73,260", "73,260 and 57,768", "", False),
    ("1234", "(1,234)", "", False),
    ("12000万元", "1.2亿元", "", True),
    ("5 mg", "5 g", "", False), ("0.005 g", "5 mg", "", True), ("5", "5 mg", "", True),
    ("5 dollars", "5 euros", "", False), ("3年", "三年", "", True),
])  # fmt: skip
def test_an_answer_is_held_against_the_gold_one(answer: str, gold: str, question: str, right: bool) -> None:
    due, found, _, unread = compare(answer, gold, question, NumbersConfig())
    assert (due, found, unread) == (1.0, float(right), 0.0)


def test_tolerances_are_of_the_gold_number_and_of_its_size() -> None:
    one, gold, other = read("3.46 million")[0], read("3.5 million")[0], read("3.5%")[0]
    assert not same(one, gold, (), 0.01, 0.0) and same(one, gold, (), 0.012, 0.0)
    assert same(one, gold, (), 0.0, 0.05) and not same(one, gold, (), 0.0, 0.03)
    assert same(read("3.6%")[0], other, (), 0.0, 0.1001) and not same(read("3.6%")[0], other, (), 0.0, 0.09)
    years = read("2018 2019")
    assert not same(years[0], years[1], (), NumbersConfig().relative, 0.0)


def test_only_the_last_number_counts_where_the_recipe_says_so() -> None:
    gold = "48/2 = 24 in May, 48+24 = 72 in all.\n#### 72"
    assert compare("So she sold 72.", gold, "", NumbersConfig())[1] == 0.0
    assert compare("So she sold 72.", gold, "", NumbersConfig(compare="last"))[1] == 1.0


def test_what_has_no_number_takes_no_part_and_an_answer_without_one_is_wrong() -> None:
    gold, answers = ["5 days", "yes", "3.5%", "7"], ["five days", "9", "I do not know", "8 and 7"]
    one = Items("text", objects(gold), objects(answers), more={"texts": objects(answers)})
    rows = pa.table({"pair": [""] * 4})
    found = graded({"tuned": one}, rows, NumbersConfig())["tuned"]
    figures = {
        name: value(lookup("metric", name), found) for name in ("number_match", "number_f1", "number_unparsable")
    }
    assert figures == pytest.approx(
        {"number_match": 1 / 3, "number_f1": (1 + 0 + 2 / 3) / 3, "number_unparsable": 1 / 3}
    )
    metric = lookup("metric", "number_match")
    assert metric.count(found) == 3
    words = Items("text", objects(["yes"]), objects(["no"]), more={"texts": objects(["no"])})
    assert graded({"tuned": words}, rows[:1], NumbersConfig())["tuned"] is words and value(metric, words) is None


def test_the_stage_tells_figures_counts_and_what_is_missing(tmp_path: Path) -> None:
    rows = [{"text": "", "pair": f"What was it in {2000 + i}?", "answer": f"{i * 1.5:.1f}万元" if i % 4 else "没有"}
            for i in range(80)]  # fmt: skip
    answers: dict[str, list[dict[str, Any]]] = {
        "tuned": [{"written": f"In {2000 + i} it was {i * 15000:,} yuan" if i % 8 != 1 else "unknown"}
                  for i in range(80)],
        "base": [{"written": f"{i}"} for i in range(80)],
    }  # fmt: skip
    config = {"accept": ["number_match > base"], "numbers": {"relative": 0.001}, "base": True}
    results, _ = judged(tmp_path, "generate", rows, answers, config)
    tuned = results["models"]["tuned"]
    assert tuned["number_match"]["n"] == 60 and tuned["number_match"]["value"] == pytest.approx(5 / 6)
    assert tuned["number_unparsable"]["value"] == pytest.approx(1 / 6)
    assert tuned["number_match"]["low"] < 5 / 6 < tuned["number_match"]["high"]
    row = next(row for row in results["comparisons"] if row["metric"] == "number_match")
    assert row["p"] < 0.005 and row["outcome"] == "better" and results["verdict"]["decision"] == "SIGN OFF"
    said = " ".join(warning["text"] for warning in results["warnings"])
    assert "20 of 80 right answers hold no number" in said and "10 of 60 answers of the tuned model hold no" in said
    assert not np.isnan(row["difference"])


@pytest.mark.realdata
def test_answers_of_tat_qa_are_right_in_the_words_of_its_scale() -> None:
    """Every gold answer with numbers, and its scale, equals itself; written out in units it is still right."""
    root = Path(os.environ.get("METIER_DATA_MIRROR") or Path(__file__).parents[3] / "shared" / "data")
    file = root / "finance" / "tatqa" / "tatqa_dataset_dev.json"
    if not file.is_file():
        pytest.skip(f"needs finance/tatqa below METIER_DATA_MIRROR (looked in {root})")
    documents = json.loads(file.read_text(encoding="utf-8"))
    units = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "percent": 0.01}
    told = right = written = 0
    for question in (question for document in documents for question in document["questions"]):
        if question["answer_type"] not in ("arithmetic", "span") or question["scale"] not in units:
            continue
        value = question["answer"][0] if isinstance(question["answer"], list) else question["answer"]
        gold = f"{value} {question['scale']}"
        numbers = read(gold)
        if len(numbers) != 1:
            continue
        told += 1
        right += compare(gold, gold, question["question"], EXACT)[1] == 1.0
        plain = f"{numbers[0].value:,.6f}"
        written += compare(plain, gold, question["question"], NumbersConfig())[1] == 1.0
    assert told > 700 and right == told and written == told
