"""Whether the tuned model knows when it is right: temperature, risk by coverage, and a threshold that can be served.

Purpose: an answer is worth what its confidence is worth. Everything that is chosen (the temperature, the threshold, the
size of conformal sets) is chosen on the validation split and checked on the test split, with intervals.
  temperature    one number that all logits are divided by (Guo et al. 2017); it moves no answer, only its confidence
  risk-coverage  the error among the surest answers, for every share of answers (Geifman & El-Yaniv 2017); AURC its mean
  served         the lowest threshold at which the error of what is answered stays below `served_error`: the rest goes
                 to a person
Trade-off: the threshold is chosen so that an upper 95 % limit of the validation error is low enough; where the
validation split is too small for that, by the error itself, which is said. Training looked at the validation split to
decide when to stop, so the check on the test split is what counts.
Not covered: models other than the tuned one; sets and intervals of promised coverage (conformal.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from metier.errors import need
from metier.evaluate.classes import Figure, figure, reliability
from metier.evaluate.compare import Pair, Setting, difference_interval
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.conformal import ROWS, intervals, sets
from metier.evaluate.criteria import CALIBRATION
from metier.evaluate.intervals import MIN_ITEMS, Interval, bootstrap_interval, normal_quantile, proportions, wilson
from metier.evaluate.items import ANSWERS, CLASSIFY, MULTI_LABEL, SCORE, Array, Items, confidence, right
from metier.evaluate.measure import figure_of, measure, pair_of
from metier.evaluate.resample import LOTS, bootstrap
from metier.registry import lookup

TITLES = {
    "ece": ("Calibration error after temperature scaling", "温度缩放后的校准误差"),
    "aurc": ("Area under the risk-coverage curve", "风险-覆盖曲线下面积"),
    "served_share": ("Share of texts that are answered", "自动回答的比例"),
    "served_error": ("Error among what is answered", "自动回答部分的错误率"),
    "set_coverage": ("Coverage of sets or intervals", "集合或区间的覆盖率"),
    "set_size": ("Mean size of a set, or half-width of an interval", "集合的平均大小或区间半宽"),
}
FEWEST_WRONG = 5  # wrong validation answers below which a temperature is not fitted: it would follow single texts
SMALLEST = 1e-12  # probability that counts as 0
SOME = 200  # resamples of a curve of many items: its standard error to 5 %
CURVE = 101  # points of the curve that are kept


def calibrate(validation: Items | None, test: Items, config: EvaluateConfig, setting: Setting) -> dict[str, Any] | None:
    """The block `calibration` of results.json; None for tasks that have no confidence and no values.

    validation, test: the tuned model's answers. Parts that cannot be had are null, with `why` naming the reason.
    """
    if test.kind not in (CLASSIFY, MULTI_LABEL, ANSWERS, SCORE) or (test.kind != SCORE and confidence(test) is None):
        return None
    n = 0 if validation is None else len(validation)
    block: dict[str, Any] = {"validation": n, "temperature": None, "risk_coverage": None, "served": None, "sets": None,
                             "why": "" if n >= MIN_ITEMS else "validation is too small"}  # fmt: skip
    if test.kind == SCORE:
        if validation is not None and n >= MIN_ITEMS:
            block["sets"] = intervals(validation, test, config.set_coverage, setting)
        return {**block, "figures": _figures(block)}
    block["risk_coverage"] = risk_coverage(test, setting)
    if validation is None or n < MIN_ITEMS or confidence(validation) is None:
        return {**block, "figures": _figures(block)}
    temperature = fit_temperature(validation)
    if temperature is not None:
        validation, after = scaled(validation, temperature), scaled(test, temperature)
        block["temperature"] = _scaling(test, after, temperature, setting)
        test = after
    block["served"] = served(validation, test, config.served_error, setting)
    if test.kind == CLASSIFY:
        block["sets"] = sets(validation, test, config.set_coverage, setting)
    return {**block, "figures": _figures(block)}


def fit_temperature(items: Items) -> float | None:
    """The temperature that makes the right answers of the validation split likeliest; None with too few mistakes."""
    wrong = int((~right(items)).sum()) if items.kind != MULTI_LABEL else int((items.gold != items.predicted).sum())
    if wrong < FEWEST_WRONG:
        return None
    loss = _loss(items)
    found = need("scipy.optimize", "evaluate").minimize_scalar(lambda log: loss(np.exp(log)), bounds=(-3, 3),
                                                               method="bounded")  # fmt: skip
    return float(np.exp(found.x))


def scaled(items: Items, temperature: float) -> Items:
    """The same answers with their probabilities at another temperature."""
    assert items.probabilities is not None
    moved = np.empty_like(items.probabilities)
    for start in range(0, len(items), ROWS):  # a copy of all in float64 would fill the memory
        p = np.clip(items.probabilities[start : start + ROWS].astype(np.float64), SMALLEST, None)
        if items.kind == CLASSIFY:
            logits = np.log(p) / temperature
            p = np.exp(logits - logits.max(axis=1, keepdims=True))
            moved[start : start + ROWS] = p / p.sum(axis=1, keepdims=True)
        else:
            moved[start : start + ROWS] = _sigmoid(_logit(p) / temperature)
    return replace(items, probabilities=moved)


def sure_and_right(items: Items) -> tuple[Array, Array]:
    """(n,) of float64 and (n,) of bool: how sure the whole answer is (of several labels the least sure decision), and
    whether it is right."""
    sure = confidence(items)
    assert sure is not None
    return (sure.min(axis=1) if sure.ndim == 2 else sure).astype(np.float64), right(items)


def risk_coverage(items: Items, setting: Setting) -> dict[str, Any]:
    """{"points": [[share answered, error among them], ...], "aurc": figure}, from the surest answers on."""
    sure, good = sure_and_right(items)
    order, wrong = _ordered(sure, good)
    risk = np.cumsum(wrong) / np.arange(1, len(wrong) + 1)
    places = np.unique(np.linspace(0, len(risk) - 1, min(CURVE, len(risk))).round().astype(int))
    point, limits = float(risk.mean()), None
    if len(items) >= MIN_ITEMS and wrong.any():

        def area(weights: Array) -> Array:
            taken = weights[:, order]
            total = np.cumsum(taken, axis=1)
            share = np.cumsum(taken * wrong, axis=1) / np.maximum(total, 1)
            return np.asarray((taken * share).sum(axis=1) / total[:, -1])

        limits = _interval_of(area, point, setting)
    low, high = limits or (None, None)
    points = [[(int(i) + 1) / len(risk), float(risk[i])] for i in places]
    return {"points": points, "aurc": figure(point, low, high, len(items))}


def _interval_of(area: Any, point: float, setting: Setting) -> Interval | None:
    """By the bootstrap; of many items by the standard error of a few resamples, since each passes over all of them."""
    few = setting.unit.count > LOTS
    drawn = bootstrap({0: area}, setting.unit, SOME if few else setting.resamples, setting.seed)[0]
    if not few:
        return bootstrap_interval(drawn, point, setting.alpha, 0.0, 1.0, count=setting.unit.count)
    half = normal_quantile(setting.alpha) * float(drawn.std())
    return max(0.0, point - half), min(1.0, point + half)


def served(validation: Items, test: Items, wanted: float, setting: Setting) -> dict[str, Any]:
    """The threshold chosen on validation, and what it does on the test split: share answered, error among them.

    {"wanted", "threshold", "chosen": "bound" or "observed" or "", "validation": [share, error], "share", "error",
    "kept": "yes", "unclear" or "no"}; without a threshold nothing is answered.
    """
    threshold, chosen, on_validation = choose(*sure_and_right(validation), wanted, setting.alpha)
    found: dict[str, Any] = {"wanted": wanted, "threshold": threshold, "chosen": chosen, "validation": on_validation,
                             "share": None, "error": None, "kept": ""}  # fmt: skip
    if threshold is None:
        return found
    sure, good = sure_and_right(test)
    answered = sure >= threshold
    columns = np.stack([answered, answered & ~good], axis=1).astype(np.float64)
    members = np.stack([np.ones(len(test)), answered], axis=1).astype(np.float64)
    share, low, high = proportions(columns, members, setting.unit, setting.alpha)
    found["share"] = figure(share[0], low[0], high[0], len(test))
    found["error"] = error = figure(share[1], low[1], high[1], int(answered.sum()))
    if error["value"] is not None:
        top = error["high"]
        found["kept"] = "no" if error["value"] > wanted else "yes" if top is not None and top <= wanted else "unclear"
    return found


def choose(sure: Array, good: Array, wanted: float, alpha: float) -> tuple[float | None, str, list[float] | None]:
    """(threshold, how it was chosen, [share answered, error] on these items): as many answers as may be.

    First by the upper Wilson limit of the error; if nothing passes, by the error itself; None if nothing passes still.
    """
    order, _ = _ordered(sure, good)
    sure, wrong = sure[order], (~good[order]).astype(np.float64)
    last = np.append(np.diff(sure) != 0, True)  # equal confidences are answered together
    n, errors = np.arange(1, len(sure) + 1)[last], np.cumsum(wrong)[last]
    high = wilson(errors / n, n, normal_quantile(alpha))[1]
    for name, limit in (("bound", high), ("observed", errors / n)):
        fine = np.flatnonzero(limit <= wanted)
        if len(fine):
            at = fine[-1]
            return float(sure[last][at]), name, [float(n[at] / len(sure)), float(errors[at] / n[at])]
    return None, "", None


def _scaling(test: Items, after: Items, temperature: float, setting: Setting) -> dict[str, Any]:
    """Calibration error and Brier score before and after, and their paired difference."""
    names = [name for name in ("ece", "brier") if test.kind in lookup("metric", name).kinds]
    metrics = [lookup("metric", name) for name in names]
    measured = measure({"tuned": after, "before": test}, metrics, setting)
    rows = {}
    for metric in metrics:
        pair: Pair | None = pair_of(measured, metric, "before")
        limits = difference_interval(pair, setting) if pair else None
        low, high = limits or (None, None)
        rows[metric.name] = {
            "before": figure_of(metric, measured, "before", setting),
            "after": figure_of(metric, measured, "tuned", setting),
            "difference": pair.tuned_value - pair.other_value if pair else None, "low": low, "high": high,
        }  # fmt: skip
    return {"value": temperature, "metrics": rows, "reliability": reliability(after)}


def _figures(block: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The figures that criteria may name, in the form of those of checks."""
    nothing = figure(None, None, None, 0)
    metrics = (block["temperature"] or {}).get("metrics", {})
    given, sets_of = block["served"] or {}, block["sets"] or {}
    first: dict[str, Any] = next(iter(sets_of.get("methods", {}).values()), {})
    found: dict[str, Figure] = {
        "ece": metrics.get("ece", {}).get("after") or nothing,
        "aurc": (block["risk_coverage"] or {}).get("aurc") or nothing,
        "served_share": given.get("share") or nothing, "served_error": given.get("error") or nothing,
        "set_coverage": first.get("coverage") or nothing, "set_size": first.get("size") or nothing,
    }  # fmt: skip
    percent = ("ece", "served_share", "served_error", "set_coverage")
    return {name: {**found[name], "title": {"en": TITLES[name][0], "zh": TITLES[name][1]}, "better": better,
                   "percent": name in percent} for name, better in CALIBRATION.items()}  # fmt: skip


