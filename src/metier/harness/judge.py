"""Two logs compared: the paired tests, intervals, parts and verdict of every run, on values that another program gave.

Purpose: `metier compare BASE TUNED`. The logs are read, joined and stored (store.py); what follows needs the stored
tables alone, so `metier replay` makes results.json and cases.parquet again, byte for byte.
Trade-off: criteria come with the comparison, when the answers exist already; nobody can promise that they were not
known, and the report says so.
Not covered: floors, calibration, checks: they need the model, or its training texts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from metier.artifact import environment
from metier.console import Console
from metier.errors import UserError
from metier.evaluate import cases, notes, slices
from metier.evaluate.compare import Setting, compare, finish
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.criteria import Criterion, check_metrics, parse
from metier.evaluate.items import Array, Items
from metier.evaluate.measure import Measured, figure_of, measure, multiple, pair_of
from metier.evaluate.metrics import Metric
from metier.evaluate.resample import units
from metier.evaluate.stage import show
from metier.evaluate.verdict import Evidence, Key, decide, shortfalls, with_parts
from metier.harness.figures import KIND, losses, metric_of
from metier.harness.find import load
from metier.harness.join import Joined, join
from metier.harness.log import Log
from metier.harness.store import read_tables, write_tables
from metier.tables import write, write_json

FILE = "comparison.json"
LATE = (
    "The criteria came with the comparison, when both models had already answered.",
    "这些标准是在两个模型都已作答之后随比较一同给出的。",
)


def compare_logs(
    base: Path, tuned: Path, out: Path, config: EvaluateConfig, console: Console, task: str = "", metric: str = "",
    group: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Read, join, store and judge; returns results.json. task: of several in a folder. metric: the one that decides.

    group: a field of the documents whose values are drawn together. UserError where the two cannot be compared, or
    where `out` holds something that is no comparison.
    """
    if out.exists() and any(out.iterdir()) and not (out / FILE).is_file():
        raise UserError(
            "there is something here already, and it is left alone", str(out), "name a new folder: --output"
        )
    logs = {"base": load(base, task), "tuned": load(tuned, task)}
    joined = join(logs["base"], logs["tuned"], metric)
    told = _told(logs, joined, config)
    check_metrics(config.accept, _metrics(told, {}), ("tuned", "base"))  # a mistake is told before anything is written
    out.mkdir(parents=True, exist_ok=True)
    write_tables(joined, logs["base"].program, group, out)
    write_json(told, out / FILE)
    return judge(out, out, console)


def judge(folder: Path, out: Path, console: Console) -> dict[str, Any]:
    """Judge the stored answers in `folder`; writes results.json and cases.parquet into `out`."""
    told = json.loads((folder / FILE).read_text(encoding="utf-8"))
    results, table = _judged(told, folder)
    write_json(results, out / "results.json")
    write(table, out / "cases.parquet")
    show(results, console)
    return results


def _told(logs: Mapping[str, Log], joined: Joined, config: EvaluateConfig) -> dict[str, Any]:
    """What is stored beside the tables: where the answers come from, and how they are to be judged."""
    asked = {one.metric: "higher" if one.higher else "lower" for one in map(parse, config.accept)}
    better, guessed = {}, []
    for name in joined.metrics:
        known = next((log.better[name] for log in logs.values() if name in log.better), asked.get(name))
        better[name] = known or "higher"
        guessed += [] if known else [(f"That more of {name} is better is assumed: the logs do not say.",
                                      f"假定 {name} 越大越好：记录中没有说明。")]  # fmt: skip
    task = logs["tuned"].task or logs["base"].task
    return {
        "title": task or "comparison", "task": task, "program": logs["base"].program, "primary": joined.primary,
        "better": better, "notes": [*joined.notes, *guessed],
        "logs": {name: {"path": log.path, "sha256": log.sha256, "model": log.model, "items": len(log.items),
                        "left_out": len(log.left_out), "settings": log.settings} for name, log in logs.items()},
        "left_out": len(joined.left_out), "packages": environment()["packages"],
        "settings": config.model_dump(mode="json", include={"accept", "slices", "slice_minimum", "alpha", "power",
                                                            "bootstrap", "listed_cases"}),
    }  # fmt: skip


def _metrics(told: Mapping[str, Any], found: Mapping[str, Items]) -> list[Metric]:
    """All metrics, the primary one first; without `found` only names and directions are right."""
    order = sorted(told["better"], key=lambda name: name != told["primary"])
    if not found:
        return [Metric(name, lambda _: np.ravel, (KIND,), told["better"][name], name, name, -np.inf, np.inf)
                for name in order]  # fmt: skip
    return [metric_of(name, told["better"][name], found) for name in order]


