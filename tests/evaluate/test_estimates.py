"""Intervals of means and areas: against scikit-learn, against a closed form, and by simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from metier.evaluate.estimates import area, interval, mean

ALONE = [""] * 10_000


def coverage(draw, truth: float, groups, repeats: int = 400) -> float:
    hits = 0
    for seed in range(repeats):
        found = draw(np.random.default_rng(seed))
        low, high = interval(found, groups, 0.05)
        hits += low <= truth <= high
    return hits / repeats


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.lists(st.integers(0, 6), min_size=1, max_size=30))
def test_the_area_is_that_of_scikit_learn(members: list[int], others: list[int]) -> None:
    gold = [1] * len(members) + [0] * len(others)
    found = area(members, others)
    assert found.value == pytest.approx(roc_auc_score(gold, members + others))
    assert found.influence.sum() == pytest.approx(0, abs=1e-9)


def test_a_mean_has_the_usual_interval() -> None:
    x = np.random.default_rng(0).normal(2, 3, 500)
    low, high = interval(mean(x), ALONE[:500], 0.05)
    half = 1.959964 * x.std(ddof=1) / np.sqrt(500)
    assert (low, high) == pytest.approx((x.mean() - half, x.mean() + half))


def test_intervals_cover_with_and_without_groups() -> None:
    alone = coverage(lambda r: area(r.normal(0.5, 1, 150), r.normal(0, 1, 150)), 0.6382, ALONE[:300])
    assert 0.92 <= alone <= 0.98
    # Groups of ten that share half of their variance: ignoring them would cover far too little.
    names = [f"m{i // 10}" for i in range(300)] + [f"o{i // 10}" for i in range(300)]

    def grouped(r):
        shared, own = np.repeat(r.normal(0, 1, 60), 10), r.normal(0, 1, 600)
        return area((shared + own)[:300], (shared + own)[300:])

    assert 0.91 <= coverage(grouped, 0.5, names) <= 0.98
    assert coverage(grouped, 0.5, ALONE[:600]) < 0.8


def test_a_difference_is_paired() -> None:
    r = np.random.default_rng(1)
    hard = r.normal(0, 3, 400)
    one, other = hard + r.normal(0.3, 0.1, 400), hard + r.normal(0, 0.1, 400)
    low, high = interval(mean(one) - mean(other), ALONE[:400], 0.05)
    assert 0.28 < low < 0.3 < high < 0.33


def test_what_cannot_be_said_is_not_said() -> None:
    assert interval(mean([1.0] * 29), ALONE[:29], 0.05) == (None, None)
    assert interval(mean(np.arange(90.0)), [f"g{i % 9}" for i in range(90)], 0.05) == (None, None)
    low, high = interval(area(np.arange(50) + 100, np.arange(50)), ALONE[:100], 0.05, 0, 1)
    assert high == 1 and 0.9 < low < 0.95  # perfect, and as sure as 50 right of 50
    low, high = interval(area(np.arange(50), np.arange(50) + 100), ALONE[:100], 0.05, 0, 1)
    assert low == 0 and 0.05 < high < 0.1
