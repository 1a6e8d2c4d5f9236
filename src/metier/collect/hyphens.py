"""Words that a line end cut in two, put together again, with their hyphen where it belongs to them.

Purpose: "agree-/ment" is one word and "royalty-/free" keeps its hyphen; a dictionary would know, but not the words of a
trade. The document itself knows most of them: it has the word elsewhere, with a hyphen, without one, or its halves
alone. Only where it is silent a short list of first halves decides that usually keep their hyphen.
Trade-off: a compound of two words of the document ("net-/work") may get a hyphen that it should not have.
Not covered: words cut at the end of a page.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

_LEFT_HALVES = """non self co pre post anti sub long short third well high low half full part ex cross in on off up out
two three"""
COMPOUND = frozenset(_LEFT_HALVES.split())  # they usually keep their hyphen
SHORTEST = 3  # letters of a half that counts as a word of its own
# pdfium marks the hyphen at a line end as U+FFFE (older builds U+0002) and drops the line end itself.
CUT = re.compile(r"([^\W\d_]+)(?:[\ufffe\x02]\n?|(-|\u00ad)\n(?=[a-zà-ÿ]))([^\W\d_]+)")
WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def tidy(pages: Sequence[str]) -> list[str]:
    """The pages with their line ends, cut words and control characters repaired."""
    pages = [page.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ") for page in pages]
    if any(CUT.search(page) for page in pages):
        words = {word.lower() for page in pages for word in WORD.findall(CUT.sub(" ", page))}
        for word in [word for word in words if word.count("-") > 1]:  # behind-the-ear knows the-ear
            words |= {"-".join(pair) for pair in itertools.pairwise(word.split("-"))}
        pages = [CUT.sub(lambda match: _joined(match, words), page) for page in pages]
    pages = [re.sub(r"(?<=\d)[\ufffe\x02]\n?(?=\d)", "-", page) for page in pages]  # a range of numbers
    return ["\n".join(line.rstrip() for line in CONTROL.sub("", page).split("\n")) for page in pages]


def _joined(match: re.Match[str], words: set[str]) -> str:
    left, sign, right = match.groups()
    first, second = left.lower(), right.lower()
    if sign == "\u00ad" or f"{first}{second}" in words:
        return left + right
    alone = len(first) >= SHORTEST and len(second) >= SHORTEST and first in words and second in words
    return f"{left}-{right}" if f"{first}-{second}" in words or first in COMPOUND or alone else left + right
