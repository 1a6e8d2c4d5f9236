"""The stage `evaluate`: from examples and stored predictions to figures, comparisons, cases and a verdict.

Purpose: no model is needed here, so any report can be replayed: the figures depend only on examples, predictions, the
config and the seed. Writes results.json and cases.parquet.
Trade-off: one bootstrap serves every model and metric: its resamples are the same for all, every difference is paired.
Not covered: making predictions (`predict.py`), drawing (`report`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from metier.artifact import Artifact
from metier.console import Console
from metier.evaluate import cases, frozen, load, notes, slices, wording, written
from metier.evaluate.calibration import calibrate
from metier.evaluate.checks.base import Told
from metier.evaluate.checks.run import judge_all, warnings
from metier.evaluate.classes import class_metric, confusion, per_class, reliability
from metier.evaluate.compare import Setting, compare, difference_interval, finish
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.criteria import Criterion, check, decided_by, defaults, switched_on
from metier.evaluate.items import ANSWERS, CLASSIFY, LABELLED, MULTI_LABEL, SPANS, Items
from metier.evaluate.measure import Measured, figure_of, measure, multiple, pair_of
from metier.evaluate.metrics import Metric, for_kind, numbers
from metier.evaluate.resample import units
from metier.evaluate.verdict import Evidence, Key, decide, shortfalls, with_checks, with_parts
from metier.tables import write, write_json
from metier.train.config import TaskConfig
from metier.train.tasks import Profile, profile

MOST_CONFUSIONS = 200  # classes beyond which the confusion table is left out: it would be larger than the predictions


def evaluate(
    config: EvaluateConfig, task: TaskConfig, seed: int, examples: Artifact, predictions: Artifact, out: Path,
    console: Console, checks: Artifact | None = None, documents: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Judge the tuned model; writes results.json and cases.parquet into `out`, returns decision and primary figures.

    documents: documents.parquet, for parts of the test split by what only the documents say.
    """
    told = profile(task)
    kind, primary = told.kind, told.primary
    metrics = for_kind(kind, primary)
    rows = load.in_parts(load.split_rows(examples.path / "examples.parquet"), load.general_sources(examples))
    known = load.classes(predictions.path)
    described = load.models(predictions.path)
    criteria, source = _criteria(config, task, list(described), known if kind in LABELLED else None)
    promised = frozen.compare(predictions.path, config, task)
    if not len(rows) or not described:
        return _nothing(task, told, criteria, source, out)
    slices.check(criteria, rows, documents)
    found = load.same_classes({name: load.items(predictions.path, name, rows, kind, known) for name in described})
    found = numbers.graded(found, rows, config.numbers)
    unit = units(rows.column("group").to_pylist())
    setting = Setting(unit, config.alpha, config.power, config.bootstrap, seed)
    measured = measure(found, [*metrics, *_class_metrics(criteria, found["tuned"])], setting)
    comparisons = _comparisons(measured, setting, metrics)
    blocks = _model_blocks(measured, described, setting, metrics)
    parts = _slices(config, criteria, rows, documents, measured, setting)
    validation = load.validation(predictions.path, examples.path / "examples.parquet", kind, known)
    sure = calibrate(validation, found["tuned"], config, setting)
    checked = judge_all(checks, Told(config, task, seed, rows, found, known, setting))
    evidence = _evidence(blocks, comparisons, measured, criteria, setting, told)
    own = {"calibration": sure} if sure else {}
    evidence = with_checks(with_parts(evidence, parts, criteria), {**checked, **own})
    verdict = decide(criteria, evidence, source, promised)
    counts = _cases(measured, rows, task, out, primary)
    warned = [*frozen.warning(promised), *shortfalls(evidence), *notes.split(found, unit, len(known)),
              *notes.repeated(rows), *notes.unanswered(found),
              *notes.numbers(found, any(one.metric.startswith("number_") for one in criteria)),
              *notes.models(found, measured.values), *warnings(checked)]  # fmt: skip
    results = {
        "task": task.model_dump(mode="json"), "profile": {"kind": kind, "pipeline": told.pipeline},
        "primary": primary, "decided_by": {name: decided_by(primary, name) for name in blocks},
        "models": blocks, "comparisons": comparisons, "verdict": verdict, "cases": counts, "checks": checked,
        "slices": parts, "calibration": sure,
        "warnings": [{"text": text, "text_zh": text_zh} for text, text_zh in warned],
        "data": {"test": len(rows), "groups": unit.count if unit.clustered else _named(rows), "classes": len(known)},
        "settings": {"alpha": config.alpha, "power": config.power, "bootstrap": config.bootstrap, "seed": seed},
    }  # fmt: skip
    write_json(results, out / "results.json")
    show(results, console)
    return _summary(results)


