"""Cut long texts between sentences into chunks that each stand for themselves.

Purpose: a model reads so much at once and no more. A chunk is a slice of its parent, text[start:end], made of whole
sentences (sentences.py); a heading goes with what follows it, a table is not cut, and the headings above a chunk are in
its metadata. Chunks carry `source#chunk3`, the parent's id and offsets, and the parent's group or, without one, its id
as group, so that no split can separate them.
Trade-off: a table, or a sentence without any comma, that is longer than `size` makes an oversized chunk (counted);
other long sentences are cut at a comma. A text that fits stays as it is.
Not covered: chunks by topic; layout that a reader has lost.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pyarrow as pa

from metier import tables
from metier.errors import UserError, need
from metier.prepare.changes import has_copies
from metier.prepare.config_texts import ChunkConfig
from metier.prepare.flow import count
from metier.prepare.operation import Result, Settings, text_operation
from metier.prepare.sentences import sentences

Measure = Callable[[str], int]

_ROW = re.compile(r"[ \t]*(?:\|.*\|?|[^\t\n]+\t[^\t\n]*\t.*)[ \t]*")
_HEADING = re.compile(
    r"#{1,6}\s+\S.*|第[〇零一二三四五六七八九十百千\d]+[编編章节節](?:[\s\u3000].{0,40})?|[一二三四五六七八九十]{1,3}、[^。；，]{1,30}"
    r"|(?:CHAPTER|Chapter|PART|Part|ARTICLE|Article|SECTION|Section)\s+[\dIVXLC]+(?:[.:\s].{0,80})?|\d{1,2}(?:\.\d{1,2}){0,3}\.?\s+[A-Z][^.;。]{1,70}"
    r"|[A-Z][A-Z0-9 ,&'’()/-]{3,70}"
)  # fmt: skip
_LEVELS = ("#", "第.+[编編]", "第.+章", "第.+[节節]", r"CHAPTER|Chapter|PART|Part", ".")
_COMMA = re.compile("[，、；,;：:][”’」』）)]?\\s*|\\s+(?=\\S)")


@dataclass(frozen=True)
class Piece:
    """What is never cut further: text[start:end], a sentence, a table or a part of an overlong sentence."""

    start: int
    end: int
    heading: bool = False
    table: bool = False


@dataclass
class Chunk:
    """text[start:end] of its parent, and the headings it stands under, outermost first."""

    start: int
    end: int
    headings: list[str] = field(default_factory=list)


def chunks(text: str, size: int, overlap: int = 0, measure: Measure = len) -> list[Chunk]:
    """The text in chunks of at most `size` by `measure`; every character but white space is in one of them."""
    cut = pieces(text, size, measure)
    found: list[Chunk] = []
    headings: list[str] = []
    first = 0
    while first < len(cut):
        last = _fill(text, cut, first, size, measure)
        start = cut[first].start
        if found and overlap and not cut[first].heading:
            start = _overlapped(text, cut, first, last, overlap, size, measure)
        found.append(Chunk(start, cut[last - 1].end, list(headings)))
        for piece in cut[first:last]:
            if piece.heading:
                headings = _under(headings, text[piece.start : piece.end])
        first = last
    return found


def pieces(text: str, size: int, measure: Measure = len) -> list[Piece]:
    """Sentences, headings and whole tables, in order; overlong sentences in parts."""
    found: list[Piece] = []
    for start, end, table in _blocks(text):
        if table:
            found.append(Piece(start, end, table=True))
            continue
        for a, b in sentences(text[start:end]):
            a, b = a + start, b + start
            heading = bool(_HEADING.fullmatch(text[a:b])) and (a == 0 or text[:a].rstrip(" \t\u3000").endswith("\n"))
            if measure(text[a:b]) <= size:
                found.append(Piece(a, b, heading))
            else:
                found += [Piece(*part) for part in _parts(text, a, b, size, measure)]
    return found


def _blocks(text: str) -> list[tuple[int, int, bool]]:
    """(start, end, whether it is a table) of runs of lines; a table has two rows or more."""
    found: list[tuple[int, int, bool]] = []
    at = 0
    for line in text.splitlines(keepends=True):
        row = bool(_ROW.fullmatch(line.rstrip("\r\n")))
        if found and found[-1][2] == row:
            found[-1] = (found[-1][0], at + len(line), row)
        else:
            found.append((at, at + len(line), row))
        at += len(line)
    return [_trimmed(text, start, end, row and "\n" in text[start:end].strip()) for start, end, row in found]


def _trimmed(text: str, start: int, end: int, table: bool) -> tuple[int, int, bool]:
    part = text[start:end]
    return (start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip()), True) if table else (
        start, end, False)  # fmt: skip


def _parts(text: str, start: int, end: int, size: int, measure: Measure) -> list[tuple[int, int]]:
    """An overlong sentence cut behind commas (or between words), each part as long as it may be."""
    places = [start + match.end() for match in _COMMA.finditer(text[start:end])] + [end]
    parts, begin, last = [], start, start
    for place in places:
        if last > begin and measure(text[begin:place].strip()) > size:
            parts.append((begin, last))
            begin = last
        last = place
    parts.append((begin, end))
    spans = [(a + len(text[a:b]) - len(text[a:b].lstrip()), a + len(text[a:b].rstrip())) for a, b in parts]
    return [(a, b) for a, b in spans if a < b]


def _fill(text: str, cut: Sequence[Piece], first: int, size: int, measure: Measure) -> int:
    """The end of the chunk that begins with piece `first`: as many as fit, and no heading at its end."""
    last = first + 1
    while last < len(cut) and measure(text[cut[first].start : cut[last].end]) <= size:
        last += 1
    end = last
    while end < len(cut) and end - 1 > first and cut[end - 1].heading:
        end -= 1
    if cut[end - 1].heading:  # nothing but headings: the first sentence comes with them, whatever its length
        end = last
        while end < len(cut) and cut[end - 1].heading:
            end += 1
    return end


def _overlapped(
    text: str, cut: Sequence[Piece], first: int, last: int, overlap: int, size: int, measure: Measure
) -> int:
    """Where the chunk of pieces first..last begins when sentences before it are repeated as far as they fit."""
    start = first
    while first - start < overlap and start > 0 and not cut[start - 1].table and not cut[start - 1].heading:
        if measure(text[cut[start - 1].start : cut[last - 1].end]) > size:
            break
        start -= 1
    return cut[start].start


def _under(headings: list[str], heading: str) -> list[str]:
    """The path of headings after one more: those of its own level or below go."""
    level = _level(heading)
    return [*(above for above in headings if _level(above) < level), heading]


def _level(heading: str) -> int:
    if marks := re.match("#+", heading):
        return len(marks.group())
    return 10 + next(number for number, form in enumerate(_LEVELS) if re.match(form, heading))


def note(counts: Mapping[str, int]) -> str:
    """For the funnel."""
    said = f"{count(counts.get('cut', 0), 'text')} cut into {count(counts.get('chunks', 0), 'chunk')}"
    return said + (f", {counts['oversized']:,} longer than the size" if counts.get("oversized") else "")


@text_operation("chunk", note, lambda config: config.chunk.enabled)
def chunk(batch: pa.Table, settings: Settings, knowledge: Any) -> Result:
    """Replace every text that is too long by its chunks; nothing is lost, so nothing is rejected."""
    config = settings.config.chunk
    measure = measure_of(config)
    rows: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    for row in batch.to_pylist():
        if has_copies(row["metadata"]):
            counts["structured"] += 1
        if has_copies(row["metadata"]) or measure(row["text"]) <= config.size:
            rows.append(row)
            continue
        made = [child(row, number, part) for number, part in
                enumerate(chunks(row["text"], config.size, config.overlap, measure), 1)]  # fmt: skip
        counts.update(cut=1, chunks=len(made), oversized=sum(measure(part["text"]) > config.size for part in made))
        rows += made or [row]
    return Result(tables.table(rows, tables.DOCUMENTS), counts=dict(counts))


def child(row: Mapping[str, Any], number: int, part: Chunk) -> dict[str, Any]:
    """The document of one chunk."""
    source = f"{row['source']}#chunk{number}"
    text = row["text"][part.start : part.end]
    metadata = json.loads(row["metadata"] or "{}")
    metadata["chunk"] = {"parent": row["id"], "number": number, "start": part.start, "end": part.end,
                         "headings": part.headings}  # fmt: skip
    return {**row, "id": tables.digest(source, row["id"], text), "source": source, "text": text,
            "group": row["group"] or row["id"], "metadata": json.dumps(metadata, ensure_ascii=False)}  # fmt: skip


def measure_of(config: ChunkConfig) -> Measure:
    """Length of a text in characters, or in tokens of the recipe's tokenizer."""
    return len if config.unit == "characters" else _tokens(config.tokenizer)


@cache
def _tokens(path: str) -> Measure:
    library = need("tokenizers", "train")
    try:
        tokenizer = library.Tokenizer.from_file(path)
    except Exception as error:  # the library raises plain Exception
        raise UserError(f"this is no tokenizer file: {error}", f"prepare.chunk.tokenizer: {path}",
                        "name the tokenizer.json in the folder of a base model") from None  # fmt: skip
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
