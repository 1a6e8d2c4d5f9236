"""Collect: files of any common format become one table of documents.

Purpose: find the files, read each with the reader that fits, join the register, and write `documents.parquet` and
`rejected.parquet` in an order that does not depend on which process was faster. Whatever was not read has a row with
its reason, and the reasons are counted on the screen.
What was read lies on disk until all files are read (`kept.py`), and documents are written as a stream, so that memory
holds one part of one file, and a killed collect reads only the rest. With a register, sources and keys of all
documents are in memory too. Not covered: cleaning, languages, splits (that is prepare).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import metier
from metier import registry, tables
from metier.collect import index as register_index
from metier.collect.config import CollectConfig
from metier.collect.inputs import Input, Inputs, find_inputs, identity
from metier.collect.kept import Kept
from metier.collect.part import REASONS as LEFT_OUT
from metier.collect.part import Part
from metier.collect.reading import Budget, Options, Piece, Reading, Unreadable
from metier.collect.remote import read_on
from metier.collect.workers import DIED, PASSING, Outcome, Task, read_parts
from metier.console import Console
from metier.engines import open_engine
from metier.engines.config import EngineConfig
from metier.errors import UserError

__all__ = ["Input", "Inputs", "collect", "find_inputs", "identity"]

SHOWN_WARNINGS = 8  # on the screen; the summary keeps all


def collect(
    config: CollectConfig, inputs: Inputs, out: Path, console: Console, engine: EngineConfig | None = None
) -> dict[str, Any]:
    """Read all inputs into `out`; the summary counts files, documents, reasons and media types.

    `passing` and `passing_files` are in it when files failed in a way that may pass (a time limit, a crash): such a
    result is not reused. A stage that was killed reads only the files that it had not finished when it is called again
    with the same `out`.

    UserError: a mistake in the recipe that a reader found (a missing column), or no document at all.
    """
    work = out / "work"
    with Kept(work, _made_by(config)) as kept:
        _read(config, inputs, kept, console, engine or EngineConfig())
        summary, rejected = _gather(config, inputs, kept, work, out)
    _tell(summary, rejected, console)
    if not summary["documents"]:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in summary["rejected"].items())
        first = next((row for row in rejected.values() if row["reason"] not in ("excluded", *LEFT_OUT)), None)
        raise UserError(
            f"no document came out of {len(inputs.files)} files ({reasons or 'they hold nothing'})",
            first["source"] if first else "collect.sources",
            first["detail"] if first and first["detail"] else "add files that can be read",
        )  # fmt: skip
    shutil.rmtree(work)
    return summary


def _gather(
    config: CollectConfig, inputs: Inputs, kept: Kept, work: Path, out: Path
) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """Write both tables from what was kept; the summary, and the first rejected row of each reason."""
    found = _Found(config, inputs, kept, tables.Spool(work / "rejected.arrow", tables.REJECTED))
    for number, name in inputs.excluded:
        label = found.labels.get((number, name), name)
        found.reject(tables.rejection(label, "collect", "excluded", "left out by collect.exclude"))
    joined = _joined(config, inputs, found) if config.index is not None and inputs.index is not None else None
    media: Counter[str] = Counter()
    with tables.Writer(out / "documents.parquet", tables.DOCUMENTS) as writer:
        batch: list[dict[str, Any]] = []
        size = 0
        for number, (row, _) in enumerate(found.documents(tell=True)):
            if joined is not None and (values := joined.values.get(number)):
                register_index.apply(row, values)
            media[row["media_type"]] += 1
            batch.append({**row, "metadata": _json(row["metadata"])})
            size += len(row["text"])
            if len(batch) >= tables.GROUP_ROWS or size >= tables.GROUP_BYTES:
                writer.write(tables.table(batch, tables.DOCUMENTS))
                batch, size = [], 0
        writer.write(tables.table(batch, tables.DOCUMENTS))
    if joined is not None:
        for refused in joined.rejected:
            found.reject(refused)
        found.warnings += joined.warnings
    found.warnings += _unlabelled(config, inputs)
    with tables.Writer(out / "rejected.parquet", tables.REJECTED) as writer:
        for part in found.rejected.parts():
            writer.write(part)
    summary = {
        "files": len(inputs.files),
        "documents": media.total(),
        "rejected": dict(found.reasons.most_common()),
        "media_types": dict(media.most_common()),
        "warnings": list(dict.fromkeys(_clean(text) for text in found.warnings)),
    }
    if found.passing:
        summary |= {"passing": len(found.passing), "passing_files": sorted(_clean(name) for name in found.passing)}
    return summary, found.first


class _Found:
    """What all files held, in their order, and the account of what they did not give."""

    def __init__(self, config: CollectConfig, inputs: Inputs, kept: Kept, rejected: tables.Spool) -> None:
        self.config, self.inputs, self.kept, self.rejected = config, inputs, kept, rejected
        self.labels = _labels(inputs.files)
        self.warnings = list(inputs.warnings)
        self.reasons: Counter[str] = Counter()
        self.first: dict[str, dict[str, str]] = {}  # a rejected row of each reason
        self.passing: list[str] = []
        self.unread: dict[str, str] = {}  # name of each file that gave no document -> why

    def reject(self, row: dict[str, str]) -> None:
        """Keep a row of the rejected table."""
        self.rejected.append(row)
        self.reasons[row["reason"]] += 1
        self.first.setdefault(row["reason"], row)

    def documents(self, tell: bool) -> Iterator[tuple[dict[str, Any], Input]]:
        """Every document with `metadata` as a dict. tell: also keep what was refused and warned of."""
        for item in self.inputs.files:
            label, gave = self.labels[item.source, item.name], False
            whole = "it gave no text"
            for outcome in self._outcomes(item):
                if isinstance(outcome, Unreadable):
                    whole = outcome.reason
                    if tell:
                        self.reject(tables.rejection(label, "collect", outcome.reason, _clean(outcome.detail)))
                        if outcome.reason in PASSING and not item.problem:
                            self.passing.append(label)
                    continue
                if tell:
                    for r in outcome.refused:
                        if r.reason in DIED:  # a member of an archive; another time it may be read
                            self.passing.append(label + r.part)
                        self.reject(tables.rejection(_clean(label + r.part), "collect", r.reason, _clean(r.detail)))
                    self.warnings += outcome.warnings
                for piece in outcome.pieces:
                    gave = True
                    row = _document(piece, item, label, self.config)
                    if (why := self._part(item).leaves_out(row["id"])) is None:
                        yield row, item
                    elif tell:
                        self.reject(tables.rejection(row["source"], "collect", *why, row["id"]))
            if not gave:
                self.unread[item.name] = whole

    def _part(self, item: Input) -> Part:
        return self.inputs.parts[item.source] if item.source < len(self.inputs.parts) else Part()

    def _outcomes(self, item: Input) -> Iterator[Reading | Unreadable]:
        if item.problem:
            yield Unreadable(item.problem, item.detail)
        else:
            yield from self.kept.parts(item)


def _joined(config: CollectConfig, inputs: Inputs, found: _Found) -> register_index.Joined:
    """The register's values for documents by their number. The documents are gone through once without their texts."""
    assert config.index is not None and inputs.index is not None
    documents, names = [], []
    for row, item in found.documents(tell=False):
        wanted = {key: row["metadata"][key] for key in ("message_id", "label", "value", "id") if key in row["metadata"]}
        documents.append({"source": row["source"], "media_type": row["media_type"], "metadata": wanted})
        names.append(item.name)
    return register_index.join(config.index, inputs.index, documents, names, found.unread)


