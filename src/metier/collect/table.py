"""Tables: each row becomes one document, or a document of the shape that the table has.

Purpose: `source` is "file#row" (rows count from 1, the header not counted), so every example can be found again. Cells
stay as they are written. Rows that are malformed, undecodable or without text are refused with their line number and,
where the table has a known shape (conversations, questions, entities, ...), with the field that is wrong.
Not covered: formats (`frames.py`), shapes (`shapes.py`, `shaping.py`), tables beyond memory (`large.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metier.collect import frames, roles, shapes
from metier.collect.accounts import Account, describes
from metier.collect.cells import json_value as _json_value
from metier.collect.cells import missing as _missing
from metier.collect.cells import name as _name
from metier.collect.cells import string as _string
from metier.collect.cells import undecodable as _undecodable
from metier.collect.cells import value as _value
from metier.collect.frames import Frame, Row, load
from metier.collect.reading import Options, Piece, Reading, Refusal, Unreadable
from metier.collect.shaping import Made, make
from metier.collect.spans import Misfit
from metier.registry import register

__all__ = ["Frame", "Row", "TablePreview", "Understood", "documents", "load", "peek", "read", "understand"]

BINARY = (frames.PARQUET, frames.ARROW, frames.FEATHER)  # how tables begin that are not text
PEEK_BYTES = 4_000_000  # of a larger file only the beginning is looked at
PEEK_ROWS = 200
LOOKED_AT = 500  # rows by which columns are judged
PART = 2_000  # rows that are handed over at a time
NO_TEXT = {"", "nan", "NaN", "NAN", "null", "NULL", "<NA>", "#N/A", "NaT"}
MEDIA = {"csv": "text/csv", "tsv": "text/tab-separated-values", "jsonl": "application/jsonl",
         "json": "application/json", "parquet": "application/vnd.apache.parquet",
         "xml": "application/xml", "arrow": "application/vnd.apache.arrow.file",
         "orc": "application/vnd.apache.orc", "tfrecord": "application/x-tfrecord",
         "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}  # fmt: skip
OWN_KEYS = (
    *roles.USUAL,
    "encoding",
    "media_type",
    "shape",
)  # a column of that name that has another role is stored as "column:<name>"


@dataclass(frozen=True)
class TablePreview:
    """What `metier new` shows and asks about. n_rows is None when the file was too large to count. roles: guessed."""

    format: str
    columns: list[str]
    rows: list[dict[str, Any]]
    n_rows: int | None
    encoding: str
    delimiter: str
    roles: dict[str, str]
    headerless: bool = False


@dataclass
class Understood:
    """What the columns of a table are: role -> column, and the shape that has columns of its own."""

    roles: dict[str, str]
    shape: shapes.Shape | None = None
    warnings: list[str] = field(default_factory=list)


@register("reader", "table")
@describes(
    "table",
    Account(
        title="Tables",
        kind="container",
        takes=("csv", "tsv", "tab", "jsonl", "ndjson", "json", "parquet", "pq", "arrow", "arrows", "ipc", "feather",
               "orc"),
        kept=(
            "each row as one document",
            "the columns that the recipe maps, or whose usual names are recognised",
            "conversations, instructions, preferences, questions, pairs and entities, each in one form",
        ),
        counted={
            "every other column": "under its own name",
            "encoding": "which encoding was found or named",
            "shape": "what the table was recognised as, with the fields that belong to it",
        },
        refused={
            "empty": "no rows",
            "empty text": "a row without text",
            "undecodable": "no encoding gives plausible text",
            "undecodable row": "a row with bytes that do not decode",
            "damaged": "not valid JSON, Parquet, Arrow or ORC",
            "malformed row": "a row that does not fit the table or its shape; the detail names line and field",
            "not a table": "JSON without a list of objects",
            "no text column": "no column with text is known or guessed",
        },
        libraries=("pyarrow",),
    ),
)  # fmt: skip
def read(data: bytes, name: str, options: Options) -> Reading:
    """The documents of all rows. Unreadable: empty, undecodable, damaged, no text column. UserError: no such column."""
    return documents(load(data, name, options), name, options)


def documents(frame: Frame, name: str, options: Options) -> Reading:
    """The documents of a frame, handed over in parts where somebody listens; for readers of other tables too."""
    if not frame.rows:
        raise Unreadable("empty", "the table has no rows")
    understood = understand(frame, options.columns, name)
    reading = Reading(warnings=[f"{name}: {text}" for text in (*frame.warnings, *understood.warnings)])
    for part in pieces(frame, understood):
        reading.extend(part)
        if options.progress:
            options.progress.hand_over(reading)
            reading = Reading()
    return reading


def understand(frame: Frame, columns: Mapping[str, str], name: str) -> Understood:
    """Roles and shape of a table. Unreadable: no text column. UserError: a mapped column that is not there."""
    good = [row.cells for row in frame.rows[:LOOKED_AT] if not row.reason]
    mapped = roles.mapped(columns, frame.columns, name) if columns else {}
    guessed = roles.guess(frame.columns, good, frame.headerless)
    if "text" not in mapped:
        answered = "text" in guessed and bool({"label", "value"} & {*guessed, *mapped})
        shape = shapes.recognise(frame.columns, good, answered)
        if shape:
            return _shaped(frame, shape, mapped, good)
    if columns:
        chosen = mapped
        if "text" not in chosen and "text" in guessed:
            chosen = {**mapped, "text": guessed["text"]}
        warnings = []
    else:
        chosen, warnings = guessed, [f"columns guessed: {_told(guessed, frame)}"]
    if "text" not in chosen:
        shown = ", ".join(frame.columns[:20])
        raise Unreadable(
            "no text column",
            f"none of these columns looks like the text: {shown}; say which with `columns: {{text: NAME}}`",
        )
    return Understood(chosen, None, warnings)


def _shaped(frame: Frame, shape: shapes.Shape, mapped: Mapping[str, str], good: list[Any]) -> Understood:
    """The roles of columns that do not belong to the shape, by their names only."""
    taken = {*shape.columns.values(), *mapped.values()}
    rest = [name for name in frame.columns if name not in taken]
    named = {role: column for role, column in roles.named(rest, good).items() if role not in mapped and role != "text"}
    chosen = {**named, **mapped}
    own = ", ".join(f"{field} = '{column}'" for field, column in shape.columns.items())
    warnings = [f"taken for '{shape.name}' ({own})" + (f"; {_told(chosen, frame, taken)}" if chosen else "")]
    if (
        shape.name == "tokens"
        and shape.columns["tags"] not in frame.classes
        and any(isinstance(tag, int) for row in good[:1] for tag in row.get(shape.columns["tags"]) or [])
    ):
        warnings.append(f"the tags in '{shape.columns['tags']}' are numbers without names, so no spans were made")
    return Understood(chosen, shape, warnings)


def pieces(frame: Frame, understood: Understood) -> Iterator[Reading]:
    """All rows as documents or refusals, some thousand rows at a time."""
    taken = {column for column in understood.roles.values() if column in frame.columns}
    taken |= set(understood.shape.columns.values()) if understood.shape else set()
    for start in range(0, len(frame.rows), PART):
        reading = Reading()
        for row in frame.rows[start : start + PART]:
            if row.reason:
                reading.refused.append(Refusal(f"#{row.number}", row.reason, row.detail))
            elif understood.shape:
                _rows_of_shape(row, understood, taken, frame, reading)
            else:
                _keep(_piece(row, understood.roles, taken, frame), reading)
        yield reading


def peek(path: Path, columns: Mapping[str, str] | None = None, encoding: str = "", delimiter: str = "") -> TablePreview:
    """The first 200 rows of a table file and the roles its columns seem to have.

    n_rows counts well-formed rows. UserError or Unreadable as for `read`; a file of more than 4 MB is read in part.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        suffix = frames.extension(path.name)
        whole = size <= PEEK_BYTES or suffix in ("json", "xlsx") or bool(frames.binary(stream.read(8), suffix))
        stream.seek(0)
        data = stream.read() if whole else stream.read(PEEK_BYTES).rsplit(b"\n", 1)[0]
    frame = load(data, path.name, Options(columns=columns or {}, encoding=encoding, delimiter=delimiter), PEEK_ROWS)
    good = [dict(row.cells) for row in frame.rows if not row.reason]
    chosen = roles.mapped(columns, frame.columns, str(path)) if columns else roles.guess(
        frame.columns, good[:LOOKED_AT], frame.headerless)  # fmt: skip
    count = frame.n_rows if frame.n_rows is not None else len(good)
    return TablePreview(frame.format, frame.columns, good[:PEEK_ROWS], count if whole else None, frame.encoding,
                        frame.delimiter, chosen, frame.headerless)  # fmt: skip


