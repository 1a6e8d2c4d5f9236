"""All checks that a recipe names: asked in one stage, judged in another.

Purpose: `ask_all` is the work of the stage `checks`, which exists only where `evaluate.checks` names some; `judge_all`
is called by the stage `evaluate`. A check that ends in a UserError (no data for it, no endpoint) is kept as "not done"
with the reason, so that hours of other checks are not lost; a bug still stops the run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from metier.artifact import Artifact
from metier.console import seconds
from metier.errors import UserError
from metier.evaluate.checks.base import Asked, Check, Figure, Findings, Table, Told
from metier.evaluate.wording import Both
from metier.registry import lookup
from metier.tables import write, write_json

FILE = "checks.json"


def ask_all(asked: Asked, out: Path) -> dict[str, Any]:
    """Write <check>/<table>.parquet and checks.json into `out`; returns seconds and state by check."""
    done: dict[str, Any] = {}
    for name in asked.config.checks:
        check: Check = lookup("check", name)
        start, used = time.monotonic(), time.process_time()
        reason = check.unfit(asked.task)
        if reason is None:
            asked.console.say(f"  {check.title[0]}")
            try:
                for table, rows in check.ask(asked).items():
                    (out / name).mkdir(parents=True, exist_ok=True)
                    write(rows, out / name / f"{table}.parquet")
            except UserError as error:
                reason = (f"not done: {error}", f"未完成：{error}")
        if reason is not None:
            asked.console.warn(f"{check.title[0]}: {reason[0]}")
        spent = round(time.monotonic() - start, 3)
        used = round(time.process_time() - used, 3)  # of this process: what another one on the machine took is left out
        done[name] = {"missing": both(reason) if reason else None, "seconds": spent, "processor_seconds": used}
        asked.console.say(f"  {check.title[0]}: {seconds(spent)}")
    write_json({name: entry["missing"] for name, entry in done.items()}, out / FILE)
    return {"checks": done}


def judge_all(checks: Artifact | None, told: Told) -> dict[str, Any]:
    """The block `checks` of results.json, by check; empty without checks."""
    if checks is None:
        return {}
    missing = json.loads((checks.path / FILE).read_text(encoding="utf-8"))
    found: dict[str, Any] = {}
    for name in told.config.checks:
        check: Check = lookup("check", name)
        reason = missing.get(name)
        if reason is not None:
            findings = Findings(check.title, missing=(reason["en"], reason["zh"]))
        else:
            files = sorted((checks.path / name).glob("*.parquet"))
            findings = check.judge({file.stem: pq.read_table(file) for file in files}, told)
        assert set(findings.figures) <= set(check.figures), f"{name} gives figures that it does not declare"
        found[name] = as_json(findings)
    return found


def warnings(found: Mapping[str, Any]) -> list[Both]:
    """What the checks want on the first page."""
    return [(one["en"], one["zh"]) for block in found.values() for one in block["warnings"]]


def both(sentence: Both) -> dict[str, str]:
    """A sentence in both languages as JSON holds it."""
    return {"en": sentence[0], "zh": sentence[1]}


def as_json(findings: Findings) -> dict[str, Any]:
    """Plain values in a fixed order."""
    return {
        "title": both(findings.title),
        "missing": both(findings.missing) if findings.missing else None,
        "figures": {name: _figure(figure) for name, figure in findings.figures.items()},
        "said": [both(sentence) for sentence in findings.said],
        "warnings": [both(sentence) for sentence in findings.warnings],
        "tables": [_table(table) for table in findings.tables],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {**asdict(figure), "title": both(figure.title)}


def _table(table: Table) -> dict[str, Any]:
    return {
        "title": both(table.title),
        "heads": [both(head) for head in table.heads],
        "rows": [[_cell(cell) for cell in row] for row in table.rows],
    }


def _cell(cell: Any) -> Any:
    if isinstance(cell, Figure):
        return _figure(cell)
    if isinstance(cell, tuple):
        return both(cell)  # type: ignore[arg-type]
    assert cell is None or (isinstance(cell, str | int | float | Mapping) and not is_dataclass(cell)), cell
    return cell