def _made_by(config: CollectConfig) -> str:
    """What decides an outcome beside the bytes: the recipe's section, and the versions of what reads."""
    readers = sorted({plugin for name in registry.names("reader") if (plugin := registry.plugin("reader", name))})
    return json.dumps([metier.__version__, config.identity(), readers], sort_keys=True)


def _read(config: CollectConfig, inputs: Inputs, kept: Kept, console: Console, engine: EngineConfig) -> None:
    """Read every file that is not read yet; a UserError from a reader ends the stage."""
    modules = tuple(sorted({registry.lookup("reader", name).__module__ for name in registry.names("reader")}))
    tasks = []
    for number, item in enumerate(inputs.files):
        if item.problem or item in kept:
            continue
        source = config.sources[item.source]
        options = Options(
            columns=dict(source.columns), encoding=source.encoding, delimiter=source.delimiter, reader=source.reader,
            attachments=config.attachments, max_bytes=config.max_file_bytes, exclude=config.exclude,
            quoted=config.mail.quoted, signatures=config.mail.signatures, thread_groups=config.mail.thread_groups,
            budget=Budget(config.max_archive_bytes),
            ocr=config.ocr, max_ocr_pages=config.max_ocr_pages, keep_running=config.headers_and_footers == "keep",
            declared=item.declared,
        )  # fmt: skip
        tasks.append(Task(number, os.fspath(item.path), item.file_name, item.sha256, options, item.size, modules))
    if before := sum(item in kept for item in inputs.files):
        console.say(f"  {before:,} files were read before")
    with console.progress("reading", total=len(inputs.files), unit="files") as meter:
        meter.advance(len(inputs.files) - len(tasks))
        for number, outcome, last in _outcomes(config, tasks, console, engine):
            if isinstance(outcome, UserError):
                raise outcome
            kept.add(inputs.files[number], outcome, last)
            meter.advance(int(last))


def _outcomes(
    config: CollectConfig, tasks: Sequence[Task], console: Console, engine: EngineConfig
) -> Iterator[tuple[int, Outcome, bool]]:
    """(file, what was found, whether it is the file's last part), in whatever order processes finish."""
    if engine.name == "local":  # our own processes, which survive a parser's crash
        yield from read_parts(tasks, config.workers, config.max_seconds_per_file, config.max_memory_per_file)
    else:
        limits = config.max_seconds_per_file, config.max_memory_per_file
        for number, outcome in read_on(open_engine(engine, console), tasks, *limits):
            yield number, outcome, True


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


def _unlabelled(config: CollectConfig, inputs: Inputs) -> list[str]:
    roots = sum("/" not in item.name and config.sources[item.source].label_from == "folder" for item in inputs.files)
    return [f"{roots} files lie directly in a source with `label_from: folder` and get no label"] if roots else []


def _json(metadata: dict[str, Any]) -> str:
    return _clean(json.dumps(metadata, ensure_ascii=False, sort_keys=True, allow_nan=False))


def _tell(summary: dict[str, Any], first: dict[str, dict[str, str]], console: Console) -> None:
    for text in summary["warnings"][:SHOWN_WARNINGS]:
        console.warn(text)
    more = len(summary["warnings"]) - SHOWN_WARNINGS
    if more > 0:
        console.warn(f"{more} more warnings are in the summary")
    if summary["rejected"]:
        rows = [[count, reason, first[reason]["source"][:60], first[reason]["detail"][:90]]
                for reason, count in summary["rejected"].items()]  # fmt: skip
        console.table(["rejected", "reason", "for example", "because"], rows)
    console.say(f"  {summary['documents']:,} documents from {summary['files']:,} files")


def _clean(text: str) -> str:
    """Lone surrogates (which no table can hold) written as \\udcXX, so that they can be seen."""
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match.group()):04x}", text)
