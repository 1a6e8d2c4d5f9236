"""Intervals against known values, and against correlated groups."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from metier.evaluate.intervals import (
    bootstrap_interval,
    bootstrap_p,
    f1_from_overlap,
    normal_quantile,
    proportions,
    wilson,
)
from metier.evaluate.items import Items
from metier.evaluate.metrics import value
from metier.evaluate.metrics.base import mean_of, ratio
from metier.evaluate.resample import CHUNK_BYTES, LOTS, bootstrap, by_unit, chunks, draws, lots, swaps, units
from metier.registry import lookup


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (920, 1000)])
def test_wilson_equals_scipy(hits: int, n: int) -> None:
    expected = stats.binomtest(hits, n).proportion_ci(method="wilson")
    low, high = wilson(hits / n, n, normal_quantile(0.05))
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_no_items_no_interval() -> None:
    low, high = wilson(np.array([0.0]), np.array([0.0]), 1.96)
    assert np.isnan(low).all() and np.isnan(high).all()


def correlated(groups: int, size: int, seed: int) -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(seed)
    share = random.beta(2, 1, groups)  # some groups are hard as a whole
    hits = (random.random((groups, size)) < share[:, None]).astype(float).ravel()
    return hits, [f"g{index}" for index in range(groups) for _ in range(size)]


def test_groups_widen_the_interval_when_their_items_agree() -> None:
    hits, names = correlated(60, 20, 0)
    ones = np.ones((len(hits), 1))
    _, low, high = proportions(hits[:, None], ones, units([""] * len(hits)), 0.05)
    share, low_g, high_g = proportions(hits[:, None], ones, units(names), 0.05)
    assert high_g[0] - low_g[0] > 1.5 * (high[0] - low[0])
    assert low_g[0] < share[0] < high_g[0]
    one = Items("classify", np.ones(len(hits), int), hits.astype(int), None, ("no", "yes"))
    metric = lookup("metric", "accuracy")
    spread = {}
    for clustered, given in ((False, [""] * len(hits)), (True, names)):
        values = bootstrap({0: metric.over(one)}, units(given), 400, 0)[0]
        spread[clustered] = values.std()
        found = bootstrap_interval(values, float(value(metric, one)), 0.05, 0, 1)  # type: ignore[arg-type]
        assert found is not None and found[0] < share[0] < found[1]
    assert spread[True] > 1.5 * spread[False]


def test_all_right_is_still_not_certain() -> None:
    _, low, high = proportions(np.ones((50, 1)), np.ones((50, 1)), units([""] * 50), 0.05)
    assert high[0] == 1.0 and low[0] == pytest.approx(0.929, abs=1e-3)
    _, low, high = proportions(np.ones((50, 1)), np.ones((50, 1)), units([f"g{i % 5}" for i in range(50)]), 0.05)
    assert high[0] == 1.0 and low[0] < 0.5, "five groups count as five"


def test_group_intervals_cover() -> None:
    """95 % intervals of a share with correlated groups hold the truth in about 95 of 100 cases."""
    truth, hit = 2 / 3, 0
    for seed in range(400):
        hits, names = correlated(30, 8, seed)
        _, low, high = proportions(hits[:, None], np.ones((len(hits), 1)), units(names), 0.05)
        hit += low[0] <= truth <= high[0]
    assert 0.92 <= hit / 400 <= 0.98


def test_bootstrap_is_centred_and_bounded() -> None:
    values = np.random.default_rng(0).normal(0.97, 0.02, 2000)  # biased by -0.02
    low, high = bootstrap_interval(values, 0.99, 0.05, 0.0, 1.0)  # type: ignore[misc]
    assert low == pytest.approx(0.95, abs=0.005) and high == 1.0
    assert bootstrap_interval(np.full(100, 0.5), 0.5, 0.05, 0, 1) is None
    assert bootstrap_interval(np.r_[np.full(50, np.nan), np.arange(50)], 0.5, 0.05, 0, 1) is None


def test_bootstrap_p_agrees_with_the_interval() -> None:
    values = np.random.default_rng(0).normal(0.1, 0.05, 4000)
    assert bootstrap_p(values, 0.1) == pytest.approx(2 * stats.norm.sf(2), abs=0.02)
    assert bootstrap_p(np.zeros(100), 0.0) == 1.0
    assert bootstrap_p(values - 0.1, 0.0) == pytest.approx(1.0, abs=0.05)
    assert bootstrap_p(np.array([]), 0.0) is None


def test_f1_limits_follow_from_the_overlap() -> None:
    assert f1_from_overlap(0.5) == pytest.approx(2 / 3) and f1_from_overlap(1.0) == 1.0


def test_units_draws_and_swaps() -> None:
    unit = units(["a", "", "a", "b", ""])
    assert unit.of.tolist() == [0, 1, 0, 2, 3] and unit.count == 4 and unit.clustered
    assert not units(["", "x", "y"]).clustered
    weights = np.concatenate(list(draws(unit, 50, 0)))
    assert weights.shape == (50, 4) and (weights.sum(axis=1) == 4).all()
    again = np.concatenate(list(draws(unit, 50, 0)))
    assert (weights == again).all()
    kept = np.concatenate(list(swaps(unit, 50, 0)))
    assert set(np.unique(kept)) == {0.0, 1.0} and kept.shape == (50, 4)
    numbers = np.arange(5.0)
    whole = ratio(numbers, np.ones(5))
    expected = (weights[:, unit.of] @ numbers) / weights[:, unit.of].sum(axis=1)
    assert by_unit(whole, unit)(weights) == pytest.approx(expected)  # added up first
    assert by_unit(lambda w: w @ numbers / w.sum(axis=1), unit)(weights) == pytest.approx(expected)  # spread out


def test_many_units_are_drawn_in_lots_that_vary_as_they_do() -> None:
    n = 3 * LOTS
    unit = units([""] * n)
    lot = lots(unit, 0)
    assert lot.count == LOTS and np.bincount(lot.of).tolist() == [3] * LOTS and lots(units(["a", "b"]), 0).count == 2
    numbers = np.random.default_rng(0).exponential(size=n)
    drawn = bootstrap({0: mean_of(numbers), 1: lambda w: w @ numbers / w.sum(axis=1)}, unit, 400, 0)
    assert drawn[0] == pytest.approx(drawn[1])
    assert drawn[0].std() == pytest.approx(numbers.std() / np.sqrt(n), rel=0.1)
    grouped = units([f"g{i % (2 * LOTS)}" for i in range(n)])  # lots hold whole groups
    codes = lots(grouped, 0).of
    assert (codes[: 2 * LOTS][: n - 2 * LOTS] == codes[2 * LOTS :]).all()


def test_a_million_items_come_in_small_chunks() -> None:
    sizes = list(chunks(1_000_000, 2000))
    assert sum(sizes) == 2000 and max(sizes) * 1_000_000 * 8 <= CHUNK_BYTES
    first = next(iter(draws(units([""] * 1_000_000), 2000, 0)))
    assert first.nbytes <= CHUNK_BYTES and first.sum(axis=1).tolist() == [1_000_000] * len(first)


def test_a_calibrated_model_may_have_no_calibration_error() -> None:
    """The plain figure is never 0 by chance, so its interval must reach down to 0 when the model is calibrated."""
    metric = lookup("metric", "ece")
    reached = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        sure = random.uniform(0.5, 1, 300)
        right = random.random(300) < sure
        p = np.stack([sure, 1 - sure], axis=1).astype(np.float32)
        one = Items("classify", np.where(right, 0, 1), np.zeros(300, int), p, ("a", "b"))
        point = value(metric, one)
        assert metric.bias is not None and point is not None and 0 < metric.bias(one) < 0.1
        drawn = bootstrap({0: metric.over(one)}, units([""] * 300), 200, seed)[0]
        found = bootstrap_interval(drawn, point, 0.05, 0, 1, metric.bias(one))
        assert found is not None and found[0] <= point <= found[1]
        reached += found[0] == 0.0
    assert reached >= 18
