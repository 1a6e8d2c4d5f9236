"""Running headers, footers and page numbers, found by their repetition.

Purpose: the name of a contract on each of its 80 pages is no text of the contract, and it cuts sentences in two. A line
near the edge of a page that stands on most pages, or on most left or most right ones, with other digits at most, is
taken out; what was taken out is handed back, so that it is kept once and counted.
Trade-off: at least four pages are needed as evidence, so a letter of two pages keeps its headers. Not covered: headers
that change from chapter to chapter.
"""

from __future__ import annotations

import re
from collections import Counter

EDGE = 3  # lines at the top and bottom of a page that may be a running header or footer
MOST = 0.6  # share of the pages on which a line must stand to be one
MIN_PAGES = 4  # fewer pages give no evidence of repetition


def strip(pages: list[str]) -> tuple[list[str], list[str]]:
    """(pages without their running lines, the lines that went, in order)."""
    lines = [page.split("\n") for page in pages]
    filled = [index for index, page in enumerate(lines) if any(line.strip() for line in page)]
    if len(filled) < MIN_PAGES:
        return pages, []
    running: set[tuple[bool, str]] = set()
    for group in (filled, filled[::2], filled[1::2]):
        if len(group) >= MIN_PAGES:
            counts: Counter[tuple[bool, str]] = Counter()
            for index in group:
                counts.update({(top, _shape(lines[index][at])) for top, at in _edges(lines[index])})
            running |= {key for key, count in counts.items() if count >= MOST * len(group) and key[1]}
    removed: list[str] = []
    for index in filled:
        page = lines[index]
        gone = {at for top, at in _edges(page) if (top, _shape(page[at])) in running}
        if len(gone) < len([line for line in page if line.strip()]) or all(_shape(page[at]) == "#" for at in gone):
            removed += [page[at].strip() for at in sorted(gone)]
            lines[index] = [line for at, line in enumerate(page) if at not in gone]
    return ["\n".join(page) for page in lines], removed


def _edges(page: list[str]) -> list[tuple[bool, int]]:
    """(is at the top, index) of the first and last few filled lines; each line once."""
    filled = [index for index, line in enumerate(page) if line.strip()]
    top = filled[:EDGE]
    return [(True, at) for at in top] + [(False, at) for at in filled[-EDGE:] if at not in top]


def _shape(line: str) -> str:
    """The line without case and spaces, each number as "#"; roman page numbers too."""
    text = re.sub(r"\d+", "#", re.sub(r"\s+", " ", line.strip().lower()))
    return "#" if re.fullmatch(r"[-–—\s]*(?:#|[ivxl]{1,6})[-–—\s]*", text) else text


def examples(removed: list[str], most: int = 20) -> list[str]:
    """Distinct removed lines, those that differ in digits only once."""
    found: dict[str, str] = {}
    for line in removed:
        found.setdefault(_shape(line), line)
    return list(found.values())[:most]