def _criteria(config: EvaluateConfig, task: TaskConfig, models: list[str], known: Any) -> tuple[list[Criterion], str]:
    if config.accept:
        return check(config.accept, task, models or ["tuned"], known, switched_on(config)), "recipe"
    return [one for one in defaults(config, task) if one.model in models], "default"


def _class_metrics(criteria: list[Criterion], tuned: Items) -> list[Metric]:
    """Metrics of one class that some criterion compares with another model."""
    wanted = {(one.metric, one.label) for one in criteria if one.label and one.model and not one.part}
    return [class_metric(name, label, tuned.classes.index(label)) for name, label in sorted(wanted)]


def _comparisons(measured: Measured, setting: Setting, metrics: list[Metric]) -> list[dict[str, Any]]:
    """The tuned model against every other on every metric that both have."""
    rows = []
    for metric in metrics:
        for other in measured.models:
            pair = pair_of(measured, metric, other) if other != "tuned" else None
            if pair is not None:
                rows.append(compare(pair, other, setting))
    return finish(rows, setting.alpha)


def _model_blocks(
    measured: Measured, described: Mapping[str, Any], setting: Setting, metrics: list[Metric]
) -> dict[str, Any]:
    blocks: dict[str, Any] = {}
    for name, one in measured.models.items():
        block = dict(described[name])
        for metric in metrics:
            block[metric.name] = figure_of(metric, measured, name, setting)
        if one.kind in LABELLED:
            # A text may hold many spans of a type: they are counted as a group, never as so many independent draws.
            unit = replace(setting.unit, clustered=setting.unit.clustered or one.kind == SPANS)
            block["per_class"] = per_class(one, unit, setting.alpha)
        if one.kind in (*LABELLED, ANSWERS):
            block["reliability"] = reliability(one)
        if one.kind == CLASSIFY:
            block["confusion"] = confusion(one) if len(one.classes) <= MOST_CONFUSIONS else None
        blocks[name] = block
    return blocks


def _evidence(
    blocks: dict[str, Any], comparisons: list[dict[str, Any]], measured: Measured, criteria: list[Criterion],
    setting: Setting, told: Profile,
) -> Evidence:  # fmt: skip
    tuned = blocks["tuned"]
    figures: dict[Key, dict[str, Any]] = {(m.name, "", ""): tuned[m.name] for m in for_kind(told.kind)}
    for row in tuned.get("per_class", []):
        figures.update({(name, row["label"], ""): row[name] for name in ("precision", "recall", "f1")})
    rows: dict[Key, dict[str, Any]] = {(row["metric"], "", row["against"]): row for row in comparisons}
    by_name = {metric.name: metric for metric in measured.metrics}
    for one in criteria:
        if one.factor != 1:
            rows[one.metric, one.label, one.other] = multiple(
                measured, by_name[one.metric], one.model, one.factor, setting
            )
            continue
        of_label = one.label and one.model and not one.part
        pair = pair_of(measured, by_name[f"{one.metric}[{one.label}]"], one.model) if of_label else None
        if pair is not None:
            low, high = difference_interval(pair, setting) or (None, None)
            rows[one.metric, one.label, one.model] = {
                "difference": pair.tuned_value - pair.other_value, "low": low, "high": high,
            }  # fmt: skip
    return Evidence(told.primary, figures, rows, several=told.kind in (MULTI_LABEL, SPANS), spans=told.kind == SPANS)


