"""What a data file is taken for, before anything is done with it.

Purpose: `metier inspect` answers what a person asks of a file that somebody sent: which format, encoding and delimiter,
which columns are what, how many texts in which languages and lengths, how many twice, and precisely which rows are
wrong and why. It reads with the same readers and guesses as the collect stage, so that what it says is what will be.
Trade-off: the whole file is read. Not covered: judging the texts; `metier prepare` does that, with its funnel.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from metier.collect.config import CollectConfig
from metier.collect.inputs import find_inputs
from metier.collect.reading import Budget, Options, Piece, Reading, Refusal, Unreadable
from metier.errors import UserError

SHARES = (0.0, 0.5, 0.95, 1.0)  # of the lengths that are told: shortest, median, 95 %, longest
SHOWN = 3  # examples


@dataclass
class Inspection:
    """One file. unreadable: why nothing came out of it, "" if something did. lengths: characters at SHARES."""

    path: str
    size: int
    reader: str = ""
    format: str = ""
    encoding: str = ""
    delimiter: str = ""
    columns: list[str] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)
    shape: str = ""
    rows: int | None = None
    documents: int = 0
    languages: dict[str, int] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)
    duplicates: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    examples: list[Piece] = field(default_factory=list)
    unreadable: str = ""
    hint: str = ""


def inspect(
    paths: Sequence[Path], options: Options | None = None, detect: Callable[[str], str] | None = None
) -> list[Inspection]:
    """Look at each file, and at each file of each folder. UserError: no such path, a recipe, a missing column.

    detect: tells the language of a text, such as `prepare.language.detect`, which this stage does not know.
    """
    for path in paths:
        if path.suffix.lower() in (".yaml", ".yml"):
            raise UserError("this is a recipe, and only data files can be inspected so far", str(path),
                            f"name a data file or a folder; `metier show {path}` prints the whole recipe")  # fmt: skip
    config = CollectConfig(sources=tuple({"path": str(path)} for path in paths))  # type: ignore[arg-type]
    found = find_inputs(config, Path.cwd())
    given = options or Options(exclude=config.exclude)
    result = []
    for item in found.files:
        seen = Inspection(item.name, item.size)
        if item.problem:
            seen.unreadable, seen.hint = item.problem, item.detail
        else:
            reading = _look(item.path, replace(given, budget=Budget(config.max_archive_bytes)), config, seen)
            _count(reading, seen, detect)
        result.append(seen)
    return result


def _look(path: Path, options: Options, config: CollectConfig, seen: Inspection) -> Reading:
    from metier.collect import readers
    from metier.collect.workers import Task, read_all

    try:
        with path.open("rb") as stream:
            seen.reader = options.reader or readers.choose(stream.read(65536), path.name, bool(options.columns))
    except (Unreadable, OSError):
        pass  # told by the reading itself, in its own words
    task = Task(0, str(path), path.name, "", options, seen.size)
    _, outcome = next(iter(read_all([task], 1, config.max_seconds_per_file, config.max_memory_per_file)))
    if isinstance(outcome, UserError):
        raise outcome
    if isinstance(outcome, Unreadable):
        seen.unreadable, seen.hint = outcome.reason, outcome.detail
        return Reading()
    if seen.reader == "table":
        _look_at_columns(path, options, seen)
    return outcome


def _look_at_columns(path: Path, options: Options, seen: Inspection) -> None:
    from metier.collect import table

    frame = table.load(path.read_bytes(), path.name, options)
    understood = table.understand(frame, options.columns, path.name)
    seen.format, seen.encoding, seen.delimiter = frame.format, frame.encoding, frame.delimiter
    seen.columns, seen.rows = frame.columns, len(frame.rows)
    seen.roles = {**understood.roles, **(understood.shape.columns if understood.shape else {})}
    seen.shape = understood.shape.name if understood.shape else _plain_shape(understood.roles)


def _plain_shape(roles: dict[str, str]) -> str:
    return "text-label" if "label" in roles else "text-value" if "value" in roles else "text"


def _count(reading: Reading, seen: Inspection, detect: Callable[[str], str] | None) -> None:
    pieces = reading.pieces
    seen.documents, seen.refused, seen.warnings = len(pieces), reading.refused, reading.warnings
    seen.examples = pieces[:SHOWN]
    if not pieces:
        seen.unreadable = seen.unreadable or "no document"
        return
    seen.format = seen.format or pieces[0].media_type
    seen.encoding = seen.encoding or str(pieces[0].metadata.get("encoding", ""))
    seen.shape = seen.shape or str(pieces[0].metadata.get("shape", ""))
    if detect:
        seen.languages = dict(Counter(detect(piece.text) or "other" for piece in pieces).most_common())
    sizes = sorted(len(piece.text) for piece in pieces)
    seen.lengths = [sizes[round(share * (len(sizes) - 1))] for share in SHARES]
    seen.duplicates = len(pieces) - len({hashlib.sha256(_everything(piece)).digest() for piece in pieces})
    seen.labels = dict(Counter(str(p.metadata["label"]) for p in pieces if "label" in p.metadata).most_common())


def _everything(piece: Piece) -> bytes:
    """What makes two documents the same: the text, and the questions or answers that belong to it."""
    own = {key: piece.metadata[key] for key in ("questions", "chosen", "rejected", "spans") if key in piece.metadata}
    text = " ".join(piece.text.split()) + json.dumps(own, sort_keys=True, ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def facts(seen: Inspection) -> list[tuple[str, Any]]:
    """What is known of a file as (name, value), in the order in which one wants to read it."""
    share = "; ".join(f"{name} {count:,}" for name, count in seen.languages.items())
    lengths = dict(zip(("shortest", "median", "95 %", "longest"), seen.lengths, strict=False))
    labels = ", ".join(f"{name} {count:,}" for name, count in list(seen.labels.items())[:8])
    more = f" and {len(seen.labels) - 8:,} more" if len(seen.labels) > 8 else ""
    told: list[tuple[str, Any]] = [
        ("read by", seen.reader), ("format", seen.format), ("encoding", seen.encoding),
        ("delimiter", {"\t": "tab", "": ""}.get(seen.delimiter, seen.delimiter)), ("shape", seen.shape),
        ("columns", ", ".join(seen.columns[:20]) + (", ..." if len(seen.columns) > 20 else "")),
        ("taken as", ", ".join(f"{role} = '{column}'" for role, column in seen.roles.items())),
        ("rows", f"{seen.rows:,}" if seen.rows is not None else ""), ("documents", f"{seen.documents:,}"),
        ("refused", f"{len(seen.refused):,}"), ("languages", share),
        ("characters", ", ".join(f"{name} {size:,}" for name, size in lengths.items())),
        ("the same twice", f"{seen.duplicates:,}"),
        ("labels", f"{len(seen.labels):,}: {labels}{more}" if labels else ""),
    ]  # fmt: skip
    return [(name, value) for name, value in told if value != ""]
