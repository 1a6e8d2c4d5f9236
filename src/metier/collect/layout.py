"""Reading order and tables of a page, from where its words stand.

Purpose: a PDF has no lines, columns or tables, only characters at places. The order in which a program wrote them is
the order of reading in nearly all files, so it is kept; it is left only where order and geometry agree that it must be:
cells that were written row by row become lines with tabs, and columns that were written line by line across the gutter
are read one after the other.
Trade-off: careful. A table that was written column by column stays as it was written.
Not covered: tables without gaps between their columns, text that runs vertically (it is kept in the file's order).
"""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

GAP = 0.9  # heights of a line from which white space may part cells; a justified line's spaces are below 0.6
LEADING = 1.0  # heights of white space between two lines of one cell, at most
NEAR = 2.5  # heights of white space between two rows of one table, at most
ROWS = 2  # rows with aligned white space that make a table
WRAPPED = 0.6  # share of its column that the first line of a cell fills before it goes on in a second one
PARAGRAPH = 3  # lines from which a block that stands alone is no row of a table
PROSE_LINES = 5  # lines that a column of text has at least ...
PROSE_CHARACTERS = 22  # ... with this many characters in the middle one (a Han character counts for two) ...
PROSE_WIDTH = 0.28  # ... and this share of the page's text width ...
PROSE_FULL = 0.6  # ... of which the middle line fills this share
# Numbers (4, 4.1.2, iv, b, 三, 第四条) and bullets that stand before the text of a list.
LABEL = re.compile(
    r"[(（\[]?(?:\d{1,3}(?:\.\d{1,3}){0,4}|[ivxlIVXL]{1,5}|[A-Za-z]|[一二三四五六七八九十]{1,3})[)）\].、:：]?"
    r"|[-–—•▪●○■□◦*·➢✓☐☑☒]|第.{1,4}[条章节款项]"
)
SIGNS_BEFORE = re.compile(r"[$€£¥￥(]{1,2}|US\$|HK\$|RMB|S\$")
SIGNS_AFTER = re.compile(r"[)%]{1,2}|[)%]?[*†‡]")


@dataclass
class Segment:
    """Words that stand together on one line. x grows to the right, y upwards, in points. line: the file's own line."""

    left: float
    right: float
    bottom: float
    top: float
    text: str
    line: int = 0

    @property
    def height(self) -> float:
        """Points from the bottom to the top of its letters."""
        return self.top - self.bottom


@dataclass
class Block:
    """Lines of one cell or paragraph, as the file wrote them."""

    segments: list[Segment]
    left: float = field(init=False)
    right: float = field(init=False)
    bottom: float = field(init=False)
    top: float = field(init=False)

    def __post_init__(self) -> None:
        self.left, self.right = min(s.left for s in self.segments), max(s.right for s in self.segments)
        self.bottom, self.top = min(s.bottom for s in self.segments), max(s.top for s in self.segments)

    @property
    def text(self) -> str:
        """Its lines, joined with a space (without one between Han characters)."""
        words = " ".join(segment.text for segment in self.segments)
        return re.sub(r"(?<=[\u3400-\u9fff]) (?=[\u3400-\u9fff])", "", words)


Row = list[Block]


@dataclass(frozen=True)
class Laid:
    """The text of a page. changed: whether geometry moved anything, so that the file's own text is not the same."""

    text: str
    tables: int = 0
    changed: bool = False


def lay(segments: Sequence[Segment]) -> Laid:
    """The page's text; segments in the order of the file."""
    width = max((s.right for s in segments), default=0) - min((s.left for s in segments), default=0)
    lines: list[str] = []
    tables, changed, last = 0, False, -1
    for band in _bands(_in_rows(_blocks(segments))):
        within = [segment for row in band for block in row for segment in block.segments]
        columns = _columns(band, width) if len(band) > 1 else []
        if columns:
            lines += [lay(column).text for column in columns]
            changed, last = True, -1
        elif len(band) > 1 and not _is_list(band):
            lines.append(_table(band))
            tables, changed, last = tables + 1, True, -1
        else:
            for segment in within:
                if segment.line == last and lines:
                    lines[-1] += f" {segment.text}"
                else:
                    lines.append(segment.text)
                last = segment.line
    return Laid("\n".join(lines), tables, changed)