def _slices(
    config: EvaluateConfig, criteria: list[Criterion], rows: pa.Table, documents: Path | None, measured: Measured,
    setting: Setting,
) -> dict[str, Any]:  # fmt: skip
    """The parts of the test split on the primary metric and those that criteria name, tuned against the base."""
    asked = [one for one in criteria if one.part]
    wanted = {measured.metrics[0].name, *(one.metric for one in asked)}
    metrics = [metric for metric in measured.metrics if metric.name in wanted]
    named = {"tuned", "base", *(one.model for one in asked)}
    found = {name: one for name, one in measured.models.items() if name in named}
    columns = slices.columns_of(config, criteria)
    return slices.slices(columns, rows, documents, found, metrics, setting, config.slice_minimum)


def _cases(measured: Measured, rows: pa.Table, task: TaskConfig, out: Path, primary: str) -> dict[str, Any]:
    better = next(metric.better for metric in measured.metrics if metric.name == primary)
    others = [name for name, one in measured.models.items() if name != "tuned" and cases.tells(one)]
    against = cases.strongest(others, {name: measured.values[name, primary] for name in others}, better)
    if against is None:
        write(cases.CASES.empty_table(), out / "cases.parquet")
        return cases.empty()
    tuned, other = measured.models["tuned"], measured.models[against]
    table, counts = cases.find(tuned, other, written.asked(rows, tuned.kind), task.label_separator)
    write(table, out / "cases.parquet")
    return {**counts, "against": against}


def _nothing(task: TaskConfig, told: Profile, criteria: list[Criterion], source: str, out: Path) -> dict[str, Any]:
    """Results without a test split: nothing is claimed."""
    verdict = decide(criteria, Evidence(told.primary, {}, {}), source)
    text, text_zh = notes.NO_TEST
    verdict = {**verdict, "headline": text, "headline_zh": text_zh}
    results = {
        "task": task.model_dump(mode="json"), "profile": {"kind": told.kind, "pipeline": told.pipeline},
        "primary": told.primary, "models": {}, "comparisons": [],
        "verdict": verdict, "cases": cases.empty(), "warnings": [{"text": text, "text_zh": text_zh}],
        "data": {"test": 0, "groups": 0, "classes": 0},
    }  # fmt: skip
    write_json(results, out / "results.json")
    write(cases.CASES.empty_table(), out / "cases.parquet")
    return _summary(results)


def _named(rows: pa.Table) -> int:
    return len({name for name in rows.column("group").to_pylist() if name})


def _summary(results: dict[str, Any]) -> dict[str, Any]:
    primary = results["primary"]
    return {
        "decision": results["verdict"]["decision"], "headline": results["verdict"]["headline"],
        "headline_zh": results["verdict"]["headline_zh"], "primary": primary,
        "figures": {name: block[primary] for name, block in results["models"].items()},
        "test": results["data"]["test"], "cases": results["cases"],
        "warnings": [warning["text"] for warning in results["warnings"]],
    }  # fmt: skip


def _p(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def show(results: dict[str, Any], console: Console) -> None:
    """A short table on the screen."""
    primary = results["primary"]
    against = {row["against"]: row for row in results["comparisons"] if row["metric"] == primary}
    shown = []
    for name, block in results["models"].items():
        one, row = block[primary], against.get(name)
        limits = "" if one["low"] is None else f"{one['low']:.4f} – {one['high']:.4f}"
        shown.append([
            name, "no data" if one["value"] is None else f"{one['value']:.4f}", limits,
            "" if row is None else f"{row['difference']:+.4f}",
            "" if row is None or row["p_holm"] is None else _p(row["p_holm"]),
            "" if row is None or row["mde"] is None else wording.number(row["mde"]),
            "" if row is None else row["outcome"],
        ])  # fmt: skip
    columns = ["model", primary, "interval", "tuned minus it", "p (Holm)", "detectable", "tuned is"]
    console.table(columns, shown, title=f"{results['data']['test']:,} test examples")
    console.say(f"{results['verdict']['decision']}: {results['verdict']['headline']}")