def _keep(found: Piece | Refusal, reading: Reading) -> None:
    if isinstance(found, Refusal):
        reading.refused.append(found)
    else:
        reading.pieces.append(found)


def _rows_of_shape(row: Row, understood: Understood, taken: set[str], frame: Frame, reading: Reading) -> None:
    """The documents of a row; questions about the same context as the row before go to its document."""
    assert understood.shape
    place = f"line {row.line}" if row.line else f"row {row.number}"
    try:
        found = make(understood.shape, _with_class_names(row.cells, understood.shape, frame))
    except Misfit as error:
        reading.refused.append(Refusal(f"#{row.number}", "malformed row", f"{place}, {error}"))
        return
    for made in found:
        part = f"#{row.number}{made.part}"
        reading.refused += [Refusal(part, "malformed row", f"{place}, {misfit}") for misfit in made.misfits]
        if not made.text:
            continue
        if "question" in understood.shape.columns and _folded(made, row, reading):
            continue
        piece = _finished(made, part, row, understood.roles, taken, frame)
        piece.metadata["shape"] = understood.shape.name
        if frame.surrogates and _undecodable(piece.text + json.dumps(piece.metadata, ensure_ascii=False)):
            reading.refused.append(
                Refusal(part, "undecodable row", f"{place}: bytes that are not valid {frame.encoding}")
            )
        else:
            reading.pieces.append(piece)


