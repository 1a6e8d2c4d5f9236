"""Tables as rows of cells, whatever their format: CSV, TSV, JSON, JSON Lines, Parquet, Arrow, Feather, ORC.

Purpose: one form behind which the rest need not know the format. Rows that are malformed keep their place, with their
line number and what is wrong. JSON may be a list of objects, an object of objects, an object with one list inside, or
objects one after another, one a line or not.
Trade-off: a table is in memory as Python objects; `large.py` reads the larger ones block by block with these parts.
A workbook is a table only where the recipe says so (`reader: table`); otherwise it is a document (`xlsx.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from metier.collect import delimited
from metier.collect.encoding import Decoded, decode
from metier.collect.reading import Options, Unreadable

PARQUET, FEATHER, ARROW = b"PAR1", b"FEA1", b"ARROW1"
WORKBOOK = b"PK\x03\x04"  # an Excel workbook that the recipe calls a table
STREAM = b"\xff\xff\xff\xff"  # how an Arrow stream begins; so its suffix must say it too
SUFFIXES = {"parquet": "parquet", "pq": "parquet", "arrow": "arrow", "arrows": "arrow", "ipc": "arrow",
            "feather": "arrow", "orc": "orc"}  # fmt: skip
BATCH = 4096  # rows that are turned into Python objects at a time


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
    surrogates: bool = False
    """Whether cells may hold lone surrogates: damaged bytes, or JSON escapes of half a character."""
    classes: dict[str, list[str]] = field(default_factory=dict)
    """Column of numbers -> the names they stand for, where the file says so (Hugging Face's schema)."""


def load(data: bytes, name: str, options: Options, limit: int | None = None) -> Frame:
    """The table as rows of cells; limit bounds the rows of a binary format only."""
    suffix = extension(name)
    if data.startswith(WORKBOOK):
        return _sheet(data, options)
    kind = binary(data[:8], suffix)
    if kind:
        return _columnar(data, kind, limit)
    decoded = decode(data, options.encoding, options.declared, lenient=True)
    if not decoded.text.strip("\x00 \r\n\t"):
        raise Unreadable("empty", "the file holds no text" if data else "the file has 0 bytes")
    frame = of_text(decoded.text, suffix, options)
    return told(frame, decoded)


def extension(name: str) -> str:
    """Lower-case ending of a name."""
    return name.lower().rsplit(".", 1)[-1] if "." in name else ""


def binary(head: bytes, suffix: str) -> str:
    """parquet, arrow or orc by the first bytes and the ending; "" for a table of text. Unreadable: it only says so."""
    if head.startswith(PARQUET):
        return "parquet"
    if head.startswith((ARROW, FEATHER)):
        return "arrow"
    kind = SUFFIXES.get(suffix, "")
    if kind == "parquet" or (kind == "orc" and not head.startswith(b"ORC")):
        raise Unreadable("damaged", f"this is not {'a Parquet' if kind == 'parquet' else 'an ORC'} file")
    if kind == "arrow" and not head.startswith(STREAM):
        raise Unreadable("damaged", "this is not an Arrow file or stream")
    return kind


def of_text(text: str, suffix: str, options: Options) -> Frame:
    """A table of text: JSON in any form, or delimited."""
    start = text.lstrip()[:1]
    if (
        suffix in ("jsonl", "ndjson")
        or (suffix == "json" and start in "[{")
        or (suffix in ("", "txt") and start == "{")
    ):
        return _json(text, suffix)
    return _delimited(text, suffix, options)


def told(frame: Frame, decoded: Decoded) -> Frame:
    """The frame with what is to be said of its encoding."""
    frame.encoding = decoded.encoding
    frame.surrogates = bool(decoded.damaged) or "\\ud" in decoded.text or "\\uD" in decoded.text
    if decoded.damaged:
        frame.warnings.append(f"{decoded.damaged} bytes are not valid {decoded.encoding}; their rows are rejected")
    if "\x00" in decoded.text:
        frame.warnings.append(f"{decoded.text.count(chr(0))} NUL bytes were removed")
    return frame


def grid_of(text: str, suffix: str, options: Options) -> delimited.Grid:
    """A delimited table of text as records."""
    prefer = "\t" if suffix in ("tsv", "tab") else ","
    return delimited.parse(text, options.delimiter, prefer, tuple(options.columns.values()))


def _delimited(text: str, suffix: str, options: Options) -> Frame:
    grid = grid_of(text, suffix, options)
    good = [line for line in grid.lines if not line.problem]
    width = max((len(line.fields) for line in good), default=0)
    names = grid.names or [str(index + 1) for index in range(width)]
    rows = [row(number, line, names) for number, line in enumerate(grid.lines, 1)]
    frame = Frame(
        "tsv" if grid.delimiter == "\t" else "csv", names, rows, delimiter=grid.delimiter, headerless=not grid.names
    )
    if not grid.names and rows:
        frame.warnings.append("the first line looks like data, so the columns are called 1, 2, ...")
    return frame


def row(number: int, line: delimited.Line, names: list[str]) -> Row:
    """A record of a delimited table as a row."""
    if line.problem:
        return Row(number, {}, line.line, "malformed row", f"line {line.line}: {line.problem}")
    return Row(number, dict(zip(names, line.fields, strict=True)), line.line)


def _json(text: str, suffix: str) -> Frame:
    if suffix == "json":
        try:
            return _records(json.loads(text))
        except (ValueError, RecursionError) as error:
            first = next((line for line in text.splitlines() if line.strip()), "")
            if not _is_object(first):
                rows = list(_objects(text)) if text.lstrip().startswith("{") else []
                if len(rows) < 2:
                    raise Unreadable("damaged", f"not valid JSON: {error}") from None
                return Frame("json", ordered_names(row.cells for row in rows), rows)
            # a .json file that holds JSON Lines is read as such
    rows = list(json_lines(text.split("\n")))
    return Frame("jsonl", ordered_names(row.cells for row in rows), rows)


def json_lines(lines: Iterable[str], number: int = 0, line_number: int = 0) -> Iterator[Row]:
    """A row for each line that is not blank; counting goes on after `number` rows and `line_number` lines."""
    for line in lines:
        line_number += 1
        if line.strip():
            number += 1
            yield _json_line(line, number, line_number)


def _json_line(line: str, number: int, line_number: int) -> Row:
    try:
        cells = json.loads(line.replace("\x00", ""))
    except (ValueError, RecursionError) as error:
        return Row(number, {}, line_number, "malformed row", f"line {line_number}: not valid JSON: {error}")
    if not isinstance(cells, dict):
        return Row(number, {}, line_number, "malformed row", f"line {line_number}: a JSON object is needed, "
                   f"this is a {type(cells).__name__}")  # fmt: skip
    return Row(number, cells, line_number)


def _objects(text: str) -> Iterator[Row]:
    """Objects one after another, each over several lines, as some exports write them."""
    decoder, at, number = json.JSONDecoder(), 0, 0
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if at >= len(text):
            return
        number += 1
        line = text.count("\n", 0, at) + 1 if number < 3 else 0  # counting lines from the start each time would be slow
        try:
            cells, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, at) + 1
            yield Row(number, {}, line, "malformed row", f"line {line}: not valid JSON: {error}; the rest was not read")
            return
        if isinstance(cells, dict):
            yield Row(number, cells, line)
        else:
            detail = f"item {number}: an object is needed, this is a {type(cells).__name__}"
            yield Row(number, {}, line, "malformed row", detail)


