"""Take out lines that repeat over many documents of one origin: letterheads, disclaimers, signatures, navigation.

Purpose: what stands in every mail of a department or on every page of a site says nothing about one of them, and a
model learns it first. `observe` counts hashes of folded lines for each origin (a folder, an archive, a table, a web
host), `conclude` keeps those that are frequent, `apply` removes them where they belong: joined to the start or the end
of a text, or repeated within it. Page numbers are found by their form. Each removal is a change and can be undone.
Protection: a line with a figure, an amount, a date or a clause number is never removed (but a page number is); headings
stay; a run at an edge that is longer than `EDGE` stays, and a text that would lose more than `most` of itself is left
alone, for both are the words of a form (a contract).
Trade-off: a disclaimer with a telephone number keeps that line. Memory: 28 bytes for each different line.
Not covered: lines that vary with each document (Dear Ms Chen), boilerplate within a paragraph of other words.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa

from metier.prepare.changes import applied, change, has_copies, hidden
from metier.prepare.config_texts import BoilerplateConfig
from metier.prepare.flow import count
from metier.prepare.operation import Result, Settings, text_operation, with_texts

OBSERVED = pa.schema([("origin", pa.int64()), ("line", pa.int64()), ("documents", pa.int64())])
ALL = 0  # stands for "any line": its count is the number of documents of the origin
EDGE = 2000  # characters; what is joined to an edge and longer is the clauses of a form, not a disclaimer
RUNNING = 3  # times that a frequent line must stand within one text to be a running header there

_LINE = re.compile(r"[^\n]*\n?")
_SHORN = re.compile(r"^[\W_]+|[\W_]+$")
_FIGURE = re.compile(
    r"\d|[壹贰叁肆伍陆柒捌玖拾佰仟]|第[〇零一二三四五六七八九十百千]+[条條章节節款项項编編]|[〇零一二三四五六七八九十百千万两半]+"
    r"(?:年|月|日|号|元|块|万|亿|%|％|周|天|个|次|倍|成)|[$€£¥￥％%]|百分之"
    r"|\b(?:january|february|march|april|june|july|august|september|october|november|december|hundred|thousand|million|"
    r"billion|percent|dozen)\b"
)
_PAGE = re.compile(
    r"(?:page|seite|p\.?)\s*\d{1,4}(?:\s*(?:of|/|von)\s*\d{1,4})?|第\s*\d{1,4}\s*[页頁](?:[\s,，/]*[共总]\s*\d{1,4}\s*[页頁])?"
    r"|第\s*[一二三四五六七八九十百]+\s*[页頁]|\d{1,4}\s*/\s*\d{1,4}\s*[页頁]|[页頁][码碼次]?\s*[:：]?\s*\d{1,4}"
)
_BARE_PAGE = re.compile(r"[-–—·~\s]*(\d{1,4})[-–—·~\s]*")


@dataclass(frozen=True)
class Line:
    """One line of a text: text[start:end] with its line break, and what it says without case, width and edges."""

    start: int
    end: int
    folded: str
    heading: bool


def origin(source: str) -> str:
    """Documents that may share a letterhead: those of one web host, of one archive or table, or of one folder."""
    if "://" in source:
        return "/".join(source.split("/")[:3])
    for mark in ("#", "!"):
        if mark in source:
            return source.split(mark)[0]
    return source.rpartition("/")[0]


def lines(text: str) -> list[Line]:
    """The lines of a text, empty ones too; their spans cover it."""
    found = []
    for match in _LINE.finditer(text):
        if match.end() > match.start():
            raw = match.group().strip()
            found.append(Line(match.start(), match.end(), fold(raw), raw.startswith("#")))
    return found


def fold(line: str) -> str:
    """Case, width, white space and decoration at the edges folded away."""
    return _SHORN.sub("", " ".join(unicodedata.normalize("NFKC", line).casefold().split()))


def protected(line: Line) -> bool:
    """Whether a line says a figure, an amount, a date or a clause number, or is a heading."""
    return line.heading or bool(_FIGURE.search(line.folded))


def observe(batch: pa.Table, settings: Settings) -> pa.Table:
    """In how many documents of each origin each line stands; of protected lines, their form without the digits."""
    found: Counter[tuple[int, int]] = Counter()
    for source, text in zip(batch["source"].to_pylist(), batch["text"].to_pylist(), strict=True):
        place = _hash(origin(source))
        found[place, ALL] += 1
        found.update((place, name) for name in {_name(line) for line in lines(text) if len(line.folded) > 1})
    keys = sorted(found)
    columns = [[key[0] for key in keys], [key[1] for key in keys], [found[key] for key in keys]]
    return pa.Table.from_arrays([pa.array(column, pa.int64()) for column in columns], schema=OBSERVED)


def conclude(observed: Sequence[pa.Table], settings: Settings) -> dict[int, dict[int, tuple[int, int]]]:
    """Origin -> frequent line -> (documents that hold it, documents of the origin)."""
    config = settings.config.boilerplate
    summed = pa.concat_tables([OBSERVED.empty_table(), *observed]).group_by(["origin", "line"])
    table = summed.aggregate([("documents", "sum")])
    places, names, numbers = (table[name].to_pylist() for name in ("origin", "line", "documents_sum"))
    total = {place: n for place, name, n in zip(places, names, numbers, strict=True) if name == ALL}
    frequent: dict[int, dict[int, tuple[int, int]]] = {place: {} for place in sorted(total)}
    for place, name, number in sorted(zip(places, names, numbers, strict=True)):
        if name != ALL and number >= max(config.documents, config.share * total[place]):
            frequent[place][name] = number, total[place]
    return frequent


def note(counts: Mapping[str, int]) -> str:
    """For the funnel."""
    said = f"{count(counts.get('lines', 0), 'line')} taken out of {count(counts.get('changed', 0), 'text')}"
    alone = counts.get("left alone", 0)
    return said + (f"; {count(alone, 'text')} left alone, they are little else" if alone else "")


@text_operation("boilerplate", note, lambda config: config.boilerplate.enabled, observe, conclude)
def boilerplate(batch: pa.Table, settings: Settings, knowledge: Any) -> Result:
    """Remove the frequent lines of each text's origin and page numbers; no document leaves."""
    result = Result(batch)
    counts: Counter[str] = Counter()
    texts = []
    for row in batch.to_pylist():
        known = knowledge.get(_hash(origin(row["source"])), {})
        whole = has_copies(row["metadata"])  # offsets into the text would be wrong behind a removal
        removed = [] if whole else removals(row["text"], known, settings.config.boilerplate)
        lost = sum(end - start for start, end, _ in removed)
        if removed and lost > settings.config.boilerplate.most * len(row["text"]):
            counts["left alone"] += 1
            removed = []
        changes = [change(row, "boilerplate", start, end, "", reason) for start, end, reason in removed]
        counts["lines"] += len(changes)
        counts["characters"] += lost if changes else 0
        counts["changed"] += bool(changes)
        texts.append(applied(row["text"], changes))
        result.changes += hidden(changes, settings.config)
    result.batch, result.counts = with_texts(batch, texts), dict(counts)
    return result


