"""Calibration and abstention on made-up answers: what is chosen, what is promised, what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from metier import tables
from metier.console import Console
from metier.evaluate import calibration, conformal
from metier.evaluate.compare import Setting
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.items import Found, Items, objects
from metier.evaluate.measure import part
from metier.evaluate.metrics import value
from metier.evaluate.resample import units
from metier.evaluate.stage import evaluate
from metier.registry import lookup
from metier.report.calibration import calibration as told
from metier.report.words import Words
from metier.train.config import TaskConfig

from .conftest import PREDICTIONS, classify_run

CONFIG = EvaluateConfig(bootstrap=200)


def setting(n: int, groups: int = 0, seed: int = 0) -> Setting:
    return Setting(units([f"g{i % groups}" if groups else "" for i in range(n)]), 0.05, 0.8, 200, seed)


def labels(n: int, sharp: float = 1.0, seed: int = 0, k: int = 6) -> Items:
    """Calibrated answers for sharp = 1; over-confident ones above: their right temperature is `sharp`."""
    random = np.random.default_rng(seed)
    gold = random.integers(0, k, n)
    logits = random.normal(size=(n, k)) * 2.5
    logits[np.arange(n), gold] += 2.5**2  # the posterior of unit noise and a step of 2.5
    logits *= sharp
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return Items("classify", gold, p.argmax(axis=1), p.astype(np.float32), tuple("abcdef"))


def several(n: int, sharp: float, seed: int) -> Items:
    random = np.random.default_rng(seed)
    logits = random.normal(size=(n, 4)) * 2
    gold = random.random((n, 4)) < 1 / (1 + np.exp(-logits))
    p = 1 / (1 + np.exp(-sharp * logits))
    return Items("multi_label", gold, p > 0.5, p.astype(np.float32), tuple("abcd"))


def extracted(n: int, seed: int, sharp: float = 1.0) -> Items:
    random = np.random.default_rng(seed)
    p = random.uniform(0.5, 1, n)
    good = random.random(n) < p
    logit = sharp * np.log(p / (1 - p))
    found = [Found("yes" if ok else "no", True) for ok in good]
    return Items("answers", objects([("yes",)] * n), objects(found), (1 / (1 + np.exp(-logit)))[:, None].astype("f4"))


# -- temperature -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [labels, several, lambda n, sharp, seed: extracted(n, seed, sharp)])
@pytest.mark.parametrize("sharp", [0.5, 1.0, 2.0])
def test_the_planted_temperature_is_found(make: Any, sharp: float) -> None:
    assert calibration.fit_temperature(make(4000, sharp=sharp, seed=1)) == pytest.approx(sharp, rel=0.12)


def test_scaling_moves_no_answer_and_sets_the_confidence_right() -> None:
    validation, test = labels(1500, 2.5, 1), labels(1500, 2.5, 2)
    block = calibration.calibrate(validation, test, CONFIG, setting(1500))
    assert block is not None
    rows = block["temperature"]["metrics"]
    for name in ("ece", "brier"):
        assert rows[name]["after"]["value"] < rows[name]["before"]["value"] and rows[name]["high"] < 0
    after = calibration.scaled(test, block["temperature"]["value"])
    assert (after.probabilities.argmax(axis=1) == test.predicted).all()  # type: ignore[union-attr]
    assert rows["ece"]["after"]["value"] < 0.03 < rows["ece"]["before"]["value"]


def test_too_few_mistakes_fit_no_temperature() -> None:
    gold = np.zeros(200, np.int64)
    p = np.tile([0.9, 0.1], (200, 1)).astype(np.float32)
    assert calibration.fit_temperature(Items("classify", gold, gold, p, ("a", "b"))) is None


# -- Brier, risk and coverage ------------------------------------------------------------------------------------------


def test_brier_equals_its_definition() -> None:
    one = labels(500)
    onehot = np.eye(6)[one.gold]
    assert value(lookup("metric", "brier"), one) == pytest.approx(((one.probabilities - onehot) ** 2).sum(1).mean())
    two = Items("classify", one.gold % 2, one.predicted % 2, one.probabilities[:, :2], ("a", "b"))  # type: ignore[index]
    p = two.probabilities / two.probabilities.sum(1, keepdims=True)  # type: ignore[operator, union-attr]
    two = Items("classify", two.gold, p.argmax(1), p, ("a", "b"))
    assert value(lookup("metric", "brier"), two) == pytest.approx(2 * brier_score_loss(two.gold, p[:, 1]), abs=1e-6)
    new = Items("classify", np.array([6]), np.array([0]), np.eye(6, dtype=np.float32)[:1], tuple("abcdefg"))
    assert value(lookup("metric", "brier"), new) == 2.0


def test_aurc_of_a_case_by_hand_and_of_ties() -> None:
    sure = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    p = np.stack([sure, 1 - sure], axis=1)
    one = Items("classify", np.array([0, 1, 0, 1]), np.zeros(4, np.int64), p, ("a", "b"))
    found = calibration.risk_coverage(one, setting(4))
    assert found["points"] == [[0.25, 0.0], [0.5, 0.5], [0.75, pytest.approx(1 / 3)], [1.0, 0.5]]
    assert found["aurc"]["value"] == pytest.approx((0 + 0.5 + 1 / 3 + 0.5) / 4) and found["aurc"]["low"] is None
    flat = Items("classify", one.gold, one.predicted, np.full((4, 2), 0.5, np.float32), ("a", "b"))
    assert calibration.risk_coverage(flat, setting(4))["aurc"]["value"] == pytest.approx(0.5)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=40))
def test_the_order_of_the_items_does_not_matter(pairs: list[tuple[int, bool]]) -> None:
    def curve(rows: list[tuple[int, bool]]) -> list[float]:
        sure, good = np.array([r[0] / 5 for r in rows]), np.array([r[1] for r in rows])
        return calibration._ordered(sure, good)[1].tolist()

    assert curve(pairs) == pytest.approx(curve(pairs[::-1]))
    assert sum(curve(pairs)) == pytest.approx(sum(not good for _, good in pairs))


# -- the threshold -----------------------------------------------------------------------------------------------------


def test_the_served_error_is_kept_on_new_texts_nearly_always() -> None:
    kept, shares = [], []
    for seed in range(60):
        validation, test = labels(1000, 1.0, 2 * seed), labels(4000, 1.0, 2 * seed + 1)
        found = calibration.served(validation, test, 0.05, setting(4000))
        assert found["chosen"] == "bound" and found["validation"][1] < 0.05
        kept.append(found["error"]["value"] <= 0.05)
        shares.append(found["share"]["value"])
    assert np.mean(kept) >= 0.9 and 0.5 < np.mean(shares) < 0.95


def test_what_is_said_of_thresholds() -> None:
    validation, test = labels(1000, 1.0, 1), labels(1000, 1.0, 2)
    assert calibration.served(validation, test, 1e-4, setting(1000))["chosen"] in ("observed", "")
    hopeless = Items("classify", 1 - test.gold % 2, test.gold % 2, np.full((1000, 2), 0.5, np.float32), ("a", "b"))
    found = calibration.served(hopeless, hopeless, 0.02, setting(1000))
    assert found["threshold"] is None and found["share"] is None
    worse = Items("classify", (test.gold + 1) % 6, test.predicted, test.probabilities, test.classes)
    assert calibration.served(validation, worse, 0.02, setting(1000))["kept"] == "no"
    assert calibration.served(validation, part(test, np.arange(1000) < 20), 0.02, setting(20))["kept"] != "yes"


def test_groups_widen_the_intervals_of_the_threshold() -> None:
    validation, test = labels(1000, 1.0, 1), labels(1000, 1.0, 2)
    order = np.argsort(test.gold == test.predicted, kind="stable")  # the wrong ones stand together
    test = Items("classify", test.gold[order], test.predicted[order], test.probabilities[order], test.classes)  # type: ignore[index]
    plain = calibration.served(validation, test, 0.05, setting(1000))["error"]
    names = [f"g{i // 20}" for i in range(1000)]
    grouped = Setting(units(names), 0.05, 0.8, 200, 0)
    wide = calibration.served(validation, test, 0.05, grouped)["error"]
    assert wide["value"] == plain["value"] and wide["high"] - wide["low"] > 1.5 * (plain["high"] - plain["low"])


# -- conformal sets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sharp", [1.0, 3.0])
def test_sets_hold_the_truth_as_promised_even_for_an_over_confident_model(sharp: float) -> None:
    found: dict[str, list[float]] = {"lac": [], "aps": []}
    for seed in range(40):
        block = conformal.sets(labels(300, sharp, seed), labels(1000, sharp, seed + 500), 0.9, setting(1000, seed=seed))
        assert block is not None
        for name, one in block["methods"].items():
            found[name].append(one["coverage"]["value"])
            assert sum(one["sizes"].values()) == 1000 and "0" not in one["sizes"]
    assert 0.89 <= np.mean(found["lac"]) <= 0.93
    assert 0.89 <= np.mean(found["aps"]) <= 0.96, "more than 0.9, since an empty set is given its likeliest label"


def test_worse_models_give_larger_sets() -> None:
    random = np.random.default_rng(0)
    good, sizes = labels(500, 1.0, 1), []
    for noise in (0.0, 6.0):
        logits = np.log(good.probabilities + 1e-9) + noise * random.normal(size=(500, 6))  # type: ignore[operator]
        p = np.exp(logits - logits.max(1, keepdims=True))
        p = (p / p.sum(1, keepdims=True)).astype(np.float32)
        one = Items("classify", good.gold, p.argmax(1), p, good.classes)
        block = conformal.sets(one, one, 0.9, setting(500))
        assert block is not None
        sizes.append(block["methods"]["lac"]["size"]["value"])
    assert sizes[1] > sizes[0] + 0.5


def test_intervals_of_values() -> None:
    random = np.random.default_rng(0)
    shares = []
    for _ in range(60):
        gold = random.normal(size=1200)
        one = Items("score", gold, gold + random.normal(size=1200) * 0.5)
        validation, test = (
            Items("score", one.gold[part], one.predicted[part]) for part in (slice(200), slice(200, 1200))
        )
        block = calibration.calibrate(validation, test, CONFIG, setting(1000))
        assert block is not None and block["served"] is None and block["risk_coverage"] is None
        shares.append(block["sets"]["methods"]["interval"]["coverage"]["value"])
    assert 0.89 <= np.mean(shares) <= 0.915
    assert block["figures"]["set_size"]["value"] == pytest.approx(0.5 * 1.645, rel=0.2)


def test_too_few_for_the_level_and_labels_never_seen() -> None:
    assert conformal.quantile(np.arange(8.0), 0.9) is None and conformal.quantile(np.arange(9.0), 0.9) == 8.0
    validation = labels(300)
    gold = validation.gold.copy()
    gold[:60] = 6  # a fifth has a label that training never saw: no set can promise 90 %
    unknown = Items("classify", gold, validation.predicted, validation.probabilities, tuple("abcdefg"))
    block = conformal.sets(unknown, unknown, 0.9, setting(300))
    assert block is not None and block["methods"]["lac"]["kept"] == "no"


# -- the stage and the report ------------------------------------------------------------------------------------------


def with_validation(folder: Path, n: int = 400) -> Any:
    """A run of 300 test examples whose tuned model also answered n validation examples."""
    made = classify_run(folder)
    path = made[0].path / "examples.parquet"
    rows = tables.read(path).to_pylist()
    answers = [r for r in tables.read(made[1].path / "predictions.parquet").to_pylist() if r["model"] == "tuned"]
    more = [{**rows[i % 300], "id": f"v{i}", "split": "validation"} for i in range(n)]
    tables.write(tables.table([*rows, *more], tables.EXAMPLES), path)
    given = [{**answers[i % 300], "id": f"v{i}"} for i in range(n)]
    tables.write(tables.table(given, PREDICTIONS), made[1].path / "validation.parquet")
    return made


def test_the_stage_tells_all_of_it_in_both_languages(tmp_path: Path, quiet: Console) -> None:
    made = with_validation(tmp_path)
    config = EvaluateConfig(bootstrap=200, served_error=0.08, accept=(
        "accuracy >= 0.5", "calibration.served_error <= 0.5", "calibration.set_coverage >= 0.5"))  # fmt: skip
    evaluate(config, TaskConfig(), 0, *made, tmp_path / "out", quiet)
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    block = results["calibration"]
    assert block["validation"] == 400 and set(block["sets"]["methods"]) == {"lac", "aps"}
    assert [reason["met"] for reason in results["verdict"]["reasons"]] == ["yes"] * 3
    assert results["verdict"]["reasons"][1]["text"].startswith("Error among what is answered: ")
    for code, words in (("en", ("the rest goes to a person", "labels on average")), ("zh", ("其余转交人工", "个标签"))):
        shown = told(results, Words(code))
        assert shown is not None and "<svg" in shown["picture"]
        for word in words:
            assert any(word in text for text in shown["said"]), (word, shown["said"])


@pytest.mark.parametrize("n", [None, 0, 12])
def test_a_validation_split_that_is_too_small_is_told(tmp_path: Path, quiet: Console, n: int | None) -> None:
    made = classify_run(tmp_path) if n is None else with_validation(tmp_path, n)
    evaluate(CONFIG, TaskConfig(), 0, *made, tmp_path / "out", quiet)
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert results["calibration"]["served"] is None and results["calibration"]["figures"]["served_error"]["n"] == 0
    assert results["calibration"]["risk_coverage"]["aurc"]["value"] is not None
    assert "at least 30 are needed" in told(results, Words("en"))["note"]  # type: ignore[index]
    assert "至少需要 30 条" in told(results, Words("zh"))["note"]  # type: ignore[index]