def _records(whole: Any) -> Frame:
    """A list of objects; an object of objects (key -> row); an object with one list of objects inside."""
    if isinstance(whole, dict):
        lists = [
            value for value in whole.values() if isinstance(value, list) and any(isinstance(x, dict) for x in value)
        ]
        if whole and all(isinstance(value, dict) for value in whole.values()):
            whole = [{"key": key, **value} for key, value in whole.items()]
        elif len(lists) == 1:
            whole = _judged(whole, lists[0])
    if not isinstance(whole, list) or not any(isinstance(item, dict) for item in whole):
        raise Unreadable("not a table", "the JSON holds no list of objects")
    rows = [
        Row(number, item) if isinstance(item, dict)
        else Row(number, {}, 0, "malformed row", f"item {number}: an object is needed, this is a {type(item).__name__}")
        for number, item in enumerate(whole, 1)
    ]  # fmt: skip
    return Frame("json", ordered_names(row.cells for row in rows), rows)


def _judged(whole: dict[str, Any], rows: list[Any]) -> list[Any]:
    """Rows whose annotations name hypotheses that stand beside the list (ContractNLI): each gets them as `labels`."""
    labels = whole.get("labels")
    if not isinstance(labels, dict):
        return rows
    return [{**row, "labels": labels} if isinstance(row, dict) and "annotation_sets" in row else row for row in rows]


