"""Text of the field and general text are judged apart: metrics by part, and criteria on a multiple of the base."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from metier.errors import UserError
from metier.evaluate import load, wording
from metier.evaluate.compare import Setting
from metier.evaluate.criteria import check, parse
from metier.evaluate.items import Items, objects
from metier.evaluate.measure import figure_of, measure, multiple
from metier.evaluate.metrics import value
from metier.evaluate.resample import units
from metier.registry import lookup
from metier.train.config import TaskConfig

PRETRAIN = TaskConfig(name="pretrain")
BY_PART = [lookup("metric", name) for name in ("bits_per_byte", "general_bits_per_byte")]


def items(bits: list[float], general: list[bool], **more: list[int]) -> Items:
    texts = ["x" * 10] * len(bits)
    told = {name: np.array(column) for name, column in more.items()}
    return Items("bits", objects(texts), np.array(bits), more={
        "bits": np.array(bits), "bytes": np.full(len(bits), 10.0), "general": np.array(general), **told,
    })  # fmt: skip


def test_each_part_has_its_own_figure_and_count() -> None:
    one = items([10, 20, 60], [False, False, True])
    assert [value(metric, one) for metric in BY_PART] == [1.5, 6.0]
    assert [metric.count(one) for metric in BY_PART] == [2, 1]
    for metric in BY_PART:  # what is tested by sign-flips has the figure as its mean
        assert metric.per_item(one).mean() == pytest.approx(value(metric, one))
    plain = Items("bits", one.gold, one.predicted, more={name: one.more[name] for name in ("bits", "bytes")})
    assert value(BY_PART[0], plain) == 3.0 and value(BY_PART[1], plain) is None


def test_a_masked_model_has_bits_of_a_token_and_pseudo_perplexity() -> None:
    one = items([6, 12, 100], [False, False, True], tokens=[2, 4, 5])
    assert value(lookup("metric", "bits_per_masked_token"), one) == 3.0
    assert value(lookup("metric", "pseudo_perplexity"), one) == pytest.approx(8.0)
    assert value(lookup("metric", "pseudo_perplexity"), items([6.0], [False])) is None


def test_rows_know_their_part_by_their_source() -> None:
    rows = pa.table({"source": ["laws/a.txt", "wiki.parquet#7", None]})
    assert load.in_parts(rows, ("wiki*",)).column("general").to_pylist() == [False, True, False]


def test_a_multiple_of_the_base_is_resampled_with_it() -> None:
    draw = np.random.default_rng(0)
    base = draw.uniform(10, 30, 200)
    general = [index % 2 == 1 for index in range(200)]
    found = {"tuned": items((base * 1.005).tolist(), general), "base": items(base.tolist(), general)}
    unit = units([None] * 200)
    setting = Setting(unit, 0.05, 0.8, 400, 0)
    metric = BY_PART[1]
    measured = measure(found, [metric], setting)
    one = parse("general_bits_per_byte <= base * 1.01")
    row = multiple(measured, metric, "base", one.factor, setting)
    assert row["difference"] == pytest.approx(-0.005 * measured.values["base", metric.name])
    assert row["high"] < 0 and one.holds(row["high"]), "half a percent more is allowed"
    worse = multiple(measured, metric, "base", 1.004, setting)
    assert worse["low"] > 0 and not parse("general_bits_per_byte <= base * 1.004").holds(worse["low"])
    assert figure_of(metric, measured, "tuned", setting)["n"] == 100


def test_criteria_with_a_factor_are_read_told_and_checked() -> None:
    (one,) = check(["general_bits_per_byte <= base * 1.01"], PRETRAIN, ["tuned", "base"])
    assert (one.model, one.factor, one.number, one.other) == ("base", 1.01, 0.0, "base * 1.01")
    assert "1.01" in wording.demand(one)[0] and "1.01 倍" in wording.demand(one)[1]
    with pytest.raises(UserError, match="no model 'ngram'"):
        check(["bits_per_byte < ngram × 0.9"], PRETRAIN, ["tuned", "base"])
    with pytest.raises(UserError, match="over all texts only"):
        check(["recall[a] > tfidf * 1.1"], TaskConfig(), ["tuned", "tfidf"], ["a"])
