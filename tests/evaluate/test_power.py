"""How many items are needed: closed forms, known values, and simulation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metier.console import Console
from metier.errors import UserError
from metier.evaluate import power
from metier.evaluate.compare import mcnemar
from metier.evaluate.intervals import normal_quantile, wilson

from .conftest import classify_run
from .test_stage import run


def test_width_of_an_interval() -> None:
    n = power.items_for_width(0.9, 0.04)
    widths = [np.subtract(*wilson(0.9, size, normal_quantile(0.05))[::-1]) for size in (n - 1, n)]
    assert widths[1] <= 0.04 < widths[0] and n == 868


@pytest.mark.parametrize(("effect", "published"), [(0.02, 1960), (0.03, 870), (0.05, 312)])
def test_difference_near_the_published_sizes(effect: float, published: int) -> None:
    """10 % discordance, 80 % power, asymptotic McNemar test: exact power of the mid-p test needs about as many."""
    assert power.items_for_difference(effect, 0.1) == pytest.approx(published, rel=0.03)


def test_power_is_what_simulation_gives() -> None:
    n, effect, discordance = 250, 0.06, 0.12
    split = [(discordance + effect) / 2, (discordance - effect) / 2, 1 - discordance]
    counts = np.random.default_rng(0).multinomial(n, split, size=4000)
    found = np.mean([mcnemar(int(b), int(c)) < 0.05 for b, c, _ in counts])
    assert power.mcnemar_power(n, effect, discordance) == pytest.approx(found, abs=0.02)
    assert power.mcnemar_power(n, 0.0, discordance) == pytest.approx(0.045, abs=0.006)


def test_size_and_effect_are_inverse() -> None:
    n = power.items_for_difference(0.04, 0.1)
    assert power.detectable_difference(n, 0.1) == pytest.approx(0.04, rel=0.02)
    assert power.detectable_difference(3, 0.1) is None


def test_means() -> None:
    n = power.items_for_mean(0.05, 0.4)
    random = np.random.default_rng(1).normal(0.05, 0.4, (3000, n))
    t = random.mean(axis=1) / (random.std(axis=1, ddof=1) / np.sqrt(n))
    assert n == 503 and np.mean(np.abs(t) > 1.96) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda: power.items_for_width(90, 0.1), "--share"), (lambda: power.items_for_width(0.9, 0), "--width"),
        (lambda: power.items_for_difference(0.2, 0.1), "--discordance 0.1"),
        (lambda: power.items_for_mean(0.1, -1), "--spread"), (lambda: power.items_for_difference(1e-7, 1e-7), "power"),
        (lambda: power.say(None, None, None, None, 0.9, None, (0.05, 0.8)), "metier power"),
        (lambda: power.say(None, 0.1, None, 0, None, None, (0.05, 0.8)), "--items"),
        (lambda: power.say(0.1, 0.2, None, None, None, None, (5, 0.8)), "--alpha"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(call: Callable[[], object], where: str) -> None:
    with pytest.raises(UserError) as caught:
        call()
    assert where in caught.value.where and caught.value.fix


def test_from_a_run(tmp_path: Path, quiet: Console) -> None:
    results, _ = run(tmp_path, classify_run(tmp_path), quiet)
    rows = {row["against"]: row for row in power.from_run(results)}
    assert set(rows) == {"base", "majority", "tfidf"} and all(row["n"] == 300 for row in rows.values())
    base = next(r for r in results["comparisons"] if (r["metric"], r["against"]) == ("accuracy", "base"))
    assert rows["base"]["needed"] == power.items_for_difference(abs(base["difference"]), base["discordant"] / 300)
    smaller = power.from_run(results, 0.01)
    assert all(row["needed"] > rows[row["against"]]["needed"] for row in smaller)
    grouped, _ = run(tmp_path / "g", classify_run(tmp_path / "g", groups=40), quiet)
    row = next(row for row in power.from_run(grouped, 0.02) if row["against"] == "base")
    assert row["needed"] == pytest.approx(300 * (row["detectable"] / 0.02) ** 2, abs=1)