def _ordered(sure: Array, good: Array) -> tuple[Array, Array]:
    """The surest first: order (n,), and the error of each item in that order; items of equal confidence share it."""
    order = np.argsort(-sure, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(sure[order]) != 0)) if len(sure) else np.zeros(0, np.int64)
    block = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(sure))))
    wrong = (~good[order]).astype(np.float64)
    mean = np.bincount(block, weights=wrong, minlength=len(starts)) / np.maximum(np.bincount(block), 1)
    return order, mean[block]


def _loss(items: Items) -> Any:
    """temperature -> mean negative log-likelihood of what is right."""
    assert items.probabilities is not None
    p = np.clip(items.probabilities.astype(np.float64), SMALLEST, None)
    if items.kind == CLASSIFY:
        known = items.gold < p.shape[1]
        logs, gold = np.log(p[known]), items.gold[known]

        def of_classes(temperature: float) -> float:
            moved = logs / temperature
            top = moved.max(axis=1)
            total = top + np.log(np.exp(moved - top[:, None]).sum(axis=1))
            return float((total - moved[np.arange(len(gold)), gold]).mean())

        return of_classes
    if items.kind == MULTI_LABEL:
        logits, true = _logit(p).ravel(), items.gold[:, : p.shape[1]].ravel()
    else:
        sure, true = sure_and_right(items)
        logits = _logit(sure)

    def of_decisions(temperature: float) -> float:
        return float(np.logaddexp(0.0, np.where(true, -1.0, 1.0) * logits / temperature).mean())

    return of_decisions


def _logit(p: Array) -> Array:
    p = np.clip(p.astype(np.float64), 1e-7, 1 - 1e-7)
    return np.log(p) - np.log1p(-p)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))
