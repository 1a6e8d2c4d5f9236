"""Collect: files of any common format become one table of documents.

Purpose: find the files, read each with the reader that fits, join the register, and write `documents.parquet` and
`rejected.parquet` in an order that does not depend on which process was faster. Whatever was not read has a row with
its reason, and the reasons are counted on the screen.
Trade-off: all documents of a run are in memory once. Not covered: cleaning, languages, splits (that is prepare).
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metier import registry, tables
from metier.collect import index as register_index
from metier.collect.config import CollectConfig
from metier.collect.inputs import Input, Inputs, find_inputs, identity
from metier.collect.reading import Budget, Options, Piece, Reading, Unreadable
from metier.collect.workers import PASSING, Outcome, Task, read_all
from metier.console import Console
from metier.errors import UserError

__all__ = ["Input", "Inputs", "collect", "find_inputs", "identity"]

SHOWN_WARNINGS = 8  # on the screen; the summary keeps all


def collect(config: CollectConfig, inputs: Inputs, out: Path, console: Console) -> dict[str, Any]:
    """Read all inputs into `out`; the summary counts files, documents, reasons and media types.

    `passing` and `passing_files` are in it when files failed in a way that may pass (a time limit, a crash): such a
    result is not reused.

    UserError: a mistake in the recipe that a reader found (a missing column), or no document at all.
    """
    outcomes = _read(config, inputs, console)
    labels = _labels(inputs.files)
    documents: list[dict[str, Any]] = []
    names: list[str] = []
    rejected = [
        tables.rejection(f"{labels.get((number, name), name)}", "collect", "excluded", "left out by collect.exclude")
        for number, name in inputs.excluded
    ]
    warnings = list(inputs.warnings)
    for number, item in enumerate(inputs.files):
        label = labels[item.source, item.name]
        outcome = outcomes[number]
        if not isinstance(outcome, Reading):
            rejected.append(tables.rejection(label, "collect", outcome.reason, _clean(outcome.detail)))
            continue
        rejected += [
            tables.rejection(_clean(label + r.part), "collect", r.reason, _clean(r.detail)) for r in outcome.refused
        ]
        warnings += outcome.warnings
        for piece in outcome.pieces:
            row = _document(piece, item, label, config)
            documents.append(row)
            names.append(item.name)
    if config.index is not None and inputs.index is not None:
        read = set(names)
        unread = {item.name: outcome.reason if isinstance(outcome, Unreadable) else "it gave no text"
                  for item, outcome in zip(inputs.files, outcomes, strict=True) if item.name not in read}  # fmt: skip
        joined = register_index.join(config.index, inputs.index, documents, names, unread)
        rejected += joined.rejected
        warnings += joined.warnings
    warnings += _unlabelled(config, inputs, documents)
    summary = _summary(inputs, documents, rejected, [_clean(text) for text in warnings])
    passing = sorted(labels[item.source, item.name] for item, outcome in zip(inputs.files, outcomes, strict=True)
                     if not item.problem and isinstance(outcome, Unreadable) and outcome.reason in PASSING)  # fmt: skip
    if passing:
        summary |= {"passing": len(passing), "passing_files": [_clean(name) for name in passing]}
    _write(documents, rejected, out)
    _tell(summary, rejected, console)
    if not documents:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in summary["rejected"].items())
        first = next((row for row in rejected if row["reason"] != "excluded"), None)
        raise UserError(
            f"no document came out of {len(inputs.files)} files ({reasons or 'they hold nothing'})",
            first["source"] if first else "collect.sources",
            first["detail"] if first and first["detail"] else "add files that can be read",
        )  # fmt: skip
    return summary


def _read(config: CollectConfig, inputs: Inputs, console: Console) -> list[Reading | Unreadable]:
    """One outcome a file, in the order of the inputs; a UserError from a reader ends the stage."""
    modules = tuple(sorted({registry.lookup("reader", name).__module__ for name in registry.names("reader")}))
    outcomes: dict[int, Reading | Unreadable] = {}
    tasks = []
    for number, item in enumerate(inputs.files):
        if item.problem:
            outcomes[number] = Unreadable(item.problem, item.detail)
            continue
        source = config.sources[item.source]
        options = Options(
            columns=dict(source.columns), encoding=source.encoding, delimiter=source.delimiter, reader=source.reader,
            attachments=config.attachments, max_bytes=config.max_file_bytes, exclude=config.exclude,
            quoted=config.mail.quoted, signatures=config.mail.signatures, thread_groups=config.mail.thread_groups,
            budget=Budget(config.max_archive_bytes),
            ocr=config.ocr,
            max_ocr_pages=config.max_ocr_pages, keep_running=config.headers_and_footers == "keep",
        )  # fmt: skip
        tasks.append(Task(number, os.fspath(item.path), item.name, item.sha256, options, item.size, modules))
    with console.progress("reading", total=len(inputs.files), unit="files") as meter:
        meter.advance(len(outcomes))
        mistakes: dict[int, UserError] = {}
        for number, outcome in read_all(tasks, config.workers, config.max_seconds_per_file, config.max_memory_per_file):
            _keep(number, outcome, outcomes, mistakes)
            meter.advance(1)
            if mistakes:
                break
    if mistakes:
        raise mistakes[min(mistakes)]
    return [outcomes[number] for number in range(len(inputs.files))]


def _keep(
    number: int, outcome: Outcome, outcomes: dict[int, Reading | Unreadable], mistakes: dict[int, UserError]
) -> None:
    if isinstance(outcome, UserError):
        mistakes[number] = outcome
    else:
        outcomes[number] = outcome


def _labels(files: Sequence[Input]) -> dict[tuple[int, str], str]:
    """How each file is called in `source`: its name, with the number of its source where two sources share a name."""
    count = Counter(item.name for item in files)
    return {(item.source, item.name): item.name if count[item.name] == 1 else f"sources[{item.source}]/{item.name}"
            for item in files}  # fmt: skip


def _document(piece: Piece, item: Input, label: str, config: CollectConfig) -> dict[str, Any]:
    source = config.sources[item.source]
    metadata = dict(piece.metadata)
    path = f"{item.name}/{metadata['member']}" if "member" in metadata else item.name
    if source.label_from == "folder" and "/" in path:
        metadata["label"] = path.split("/")[-2]
    if source.split:
        metadata["split"] = source.split
    text, place = _clean(piece.text), _clean(label + piece.part)
    return {
        "id": tables.digest(place, text), "text": text, "source": place, "media_type": piece.media_type,
        "language": piece.language, "title": _clean(piece.title), "group": _clean(piece.group),
        "time": _clean(piece.time),
        "license": piece.license or source.license, "metadata": metadata,
    }  # fmt: skip


def _unlabelled(config: CollectConfig, inputs: Inputs, documents: Sequence[dict[str, Any]]) -> list[str]:
    roots = sum("/" not in item.name and config.sources[item.source].label_from == "folder" for item in inputs.files)
    return [f"{roots} files lie directly in a source with `label_from: folder` and get no label"] if roots else []


def _summary(
    inputs: Inputs, documents: Sequence[dict[str, Any]], rejected: Sequence[dict[str, str]], warnings: list[str]
) -> dict[str, Any]:
    return {
        "files": len(inputs.files),
        "documents": len(documents),
        "rejected": dict(Counter(row["reason"] for row in rejected).most_common()),
        "media_types": dict(Counter(row["media_type"] for row in documents).most_common()),
        "warnings": list(dict.fromkeys(warnings)),
    }


def _write(documents: Sequence[dict[str, Any]], rejected: Sequence[dict[str, str]], out: Path) -> None:
    rows = []
    for row in documents:
        text = json.dumps(row["metadata"], ensure_ascii=False, sort_keys=True, allow_nan=False)
        rows.append({**row, "metadata": _clean(text)})
    tables.write(tables.table(rows, tables.DOCUMENTS), out / "documents.parquet")
    tables.write(tables.table(rejected, tables.REJECTED), out / "rejected.parquet")


def _tell(summary: dict[str, Any], rejected: Sequence[dict[str, str]], console: Console) -> None:
    for text in summary["warnings"][:SHOWN_WARNINGS]:
        console.warn(text)
    more = len(summary["warnings"]) - SHOWN_WARNINGS
    if more > 0:
        console.warn(f"{more} more warnings are in the summary")
    if summary["rejected"]:
        first = {row["reason"]: row for row in reversed(rejected)}
        rows = [[count, reason, first[reason]["source"][:60], first[reason]["detail"][:90]]
                for reason, count in summary["rejected"].items()]  # fmt: skip
        console.table(["rejected", "reason", "for example", "because"], rows)
    console.say(f"  {summary['documents']:,} documents from {summary['files']:,} files")


def _clean(text: str) -> str:
    """Lone surrogates (which no table can hold) written as \\udcXX, so that they can be seen."""
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match.group()):04x}", text)