def _judged(told: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], pa.Table]:
    config = EvaluateConfig.model_validate(told["settings"])
    rows, found = read_tables(folder, list(told["better"]))
    metrics = _metrics(told, found)
    setting = Setting(units(rows["group"].to_pylist()), config.alpha, config.power, config.bootstrap, 0)
    primary = metrics[0]
    default = f"{primary.name} {'>' if primary.better == 'higher' else '<'} base"
    criteria = check_metrics(config.accept or (default,), metrics, ("tuned", "base"))
    documents = folder / "documents.parquet"
    slices.check(criteria, rows, documents)
    measured = measure(found, metrics, setting)
    comparisons = finish([compare(pair, "base", setting) for metric in metrics
                          if (pair := pair_of(measured, metric, "base"))], setting.alpha)  # fmt: skip
    blocks = {name: {"title": told["logs"][name]["model"] or name, "kind": name, "how": told["program"], "seconds": 0.0,
                     **{metric.name: figure_of(metric, measured, name, setting) for metric in metrics}}
              for name in found}  # fmt: skip
    parts = _parts(config, criteria, rows, documents, measured, setting)
    evidence = with_parts(_evidence(measured, blocks, comparisons, criteria, setting), parts, criteria)
    verdict = decide(criteria, evidence, "recipe" if config.accept else "default")
    table, counts = _cases(found, rows, primary)
    unit = setting.unit
    warned = [*shortfalls(evidence), *notes.few(len(rows), unit), *notes.repeated(rows), *told["notes"],
              *([LATE] if config.accept else [])]  # fmt: skip
    results = {
        "task": {"name": told["task"]}, "profile": {"kind": KIND, "pipeline": ""}, "primary": primary.name,
        "decided_by": {name: primary.name for name in blocks}, "models": blocks, "comparisons": comparisons,
        "verdict": verdict, "cases": counts, "checks": {}, "slices": parts, "calibration": None,
        "warnings": [{"text": text, "text_zh": text_zh} for text, text_zh in warned],
        "data": {"test": len(rows), "groups": unit.count if unit.clustered else 0, "classes": 0,
                 "left_out": told["left_out"]},
        "settings": {"alpha": config.alpha, "power": config.power, "bootstrap": config.bootstrap, "seed": 0},
        "comparison": {name: told[name] for name in ("program", "task", "logs")},
    }  # fmt: skip
    return results, table


def _evidence(
    measured: Measured, blocks: Mapping[str, Any], comparisons: list[dict[str, Any]], criteria: list[Criterion],
    setting: Setting,
) -> Evidence:  # fmt: skip
    figures: dict[Key, dict[str, Any]] = {(one.name, "", ""): blocks["tuned"][one.name] for one in measured.metrics}
    rows: dict[Key, dict[str, Any]] = {(row["metric"], "", row["against"]): row for row in comparisons}
    by_name = {metric.name: metric for metric in measured.metrics}
    for one in criteria:
        if one.factor != 1:
            found = multiple(measured, by_name[one.metric], one.model, one.factor, setting)
            rows[one.metric, one.label, one.other] = found
    return Evidence(measured.metrics[0].name, figures, rows)


def _parts(
    config: EvaluateConfig, criteria: list[Criterion], rows: pa.Table, documents: Path, measured: Measured,
    setting: Setting,
) -> dict[str, Any]:  # fmt: skip
    wanted = {measured.metrics[0].name, *(one.metric for one in criteria if one.part)}
    metrics = [metric for metric in measured.metrics if metric.name in wanted]
    columns = slices.columns_of(config, criteria)
    return slices.slices(columns, rows, documents, measured.models, metrics, setting, config.slice_minimum)


def _cases(found: Mapping[str, Items], rows: pa.Table, metric: Metric) -> tuple[pa.Table, dict[str, Any]]:
    """What the tuned model breaks and mends, the worst first. Right or wrong where values are 0 and 1; otherwise an
    item is broken (mended) when its value fell (rose) by more than half of all changes did."""
    before, now = losses(metric, found["base"]), losses(metric, found["tuned"])
    grown = now - before
    step = float(np.median(np.abs(grown[grown != 0]))) if grown.any() else 0.0
    if metric.proportion:
        step = 0.5
    broken, mended = grown > step, -grown > step
    usual = -0.5 if metric.proportion else float(np.median(before))
    neither, good = ~broken & ~mended, now <= usual
    chosen = [(kind, int(i)) for kind, mask, sign in (("broken", broken, -1), ("mended", mended, 1))
              for i in _sorted(mask, sign * grown)]  # fmt: skip
    columns: dict[str, Array] = {"gold": found["tuned"].gold, "base": found["base"].predicted,
                                 "tuned": found["tuned"].predicted}  # fmt: skip
    made = [
        {**{name: rows[name][i].as_py() for name in ("id", "source", "group", "text")},
         **{name: str(column[i]) for name, column in columns.items()},
         "kind": kind, "severity": float(abs(grown[i])), "marks": ""}
        for kind, i in chosen
    ]  # fmt: skip
    counts = {"broken": int(broken.sum()), "mended": int(mended.sum()), "both_right": int((neither & good).sum()),
              "both_wrong": int((neither & ~good).sum()), "against": "base"}  # fmt: skip
    return pa.Table.from_pylist(made, schema=cases.CASES), counts


def _sorted(mask: Array, order: Array) -> Array:
    at = np.flatnonzero(mask)
    return np.asarray(at[np.argsort(order[at], kind="stable")])
