"""The prepare stage: documents in, examples with a split out, and an account of everything in between.

Purpose: run the operations in their order, print the funnel, write examples.parquet, rejected.parquet,
conflicts.parquet, duplicates.parquet, overlaps.parquet, leaks.json and, if operations list what they changed in texts,
changes.parquet, and return the summary that later stages and the report read.
The order bears meaning: texts are repaired before they are compared; labels are read before duplicates are folded,
because only duplicates that agree are folded; an official test set is known before anything may be removed from it;
rare labels are counted after folding.
Texts are prepared shard by shard on an engine (`passes.py`); comparing them is done here, over rows whose texts stay in
a file (`texts.py`), so that memory depends on the number of documents and hardly on their size.
Not covered: what each operation does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from metier import registry, tables
from metier.artifact import Artifact
from metier.console import Console
from metier.engines.config import EngineConfig
from metier.errors import UserError
from metier.prepare.config import PrepareConfig
from metier.prepare.decontaminate import OVERLAPS
from metier.prepare.flow import SPLITS, Flow
from metier.prepare.operation import TextOperation
from metier.prepare.rows import Rows, something_left
from metier.train.config import TaskConfig

TEXT_STEPS = ("normalize", "language", "boilerplate", "quality", "correct", "deidentify", "select", "chunk",
              "synthesize", "comprehend")  # fmt: skip
ROW_STEPS = ("task", "official", "duplicates", "conflicts", "leaks", "fold", "labels", "split", "derived",
             "decontaminate", "mix")  # fmt: skip
MAKERS = ("comprehend", "synthesize")  # operations that make examples out of documents; `derived` follows them
STEPS = (*TEXT_STEPS, *ROW_STEPS)

BATCH = 2048  # rows written at once
CONFLICTS = pa.schema([(name, pa.string()) for name in ("cluster", "id", "source", "label", "text", "kind")])
DUPLICATES = pa.schema(
    [
        ("cluster", pa.string()),
        ("kind", pa.string()),  # exact, near or semantic
        ("kept_id", pa.string()),  # the row it was folded into, or the first row that it repeats
        ("id", pa.string()),
        ("source", pa.string()),
        ("similarity", pa.float64()),  # Jaccard, 1.0 for exact ones
    ]
)


def prepare(
    config: PrepareConfig,
    task: TaskConfig,
    seed: int,
    documents: Artifact,
    out: Path,
    console: Console,
    engine: EngineConfig | None = None,
    embed: Callable[[Sequence[str]], Any] | None = None,
) -> dict[str, Any]:
    """Write the tables into `out` and return the summary (JSON-able).

    The same documents, sections and seed give the same bytes, in whatever order the documents come, whichever engine
    works. `embed` gives the vectors of the base model where the recipe wants them. UserError when nothing is left, when
    there is nothing to tell apart, or when no split without leaks is possible. A stage that was killed goes on where it
    stood when it is called again with the same `out`.
    """
    names = steps(config)
    rows = Rows(config, task, seed, documents.path / "documents.parquet", out, engine or EngineConfig(), console)
    with rows as flow:
        flow.embed = embed
        for step in names:
            operation = registry.lookup("operation", step)
            if isinstance(operation, TextOperation):
                rows.ask(step)
                continue
            rows.settle()
            before = len(flow.rows)
            note = operation(flow)
            removed = before - len(flow.rows)
            flow.funnel.append({"step": step, "rows": len(flow.rows), "removed": removed, "note": note or ""})
            something_left(flow, step)
        rows.settle()
        kept = sum(row.documents for row in flow.rows)
        given = rows.given + flow.made
        if kept + len(flow.rejected) != given:
            raise AssertionError(f"{given} documents came in, {kept} kept or folded, {len(flow.rejected)} rejected")
        columns = ["step", "rows", "removed", "note"]
        console.table(columns, [[entry[name] for name in columns] for entry in flow.funnel])
        _tell(flow, _write(flow, out), console)
        return _summary(flow)


def steps(config: PrepareConfig) -> list[str]:
    """The operations that run, in their order: those of ours that the recipe wants, and after the first its own."""
    taken = [name for name in config.operations if name in STEPS]
    if taken:
        raise UserError(f"the operation '{taken[0]}' runs anyway", "prepare.operations", "leave it out of the list")
    known = set(registry.names("operation"))
    ours = [name for name in TEXT_STEPS if name in known and registry.lookup("operation", name).wanted(config)]
    made = any(name in MAKERS for name in ours)
    rows = [name for name in ROW_STEPS if made or name != "derived"]
    return [ours[0], *config.operations, *ours[1:], *rows]


def _write(flow: Flow, out: Path) -> dict[str, dict[str, str]]:
    """The tables; returns the first rejected row of each reason, as it is kept."""
    with tables.Writer(out / "examples.parquet", tables.EXAMPLES) as examples:
        for start in range(0, len(flow.rows), BATCH):
            rows = [
                {
                    "id": row.id, "document_ids": row.document_ids, "source": row.source, "language": row.language,
                    "group": row.group, "cluster": row.cluster, "split": row.split, "text": row.text,
                    "label": row.label, "labels": row.labels, "value": row.value, "spans": row.spans,
                    "pair": row.pair, "negatives": row.negatives, "answers": row.answers, **row.columns,
                }
                for row in flow.rows[start : start + BATCH]
            ]  # fmt: skip
            examples.write(tables.table(rows, tables.EXAMPLES))
    first: dict[str, dict[str, str]] = {}
    with tables.Writer(out / "rejected.parquet", tables.REJECTED) as rejected:
        for part in flow.rejected_parts():
            rejected.write(part)
            for row in part.to_pylist():
                first.setdefault(row["reason"], row)
    with tables.Writer(out / "conflicts.parquet", CONFLICTS) as conflicts:
        for start in range(0, len(flow.conflicts), BATCH):
            listed = [{**entry, "text": entry["row"].text} for entry in flow.conflicts[start : start + BATCH]]
            conflicts.write(tables.table(listed, CONFLICTS))
    tables.write(tables.table(flow.duplicates.values(), DUPLICATES), out / "duplicates.parquet")
    tables.write(tables.table(flow.overlaps, OVERLAPS), out / "overlaps.parquet")
    tables.write_json(flow.leaks, out / "leaks.json")
    return first


def _tell(flow: Flow, first: dict[str, dict[str, str]], console: Console) -> None:
    """Every reason with the number of documents and one of them, as `collect` tells what it could not read."""
    rows = [[number, reason, first[reason]["source"][:60], first[reason]["detail"][:90]]
            for reason, number in flow.reasons.most_common()]  # fmt: skip
    if rows:
        console.table(["rejected", "reason", "for example", "because"], rows)


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
        "duplicates": {"exact": kinds["exact"], "near": kinds["near"]}
        | ({"semantic": kinds["semantic"]} if flow.config.dedup.semantic.enabled else {}),
        "leaks": flow.leaks,
        "warnings": flow.warnings,
        "classes": names,
    } | ({"deidentified": found} if (found := _deidentified(flow)) else {})


def _deidentified(flow: Flow) -> dict[str, Any]:
    """Of each kind of identifier how many were replaced in texts and elsewhere, and how many were found and kept."""
    counts = flow.counts.get("deidentify", {})
    kinds: dict[str, dict[str, int]] = {}
    for name, number in counts.items():
        where, _, kind = name.partition(":")
        if where == "deidentified" or where.startswith("deidentified in "):
            column = "texts" if where == "deidentified" else "elsewhere"
        elif where == "found and kept":
            column = "kept"
        else:
            continue
        entry = kinds.setdefault(kind, {"texts": 0, "elsewhere": 0, "kept": 0})
        entry[column] += number
    if not counts:
        return {}
    return {"documents": counts.get("deidentify:documents", 0), "kinds": dict(sorted(kinds.items()))}