def _blocks(segments: Sequence[Segment]) -> list[Block]:
    """Segments of one cell or paragraph put together: each directly below the one that was written before it."""
    blocks: list[list[Segment]] = []
    for at, segment in enumerate(segments):
        after = segments[at + 1] if at + 1 < len(segments) else None
        beside = after if after is not None and after.line == segment.line else None
        if blocks and _goes_on(blocks[-1], segment, beside):
            blocks[-1].append(segment)
        else:
            blocks.append([segment])
    return [Block(block) for block in blocks]


def _goes_on(block: list[Segment], segment: Segment, beside: Segment | None) -> bool:
    before = block[-1]
    if before.line == segment.line or before.height <= 0 or segment.height <= 0:
        return False
    if not -0.5 * segment.height <= before.bottom - segment.top <= LEADING * segment.height:
        return False
    if abs(before.left - segment.left) > 2 * segment.height:
        return False
    if beside is None:
        return min(before.right, segment.right) > max(before.left, segment.left)
    return before.right - before.left >= WRAPPED * (beside.left - before.left)


def _in_rows(blocks: list[Block]) -> Iterator[Row]:
    """Blocks that were written one after the other and stand beside each other."""
    row: Row = []
    for block in blocks:
        if row and block.left >= row[-1].right - 1 and _beside(row[-1], block):
            row.append(block)
            continue
        if row:
            yield row
        row = [block]
    if row:
        yield row


def _beside(one: Block | Segment, two: Block | Segment) -> bool:
    shared = min(one.top, two.top) - max(one.bottom, two.bottom)
    return shared > 0.5 * min(one.top - one.bottom, two.top - two.bottom)


def _bands(found: Iterator[Row]) -> list[list[Row]]:
    """Rows in order; those through which the same white space goes down stand together, all others alone."""
    bands: list[list[Row]] = []
    band: list[Row] = []
    common: list[tuple[float, float]] = []
    for row in found:
        if band:
            kept = [part for gap in common if (part := _left_free(gap, row))] if _near(band[-1], row) else []
            if kept and (len(row) > 1 or len(row[0].segments) < PARAGRAPH):
                band.append(row)
                common = kept
                continue
            bands += _closed(band)
        gaps = _gaps(row)
        band, common = ([row], gaps) if gaps else ([], [])
        if not gaps:
            bands.append([row])
    return bands + _closed(band)


def _closed(band: list[Row]) -> list[list[Row]]:
    """A finished run as one band, the single blocks at its end as bands of their own; all alone if it is none."""
    if sum(len(row) > 1 for row in band) < ROWS:
        return [[row] for row in band]
    end = max(at for at, row in enumerate(band) if len(row) > 1) + 1
    return [band[:end], *([row] for row in band[end:])]


def _gaps(row: Row) -> list[tuple[float, float]]:
    """White space between neighbours that is wide enough to part cells."""
    return [(one.right, two.left) for one, two in itertools.pairwise(row)
            if two.left - one.right >= GAP * min(one.segments[0].height, two.segments[0].height)]  # fmt: skip


def _near(above: Row, below: Row) -> bool:
    """Whether a row follows another one downwards, without a blank of more than two lines."""
    height = max(s.height for block in (*above, *below) for s in block.segments)
    blank = min(block.bottom for block in above) - max(block.top for block in below)
    return -0.5 * height < blank < NEAR * height


def _left_free(gap: tuple[float, float], row: Row) -> tuple[float, float] | None:
    """The part of a gap that no block of a row crosses, if it is still wide enough."""
    left, right = gap
    for block in row:
        if block.right <= (left + right) / 2:
            left = max(left, block.right)
        elif block.left >= (left + right) / 2:
            right = min(right, block.left)
        else:
            return None
    height = min(s.height for block in row for s in block.segments)
    return (left, right) if right - left >= 0.5 * GAP * height else None


