"""CSV, TSV and their relatives: delimiter, quoting and header are found, and no row vanishes.

Purpose: Python's csv module reads leniently: an unclosed quote swallows the rest of a file without a word. Here the
strict mode is used, a row that does not fit is kept with its line number and its reason, and reading goes on with the
next line. Whether quotes quote at all is decided by the file (the SMS Spam collection holds literal quotes).
Not covered: dialects with an escape character; several tables in one file.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

DELIMITERS = (",", "\t", ";", "|")
NO_DELIMITER = "\x1f"  # unit separator: a table of one column
SAMPLE_LINES = 300
CONSISTENT = 0.7  # share of sampled rows that must have as many fields as the header

csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True)
class Line:
    """One record: `line` counts from 1 in the file; `problem` is set when the fields cannot be trusted."""

    line: int
    fields: list[str]
    problem: str = ""


@dataclass(frozen=True)
class Grid:
    """A delimited file: its records without the header; `names` is empty when the first record is data."""

    names: list[str]
    lines: list[Line]
    delimiter: str
    quoted: bool


def parse(text: str, delimiter: str = "", prefer: str = "", wanted: Sequence[str] = ()) -> Grid:
    """All records of `text`. prefer: the delimiter that the extension suggests. wanted: columns the user mapped.

    A record with the wrong number of fields keeps its place with `problem`; extra empty fields at its end are dropped.
    """
    lines = _split(text)
    delimiter = delimiter or sniff(lines, prefer, wanted)
    quoted = _quotes_quote(lines, delimiter)
    records = list(_records(lines, delimiter, quoted))
    if not records:
        return Grid([], [], delimiter, quoted)
    names: list[str] = []
    if not records[0].problem and is_header(records[0].fields, [r.fields for r in records[1:200]], wanted):
        names = unique([cell.strip() for cell in records[0].fields])
        records = records[1:]
    return Grid(names, records, "" if delimiter == NO_DELIMITER else delimiter, quoted)


def more(text: str, grid: Grid) -> list[Line]:
    """The records of a further block of the table that `grid` begins; lines count from 1 in the block."""
    width = len(grid.names) or next((len(line.fields) for line in grid.lines if not line.problem), 0)
    return list(_records(_split(text), grid.delimiter or NO_DELIMITER, grid.quoted, width))


def sniff(lines: Sequence[str], prefer: str = "", wanted: Sequence[str] = ()) -> str:
    """The delimiter that gives the header known names, else under which most records are as long as the first one."""
    from metier.collect.roles import usual

    sample = [line for line in lines[:SAMPLE_LINES] if line.strip()]
    if not sample:
        return prefer or ","
    best, best_rank = NO_DELIMITER, (0.0, 0)
    for delimiter in DELIMITERS:
        counts = [len(fields) for fields in _loose(sample, delimiter)]
        width = counts[0] if counts else 0
        if width < 2:
            continue
        share = sum(count == width for count in counts) / len(counts)
        cells = [cell.strip() for cell in next(_loose(sample[:1], delimiter), [])]
        if all(map(usual, cells)) or (len(wanted) > 1 and set(wanted) <= set(cells)):
            return delimiter
        named = all(len(cell) <= 40 for cell in cells)
        if share >= CONSISTENT or (named and share >= 0.3 and len(counts) > 2):
            rank = (round(share + (0.2 if delimiter == prefer else 0.0), 1), width)
            if rank > best_rank:
                best, best_rank = delimiter, rank
    return best


def is_header(first: Sequence[str], others: Sequence[Sequence[str]], wanted: Sequence[str] = ()) -> bool:
    """Whether the first record names the columns. A mapping by number (`text: 2`) says that it does not."""
    from metier.collect.roles import usual

    cells = [cell.strip() for cell in first]
    if wanted:
        if any(name in cells for name in wanted):
            return True
        if all(name.isdigit() and 1 <= int(name) <= len(cells) for name in wanted):
            return False
    if any(usual(cell) for cell in cells):
        return True
    if not any(cells) or any(len(cell) > 60 or _number(cell) for cell in cells):
        return False
    if len(cells) == 1:
        return len(cells[0]) <= 30 and not re.search(r"[.!?。！？,，]$", cells[0])
    for index, cell in enumerate(cells):
        column = [row[index] for row in others if index < len(row)]
        if cell and column.count(cell) >= max(2, 0.02 * len(column)):
            return False  # "ham" is a value when the column below says "ham" again and again
    return True


def unique(names: Sequence[str]) -> list[str]:
    """Names with no gaps and no repetition: "" becomes "column 3", a second "note" becomes "note.2"."""
    seen: Counter[str] = Counter()
    result = []
    for index, name in enumerate(names):
        name = name or f"column {index + 1}"
        seen[name] += 1
        while seen[name] > 1 and f"{name}.{seen[name]}" in names:
            seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return result


def _split(text: str) -> list[str]:
    """Physical lines that keep "\\n"; only CR LF, LF (or CR alone in a file without LF) end a line."""
    text = text.replace("\r\n", "\n")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    return text.replace("\x00", "").splitlines(keepends=True) if text.isascii() and not re.search(
        "[\x0b\x0c\x1c-\x1e\r]", text) else re.findall(r"[^\n]*\n|[^\n]+", text.replace("\x00", ""))  # fmt: skip


def _loose(lines: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    try:
        yield from (fields for fields in csv.reader(lines, delimiter=delimiter) if fields)
    except csv.Error:
        return


def _quotes_quote(lines: Sequence[str], delimiter: str) -> bool:
    """False when quotes are plain characters: every physical line fits without quoting, and quoting breaks rows."""
    if not any('"' in line for line in lines):
        return False
    if delimiter == NO_DELIMITER:
        return True
    counts = {line.count(delimiter) for line in lines if line.strip()}
    if len(counts) != 1 or counts == {0}:
        return True
    clean = broken = 0
    for record in _records(lines, delimiter, quoted=True):
        broken += bool(record.problem) or any("\n" in field for field in record.fields)
    for line in lines:
        clean += sum(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in line.rstrip("\n").split(delimiter))
    return clean > 20 * broken


def _records(lines: Sequence[str], delimiter: str, quoted: bool, width: int = 0) -> Iterator[Line]:
    """width: fields that every record must have; 0: as many as the first one has."""
    if not quoted:
        found = (Line(i + 1, line.rstrip("\n").split(delimiter)) for i, line in enumerate(lines) if line.strip("\r\n"))
        yield from _checked(found, width)
        return
    yield from _quoted(lines, delimiter, width)


def _checked(records: Iterator[Line], width: int) -> Iterator[Line]:
    for record in records:
        width = width or len(record.fields)
        yield _fit(record, width)


def _fit(record: Line, width: int) -> Line:
    fields = record.fields
    if len(fields) > width and not any(cell.strip() for cell in fields[width:]):
        fields = fields[:width]
    problem = record.problem
    if not problem and len(fields) != width:
        problem = f"{len(fields)} fields instead of {width}"
    return Line(record.line, fields, problem)


def _quoted(lines: Sequence[str], delimiter: str, width: int) -> Iterator[Line]:
    """Strict csv records; after a broken one reading starts again at the next physical line."""
    start = 0
    while start < len(lines):
        base = start
        reader = csv.reader((lines[i] for i in range(base, len(lines))), delimiter=delimiter, strict=True)
        again = False
        while not again:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Line(start + 1, [lines[start].rstrip("\n")], _plain(error))
                start, again = start + 1, True
                continue
            end = base + reader.line_num
            if fields:
                width = width or len(fields)
                record = _fit(Line(start + 1, fields), width)
                if record.problem and end - start > 1 and _each_fits(lines[start + 1 : end], delimiter, width):
                    record, end = (
                        Line(start + 1, [lines[start].rstrip("\n")], "a quote is opened and not closed"),
                        start + 1,
                    )
                    again = True
                yield record
            start = end


def _each_fits(lines: Sequence[str], delimiter: str, width: int) -> bool:
    return all(line.count(delimiter) + 1 == width for line in lines)


def _plain(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end" in text:
        return "a quote is opened and not closed"
    if "expected after" in text:
        return "text after a closing quote"
    if "new-line" in text:
        return "a carriage return inside a row"
    return text


def _number(cell: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[\d.,]*\d[\d.,%]*|\d{4}[-/年]\d{1,2}([-/月]\d{1,2}.*)?", cell))
