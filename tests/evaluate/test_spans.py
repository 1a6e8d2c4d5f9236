"""Entity figures by hand, against the formulas of the strict evaluation, and through the whole stage."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluate.conftest import artifact

from metier import tables
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.floors import FloorData, floor_names, model_names
from metier.evaluate.floors.dictionary import dictionary, learn
from metier.evaluate.floors.linear_tagger import fit, linear_tagger, shape
from metier.evaluate.items import SPANS, Items, objects, right
from metier.evaluate.metrics import value
from metier.evaluate.predict import PREDICTIONS
from metier.evaluate.stage import evaluate
from metier.registry import lookup
from metier.train.config import TaskConfig
from metier.train.tasks import Span, bio

TAG = TaskConfig(name="tag")


def made(gold: list[list[tuple[int, int, int]]], found: list[list[tuple[int, int, int]]]) -> Items:
    return Items(SPANS, objects([tuple(x) for x in gold]), objects([tuple(x) for x in found]), None, ("a", "b"))


def figure(name: str, items: Items) -> float | None:
    return value(lookup("metric", name), items)


def test_only_exact_borders_and_types_count() -> None:
    gold = [[(0, 5, 0), (10, 15, 1)], [(3, 9, 0)], []]
    found = [[(0, 5, 0), (10, 14, 1)], [(3, 9, 1)], [(0, 2, 0)]]  # one right; a border, a type, an invention
    items = made(gold, found)
    assert figure("entity_precision", items) == pytest.approx(1 / 4)
    assert figure("entity_recall", items) == pytest.approx(1 / 3)
    assert figure("entity_f1", items) == pytest.approx(2 / 7)
    assert figure("macro_f1", items) == pytest.approx((2 * 1 / 4 + 0) / 2)  # a: 1 right, 2 gold, 2 answered; b: none
    assert right(items).tolist() == [False, False, False]
    assert figure("entity_f1", made([[]], [[]])) is None
    assert figure("entity_precision", made([[(0, 1, 0)]], [[]])) is None


span = st.tuples(st.integers(0, 3), st.integers(4, 6), st.integers(0, 1))
texts = st.lists(st.tuples(st.sets(span, max_size=3), st.sets(span, max_size=3)), min_size=1, max_size=6)


@given(texts)
def test_figures_follow_the_strict_formulas(pairs: list[tuple[set[Any], set[Any]]]) -> None:
    items = made([sorted(g) for g, _ in pairs], [sorted(f) for _, f in pairs])
    tp = sum(len(g & f) for g, f in pairs)
    answered, given_ = sum(len(f) for _, f in pairs), sum(len(g) for g, _ in pairs)
    if answered and given_:
        precision, recall = tp / answered, tp / given_
        f1 = 2 * precision * recall / (precision + recall) if tp else 0.0
        assert figure("entity_f1", items) == pytest.approx(f1)
        assert (figure("entity_precision", items), figure("entity_recall", items)) == pytest.approx((precision, recall))


def test_a_resample_counts_texts(quiet: Any) -> None:
    items = made([[(0, 5, 0)], [(0, 5, 1)]], [[(0, 5, 0)], []])
    over = lookup("metric", "entity_f1").over(items)
    assert over(np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 1.0]])) == pytest.approx([2 / 3, 1.0, 0.0])


def run(tmp_path: Any, quiet: Any, **more: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """120 texts with two words each; the tuned model misses every tenth, the floor every third."""
    rows, answers = [], []
    for i in range(120):
        text = f"take aspirin {i} for fever"
        gold = [{"start": 5, "end": 12, "label": "drug"}, {"start": len(text) - 5, "end": len(text), "label": "sign"}]
        rows.append({"id": f"e{i}", "text": text, "split": "test", "spans": gold, "source": f"s{i}"})
        for model, step in (("tuned", 10), ("linear_tagger", 3)):
            given = [s | {"score": 0.9} for s in gold if not (i % step == 0 and s["label"] == "drug")]
            if model == "tuned" and i == 1:
                given = [given[0] | {"end": 11}, given[1]]
            answers.append({"model": model, "id": f"e{i}", "spans": given})
    tables.write(tables.table(rows, tables.EXAMPLES), tmp_path / "examples" / "examples.parquet")
    tables.write(tables.table(answers, PREDICTIONS), tmp_path / "predictions" / "predictions.parquet")
    tables.write_json(["drug", "sign"], tmp_path / "predictions" / "classes.json")
    config = EvaluateConfig(bootstrap=400, **more)
    evaluate(config, TAG, 0, artifact(tmp_path / "examples", "prepare"), artifact(tmp_path / "predictions", "predict"),
             tmp_path / "out", quiet)  # fmt: skip
    cases = tables.read(tmp_path / "out" / "cases.parquet").to_pylist()
    return json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8")), cases


def test_the_whole_stage(tmp_path: Any, quiet: Any) -> None:
    accept = ("entity_f1 > linear_tagger", "recall[drug] >= 0.8", "entity_precision >= 0.9")
    results, cases = run(tmp_path, quiet, accept=accept)
    tuned = results["models"]["tuned"]
    hit, gold, answered = 240 - 12 - 1, 240, 240 - 12
    assert tuned["entity_f1"]["value"] == pytest.approx(2 * hit / (gold + answered))
    assert tuned["entity_f1"]["low"] < tuned["entity_f1"]["value"] < tuned["entity_f1"]["high"]
    drug = next(row for row in tuned["per_class"] if row["label"] == "drug")
    assert drug["recall"]["value"] == pytest.approx((120 - 13) / 120) and drug["n"] == 120
    assert drug["recall"]["low"] < drug["recall"]["value"] < drug["recall"]["high"]
    row = next(r for r in results["comparisons"] if r["metric"] == "entity_f1")
    assert row["test"] == "paired permutation" and row["outcome"] == "better" and row["p"] < 0.01
    assert results["verdict"]["decision"] == "SIGN OFF" and results["primary"] == "entity_f1"
    assert "Of 100 entities of the type 'drug'" in results["verdict"]["reasons"][1]["text"]
    assert "confusion" not in tuned and tuned["reliability"] == []
    broken = next(case for case in cases if case["kind"] == "broken" and case["id"] == "e1")
    assert broken["gold"] == "aspirin (drug); fever (sign)" and broken["tuned"] == "aspiri (drug); fever (sign)"
    assert json.loads(broken["marks"])["gold"] == [[5, 12, "drug"], [19, 24, "sign"]] and broken["severity"] == 2


def test_the_task_names_its_floors_and_opponents() -> None:
    assert floor_names(EvaluateConfig(), TAG) == ["dictionary", "linear_tagger"]
    assert model_names(EvaluateConfig(), TAG) == ["tuned", "base", "dictionary", "linear_tagger"]
    assert floor_names(EvaluateConfig(floors=("dictionary",)), TAG) == ["dictionary"]


TEXTS = [
    "take aspirin daily",
    "no aspirin today",
    "the ran gene",
    "he ran home",
    "she ran off",
    "头痛三天",
    "头痛加重",
] * 3
MARKS = [[Span(5, 12, "drug")], [Span(3, 10, "drug")], [Span(4, 7, "gene")], [], [], [Span(0, 2, "sign")],
         [Span(0, 2, "sign")]] * 3  # fmt: skip


def test_the_dictionary_knows_what_was_mostly_an_entity() -> None:
    assert learn(TEXTS, MARKS) == {("aspirin",): "drug", ("头", "痛"): "sign"}
    found = dictionary(
        FloorData(TEXTS, spans=MARKS, classes=("drug", "gene", "sign")), ["ASPIRIN, 头痛", "ran"], TAG, 0
    )
    assert found.spans == [[Span(0, 7, "drug"), Span(9, 11, "sign")], []]


def test_the_longest_match_wins() -> None:
    data = FloorData(["low fever", "fever"], spans=[[Span(0, 9, "a")], [Span(0, 5, "b")]], classes=("a", "b"))
    assert dictionary(data, ["low fever fever"], TAG, 0).spans == [[Span(0, 9, "a"), Span(10, 15, "b")]]


def test_the_linear_tagger_learns_from_context_and_form() -> None:
    drugs = ["aspirin", "heparin", "codeine", "insulin", "atropine", "morphine", "quinine", "caffeine"]
    texts = [f"we gave {name} to him" for name in drugs] + [f"we gave {name} to him" for name in ("hope", "bread")] * 2
    spans = [[Span(8, 8 + len(name), "drug")] for name in drugs] + [[]] * 4
    data = FloorData(texts, spans=spans, classes=("drug",))
    found = linear_tagger(data, ["we gave ephedrine to him", "bread", ""], TAG, 0).spans
    assert found == [[Span(8, 17, "drug")], [], []]
    assert linear_tagger(data, [""], TAG, 0).spans == [[]]
    assert (shape("Fever"), shape("B12"), shape("IL-2")) == ("Xx", "X0", "X-0")


def test_the_chains_gradient_is_that_of_all_sequences() -> None:
    """The sums forward and backward equal those over every allowed sequence, written out."""
    import itertools

    from metier.evaluate.floors.linear_tagger import _Batch

    draw = np.random.default_rng(1)
    counts, outputs = [3, 0, 1, 2], 5
    scores, steps, may = draw.normal(size=(6, outputs)), draw.normal(size=(outputs, outputs)), bio.allowed(outputs)
    total, single, double = _Batch(counts).sums(scores, steps, may)
    expected, ones, twos, at = 0.0, np.zeros_like(single), np.zeros_like(double), 0
    for size in counts:
        weights = {}
        for path in itertools.product(range(outputs), repeat=size):
            if path and (path[0] in (2, 4) or not all(may[a, b] for a, b in itertools.pairwise(path))):
                continue
            own = sum(scores[at + i, tag] for i, tag in enumerate(path))
            weights[path] = np.exp(own + sum(steps[a, b] for a, b in itertools.pairwise(path)))
        whole = sum(weights.values())
        expected += np.log(whole)
        for path, weight in weights.items():
            for i, tag in enumerate(path):
                ones[at + i, tag] += weight / whole
            for a, b in itertools.pairwise(path):
                twos[a, b] += weight / whole
        at += size
    assert total == pytest.approx(expected)
    np.testing.assert_allclose(single, ones, atol=1e-9)
    np.testing.assert_allclose(double, twos, atol=1e-9)


def test_the_chain_fits_what_it_saw() -> None:
    from scipy import sparse

    known, gold = sparse.csr_matrix(np.eye(4)), np.array([0, 1, 2, 0])
    weights, steps = fit(known, gold, [4], 3)
    assert bio.viterbi(known @ weights, [4], steps).tolist() == gold.tolist()
