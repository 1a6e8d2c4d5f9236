"""Metrics and floors of extraction against what can be counted by hand and against scikit-learn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.evaluate.floors.base import FloorData
from metier.evaluate.floors.sentence import best_sentence, nearest, no_answer
from metier.evaluate.items import ANSWERS, Found, Items, confidence, objects, right
from metier.evaluate.metrics import for_kind, value
from metier.evaluate.metrics.answers import overlaps
from metier.evaluate.resample import bootstrap, units
from metier.prepare.sentences import sentences
from metier.registry import lookup
from metier.train.config import TaskConfig
from metier.train.tasks.extract import GIVEN, WITHHELD

EXTRACT = TaskConfig(name="extract")


def items(answers: list[tuple[tuple[str, ...], str, bool, float]]) -> Items:
    """(gold answers, words found, given, score) of each question."""
    return Items(ANSWERS, objects([one[0] for one in answers]), objects([Found(*one[1:3]) for one in answers]),
                 np.array([[one[3]] for one in answers], dtype=np.float32))  # fmt: skip


def test_figures_by_hand() -> None:
    one = items([
        (("thirty days", "30 days"), "30 Days.", True, 0.9),
        (("北京市",), "北京", True, 0.8),
        (("a year",), "a year", False, 0.3),  # withheld, although it is right
        ((), "nonsense", True, 0.6),
        ((), "", False, 0.0),
    ])  # fmt: skip
    figures = {metric.name: value(metric, one) for metric in for_kind(ANSWERS)}
    assert figures["answer_exact"] == pytest.approx(2 / 5) and right(one).tolist() == [True, False, False, False, True]
    assert figures["answer_f1"] == pytest.approx((1 + 0.8 + 0 + 0 + 1) / 5)
    assert figures["has_answer_f1"] == pytest.approx(1.8 / 3) and figures["no_answer_accuracy"] == 0.5
    assert figures["aupr"] == pytest.approx((1 + 1 + 3 / 4) / 3)  # of right ones in their order: 1/1, 2/2, 3/4
    assert figures["precision_at_80_recall"] == pytest.approx(3 / 4)
    assert confidence(one) == pytest.approx([0.9, 0.8, 0.7, 0.6, 1.0])
    assert for_kind(ANSWERS, "answer_f1")[0].name == "answer_f1"


@given(st.integers(2, 40), st.integers(0, 999))
def test_average_precision_is_that_of_scikit_learn_where_every_answer_is_found(n: int, seed: int) -> None:
    from sklearn.metrics import average_precision_score

    draw = np.random.default_rng(seed)
    scores = np.round(draw.random(n) * 0.9 + 0.05, 1)  # with ties
    gold = draw.random(n) < 0.5
    gold[0] = True
    one = items([(("x",) if is_gold else (), "x", True, float(s)) for is_gold, s in zip(gold, scores, strict=True)])
    metric = lookup("metric", "aupr")
    assert value(metric, one) == pytest.approx(average_precision_score(gold, scores.astype(np.float32)), abs=1e-6)
    drawn = bootstrap({0: metric.over(one)}, units([""] * n), 50, 0)[0]
    assert ((drawn[~np.isnan(drawn)] >= 0) & (drawn[~np.isnan(drawn)] <= 1)).all()


def test_figures_that_do_not_exist_are_none() -> None:
    nothing = items([((), "x", True, 0.5)] * 3)
    everything = items([(("x",), "x", True, 0.5)] * 3)
    none = {metric.name for metric in for_kind(ANSWERS) if value(metric, nothing) is None}
    assert none == {"has_answer_f1", "aupr", "precision_at_80_recall"}
    assert value(lookup("metric", "no_answer_accuracy"), everything) is None
    silent = items([(("x",), "", False, 0.0)] * 3)
    assert value(lookup("metric", "precision_at_80_recall"), silent) == 0.0


@given(st.text(min_size=1, max_size=30).filter(lambda text: text.strip()))
def test_the_identical_answer_is_perfect_in_every_figure(words: str) -> None:
    one = items([((words,), words, True, 0.9)] * 2)
    for name in ("answer_f1", "answer_exact", "has_answer_f1", "aupr", "precision_at_80_recall"):
        assert value(lookup("metric", name), one) == 1.0


def test_a_clause_is_found_when_half_of_the_words_are_shared() -> None:
    assert overlaps("either party may end it", ["Either party may end it at any time."])
    assert not overlaps("either party", ["Either party may end it at any time."])
    assert overlaps("合同到期", ["合同到期日"]) and not overlaps("", ["x"])


def test_the_nearest_sentence_in_both_languages() -> None:
    text = "The fee is 3.5 percent. It ends at www.end.com soon! 合同有效期为两年。到期后自动续约。"
    found = [text[a:b] for a, b in sentences(text)]
    assert found[:2] == ["The fee is 3.5 percent.", "It ends at www.end.com soon!"]
    assert found[2:] == ["合同有效期为两年。", "到期后自动续约。"]
    for question, answer in (("What is the fee?", 0), ("合同的有效期多长", 2), ("怎样续约", 3)):
        start, end, score = nearest(text, question)
        assert (start, end) == sentences(text)[answer] and score > 0
    assert nearest("", "x") == (0, 0, 0.0)


def test_floors_answer_and_withhold() -> None:
    texts = ["The fee is ten. The rest is silence."] * 4
    pairs = ["What is the fee?", "Who is mad?", "What is the fee?", "Who is mad?"]
    train = FloorData(texts, answers=[[(0, 15)], [], [(0, 15)], []], pairs=pairs, asked_pairs=pairs[:2])
    found = best_sentence(train, texts[:2], EXTRACT, 0).spans
    assert [span[0].label for span in found] == [GIVEN, WITHHELD] and 0 <= found[1][0].score < found[0][0].score < 1
    always = best_sentence(train, texts[:2], EXTRACT.model_copy(update={"no_answer": False}), 0).spans
    assert [span[0].label for span in always] == [GIVEN, GIVEN]
    assert no_answer(train, texts[:2], EXTRACT, 0).spans == [[], []]


def squad(n: int) -> dict:
    """Contexts of a dozen words with two questions, one of them without an answer."""
    paragraphs = []
    for number in range(n):
        thing = ["card", "loan", "bank"][number % 3]
        context = f"the {thing} of house {number} is lost and the {thing} cost {number} pay"
        answer = f"{number} pay"
        paragraphs.append({"context": context, "qas": [
            {"question": "what did it cost", "answers": [{"text": answer, "answer_start": context.index(answer)}]},
            {"question": "who are you", "answers": []}]})  # fmt: skip
    return {"data": [{"paragraphs": paragraphs}]}


def test_from_a_file_of_questions_to_report_and_prediction(tiny_base: Path, work: Path, metier) -> None:
    (work / "data.json").write_text(json.dumps(squad(60)), encoding="utf-8")
    recipe = f"""
