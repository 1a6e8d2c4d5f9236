"""Tables larger than one wants in memory, read from the disk block by block.

Purpose: an export of many gigabytes is read with the memory of one block. Encoding, delimiter, header, roles and shape
are decided by the first block and hold for all; rows and lines are counted through. The result is the same as when the
table is read whole, but for columns that only later rows have (JSON Lines), which are not considered for a role.
Blocks end at the end of a row: for quoted tables where the number of quotes is even.
Not covered: JSON that is one list, UTF-16 and UTF-32 (rows are found by their bytes); those are read whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from metier.collect import delimited, frames, table
from metier.collect.encoding import Decoded, decode
from metier.collect.frames import Frame
from metier.collect.reading import Options, Progress, Reading, Unreadable

LARGE = 128 * 1024 * 1024  # bytes from which a table is read so; whole, it takes about ten times that as Python objects
BLOCK = 32 * 1024 * 1024
LONGEST = 8  # blocks that one row may take
LINES = ("jsonl", "ndjson", "csv", "tsv", "tab", "txt")
WIDE = ("utf-16", "utf-32")


def is_large(path: Path, size: int, name: str, options: Options) -> bool:
    """Whether a file is a table that must not be held whole and can be read in blocks."""
    from metier.collect import packed, readers

    if size <= LARGE:
        return False
    with path.open("rb") as stream:
        head = stream.read(65_536)
    if packed.suffix(head):
        return False
    try:
        reader = options.reader or readers.choose(head, name, bool(options.columns))
        if reader != "table":
            return False
        suffix = frames.extension(name)
        if frames.binary(head[:8], suffix):
            return True
        decoded = decode(head.rsplit(b"\n", 1)[0], options.encoding, lenient=True)
        return suffix in LINES and not decoded.encoding.startswith(WIDE)
    except Unreadable:
        return False


def read(path: Path, name: str, options: Options) -> Reading:
    """All rows, handed over block by block. Unreadable, UserError: as for `table.read`."""
    progress = options.progress
    reading = Reading()
    understood: table.Understood | None = None
    for frame in _blocks(path, name, options):
        if understood is None:
            if not frame.rows:
                raise Unreadable("empty", "the table has no rows")
            understood = table.understand(frame, options.columns, name)
            reading.warnings += [f"{name}: {text}" for text in (*frame.warnings, *understood.warnings)]
            frame.warnings = []
        reading.warnings += [f"{name}: {text}" for text in frame.warnings]
        for part in table.pieces(frame, understood):
            reading.extend(part)
            reading = _handed_over(reading, progress)
    return reading


def _handed_over(reading: Reading, progress: Progress | None) -> Reading:
    if progress is None:
        return reading
    progress.hand_over(reading)
    return Reading()


def _blocks(path: Path, name: str, options: Options) -> Iterator[Frame]:
    with path.open("rb") as stream:
        head = stream.read(8)
    kind = frames.binary(head, frames.extension(name))
    return _batches(path, kind, head) if kind else _texts(path, frames.extension(name), options)


def _batches(path: Path, kind: str, head: bytes) -> Iterator[Frame]:
    import pyarrow as pa

    before = 0
    try:
        with pa.memory_map(str(path)) as source:
            names, _, classes, batches = frames.opened(source, kind, head)
            for batch in batches:
                for start in range(0, batch.num_rows, frames.BATCH):
                    rows = list(frames.batch_rows(batch.slice(start, frames.BATCH), names, before))
                    before += len(rows)
                    yield Frame(kind, names, rows, classes=classes)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise Unreadable("damaged", f"after {before:,} rows: {str(error).splitlines()[0][:300]}") from None


@dataclass
class _Place:
    """How far a table of text was read."""

    rows: int = 0
    lines: int = 0
    encoding: str = ""


def _texts(path: Path, suffix: str, options: Options) -> Iterator[Frame]:
    place = _Place(encoding=options.encoding)
    grid: delimited.Grid | None = None
    first: Frame | None = None
    for block in _cut(path, quoted=suffix not in ("jsonl", "ndjson")):
        decoded = decode(block, place.encoding, lenient=True)
        place.encoding = decoded.encoding
        if first is None:
            first = frame = frames.of_text(decoded.text, suffix, options)
            grid = None if frame.format == "jsonl" else frames.grid_of(decoded.text, suffix, options)
        elif grid is None:
            rows = list(frames.json_lines(decoded.text.split("\n"), place.rows, place.lines))
            frame = replace(first, rows=rows, warnings=[])
        else:
            lines = delimited.more(decoded.text, grid)
            rows = [
                frames.row(place.rows + number, _moved(line, place), first.columns)
                for number, line in enumerate(lines, 1)
            ]
            frame = replace(first, rows=rows, warnings=[])
        place.rows += len(frame.rows)
        place.lines += decoded.text.count("\n")
        yield frames.told(frame, Decoded(decoded.text, decoded.encoding, decoded.damaged))


def _moved(line: delimited.Line, place: _Place) -> delimited.Line:
    return replace(line, line=line.line + place.lines)


def _cut(path: Path, quoted: bool) -> Iterator[bytes]:
    """The file in blocks that end with a whole row."""
    rest = b""
    with path.open("rb") as stream:
        while data := stream.read(BLOCK):
            rest += data
            end = _row_end(rest, quoted)
            if not end and len(rest) > LONGEST * BLOCK:
                end = _row_end(rest, False) or len(rest)
            if end:
                yield rest[:end]
                rest = rest[end:]
    if rest.strip():
        yield rest


def _row_end(data: bytes, quoted: bool) -> int:
    """Where the last whole row ends; 0 when none does."""
    end = data.rfind(b"\n") + 1
    if not quoted:
        return end
    quotes = data.count(b'"', 0, end)
    while end and quotes % 2:
        earlier = data.rfind(b"\n", 0, end - 1) + 1
        quotes -= data.count(b'"', earlier, end)
        end = earlier
    return end