def removals(
    text: str, frequent: Mapping[int, tuple[int, int]], config: BoilerplateConfig
) -> list[tuple[int, int, str]]:
    """(start, end, reason) of every line that goes, in order."""
    found = lines(text)
    pages = _pages(found) if config.page_numbers else set()
    often = [frequent.get(_name(line)) if len(line.folded) > 1 else None for line in found]
    known = [share if not protected(line) else None for line, share in zip(found, often, strict=True)]
    if config.where == "anywhere":
        taken = {number for number, share in enumerate(known) if share}
    else:
        filled = [number for number, line in enumerate(found) if line.folded and number not in pages]
        taken = _run(filled, known, often, found) | _run(filled[::-1], known, often, found)
        within = Counter(line.folded for line, share in zip(found, known, strict=True) if share)
        taken |= {n for n, share in enumerate(known) if share and within[found[n].folded] >= RUNNING}
    result = []
    for number in sorted(taken | pages):
        share = known[number]
        reason = f"stands in {share[0]:,} of {share[1]:,} documents of its origin" if share else "a page number"
        result.append((found[number].start, found[number].end, reason))
    return result


def _run(order: Sequence[int], known: Sequence[Any], often: Sequence[Any], found: Sequence[Line]) -> set[int]:
    """The frequent lines from one edge inwards, up to the first that is not; a figure in a frequent form (the date of a
    letter, the telephone number within a signature) is stepped over."""
    taken: set[int] = set()
    for number in order:
        if not often[number]:
            break
        if known[number]:
            taken.add(number)
    return taken if sum(found[n].end - found[n].start for n in taken) <= EDGE else set()


def _pages(found: Sequence[Line]) -> set[int]:
    """Lines that are page numbers: by their words, or bare numbers that rise through the text."""
    sure = {number for number, line in enumerate(found) if _PAGE.fullmatch(line.folded)}
    bare = [(int(match.group(1)), number) for number, line in enumerate(found)
            if (match := _BARE_PAGE.fullmatch(line.folded)) and _alone(found, number)]  # fmt: skip
    values = [value for value, _ in bare]
    rising = len(values) >= 3 and all(b - a == 1 for a, b in pairwise(values))
    return sure | ({number for _, number in bare} if rising else set())


def _alone(found: Sequence[Line], number: int) -> bool:
    """No other bare number stands directly above or below: a column of figures is no pagination."""
    beside = [found[n].folded for n in (number - 1, number + 1) if 0 <= n < len(found)]
    return not any(_BARE_PAGE.fullmatch(text) for text in beside if text)


def _name(line: Line) -> int:
    """What a line is counted as; protected lines that differ in digits only are one."""
    return _hash("\0" + re.sub(r"\d+", "0", line.folded)) if protected(line) else _hash(line.folded)


def _hash(text: str) -> int:
    """63 bits, never ALL."""
    return (
        int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") >> 1 or 1
    )
