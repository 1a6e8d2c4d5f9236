"""How long training goes on, how its rate moves, and how often it looks at the validation split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.train.test_stage import CLASSIFY, FAST, QUIET, examples, rows

from metier.train.config import TrainConfig
from metier.train.loop import _rates
from metier.train.stage import train

__all__ = ["examples"]  # the fixture


@given(st.integers(1, 500), st.floats(0, 0.5))
def test_without_a_stable_stretch_the_rate_rises_and_falls_in_two_lines(total: int, warmup: float) -> None:
    rate, rise = _rates(total, warmup, 1.0), max(1, int(total * warmup))
    found = [rate(step) for step in range(total)]
    expected = [min((step + 1) / rise, (total - step) / max(1, total - rise)) for step in range(total)]
    assert found == pytest.approx(expected) and max(found) <= 1 + 1e-9


def test_the_rate_is_stable_until_the_decay() -> None:
    rate = _rates(1000, 0.1, 0.2)  # 100 steps of rise, 900 after it, the last 180 of which fall
    assert rate(0) == 0.01 and rate(99) == 1 and rate(500) == 1 and rate(820) == 1
    assert rate(910) == pytest.approx(0.5) and rate(1000) == 0
    assert all(_rates(1000, 0.1, 0.0)(step) == 1 for step in (100, 999, 5000))  # never falls


def test_training_ends_after_the_steps_that_were_asked_for(base, examples, tmp_path) -> None:
    config = TrainConfig(base_model=str(base("bert").path), **{**FAST, "max_steps": 7})
    summary = train(config, CLASSIFY, 0, examples(rows()), tmp_path / "out", QUIET)
    assert summary["steps"] == 7 and summary["epochs"] == pytest.approx(7 / 6, abs=1e-3)  # 48 rows, 8 in a step


def test_validation_within_an_epoch_is_a_line_of_history_and_never_twice(base, examples, tmp_path) -> None:
    config = TrainConfig(base_model=str(base("bert").path), **{**FAST, "epochs": 2, "validate_steps": 3})
    history = train(config, CLASSIFY, 0, examples(rows()), tmp_path / "out", QUIET)["history"]
    assert [line["step"] for line in history] == [3, 6, 9, 12] and history[0]["epoch"] == 0.5
    assert all(line["train_loss"] > 0 and line["validation_loss"] > 0 for line in history)


def test_training_stops_early_within_an_epoch_too(base, examples, tmp_path) -> None:
    settings = {**FAST, "epochs": 50, "validate_steps": 2, "early_stopping": 1, "learning_rate": 1e-9,
                "head_learning_rate": 1e-9}  # fmt: skip
    config = TrainConfig(base_model=str(base("bert").path), **settings)
    summary = train(config, CLASSIFY, 0, examples(rows()), tmp_path / "out", QUIET)
    assert summary["stopped"] == "early" and summary["steps"] % 2 == 0 and summary["steps"] < 300