def _sheet(data: bytes, options: Options) -> Frame:
    """The first sheet of a workbook, cells as they are shown; a row of it is a row of the table."""
    from metier.collect.xlsx import records

    columns, found, left = records(data, options)
    rows = [Row(number, {name: cells.get(name) for name in columns}, place)
            for number, (place, cells) in enumerate(found, 1)]  # fmt: skip
    return Frame("xlsx", columns, rows, warnings=left, n_rows=len(rows))


def _columnar(data: bytes, kind: str, limit: int | None) -> Frame:
    import pyarrow as pa

    rows: list[Row] = []
    try:
        source = pa.BufferReader(data)
        names, count, classes, batches = opened(source, kind, data[:8])
        for batch in batches:
            rows += batch_rows(batch, names, len(rows))
            if limit is not None and len(rows) >= limit:
                break
        return Frame(kind, names, rows, n_rows=count, classes=classes)
    except (pa.ArrowException, OSError, ValueError, KeyError, SystemError) as error:
        first = (str(error).splitlines() or ["?"])[0]
        label = {"parquet": "Parquet", "arrow": "Arrow", "orc": "ORC"}[kind]
        raise Unreadable("damaged", f"not readable as {label}: {first[:300]}") from None


def opened(source: Any, kind: str, head: bytes) -> tuple[list[str], int | None, dict[str, list[str]], Iterator[Any]]:
    """(column names, rows if the file tells, names of classes, record batches) of a binary table, a path or buffer."""
    import pyarrow as pa

    if kind == "parquet":
        import pyarrow.parquet as pq

        file = pq.ParquetFile(source)
        schema, count, batches = file.schema_arrow, file.metadata.num_rows, file.iter_batches(batch_size=BATCH)
    elif kind == "orc":
        from pyarrow import orc

        stored = orc.ORCFile(source)
        schema, count = stored.schema, stored.nrows
        batches = (stored.read_stripe(number) for number in range(stored.nstripes))
    elif head.startswith(FEATHER):
        from pyarrow import feather

        whole = feather.read_table(source)
        schema, count, batches = whole.schema, whole.num_rows, iter(whole.to_batches(BATCH))
    elif head.startswith(ARROW):
        reader = pa.ipc.open_file(source)
        schema, count = reader.schema, None
        batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
    else:
        stream = pa.ipc.open_stream(source)
        schema, count, batches = stream.schema, None, iter(stream)
    return delimited.unique(schema.names), count, _classes(schema), batches


def batch_rows(batch: Any, names: list[str], before: int) -> Iterator[Row]:
    """Rows of a record batch, counted on after `before`."""
    batch.validate(full=True)  # offsets in a damaged file may point anywhere
    for start in range(0, batch.num_rows, BATCH):
        part = batch.slice(start, BATCH)
        for values in zip(*(column.to_pylist() for column in part.columns), strict=True):
            before += 1
            yield Row(before, dict(zip(names, values, strict=True)))


def _classes(schema: Any) -> dict[str, list[str]]:
    """Names of numbered classes that Hugging Face's `datasets` writes into a schema."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        found = {name: (feature.get("feature") or feature).get("names") for name, feature in features.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: [str(item) for item in names] for name, names in found.items() if isinstance(names, list)}


def ordered_names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every column of any row, in the order in which they are met."""
    seen: dict[str, None] = {}
    for cells in rows:
        for name in cells:
            seen.setdefault(name)
    return list(seen)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
