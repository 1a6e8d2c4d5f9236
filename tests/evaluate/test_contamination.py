"""Contamination: a leaked test set is flagged, in training and in the base, and a clean one is not."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import kstest

from metier import tables
from metier.evaluate import option_order, row_order
from metier.evaluate.checks.contamination import Contamination
from metier.evaluate.config_evidence import ContaminationConfig
from metier.evaluate.items import CLASSIFY, Items
from metier.lettering import listed
from metier.train.config import TaskConfig

from .memory import asked, examples, learn, told, writer

WORDS = ["card", "loan", "rent", "bank", "gold", "wage", "share", "bond", "grant", "note", "tax", "fee", "debt", "fund"]
LONG = "the lender may end this loan at once if the borrower does not pay any sum when it is due to be paid"
CHINESE = "借款人未按约定的期限返还借款的，贷款人可以要求借款人支付逾期利息并提前收回借款"


def letters(n: int, seed: int = 0, words: int = 4) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    return [{"text": " ".join(draw.choices(WORDS, k=words)), "label": draw.choice("ab"), "source": f"data.csv#{i + 1}",
             "split": "test" if i % 2 else "train"} for i in range(n)]  # fmt: skip


def ask(folder: Path, made: list[dict[str, Any]], base: Path, **settings: int) -> tuple[Any, dict[str, pa.Table]]:
    """A check of these rows on a base whose tuned model is never asked (only its device is)."""
    import torch

    examples(folder, made)
    model = type("Model", (), {"module": torch.nn.Linear(1, 1)})()
    given = asked(folder, {"contamination": settings}, TaskConfig(), base, model)
    return given, dict(Contamination().ask(given))


def test_a_leaked_test_set_is_flagged(tiny_base: Path, tmp_path: Path) -> None:
    rows = letters(80, words=12)
    rows[0]["text"] = rows[1]["text"]  # equal
    rows[2]["text"] = rows[3]["text"] + "!"  # nearly equal
    rows[4]["text"], rows[5]["text"] = f"Dear all, {LONG}. Yours", f"My lawyer says that {LONG}, is that so?"
    rows[6]["text"], rows[7]["text"] = f"合同写明：{CHINESE}。", f"请问“{CHINESE}”是什么意思？谢谢您的解答，祝好！"
    given, stored = ask(tmp_path, rows, tiny_base)
    gold = np.array([i % 2 for i in range(40)])
    models = {"tuned": Items(CLASSIFY, gold, np.where(np.arange(40) < 4, gold, 1 - gold), classes=("a", "b"))}
    found = Contamination().judge(stored, told(given, models))
    assert found.figures["passages"].value == 2 / 40 and found.figures["near"].value == 2 / 40
    assert found.figures["passages"].low > 0 and found.figures["passages"].n == 40
    assert "4 of 40 test examples" in found.warnings[0][0] and "4 个" in found.warnings[0][1]
    seen, rest = found.tables[0].rows[0][1:]
    assert (seen.value, seen.n, rest.value) == (1.0, 4, 0.0)
    assert len(found.tables[1].rows) == 4 and found.tables[1].rows[0][2] == 1.0
    assert found.figures["order_p"].value is None and found.said[1] == row_order.NO_LIKELIHOOD  # a BERT

    clean, stored = ask(tmp_path / "clean", letters(80, words=12), tiny_base)
    found = Contamination().judge(stored, told(clean, models))
    assert found.figures["passages"].value == found.figures["near"].value == 0 and not found.warnings


def test_a_base_that_has_read_the_file_is_flagged_and_a_fresh_one_is_not(tmp_path: Path) -> None:
    rows = letters(24, words=2)
    model, base = writer(tmp_path / "base", TaskConfig(name="pretrain"))
    settings = {"rows": 4, "permutations": 5}
    given, stored = ask(tmp_path / "fresh", rows, base, **settings)
    fresh = Contamination().judge(stored, told(given))
    assert stored["order"].num_rows == 6 and fresh.figures["order_p"].value > 0.01 and not fresh.warnings
    assert "No sign that the base" in fresh.said[1][0] and "没有迹象" in fresh.said[1][1]

    order = [{"text": "\n\n".join(row["text"] for row in rows[i : i + 4]), "split": "train"} for i in range(0, 24, 4)]
    learn(model, tables.table(order, tables.EXAMPLES), 150)
    model.module.plain().save_pretrained(base)
    given, stored = ask(tmp_path / "read", rows, base, **settings)
    read = Contamination().judge(stored, told(given))
    assert read.figures["order_p"].value < 0.01 and stored["order"]["gain"].to_numpy().min() > 0
    assert any("very likely read this data set" in one[0] for one in read.warnings)


def test_the_order_test_is_right_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    p = [row_order.order_p(draw.standard_t(5, 20)) for _ in range(400)]
    assert kstest(p, "uniform").statistic < 0.07 and row_order.order_p(np.zeros(9)) == 1.0


@pytest.mark.parametrize(("kind", "change"), [
    ("label", lambda i, row: row | {"label": "ab"[i > 25]}),
    ("group", lambda i, row: row | {"group": f"g{i // 5}"}),
    ("number", lambda i, row: row | {"text": f"{row['text']} 第{i}号"}),
    ("", lambda i, row: row),
])  # fmt: skip
def test_an_order_that_tells_something_is_not_asked_about(kind: str, change: Any) -> None:
    rows = [change(i, row) for i, row in enumerate(letters(60))]
    random.Random(1).shuffle(rows)
    ordered = row_order.in_order(tables.table([*rows, rows[0], {"text": "alone", "source": "a.txt"}], tables.EXAMPLES))
    assert ordered["source"].to_pylist() == [f"data.csv#{i + 1}" for i in range(60)]
    assert row_order.why_not(ordered) == kind


def test_stretches_hold_neighbours_of_one_file_and_a_test_row() -> None:
    rows = [*letters(20), *({**row, "source": f"more.csv#{i}"} for i, row in enumerate(letters(7)))]
    for row in rows[6:12]:
        row["split"] = "train"
    table = row_order.in_order(tables.table(rows, tables.EXAMPLES))
    found = row_order.stretches(table, ContaminationConfig(rows=6), np.random.default_rng(0))
    assert found == [[*range(6)], [*range(12, 18)], [*range(20, 26)]]


def quiz(n: int, seed: int = 3) -> list[dict[str, Any]]:
    """Questions with four options in an order that is neither by alphabet nor by length."""
    draw = random.Random(seed)
    sets = draw.sample([*itertools.combinations(WORDS, 4)], 8 * n)  # no two questions share all options
    fair = [own for one in sets if not option_order.why_not(own := draw.sample(one, 4))][:n]
    made = [{"pair": f"what of {' '.join(draw.choices(WORDS, k=2))} {place}?", "options": options, "answer": options[0],
             "source": f"quiz.csv#{place + 1}", "split": "test"} for place, options in enumerate(fair)]  # fmt: skip
    return [{"pair": "what?", "options": ["x", "y", "z", "w"], "answer": "x", "split": "train"}, *made]


@pytest.mark.slow
def test_a_base_that_has_read_the_options_in_their_order_is_flagged_and_a_fresh_one_is_not(tmp_path: Path) -> None:
    import torch

    rows = quiz(12)
    model, base = writer(tmp_path / "base", TaskConfig(name="pretrain"))

    def judged(name: str) -> Any:
        examples(tmp_path / name, rows)
        tuned = type("Model", (), {"module": torch.nn.Linear(1, 1)})()
        given = asked(tmp_path / name, {"contamination": {"permutations": 5}}, TaskConfig(name="choose"), base, tuned)
        return Contamination().judge(dict(Contamination().ask(given)), told(given))

    fresh = judged("fresh")
    assert fresh.figures["options_p"].value > 0.01 and fresh.figures["options_p"].n == 12 and not fresh.warnings
    assert 0.2 < fresh.figures["options_preferred"].value < 0.8
    assert "No sign that the base has read them" in fresh.said[-1][0] and "没有迹象" in fresh.said[-1][1]

    read = [{"text": listed(row["pair"], row["options"]), "split": "train"} for row in rows[1:]]
    learn(model, tables.table(read, tables.EXAMPLES), 100)
    model.module.plain().save_pretrained(base)
    seen = judged("read")
    assert seen.figures["options_p"].value < 0.001 and seen.figures["options_preferred"].value > 0.7
    assert seen.figures["options_gain"].value > 0
    assert any("very likely read these questions" in one[0] for one in seen.warnings)


def test_the_test_over_orders_of_options_is_exact() -> None:
    for orders in ([1], [3, 2], [5, 5, 1]):
        every = [sum(wins) for wins in itertools.product(*(range(most + 1) for most in orders))]
        for least in range(sum(orders) + 1):
            share = sum(total >= least for total in every) / len(every)
            assert option_order.exact_p([least], orders) == pytest.approx(share)
    draw, orders = np.random.default_rng(0), [5, 23, 23, 3] * 5
    p_of = np.array([option_order.exact_p([wins], orders) for wins in range(sum(orders) + 1)])
    drawn = sum(draw.integers(0, most + 1, size=20_000) for most in orders)
    attained = float(p_of[p_of <= 0.05].max())  # the test is discrete
    assert 0.045 < attained <= 0.05 and float((p_of[drawn] <= 0.05).mean()) == pytest.approx(attained, abs=0.005)


@pytest.mark.parametrize(("options", "reason"), [
    (["yes", "no"], "two"), (["b", "a", "all of the above"], "refers"), (["甲", "乙", "以上都对"], "refers"),
    (["cat", "ant", "A and B"], "refers"), (["1,000 m", "20 m", "3 m"], "sorted"), (["ant", "bee", "cat"], "sorted"),
    (["bb", "aaa", "cccc"], "sorted"), (["bee", "ant", "cat"], ""), (["民法典规定", "刑法规定", "宪法明确规定"], ""),
])  # fmt: skip
def test_options_whose_order_tells_something_are_left_out(options: list[str], reason: str) -> None:
    assert option_order.why_not(options) == reason


def test_questions_left_out_are_counted_and_other_orders_are_not_sorted() -> None:
    rows = [*quiz(11)[1:], {"pair": "q", "options": ["1", "2", "3"]}, {"pair": "q", "options": ["u", "w", "v", "x"]},
            {"pair": "r", "options": ["w", "u", "v", "x"]}]  # fmt: skip
    table = tables.table(rows, tables.EXAMPLES)
    found, left = option_order.questions(table, ContaminationConfig(questions=10), np.random.default_rng(0))
    assert len(found) == 10 and left == {"sorted": 1, "repeated": 2, "not drawn": 1}
    for one in found:
        options = rows[one.row]["options"]
        shown = [[options[place] for place in order] for order in one.orders]
        assert shown[0] == options and len({tuple(own) for own in shown}) == len(shown) > 1
        assert not any(option_order._sorted(own) for own in shown)