name: notices
task: extract
collect: {{sources: [{{path: data.json}}], workers: 1}}
train: {{base_model: {tiny_base}, epochs: 4, threads: 1}}
evaluate: {{bootstrap: 200, accept: ["answer_f1 > best_sentence", "no_answer_accuracy >= 0.5", "aupr > base"]}}
"""
    (work / "notices.yaml").write_text(recipe, encoding="utf-8")
    answer = metier("run", "notices.yaml")
    assert answer.code in (0, 3) and "Traceback" not in answer.text, answer.text
    results = json.loads((work / "runs" / "notices" / "results.json").read_text(encoding="utf-8"))
    assert set(results["models"]) == {"tuned", "base", "best_sentence", "no_answer"}
    assert results["models"]["no_answer"]["answer_f1"]["value"] == pytest.approx(0.5)
    assert results["primary"] == "answer_f1" and len(results["verdict"]["reasons"]) == 3
    page = (work / "runs" / "notices" / "report.html").read_text(encoding="utf-8")
    assert "Answer F1" in page and "Precision at 80 % recall" in page
    card = next((work / "runs" / "notices").glob("**/README.md")).read_text(encoding="utf-8")
    assert "question-answering" in card and "answer_f1" in card
    asked = metier("predict", "notices", "-q", "what did it cost", "the card of house 7 is lost and cost 9 pay")
    assert asked.code == 0 and "what did it cost" in asked.out
    metier("predict", "notices", "-i", "data.json", "-o", "out.jsonl")
    rows = [json.loads(line) for line in (work / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    contexts = [p["context"] for p in squad(60)["data"][0]["paragraphs"]]
    assert len(rows) == 120 and all(0 <= row["confidence"] <= 1 for row in rows)
    for row, context in zip(rows[::2], contexts, strict=True):
        assert row["answer"] == (context[row["start"] : row["end"]] if row["start"] >= 0 else "")
    (work / "asked.csv").write_text("context,question\nthe card cost 9 pay,what did it cost\n", encoding="utf-8")
    metier("predict", "notices", "-i", "asked.csv", "-o", "asked.jsonl")
    assert json.loads((work / "asked.jsonl").read_text(encoding="utf-8"))["question"] == "what did it cost"


def test_answers_point_into_the_text_as_it_was_given() -> None:
    from metier.prediction import _answer_rows
    from metier.train.tasks import Span

    before, text = "\ufeffthe\u00a0notice  is 👍 30 days", "the notice is 👍 30 days"
    start = text.index("30")
    (row,) = _answer_rows(["s"], ["q"], [before], [text], [[Span(start, len(text), GIVEN, 0.9)]])
    assert before[row["start"] : row["end"]] == row["answer"] == "30 days" and row["confidence"] == 0.9
    (row,) = _answer_rows(["s"], ["q"], [before], [text], [[Span(0, 3, WITHHELD, 0.2)]])
    assert (row["answer"], row["start"], row["confidence"]) == ("", -1, 0.8)
    assert _answer_rows(["s"], ["q"], [""], [""], [[]])[0]["confidence"] == 1.0
