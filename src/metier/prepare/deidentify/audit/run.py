"""A sheet from a prepared set, a bound from its answers, and what a recipe demands of it.

Purpose: nobody signs for "redacted". A sample is drawn from what would be trained on and bound to its fingerprint; a
person reads it; the answers become audit.json with an upper bound of the share of documents that still hold an
identifier.
A recipe that demands a bound (`prepare.deidentify.require`) stops before training unless the audit is of just this
output, was computed with confidence enough, and is low enough. No audit is a failed audit.
Trade-off: new documents or another setting make another output, which wants another audit.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from metier import tables
from metier.artifact import Artifact, fingerprint
from metier.errors import UserError
from metier.prepare.deidentify.audit import bound, sheet
from metier.prepare.deidentify.audit.sample import Item, draw
from metier.prepare.deidentify.config import DeidentifyConfig
from metier.tables import digest, write_json

FORMAT = 1
PLAN = ".plan.json"  # beside the sheet: what was drawn from what


def draw_sheet(folder: Path, output: Path, wanted: int, seed: int = 0) -> dict[str, Any]:
    """Write the sheet `output` and its plan beside it; the plan is returned.

    folder: a prepare artifact. UserError: it is none, or was made without de-identification.
    """
    artifact = _prepared(folder)
    config = artifact.identity["config"]["prepare"].get("deidentify") or {}
    if config.get("policy", "off") == "off":
        raise UserError("this set was prepared without de-identification, so there is nothing to audit", str(folder),
                        "run the recipe with prepare.deidentify.policy=placeholder")  # fmt: skip
    items, inserted = _items(folder)
    if not items:
        raise UserError("there is no document to read", str(folder), "check the run")
    drawn, sizes = draw(items, max(1, wanted), seed)
    rows = [
        {
            "id": item.id,
            "stratum": name,
            "source": item.source,
            "text": item.text,
            "inserted": inserted.get(item.id, []),
        }
        for name, members in drawn.items()
        for item in members
    ]
    plan = {
        "format": FORMAT,
        "fingerprint": artifact.fingerprint,
        "config": fingerprint(config),
        "seed": seed,
        "documents": len(items),
        "strata": {
            name: {"documents": sizes[name], "drawn": [item.id for item in members]} for name, members in drawn.items()
        },
    }
    sheet.write(output, rows, f"Audit of {artifact.fingerprint[:8]}")
    write_json(plan, output.with_suffix(PLAN))
    return plan


def judge(answers: Path, confidence: float) -> dict[str, Any]:
    """What the answers say, as audit.json holds it. UserError: no plan, or documents that nobody has read."""
    plan = _plan(answers)
    given = sheet.read(answers)
    wanted = [id for stratum in plan["strata"].values() for id in stratum["drawn"]]
    unread = [id for id in wanted if given.get(id) is None]
    if unread:
        raise UserError(
            f"{len(unread)} of {len(wanted)} documents have no answer",
            f"{answers}: {', '.join(unread[:5])}",
            "read them; write `none` (无) where nothing was missed",
        )
    strata = {
        name: (stratum["documents"], len(stratum["drawn"]), sum(bool(given[id]) for id in stratum["drawn"]))
        for name, stratum in plan["strata"].items()
    }
    read, leaking = sum(row[1] for row in strata.values()), sum(row[2] for row in strata.values())
    return {
        "format": FORMAT,
        "fingerprint": plan["fingerprint"],
        "config": plan["config"],
        "confidence": confidence,
        "documents": plan["documents"],
        "read": read,
        "with_leftover": leaking,
        "missed": sum(len(given[id] or []) for id in wanted),
        "share": leaking / read if read else None,
        "upper_bound": bound.stratified(strata, confidence),
        "strata": {
            name: {"documents": size, "read": count, "with_leftover": hits}
            for name, (size, count, hits) in strata.items()
        },
        "answers": digest(*(f"{id}\0{len(given[id] or [])}" for id in wanted)),
        "date": time.strftime("%Y-%m-%d"),
    }


def demand(config: DeidentifyConfig, artifact_fingerprint: str, base: Path) -> None:
    """UserError unless the recipe demands nothing, or the audit that it names meets the demand.

    artifact_fingerprint: of the prepared set. base: where relative paths of the recipe start.
    """
    require = config.require
    if require.max_residual is None:
        return
    where = "prepare.deidentify.require"
    if config.policy == "off":
        raise UserError(
            "a bound for leftovers is demanded, but de-identification is off", where, "set prepare.deidentify.policy"
        )
    again = (
        "draw a sheet: metier deidentify audit RUN --sample N --output sheet.csv; fill it in; metier deidentify "
        "audit --answers sheet.csv"
    )
    if not require.audit:
        raise UserError("a bound for leftovers is demanded, and no audit is named", f"{where}.audit", again)
    path = base / Path(require.audit).expanduser()
    try:
        audit = json.loads(path.read_text(encoding="utf-8"))
        found = (audit["fingerprint"], audit["upper_bound"], audit["confidence"])
    except OSError as error:
        raise UserError("the audit cannot be read", f"{where}.audit: {path}", again) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError("this is no audit", f"{where}.audit: {path}", again) from error
    if found[0] != artifact_fingerprint:
        raise UserError(f"the audit is of another output ({str(found[0])[:8]}, not "
                        f"{artifact_fingerprint[:8]})", str(path),
                        f"documents or settings have changed since; {again}")  # fmt: skip
    if not isinstance(found[1], int | float) or not isinstance(found[2], int | float) or found[2] < require.confidence:
        raise UserError(f"the audit was computed with confidence {found[2]}, below {require.confidence}", str(path),
                        f"metier deidentify audit --answers FILE --confidence {require.confidence}")  # fmt: skip
    if not found[1] <= require.max_residual:
        raise UserError(
            f"up to {found[1]:.2%} of the documents may still hold an identifier; {require.max_residual:.2%} is "
            f"allowed", str(path),
            f"close what the audit found and audit again, or read more documents: "
            f"{bound.needed(require.max_residual, require.confidence)} "
            "without a leftover are enough",
        )  # fmt: skip


def _items(folder: Path) -> tuple[list[Item], dict[str, list[str]]]:
    """The examples as items, and what was put into each."""
    put: dict[str, list[str]] = {}
    path = folder / "changes.parquet"
    if path.is_file():
        for row in tables.read(path, ["id", "step", "after"]).to_pylist():
            if row["step"] == "deidentify":
                put.setdefault(row["id"], []).append(row["after"])
    items, inserted = [], {}
    for row in tables.read(
        folder / "examples.parquet", ["id", "document_ids", "text", "source", "language"]
    ).to_pylist():
        found = [after for id in row["document_ids"] or [] for after in put.get(id, [])]
        here = [after for after in found if after in row["text"]] or [
            hit.group() for hit in sheet.PLACEHOLDER.finditer(row["text"])
        ]
        items.append(Item(row["id"], row["text"], row["source"], row["language"], len(here)))
        inserted[row["id"]] = sorted(set(here))
    return items, inserted


def _prepared(folder: Path) -> Artifact:
    artifact = Artifact.load(folder)
    if artifact.stage != "prepare":
        raise UserError(f"this artifact is of the stage {artifact.stage}", str(folder), "name the one of prepare")
    return artifact


def _plan(answers: Path) -> dict[str, Any]:
    path = answers.with_suffix(PLAN)
    try:
        plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError("the plan of this sheet is missing", str(path),
                        "keep the file that was written beside the sheet, or name it with "
                        "--plan") from error  # fmt: skip
    return plan


def summary(audit: dict[str, Any]) -> str:
    """One sentence for a screen."""
    kinds = Counter({name: row["with_leftover"] for name, row in audit["strata"].items() if row["with_leftover"]})
    where = f" (most in {', '.join(name for name, _ in kinds.most_common(3))})" if kinds else ""
    return (f"{audit['with_leftover']} of {audit['read']} documents still held an identifier{where}; at most "
            f"{audit['upper_bound']:.2%} of all {audit['documents']:,} do (confidence "
            f"{audit['confidence']:.0%})")  # fmt: skip
