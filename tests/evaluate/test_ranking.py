"""Rankings: figures against scikit-learn, BM25 by its formula, the corpus, and the whole stage."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score
from tests.evaluate.conftest import artifact

from metier import tables
from metier.errors import UserError
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.criteria import check
from metier.evaluate.floors import FloorData, floor_names, model_names
from metier.evaluate.floors.bm25 import bm25
from metier.evaluate.items import RANKING, Items, objects, right
from metier.evaluate.metrics import for_kind, value
from metier.evaluate.predict import PREDICTIONS
from metier.evaluate.retrieval import corpus
from metier.evaluate.stage import evaluate
from metier.registry import lookup
from metier.train.bm25 import K1, B, Index, best, words
from metier.train.config import TaskConfig

EMBED = TaskConfig(name="embed")


def made(gold: list[list[int]], found: list[list[int]], corpus: int = 30) -> Items:
    return Items(RANKING, objects([tuple(x) for x in gold]), objects([tuple(x) for x in found]), None,
                 tuple(f"passage {i}" for i in range(corpus)))  # fmt: skip


def figure(name: str, items: Items) -> float | None:
    return value(lookup("metric", name), items)


def test_figures_by_hand() -> None:
    items = made([[3], [4, 5], [6]], [[3, 1], [0, 4, 1, 5], [1, 2]])
    assert figure("recall_1", items) == pytest.approx((1 + 0 + 0) / 3)
    assert figure("recall_10", items) == pytest.approx((1 + 1 + 0) / 3)
    assert figure("mrr_10", items) == pytest.approx((1 + 1 / 2 + 0) / 3)
    second = (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3))
    assert figure("ndcg_10", items) == pytest.approx((1 + second + 0) / 3)
    assert right(items).tolist() == [True, False, False]
    late = made([[7]], [[*range(8, 30), *range(7), 7]])
    assert figure("mrr_10", late) == 0 == figure("recall_10", late) and figure("recall_100", late) == 1
    assert figure("ndcg_10", made([[1]], [[]])) == 0


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_ndcg_is_that_of_scikit_learn(seed: int, right_ones: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.permutation(30).astype(float)
    gold = random.choice(30, right_ones, replace=False)
    truth = np.zeros(30)
    truth[gold] = 1
    items = made([gold.tolist()], [np.argsort(-scores).tolist()])
    assert figure("ndcg_10", items) == pytest.approx(ndcg_score(truth[None], scores[None], k=10))


def test_words_of_both_languages() -> None:
    assert words("Diseases of the eyes: COX-2 studies, a virus") == [
        "disease", "of", "the", "eye", "cox", "2", "study", "a", "virus"]  # fmt: skip
    assert words("我的卡丢了, 怎么办? B12维生素") == [
        "我的",
        "的卡",
        "卡丢",
        "丢了",
        "怎么",
        "么办",
        "b12",
        "维生",
        "生素",
    ]
    assert words("药") == ["药"] and words("...") == []


def test_scores_follow_the_formula() -> None:
    passages = ["a loan is a loan", "the fee of the card", "card and loan and fee and house", ""]
    (found,) = Index(passages).scores(["loan loan card", "nothing known"])
    lengths = [len(words(text)) for text in passages]
    mean = sum(lengths) / 4

    def weight(term: str, at: int) -> float:
        holders = sum(term in words(text) for text in passages)
        count = words(passages[at]).count(term)
        idf = math.log(1 + (4 - holders + 0.5) / (holders + 0.5))
        return idf * count * (K1 + 1) / (count + K1 * (1 - B + B * lengths[at] / mean))

    expected = [2 * weight("loan", at) + weight("card", at) for at in range(4)]
    assert found[0] == pytest.approx(expected, rel=1e-5) and not found[1].any()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(1, 12))
def test_the_best_come_first_and_equal_ones_in_order(scores: list[int], most: int) -> None:
    (found,) = best(np.array([scores], dtype=float), most)
    assert found.tolist() == sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:most]
    (found,) = best(np.array([scores], dtype=float), most, above=0.0)
    assert found.tolist() == [i for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:most] if scores[i]]


def test_the_floor_ranks_in_chinese_too_and_asks_for_queries() -> None:
    passages = ["卡丢了请打电话", "还款可以用卡", "the fee of a late payment"]
    data = FloorData([], asked_pairs=["我的卡丢了", "late fees", "zebra"], corpus=passages)
    assert bm25(data, [], EMBED, 0).ranked == [[0], [2], []]
    with pytest.raises(UserError, match="ranks passages for queries"):
        bm25(FloorData(["a"], labels=["x"]), ["a"], TaskConfig(), 0)


def test_the_corpus_is_each_passage_once() -> None:
    held = {"test": ["a", "b", "a"], "validation": ["c"], "train": ["b", "d"]}
    parts = {name: pa.table({"id": [f"{name}{i}" for i in range(len(texts))], "text": texts})
             for name, texts in held.items()}  # fmt: skip
    assert corpus(parts, False)["text"].to_pylist() == ["a", "b"]
    everything = corpus(parts, True)
    assert everything["text"].to_pylist() == ["a", "b", "c", "d"]
    assert everything["split"].to_pylist() == ["test", "test", "validation", "train"]


def test_names_and_criteria() -> None:
    assert floor_names(EvaluateConfig(), EMBED) == ["bm25"]
    assert model_names(EvaluateConfig(), EMBED) == ["tuned", "base", "bm25"]
    assert [m.name for m in for_kind("ranking", "ndcg_10")] == ["ndcg_10", "mrr_10", "recall_1", "recall_10",
                                                                "recall_100"]  # fmt: skip
    for text in ("ndcg_10 > bm25", "recall_10 >= 0.8", "mrr_10 > base + 0.02"):
        assert check([text], EMBED, ["tuned", "base", "bm25"])
    with pytest.raises(UserError, match="no metric 'recall'"):
        check(["recall[x] > 0.5"], EMBED, ["tuned", "base", "bm25"])


def test_the_whole_stage(tmp_path: Any, quiet: Any) -> None:
    """120 queries, one passage each; the tuned model has three in four first, BM25 one in two; two share a query."""
    rows = [{"id": f"e{i}", "pair": "asked twice" if i < 2 else f"query {i}", "text": f"passage {i}", "split": "test",
             "source": f"s{i}", "group": f"g{i // 3}"} for i in range(120)]  # fmt: skip
    tables.write(tables.table(rows, tables.EXAMPLES), tmp_path / "examples" / "examples.parquet")
    answers = []
    for model, step in (("tuned", 4), ("base", 3), ("bm25", 2)):
        for i in reversed(range(120)):  # in any order
            wrong = (i + 5) % 120
            answers.append({"model": model, "id": f"e{i}", "ranked": [wrong, i] if i % step == 0 else [i, wrong]})
    folder = tmp_path / "predictions"
    tables.write(tables.table(answers, PREDICTIONS), folder / "predictions.parquet")
    tables.write(corpus({"test": tables.table(rows, tables.EXAMPLES)}, False), folder / "corpus.parquet")
    tables.write_json([], folder / "classes.json")
    config = EvaluateConfig(accept=("ndcg_10 > bm25", "ndcg_10 > base"), bootstrap=300)
    evaluate(config, EMBED, 0, artifact(tmp_path / "examples", "prepare"), artifact(folder, "predictions"),
             tmp_path / "out", quiet)  # fmt: skip
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["primary"] == "ndcg_10" and results["profile"] == {"kind": "ranking",
                                                                      "pipeline": "sentence-similarity"}  # fmt: skip
    tuned = results["models"]["tuned"]
    # The two rows of one query have two right passages each: first of one, and the other stands in neither's list.
    assert tuned["recall_1"]["value"] == pytest.approx((118 * 0.75 + 0.25 + 0.5) / 120, abs=0.01)
    assert tuned["ndcg_10"]["low"] < tuned["ndcg_10"]["value"] < tuned["ndcg_10"]["high"]
    row = next(one for one in results["comparisons"] if one["metric"] == "ndcg_10" and one["against"] == "bm25")
    assert row["test"] == "cluster sign-flip" and row["difference"] > 0 and row["outcome"] == "better"
    listed = tables.read(tmp_path / "out" / "cases.parquet").to_pylist()
    assert results["cases"]["broken"] == sum(case["kind"] == "broken" for case in listed) > 0
    case = next(case for case in listed if case["kind"] == "broken")
    number = int(case["id"][1:])
    assert case["text"] == f"query {number}" and case["gold"] == f"passage {number}" == case["base"]
    assert case["tuned"] == f"passage {number + 5}" and case["severity"] == 2
    assert any("passages are ranked" in warning["text"] for warning in results["warnings"])
