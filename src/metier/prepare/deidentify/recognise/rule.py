"""What a rule for numbers and codes is, where it is tried, and what it finds.

Purpose: patterns are data. A text is searched once for its digit runs (and `@`, `:`), and rules are tried at those
places only, so that the cost follows the digits of a text and not its length times the number of rules.
Trade-off: a rule says itself how long its first digit run may be; a wrong `runs` means that it is never tried, which
the tests of every rule would show.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# Weights: of two findings in one place the heavier stays, then the longer.
CHECKED, LABELLED, SHAPE, CONTEXT, WEAK = 100, 85, 70, 60, 50


@dataclass(frozen=True)
class Span:
    """Found: characters start to end (exclusive) of the original text, what it is, which rule said so, and its
    weight."""

    start: int
    end: int
    kind: str
    rule: str
    weight: int = SHAPE


@dataclass(frozen=True)
class Rule:
    """One recogniser of a number or code.

    at: "digit" (start of a digit run), "sign" (with + and ( before it), "token" (start of the letters and digits around
    it), "pair" (token, or the two or three letters and a space before it).
    runs: lengths that the first digit run may have. then: one of these characters must follow it ("" is anything).
    lead: letters stand before it. check: on the compact value. context: the text around must
    name this kind (see labels). guarded: not where the text calls the number an order, an invoice or a part.
    """

    kind: str
    name: str
    pattern: re.Pattern[str]
    at: str = "digit"
    runs: tuple[int, int] = (1, 99)
    then: str = ""
    lead: bool = False
    check: Callable[[str], bool] | None = None
    context: bool = False
    guarded: bool = False
    weight: int = SHAPE


def rule(kind: str, name: str, pattern: str, **more: object) -> Rule:
    """A rule whose pattern is written over several lines; never `\\b`, which knows no border beside Han."""
    assert "\\b" not in pattern, name
    return Rule(kind, name, re.compile(pattern, re.VERBOSE), **more)  # type: ignore[arg-type]


def resolve(spans: Iterable[Span]) -> list[Span]:
    """Spans that do not overlap, in order: the heavier wins, then the longer; what is left of a loser that is text (an
    address around a postcode, a name) stays as a span of its own."""
    kept: list[Span] = []  # in order, none over another
    for span in sorted(set(spans), key=lambda item: (-item.weight, item.start - item.end, item.start, item.kind)):
        first = bisect_right(kept, span.start, key=lambda item: item.end)
        last = bisect_left(kept, span.end, key=lambda item: item.start)
        if first >= last:
            kept.insert(first, span)
        elif span.kind in ("address", "person", "organisation", "url"):
            pieces = [(span.start, span.end)]
            for other in kept[first:last]:
                pieces = [piece for start, end in pieces for piece in _without(start, end, other)]
            for start, end in pieces:
                if end - start > 1:
                    insort(kept, Span(start, end, span.kind, span.rule, span.weight), key=lambda item: item.start)
    return kept


def _without(start: int, end: int, other: Span) -> list[tuple[int, int]]:
    if other.end <= start or other.start >= end:
        return [(start, end)]
    return [piece for piece in ((start, other.start), (other.end, end)) if piece[0] < piece[1]]
