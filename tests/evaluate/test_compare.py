"""Paired tests: known values, type-I error by simulation, and what identical models give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from metier.evaluate.compare import (
    Pair,
    Setting,
    bonett_price,
    compare,
    finish,
    holm,
    mcnemar,
    mcnemar_mde,
    sign_flip,
    swap_test,
)
from metier.evaluate.items import Items
from metier.evaluate.metrics import for_kind, value
from metier.evaluate.resample import bootstrap, units
from metier.registry import lookup

ALPHA = 0.05


def pair(name: str, first: Items, second: Items, setting: Setting) -> Pair:
    metric = lookup("metric", name)
    drawn = bootstrap({0: metric.over(first), 1: metric.over(second)}, setting.unit, setting.resamples, setting.seed)
    a, b = value(metric, first), value(metric, second)
    assert a is not None and b is not None
    return Pair(metric, first, second, a, b, drawn[0] - drawn[1])


def setting(groups: list[str], resamples: int = 400, seed: int = 0) -> Setting:
    return Setting(units(groups), ALPHA, 0.8, resamples, seed)


@pytest.mark.parametrize(
    ("b", "c", "p"), [(0, 0, 1.0), (5, 5, 1.0), (6, 0, 0.015625), (10, 2, 0.0224609375), (1, 8, 0.021484375)]
)
def test_mcnemar_known_values(b: int, c: int, p: float) -> None:
    assert mcnemar(b, c) == pytest.approx(p)
    if b != c:  # the exact test's p, less the probability of what was seen (half of it on either side)
        seen = stats.binom.pmf(b, b + c, 0.5)
        assert mcnemar(b, c) == pytest.approx(stats.binomtest(b, b + c).pvalue - seen)


@pytest.mark.parametrize(("points", "n"), [(0.01, 7847), (0.02, 1960), (0.03, 870), (0.05, 312)])
def test_detectable_effect_known_values(points: float, n: int) -> None:
    """10 % discordance, 80 % power: the published sizes of this design."""
    assert mcnemar_mde(n, round(0.1 * n), 0.05, 0.8) == pytest.approx(points, rel=0.01)


def test_detectable_effect_edges() -> None:
    assert mcnemar_mde(3, 0, 0.05, 0.8) is None
    tiny = mcnemar_mde(100, 0, 0.05, 0.8)
    assert tiny is not None and 0.06 < tiny < 0.09, "six one-sided discordant items are the least that p < 0.05 needs"


def test_holm_known_values() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []


def test_sign_flip_exact_and_sampled() -> None:
    sums = np.array([1.0, 2.0, 3.0, 0.0])
    assert sign_flip(sums, 100, 0) == 1 / 8  # two of eight patterns are as extreme, none more
    assert sign_flip(np.array([1.0] * 10 + [-1.0] * 2), 100, 0) == pytest.approx(mcnemar(10, 2))
    assert sign_flip(np.array([1.0, -1.0]), 100, 0) == 1.0
    assert sign_flip(np.zeros(5), 100, 0) == 1.0
    many = np.random.default_rng(0).normal(0.3, 1, 100)
    assert sign_flip(many, 4000, 0) == pytest.approx(stats.ttest_1samp(many, 0).pvalue, abs=0.02)


def test_bonett_price_by_hand() -> None:
    low, high = bonett_price(10, 2, 100, 1.959964)  # type: ignore[misc]
    half = 1.959964 * np.sqrt((14 / 102 - (8 / 102) ** 2) / 102)
    assert (low, high) == pytest.approx((8 / 102 - half, 8 / 102 + half))
    low, high = bonett_price(0, 0, 50, 1.96)  # type: ignore[misc]
    assert low < 0 < high and bonett_price(0, 0, 0, 1.96) is None


def test_identical_models_are_the_same() -> None:
    random = np.random.default_rng(0)
    p = random.dirichlet(np.ones(3), 100).astype(np.float32)
    made = {
        "classify": Items("classify", random.integers(0, 3, 100), p.argmax(axis=1), p, ("a", "b", "c")),
        "multi_label": Items("multi_label", random.random((100, 3)) < 0.4, p > 0.4, p, ("a", "b", "c")),
        "score": Items("score", random.normal(size=100), random.normal(size=100)),
    }
    for groups in ([""] * 100, [f"g{i % 25}" for i in range(100)]):
        for kind, one in made.items():
            rows = [compare(pair(m.name, one, one, setting(groups)), "base", setting(groups)) for m in for_kind(kind)]
            for row in finish(rows, ALPHA):
                assert (row["difference"], row["p"], row["p_holm"], row["outcome"]) == (0.0, 1.0, 1.0, "same")
                assert row["low"] <= 0.0 <= row["high"]


def test_swapping_the_models_turns_the_sign() -> None:
    first, second = guesses(200, 0, 0.9), guesses(200, 0, 0.7)
    ahead = finish([compare(pair("accuracy", first, second, setting([""] * 200)), "x", setting([""] * 200))], ALPHA)[0]
    behind = finish([compare(pair("accuracy", second, first, setting([""] * 200)), "x", setting([""] * 200))], ALPHA)[0]
    assert ahead["outcome"] == "better" and behind["outcome"] == "worse"
    assert ahead["difference"] == -behind["difference"] and ahead["low"] == pytest.approx(-behind["high"])
    assert ahead["discordant"] == behind["discordant"] and ahead["p"] == behind["p"]


def guesses(n: int, seed: int, skill: float, k: int = 3, salt: int = 1) -> Items:
    gold = np.random.default_rng(seed).integers(0, k, n)
    random = np.random.default_rng([seed, salt, int(skill * 100)])
    predicted = np.where(random.random(n) < skill, gold, (gold + random.integers(1, k, n)) % k)
    return Items("classify", gold, predicted, None, tuple("abcdef"[:k]))


def rejected(test: Callable[[int], float | None], runs: int = 400) -> float:
    return float(np.mean([(p := test(run)) is not None and p < ALPHA for run in range(runs)]))


def test_macro_f1_permutation_keeps_its_level() -> None:
    """Two equally good models, 400 times: rejected in about 5 of 100 (binomial 99.9 % limits of 400 runs)."""
    metric = lookup("metric", "macro_f1")

    def once(run: int) -> float | None:
        return swap_test(metric, guesses(120, run, 0.8), guesses(120, run, 0.8, salt=2), setting([""] * 120, 200, run))

    assert 0.015 <= rejected(once) <= 0.09


def test_group_sign_flip_keeps_its_level_where_mcnemar_does_not() -> None:
    def sums(run: int) -> np.ndarray:
        random = np.random.default_rng(run)
        return np.sign(random.normal(0, 1, (25, 1)) + 0.5 * random.normal(size=(25, 8)))  # 8 items of a group agree

    assert 0.015 <= rejected(lambda run: sign_flip(sums(run).sum(axis=1), 300, run)) <= 0.09
    assert rejected(lambda run: mcnemar(int((sums(run) > 0).sum()), int((sums(run) < 0).sum()))) > 0.2


def test_absolute_error_sign_flip_keeps_its_level() -> None:
    def once(run: int) -> float:
        random = np.random.default_rng(run)
        return sign_flip(np.abs(random.normal(size=60)) - np.abs(random.normal(size=60)), 300, run)

    assert 0.015 <= rejected(once) <= 0.09


def test_power_at_the_detectable_effect() -> None:
    """At the stated effect McNemar's test finds it in about 80 of 100."""
    n, discordance = 600, 0.1
    effect = mcnemar_mde(n, int(n * discordance), ALPHA, 0.8)
    assert effect is not None
    random = np.random.default_rng(0)
    counts = random.multinomial(n, [(discordance + effect) / 2, (discordance - effect) / 2, 1 - discordance], size=400)
    assert 0.75 <= np.mean([mcnemar(int(b), int(c)) < ALPHA for b, c, _ in counts]) <= 0.86


def test_a_difference_that_all_groups_share_is_not_told_as_none() -> None:
    """Every answer is lost in every group: the bootstrap has no spread, and the interval must lie around -1."""
    gold = np.arange(40) % 2
    first, second = (Items("classify", gold, answers, None, ("a", "b")) for answers in (1 - gold, gold))
    made = setting([f"g{i % 12}" for i in range(40)])
    row = compare(pair("accuracy", first, second, made), "base", made)
    assert row["difference"] == -1 and row["low"] == -1 and -1 < row["high"] < -0.5
