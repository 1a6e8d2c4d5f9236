"""All that is found in one text: numbers, dates, ages, addresses and names, without overlaps, in order.

Purpose: the one function that operation, quick look, audit and benchmark call. Offsets are those of the given text.
Trade-off: `kinds` that the settings keep are found all the same, so that a kept date is not taken for a number.
Not covered: names that only a dictionary, a tagger or Presidio knows; they come in as `more`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from metier.prepare.deidentify.recognise import addresses, dates, names, organisations, people
from metier.prepare.deidentify.recognise.folding import fold
from metier.prepare.deidentify.recognise.rule import Span, resolve
from metier.prepare.deidentify.recognise.scan import numbers

_HAN = re.compile("[\u3400-\u9fff]")
_LATIN = re.compile("[A-Z]")
# What earlier runs have put in: found again it would be replaced again.
PLACEHOLDER = re.compile(r"\[[A-Z][A-Z ]{1,20}\]|【[\u4e00-\u9fff]{2,6}】|\*{3,}")


def find(
    text: str,
    more: Iterable[Span] = (),
    ages_from: int = 90,
    context_names: bool = True,
    companies: bool = False,
    repeat: bool = True,
) -> list[Span]:
    """Spans in order, none over another, none inside a placeholder."""
    view = fold(text)
    han, latin = bool(_HAN.search(view)), bool(_LATIN.search(view))
    spans = [*more, *numbers(view, ages_from), *dates.numerals(view, ages_from)]
    if han:
        spans += addresses.chinese(view)
        spans += names.chinese(view) if context_names else ()
        spans += organisations.chinese(view) if companies else ()
    if latin:
        spans += addresses.english(view)
        spans += names.english(view) if context_names else ()
        spans += organisations.english(view) if companies else ()
    if repeat:
        spans += people.repeated(view, spans)
    placed = [found.span() for found in PLACEHOLDER.finditer(text)]
    if placed:
        spans = [span for span in spans if all(span.end <= start or span.start >= end for start, end in placed)]
    return resolve(spans)
