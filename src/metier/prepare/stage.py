"""The prepare stage: documents in, examples with a split out, and an account of everything in between.

Purpose: run the operations in their order, print the funnel, write examples.parquet, rejected.parquet,
conflicts.parquet and duplicates.parquet, and return the summary that later stages and the report read.
The order bears meaning: texts are repaired before they are compared; labels are read before duplicates are folded,
because only duplicates that agree are folded; an official test set is known before anything may be removed from it;
rare labels are counted after folding.
Not covered: de-identification, quality filters, selection; each is one more operation.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from metier import registry, tables
from metier.artifact import Artifact
from metier.console import Console
from metier.errors import UserError
from metier.prepare.config import PrepareConfig
from metier.prepare.flow import SPLITS, Flow, Row, natural
from metier.prepare.spans import anchor
from metier.train.config import TaskConfig

STEPS = ("normalize", "language", "task", "official", "duplicates", "conflicts", "leaks", "fold", "labels", "split")

CONFLICTS = pa.schema([(name, pa.string()) for name in ("cluster", "id", "source", "label", "text", "kind")])
DUPLICATES = pa.schema(
    [
        ("cluster", pa.string()),
        ("kind", pa.string()),  # exact or near
        ("kept_id", pa.string()),  # the row it was folded into, or the first row that it repeats
        ("id", pa.string()),
        ("source", pa.string()),
        ("similarity", pa.float64()),  # Jaccard, 1.0 for exact ones
    ]
)


def prepare(
    config: PrepareConfig, task: TaskConfig, seed: int, documents: Artifact, out: Path, console: Console
) -> dict[str, Any]:
    """Write the four tables into `out` and return the summary (JSON-able).

    The same documents, sections and seed give the same bytes, in whatever order the documents come. UserError when
    nothing is left, when there is nothing to tell apart, or when no split without leaks is possible.
    """
    flow = _read(config, task, seed, documents, console)
    given = len(flow.rows) + len(flow.rejected)
    for step in _steps(config):
        before = len(flow.rows)
        note = registry.lookup("operation", step)(flow)
        removed = before - len(flow.rows)
        flow.funnel.append({"step": step, "rows": len(flow.rows), "removed": removed, "note": note or ""})
        if not flow.rows:
            raise UserError(
                "no example is left", f"prepare, step {step}: {_went(flow)}",
                "mend the data or loosen the prepare section",
            )  # fmt: skip
    kept = sum(len(row.document_ids) for row in flow.rows)
    if kept + len(flow.rejected) != given:
        raise AssertionError(f"{given} documents came in, {kept} kept or folded and {len(flow.rejected)} rejected")
    columns = ["step", "rows", "removed", "note"]
    console.table(columns, [[entry[name] for name in columns] for entry in flow.funnel])
    _write(flow, out)
    return _summary(flow)


def _steps(config: PrepareConfig) -> list[str]:
    taken = [name for name in config.operations if name in STEPS]
    if taken:
        raise UserError(f"the operation '{taken[0]}' runs anyway", "prepare.operations", "leave it out of the list")
    return [STEPS[0], *config.operations, *STEPS[1:]]


def _read(config: PrepareConfig, task: TaskConfig, seed: int, documents: Artifact, console: Console) -> Flow:
    """Documents as rows in natural order of source, whatever their order in the file. One id stands once."""
    found = [_row(record) for record in tables.read(documents.path / "documents.parquet").to_pylist()]
    if not found:
        raise UserError("there are no documents to prepare", str(documents.path / "documents.parquet"),
                        "look into rejected.parquet beside it, and check collect.sources")  # fmt: skip
    found.sort(key=lambda row: (natural(row.source), row.id))
    flow = Flow(config, task, seed, console, found)
    seen: set[str] = set()

    def again(row: Row) -> tuple[str, str] | None:
        if row.id in seen:
            return "same document", "the same source with the same content was collected twice"
        seen.add(row.id)
        return None

    removed = flow.reject(again)
    flow.funnel.append({"step": "documents", "rows": len(flow.rows), "removed": removed, "note": "collected"})
    return flow


def _row(record: dict[str, Any]) -> Row:
    metadata = json.loads(record["metadata"] or "{}")
    group = str(record["group"] or "").strip()
    return Row(
        id=record["id"], source=record["source"] or "", text=record["text"] or "", language=record["language"] or "",
        group="" if group in ("nan", "NaN", "None", "<NA>") else group,
        metadata=anchor(metadata, record["text"] or "") if isinstance(metadata, dict) else {},
        document_ids=[record["id"]],
    )  # fmt: skip


def _went(flow: Flow) -> str:
    reasons = Counter(entry["reason"] for entry in flow.rejected)
    return ", ".join(f"{number:,} × {reason}" for reason, number in reasons.most_common())


def _write(flow: Flow, out: Path) -> None:
    rows = [
        {
            "id": row.id, "document_ids": row.document_ids, "source": row.source, "language": row.language,
            "group": row.group, "cluster": row.cluster, "split": row.split, "text": row.text, "label": row.label,
            "labels": row.labels, "value": row.value, "spans": row.spans, "pair": row.pair,
        }
        for row in flow.rows
    ]  # fmt: skip
    tables.write(tables.table(rows, tables.EXAMPLES), out / "examples.parquet")
    tables.write(tables.table(flow.rejected, tables.REJECTED), out / "rejected.parquet")
    tables.write(tables.table(flow.conflicts, CONFLICTS), out / "conflicts.parquet")
    tables.write(tables.table(flow.duplicates.values(), DUPLICATES), out / "duplicates.parquet")


def _summary(flow: Flow) -> dict[str, Any]:
    names = sorted({name for row in flow.rows for name in row.strata if name}) if flow.profile.answer != "value" else []
    labels = {name: dict.fromkeys(SPLITS, 0) for name in names}
    for row in flow.rows:
        for name in row.strata:
            if name in labels:
                labels[name][row.split] += 1
    kinds = Counter(entry["kind"] for entry in flow.duplicates.values())
    return {
        "funnel": flow.funnel,
        "labels": labels,
        "splits": {name: sum(row.split == name for row in flow.rows) for name in SPLITS},
        "split_by": flow.split_by,
        "groups": len({row.group for row in flow.rows if row.group}),
        "languages": dict(sorted(Counter(row.language for row in flow.rows).items())),
        "conflicts": len(flow.conflicts),
        "duplicates": {"exact": kinds["exact"], "near": kinds["near"]},
        "warnings": flow.warnings,
        "classes": names,
    }