def _folded(made: Made, row: Row, reading: Reading) -> bool:
    """Whether a flat question has joined the document before it, which is about the same context."""
    last = reading.pieces[-1] if reading.pieces else None
    if last is None or "questions" not in last.metadata or last.text != made.text:
        return False
    last.metadata["questions"] += made.metadata["questions"]
    last.metadata["rows"] = [*last.metadata.get("rows", [int(last.part.strip("#"))]), row.number]
    return True


def _with_class_names(cells: Mapping[str, Any], shape: shapes.Shape, frame: Frame) -> Mapping[str, Any]:
    """Numbered tags by their names, where the file tells them."""
    column = shape.columns.get("tags", "")
    names, tags = frame.classes.get(column), cells.get(column)
    if not names or not isinstance(tags, (list, tuple)):
        return cells
    for number, tag in enumerate(tags):
        if not isinstance(tag, int) or not 0 <= tag < len(names):
            raise Misfit(f"{column}[{number}]", f"is {tag!r}, and {len(names)} names are known")
    return {**cells, column: [names[tag] for tag in tags]}


def _finished(made: Made, part: str, row: Row, chosen: Mapping[str, str], taken: set[str], frame: Frame) -> Piece:
    """A document with what the other columns of its row say."""
    metadata = _others(row, taken, frame, made.metadata)
    plain = _roles(row, chosen, metadata)
    plain["title"] = plain.get("title") or made.title
    return Piece(
        text=made.text, part=part, media_type=MEDIA[frame.format],
        metadata={**metadata, **_json_value(made.metadata)}, **plain,
    )  # fmt: skip


def _piece(row: Row, chosen: Mapping[str, str], taken: set[str], frame: Frame) -> Piece | Refusal:
    part = f"#{row.number}"
    place = f"line {row.line}" if row.line else f"row {row.number}"
    value = _value(row.cells, chosen["text"])
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        text = "\n\n".join(value)  # a text that is stored in its parts
    else:
        text = _string(value)
    if text.strip() in NO_TEXT or (isinstance(value, float) and math.isnan(value)):
        shown = f"the cell says '{text.strip()}'" if text.strip() else "the cell is empty"
        return Refusal(part, "empty text", f"{place}: {shown}")
    metadata = _others(row, taken, frame, {})
    plain = _roles(row, chosen, metadata)
    everything = (text, *plain.values(), json.dumps(metadata, ensure_ascii=False)) if frame.surrogates else (text,)
    if any(map(_undecodable, everything)):
        return Refusal(part, "undecodable row", f"{place}: bytes that are not valid {frame.encoding}")
    return Piece(text=text, part=part, media_type=MEDIA[frame.format], metadata=metadata, **plain)


def _others(row: Row, taken: set[str], frame: Frame, own: Mapping[str, Any]) -> dict[str, Any]:
    """Columns without a role, under their own names; `own` are keys that mean something else."""
    metadata: dict[str, Any] = {"encoding": frame.encoding} if frame.encoding else {}
    for name, cell in row.cells.items():
        if name not in taken and not _missing(cell):
            metadata[f"column:{name}" if name in OWN_KEYS or name in own else name] = _json_value(cell)
    return metadata


def _roles(row: Row, chosen: Mapping[str, str], metadata: dict[str, Any]) -> dict[str, str]:
    """Roles that are columns of the documents table; label, value, split, id, pair and answer go into `metadata`."""
    found = {role: _value(row.cells, column) for role, column in chosen.items() if role != "text"}
    for role in ("label", "split", "id", "pair", "answer"):
        if not _missing(found.get(role)) and (shown := _name(found[role]).strip()):
            metadata[role] = roles.split_name(shown) or shown if role == "split" else shown
    if not _missing(found.get("value")):
        metadata["value"] = _json_value(found["value"])
    return {role: _name(found[role]).strip() for role in ("title", "language", "group", "time", "license")
            if not _missing(found.get(role))}  # fmt: skip


def _told(chosen: Mapping[str, str], frame: Frame, taken: set[str] | None = None) -> str:
    said = ", ".join(f"{role} = '{column}'" for role, column in chosen.items()) or "none"
    used = {*chosen.values(), *(taken or ())}
    rest = [name for name in frame.columns if name not in used]
    return said + (f" (kept as metadata: {', '.join(rest[:8])}{', ...' if len(rest) > 8 else ''})" if rest else "")
