"""Tables: CSV, TSV, JSON Lines, JSON and Parquet; each row becomes one document.

Purpose: `source` is "file#row" (rows count from 1, the header not counted), so every example can be found again. Cells
stay as they are written. Rows that are malformed, undecodable or without text are refused with their line number.
Not covered: spreadsheets; nested JSON beyond a dotted path in the mapping.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metier.collect import delimited, roles
from metier.collect.encoding import decode
from metier.collect.reading import Options, Piece, Reading, Refusal, Unreadable
from metier.registry import register

PEEK_BYTES = 4_000_000  # of a larger file only the beginning is looked at
PEEK_ROWS = 200
NO_TEXT = {"", "nan", "NaN", "NAN", "null", "NULL", "<NA>", "#N/A", "NaT"}
MEDIA = {"csv": "text/csv", "tsv": "text/tab-separated-values", "jsonl": "application/jsonl",
         "json": "application/json", "parquet": "application/vnd.apache.parquet"}  # fmt: skip
OWN_KEYS = (
    *roles.USUAL,
    "encoding",
    "media_type",
)  # a column of that name that has another role is stored as "column:<name>"


@dataclass(frozen=True)
class Row:
    """number counts records from 1; cells is empty when `reason` is set."""

    number: int
    cells: Mapping[str, Any]
    line: int = 0
    reason: str = ""
    detail: str = ""


@dataclass
class Frame:
    """A table in memory."""

    format: str
    columns: list[str]
    rows: list[Row]
    encoding: str = ""
    delimiter: str = ""
    headerless: bool = False
    warnings: list[str] = field(default_factory=list)
    n_rows: int | None = None
    surrogates: bool = (
        False  # whether cells may hold lone surrogates: damaged bytes, or JSON escapes of half a character
    )


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


@register("reader", "table")
def read(data: bytes, name: str, options: Options) -> Reading:
    """One piece a row. Unreadable: empty, undecodable, damaged, no text column. UserError: no such mapped column."""
    frame = load(data, name, options)
    reading = Reading(warnings=[f"{name}: {text}" for text in frame.warnings])
    if not frame.rows:
        raise Unreadable("empty", "the table has no rows")
    if options.columns:
        chosen = roles.mapped(options.columns, frame.columns, name)
    else:
        chosen = roles.guess(frame.columns, [row.cells for row in frame.rows[:500] if not row.reason], frame.headerless)
        reading.warnings.append(f"{name}: columns guessed: {_told(chosen, frame)}")
    if "text" not in chosen:
        if options.columns:
            chosen = {**roles.guess(frame.columns, [row.cells for row in frame.rows[:500]], False), **chosen}
            chosen = {role: column for role, column in chosen.items() if role == "text" or role in options.columns}
        if "text" not in chosen:
            shown = ", ".join(frame.columns[:20])
            raise Unreadable(
                "no text column",
                f"none of these columns looks like the text: {shown}; say which with `columns: {{text: NAME}}`",
            )
    taken = {column for column in chosen.values() if column in frame.columns}
    for row in frame.rows:
        piece = _piece(row, chosen, taken, frame)
        if isinstance(piece, Refusal):
            reading.refused.append(piece)
        else:
            reading.pieces.append(piece)
    return reading


def peek(path: Path, columns: Mapping[str, str] | None = None, encoding: str = "", delimiter: str = "") -> TablePreview:
    """The first 200 rows of a table file and the roles its columns seem to have.

    n_rows counts well-formed rows. UserError or Unreadable as for `read`; a file of more than 4 MB is read in part.
    """
    size = path.stat().st_size
    whole = size <= PEEK_BYTES or _is_parquet(path) or path.suffix.lower() == ".json"
    with path.open("rb") as stream:
        data = stream.read() if whole else stream.read(PEEK_BYTES).rsplit(b"\n", 1)[0]
    frame = load(data, path.name, Options(columns=columns or {}, encoding=encoding, delimiter=delimiter), PEEK_ROWS)
    good = [dict(row.cells) for row in frame.rows if not row.reason]
    chosen = roles.mapped(columns, frame.columns, str(path)) if columns else roles.guess(
        frame.columns, good[:500], frame.headerless)  # fmt: skip
    count = frame.n_rows if frame.n_rows is not None else len(good)
    return TablePreview(frame.format, frame.columns, good[:PEEK_ROWS], count if whole else None, frame.encoding,
                        frame.delimiter, chosen, frame.headerless)  # fmt: skip


def load(data: bytes, name: str, options: Options, limit: int | None = None) -> Frame:
    """The table as rows of cells, whatever its format; limit bounds the rows of a Parquet file only."""
    suffix = name.lower().rsplit(".", 1)[-1] if "." in name else ""
    if data.startswith(b"PAR1"):
        return _parquet(data, limit)
    if suffix == "parquet":
        raise Unreadable("damaged", "this is not a Parquet file")
    decoded = decode(data, options.encoding, options.declared, lenient=True)
    text = decoded.text
    if not text.strip("\x00 \r\n\t"):
        raise Unreadable("empty", "the file holds no text" if data else "the file has 0 bytes")
    start = text.lstrip()[:1]
    if suffix in ("jsonl", "ndjson") or (suffix == "json" and start in "[{") or (not suffix and start == "{"):
        frame = _json(text, suffix)
    else:
        frame = _delimited(text, suffix, options)
    frame.encoding = decoded.encoding
    frame.surrogates = bool(decoded.damaged) or "\\ud" in text or "\\uD" in text
    if decoded.damaged:
        frame.warnings.append(f"{decoded.damaged} bytes are not valid {decoded.encoding}; their rows are rejected")
    if "\x00" in text:
        frame.warnings.append(f"{text.count(chr(0))} NUL bytes were removed")
    return frame


def _delimited(text: str, suffix: str, options: Options) -> Frame:
    grid = delimited.parse(
        text, options.delimiter, "\t" if suffix in ("tsv", "tab") else ",", tuple(options.columns.values())
    )
    good = [line for line in grid.lines if not line.problem]
    width = max((len(line.fields) for line in good), default=0)
    names = grid.names or [str(index + 1) for index in range(width)]
    rows = [
        Row(number, {}, line.line, "malformed row", f"line {line.line}: {line.problem}")
        if line.problem else Row(number, dict(zip(names, line.fields, strict=True)), line.line)
        for number, line in enumerate(grid.lines, 1)
    ]  # fmt: skip
    frame = Frame(
        "tsv" if grid.delimiter == "\t" else "csv", names, rows, delimiter=grid.delimiter, headerless=not grid.names
    )
    if not grid.names and rows:
        frame.warnings.append("the first line looks like data, so the columns are called 1, 2, ...")
    return frame


def _json(text: str, suffix: str) -> Frame:
    if suffix == "json":
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError) as error:
            first = next((line for line in text.splitlines() if line.strip()), "")
            if not _is_object(first):  # a .json file that holds JSON Lines is read as such
                raise Unreadable("damaged", f"not valid JSON: {error}") from None
        else:
            return _records(whole)
    rows = []
    number = 0
    for line_number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        number += 1
        rows.append(_json_line(line, number, line_number))
    return Frame("jsonl", _names(row.cells for row in rows), rows)


def _json_line(line: str, number: int, line_number: int) -> Row:
    try:
        cells = json.loads(line.replace("\x00", ""))
    except (ValueError, RecursionError) as error:
        return Row(number, {}, line_number, "malformed row", f"line {line_number}: not valid JSON: {error}")
    if not isinstance(cells, dict):
        return Row(number, {}, line_number, "malformed row", f"line {line_number}: a JSON object is needed, "
                   f"this is a {type(cells).__name__}")  # fmt: skip
    return Row(number, cells, line_number)


def _records(whole: Any) -> Frame:
    """A list of objects; an object of objects (key -> row); an object with one list of objects inside."""
    if isinstance(whole, dict):
        lists = [
            value for value in whole.values() if isinstance(value, list) and any(isinstance(x, dict) for x in value)
        ]
        if whole and all(isinstance(value, dict) for value in whole.values()):
            whole = [{"key": key, **value} for key, value in whole.items()]
        elif len(lists) == 1:
            whole = lists[0]
    if not isinstance(whole, list) or not any(isinstance(item, dict) for item in whole):
        raise Unreadable("not a table", "the JSON holds no list of objects")
    rows = [
        Row(number, item) if isinstance(item, dict)
        else Row(number, {}, 0, "malformed row", f"item {number}: an object is needed, this is a {type(item).__name__}")
        for number, item in enumerate(whole, 1)
    ]  # fmt: skip
    return Frame("json", _names(row.cells for row in rows), rows)


def _parquet(data: bytes, limit: int | None) -> Frame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(data))
        names = delimited.unique(file.schema_arrow.names)
        rows, number = [], 0
        for batch in file.iter_batches(batch_size=4096):
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                rows.append(Row(number, dict(zip(names, values, strict=True))))
            if limit is not None and number >= limit:
                break
        return Frame("parquet", names, rows, n_rows=file.metadata.num_rows)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Unreadable("damaged", f"not readable as Parquet: {str(error).splitlines()[0]}") from None


def _piece(row: Row, chosen: Mapping[str, str], taken: set[str], frame: Frame) -> Piece | Refusal:
    part = f"#{row.number}"
    if row.reason:
        return Refusal(part, row.reason, row.detail)
    place = f"line {row.line}" if row.line else f"row {row.number}"
    value = _value(row.cells, chosen["text"])
    text = _string(value)
    if text.strip() in NO_TEXT or (isinstance(value, float) and math.isnan(value)):
        shown = f"the cell says '{text.strip()}'" if text.strip() else "the cell is empty"
        return Refusal(part, "empty text", f"{place}: {shown}")
    metadata: dict[str, Any] = {"encoding": frame.encoding} if frame.encoding else {}
    for name, cell in row.cells.items():
        if name not in taken and not _missing(cell):
            metadata[f"column:{name}" if name in OWN_KEYS else name] = _json_value(cell)
    found = {role: _value(row.cells, column) for role, column in chosen.items() if role != "text"}
    for role in ("label", "split", "id", "pair"):
        if not _missing(found.get(role)) and (shown := _name(found[role]).strip()):
            metadata[role] = roles.split_name(shown) or shown if role == "split" else shown
    if not _missing(found.get("value")):
        metadata["value"] = _json_value(found["value"])
    plain = {role: _name(found[role]).strip() for role in ("title", "language", "group", "time", "license")
             if not _missing(found.get(role))}  # fmt: skip
    everything = (text, *plain.values(), json.dumps(metadata, ensure_ascii=False)) if frame.surrogates else (text,)
    if any(map(_undecodable, everything)):
        return Refusal(part, "undecodable row", f"{place}: bytes that are not valid {frame.encoding}")
    return Piece(text=text, part=part, media_type=MEDIA[frame.format], metadata=metadata, **plain)


def _value(cells: Mapping[str, Any], column: str) -> Any:
    if column in cells:
        return cells[column]
    value: Any = cells
    for key in column.split("."):
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return decode(value).text
        except Unreadable:
            return "\udc80"  # told as an undecodable row
    if _missing(value):
        return ""
    return json.dumps(_json_value(value), ensure_ascii=False) if not hasattr(value, "isoformat") else value.isoformat()


def _name(value: Any) -> str:
    """As `_string`; whole floats lose their point, because a gap in a column of integers turns 1 into 1.0."""
    return _string(int(value) if isinstance(value, float) and value.is_integer() else value)


def _json_value(value: Any) -> Any:
    """The value as JSON can hold it: dates as ISO, NaN as null, bytes as text."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_value(item) for item in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return _string(value) if isinstance(value, bytes) else str(value)


def _missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _undecodable(text: str) -> bool:
    return bool(re.search("[\ud800-\udfff]", text))


def _names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(_ordered(rows))


def _ordered(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    seen: set[str] = set()
    for cells in rows:
        for name in cells:
            if name not in seen:
                seen.add(name)
                yield name


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"PAR1"


def _told(chosen: Mapping[str, str], frame: Frame) -> str:
    said = ", ".join(f"{role} = '{column}'" for role, column in chosen.items()) or "none"
    rest = [name for name in frame.columns if name not in chosen.values()]
    return said + (f" (kept as metadata: {', '.join(rest[:8])}{', ...' if len(rest) > 8 else ''})" if rest else "")
