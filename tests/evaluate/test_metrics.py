"""Every metric equals scikit-learn's or scipy's, and its weighted form equals repeating the items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from metier.evaluate.classes import confusion, per_class, reliability
from metier.evaluate.items import Items, right, stack
from metier.evaluate.metrics import for_kind, value
from metier.evaluate.metrics.classify import bin_codes
from metier.evaluate.resample import units
from metier.registry import lookup


def labelled(n: int = 400, k: int = 5, seed: int = 0, skill: float = 0.7) -> Items:
    random = np.random.default_rng(seed)
    gold = random.choice(k, n, p=np.arange(1, k + 1) / (k * (k + 1) / 2))
    predicted = np.where(random.random(n) < skill, gold, random.integers(0, k, n))
    p = random.dirichlet(np.ones(k), n)
    top = p.argmax(axis=1)
    p[np.arange(n), top], p[np.arange(n), predicted] = p[np.arange(n), predicted].copy(), p.max(axis=1)
    return Items("classify", gold, predicted, p.astype(np.float32), tuple("abcdefghij"[:k]))


def several(n: int = 300, k: int = 6, seed: int = 0) -> Items:
    random = np.random.default_rng(seed)
    gold = random.random((n, k)) < 0.3
    predicted = np.where(random.random((n, k)) < 0.8, gold, ~gold)
    p = np.where(predicted, 0.5 + random.random((n, k)) / 2, random.random((n, k)) / 2).astype(np.float32)
    return Items("multi_label", gold, predicted, p, tuple("abcdef"[:k]))


def scored(n: int = 300, seed: int = 0) -> Items:
    random = np.random.default_rng(seed)
    gold = random.normal(size=n).round(1)  # with ties
    return Items("score", gold, (0.5 * gold + random.normal(size=n)).round(1))


def figure(name: str, items: Items) -> float | None:
    return value(lookup("metric", name), items)


@pytest.mark.parametrize("seed", range(3))
def test_single_label_equals_scikit_learn(seed: int) -> None:
    one = labelled(seed=seed, skill=0.3 + 0.3 * seed)
    assert figure("accuracy", one) == pytest.approx(sk.accuracy_score(one.gold, one.predicted), abs=1e-12)
    assert figure("macro_f1", one) == pytest.approx(sk.f1_score(one.gold, one.predicted, average="macro"), abs=1e-12)
    assert figure("mcc", one) == pytest.approx(sk.matthews_corrcoef(one.gold, one.predicted), abs=1e-12)
    counts = confusion(one)["counts"]
    assert counts == sk.confusion_matrix(one.gold, one.predicted, labels=range(5)).tolist()
    precision, recall, f1, n = sk.precision_recall_fscore_support(one.gold, one.predicted, labels=range(5))
    for row, *expected in zip(per_class(one, units([""] * len(one)), 0.05), precision, recall, f1, n, strict=True):
        assert [row["precision"]["value"], row["recall"]["value"], row["f1"]["value"], row["n"]] == pytest.approx(
            expected
        )
        assert row["f1"]["low"] < row["f1"]["value"] < row["f1"]["high"]


def test_several_labels_equal_scikit_learn() -> None:
    one = several()
    assert figure("accuracy", one) == pytest.approx(sk.accuracy_score(one.gold, one.predicted))
    assert figure("micro_f1", one) == pytest.approx(sk.f1_score(one.gold, one.predicted, average="micro"))
    assert figure("macro_f1", one) == pytest.approx(sk.f1_score(one.gold, one.predicted, average="macro"))
    assert right(one).mean() == figure("accuracy", one)


def test_scores_equal_scikit_learn_and_scipy() -> None:
    one = scored()
    assert figure("mae", one) == pytest.approx(sk.mean_absolute_error(one.gold, one.predicted))
    assert figure("rmse", one) == pytest.approx(sk.root_mean_squared_error(one.gold, one.predicted))
    assert figure("spearman", one) == pytest.approx(stats.spearmanr(one.gold, one.predicted).statistic)


@pytest.mark.parametrize(("kind", "make"), [("classify", labelled), ("multi_label", several), ("score", scored)])
def test_a_weight_is_a_repetition(kind: str, make: object) -> None:
    one = make(n=80)  # type: ignore[operator]
    weights = np.random.default_rng(1).integers(0, 4, size=(3, 80)).astype(float)
    for metric in for_kind(kind):
        weighted = metric.over(one)(weights)
        for row, found in zip(weights.astype(int), weighted, strict=True):
            again = np.repeat(np.arange(80), row)
            p = None if one.probabilities is None else one.probabilities[again]
            copy = Items(kind, one.gold[again], one.predicted[again], p, one.classes)
            if metric.name == "ece":  # its bins are cut once, so only the size of the figure is comparable
                assert found == pytest.approx(value(metric, copy), abs=0.1)
            else:
                assert found == pytest.approx(value(metric, copy), abs=1e-10)


def test_calibration_error_by_hand() -> None:
    # Two bins by mass: confidence 0.6 with 1 of 2 right, 0.9 with 2 of 2 right: (0.1 * 2 + 0.1 * 2) / 4.
    p = np.array([[0.6, 0.4], [0.6, 0.4], [0.9, 0.1], [0.9, 0.1]], dtype=np.float32)
    one = Items("classify", np.array([0, 1, 0, 0]), np.zeros(4, dtype=int), p, ("a", "b"))
    assert figure("ece", one) == pytest.approx(0.1, abs=1e-6)
    assert [row["accuracy"] for row in reliability(one)] == [0.5, 1.0]
    big = labelled(1000)
    rows = reliability(big)
    assert len(rows) == 10 and all(90 <= row["n"] <= 110 for row in rows) and sum(row["n"] for row in rows) == 1000
    gap = sum(row["n"] * abs(row["confidence"] - row["accuracy"]) for row in rows) / 1000
    assert figure("ece", big) == pytest.approx(gap, abs=1e-6)
    assert set(bin_codes(np.full(50, 0.7))) == {0}, "equal confidences share a bin"


def test_what_does_not_exist_is_none() -> None:
    flat = Items("score", np.arange(5.0), np.ones(5))
    assert figure("spearman", flat) is None and figure("mae", flat) == pytest.approx(1.4)
    one_class = Items("classify", np.zeros(5, int), np.zeros(5, int), None, ("a", "b"))
    assert figure("mcc", one_class) is None and figure("ece", one_class) is None
    assert figure("accuracy", one_class) == 1.0
    absent = per_class(one_class, units([""] * 5), 0.05)[1]
    assert absent["recall"] == {"value": None, "low": None, "high": None, "n": 0}


def test_a_label_that_training_never_saw_is_wrong() -> None:
    # Code 2 has no probability: it stands only in the test split.
    p = np.full((4, 2), 0.5, dtype=np.float32)
    one = Items("classify", np.array([0, 1, 2, 2]), np.array([0, 1, 0, 1]), p, ("a", "b", "new"))
    assert figure("accuracy", one) == 0.5
    assert figure("macro_f1", one) == pytest.approx(sk.f1_score(one.gold, one.predicted, average="macro"))


def test_two_models_stacked_split_by_weights() -> None:
    first, second = labelled(seed=1), labelled(seed=2, skill=0.4)
    metric = lookup("metric", "macro_f1")
    n = len(first)
    weights = np.stack([np.r_[np.ones(n), np.zeros(n)], np.r_[np.zeros(n), np.ones(n)]])
    found = metric.over(stack(first, second))(weights)
    assert found == pytest.approx([value(metric, first), value(metric, second)])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["classify", "multi_label", "score"]))
def test_order_of_items_does_not_matter(seed: int, kind: str) -> None:
    one = {"classify": labelled, "multi_label": several, "score": scored}[kind](60, seed=seed)
    order = np.random.default_rng(seed).permutation(60)
    p = None if one.probabilities is None else one.probabilities[order]
    other = Items(kind, one.gold[order], one.predicted[order], p, one.classes)
    for metric in for_kind(kind):
        assert value(metric, one) == pytest.approx(value(metric, other), abs=1e-6)
        assert value(metric, one) is None or metric.low <= value(metric, one) <= metric.high  # type: ignore[operator]