def _columns(band: list[Row], width: float) -> list[list[Segment]]:
    """The columns of running text that a band consists of, from the left; empty if it is a table."""
    gutters = _gaps(band[0])
    for row in band[1:]:
        gutters = [part for gap in gutters if (part := _left_free(gap, row))]
    edges = [(left + right) / 2 for left, right in gutters]
    columns: list[list[Segment]] = [[] for _ in range(len(edges) + 1)]
    for row in band:
        for block in row:
            columns[sum(block.left > edge for edge in edges)] += block.segments
    filled = [column for column in columns if column]
    return filled if len(filled) > 1 and all(_prose(column, width) for column in filled) else []


def _prose(column: list[Segment], width: float) -> bool:
    """Whether a column is running text: many long lines that fill it."""
    extent = max(s.right for s in column) - min(s.left for s in column)
    if len(column) < PROSE_LINES or extent < PROSE_WIDTH * width:
        return False
    lengths = [len(s.text) + sum("\u3400" <= char <= "\u9fff" for char in s.text) for s in column]
    full = statistics.median((s.right - s.left) / extent for s in column)
    return statistics.median(lengths) >= PROSE_CHARACTERS and full > PROSE_FULL


def _is_list(band: list[Row]) -> bool:
    """Whether a band is numbers or bullets with the text that they stand before."""
    full = [row for row in band if len(row) > 1]
    return all(len(row) == 2 for row in full) and all(LABEL.fullmatch(row[0].text.strip()) for row in full)


def _table(band: list[Row]) -> str:
    """A line a row, tabs between cells."""
    signed = [_signed(row) for row in band]
    columns: list[list[float]] = []
    for cell in sorted((cell for row in signed for cell in row), key=lambda s: s.right - s.left):
        touched = [column for column in columns if cell.left < column[1] and cell.right > column[0]]
        if not touched:
            columns.append([cell.left, cell.right])
        elif len(touched) == 1:
            touched[0][:] = min(touched[0][0], cell.left), max(touched[0][1], cell.right)
    columns.sort()
    grid = []
    for row in signed:
        cells = [""] * len(columns)
        for cell in row:
            shared = [min(cell.right, right) - max(cell.left, left) for left, right in columns]
            at = shared.index(max(shared))
            cells[at] = f"{cells[at]} {cell.text}" if cells[at] else cell.text
        grid.append(cells)
    at = 0
    while at + 1 < len(columns):  # a heading that stands off its column made one of its own: no row fills both
        if any(cells[at] and cells[at + 1] for cells in grid):
            at += 1
            continue
        for cells in grid:
            cells[at : at + 2] = [cells[at] or cells[at + 1]]
        del columns[at]
    lines = ("\t".join(cells).rstrip("\t") for cells in grid)
    return "\n".join(line.lstrip("\t") if len(row) == 1 else line for line, row in zip(lines, signed, strict=True))


def _signed(row: Row) -> list[Segment]:
    """The cells of a row; currency signs joined with the number after them, brackets and % with the one before."""
    joined: list[Segment] = []
    for block in row:
        cell = Segment(block.left, block.right, block.bottom, block.top, block.text)
        before = joined[-1] if joined else None
        if before is not None and (SIGNS_BEFORE.fullmatch(before.text) or SIGNS_AFTER.fullmatch(cell.text)):
            space = " " if SIGNS_BEFORE.fullmatch(before.text) and before.text[-1] != "(" else ""
            joined[-1] = replace(before, right=cell.right, text=before.text + space + cell.text)
        else:
            joined.append(cell)
    return joined


def sorted_rows(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Segments without an order of their own (recognised ones): rows from the top, each from the left."""
    found: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda s: (-s.top - s.bottom, s.left)):
        if found and _beside(found[-1][0], segment) and _beside(found[-1][-1], segment):
            found[-1].append(segment)
        else:
            found.append([segment])
    return [sorted(row, key=lambda s: s.left) for row in found]
