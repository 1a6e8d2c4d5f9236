"""Known people in a text: every way in which a name that is known may be written.

Purpose: a name found once by its label, or given by the source system, is found wherever else it stands. "Smith, John",
"John Smith", "J. Smith", "Mr Smith" and "JOHN SMITH" are one; 张三丰 is also 张先生's 张 only where a title follows,
which the rules for titles find themselves.
Trade-off: a family name alone is looked for only where it cannot be an everyday word, so Mr White's "White" alone is
missed in the middle of a sentence, and "white paint" stays.
Not covered: typing errors in names, nicknames, other transcriptions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from metier.prepare.deidentify.recognise.rule import SHAPE, Span
from metier.prepare.deidentify.recognise.words import words

_HAN = re.compile("[\u3400-\u9fff]")
_SPLIT = re.compile(r"[\s,]+")
_COMMON = frozenset(words("everyday_en"))
LONGEST = 2_000  # names in one pattern; more are looked for in several passes


def variants(name: str) -> set[str]:
    """The ways to write one name, itself included; words of a name that are everyday words are not ways of their
    own."""
    name = " ".join(name.replace("，", ",").split())
    if not name:
        return set()
    if _HAN.search(name):
        return {name} if len(name) >= 2 else set()
    inverted = "," in name
    pieces = [piece for piece in _SPLIT.split(name) if piece.strip(".")]
    if not pieces or not any(piece[0].isalpha() for piece in pieces):
        return {name} if len(name) >= 4 else set()
    if len(pieces) == 1:
        return {pieces[0]} if _alone(pieces[0]) else set()
    if inverted:
        pieces = pieces[1:] + pieces[:1]
    first, middle, last = pieces[0], pieces[1:-1], pieces[-1]
    found = {
        " ".join(pieces),
        f"{first} {last}",
        f"{last}, {first}",
        f"{last} {first}",
        f"{first[0]}. {last}",
        f"{first[0]} {last}",
        f"{last}, {first[0]}.",
        f"{first[0]}.{last}",
    }
    if middle:
        found |= {
            f"{first} {' '.join(piece[0] + '.' for piece in middle)} {last}",
            f"{last}, {' '.join([first, *middle])}",
        }
    found |= {piece for piece in (first, last) if _alone(piece)}
    return {way for way in found if len(way) >= 3}


def _alone(piece: str) -> bool:
    return len(piece) >= 3 and piece.lower() not in _COMMON and piece[0].isupper()


def patterns(names: Iterable[str], kind: str = "person") -> list[tuple[re.Pattern[str], str]]:
    """Compiled patterns for all variants, each with its kind; longest first, so that a whole name wins over its
    parts."""
    ways: set[str] = set()
    for name in names:
        ways |= variants(name) if kind == "person" else {name.strip()} if len(name.strip()) >= 3 else set()
    ordered = sorted(ways, key=lambda way: (-len(way), way))
    compiled = []
    for start in range(0, len(ordered), LONGEST):
        body = "|".join(_written(way) for way in ordered[start : start + LONGEST])
        compiled.append((re.compile(body), kind))
    return compiled


def _written(way: str) -> str:
    """One variant as a pattern: any spaces, also all in capitals, no letter or digit beside it unless that is Han."""
    body = r"[ \n]{1,3}".join(re.escape(piece) for piece in way.split(" "))
    if _HAN.search(way):
        return body
    capital = r"[ \n]{1,3}".join(re.escape(piece.upper()) for piece in way.split(" "))
    both = body if body == capital else f"(?:{body}|{capital})"
    return rf"(?<![A-Za-z0-9À-ÿ]){both}(?![A-Za-z0-9À-ÿ])"


def known(
    view: str, compiled: Iterable[tuple[re.Pattern[str], str]], rule: str, weight: int = SHAPE - 2
) -> Iterator[Span]:
    """Every place of a known name or number."""
    for pattern, kind in compiled:
        for found in pattern.finditer(view):
            yield Span(*found.span(), kind, rule, weight)


def repeated(view: str, spans: Iterable[Span]) -> list[Span]:
    """The other places of the names that are among the findings; 张某 and a surname alone are no names to look for."""
    names = {view[span.start : span.end] for span in spans if span.kind == "person"}
    ways = {
        way for name in names
        if "某" not in name and not (_HAN.search(name) and (len(name) < 2 or name in words("surnames_zh")))
        for way in variants(name)
    }  # fmt: skip
    flat = view.replace("\n", " ")
    return [span for way in ways for form in {way, way.upper()} for span in _places(flat, form)]


def _places(flat: str, form: str) -> Iterator[Span]:
    """Where a form of a name stands; a few forms are found faster so than by a pattern of all of them."""
    latin, place = not _HAN.search(form), flat.find(form)
    while place >= 0:
        end = place + len(form)
        if not latin or not (_letter(flat[place - 1 : place]) or _letter(flat[end : end + 1])):
            yield Span(place, end, "person", "name found before", SHAPE - 2)
        place = flat.find(form, end)


def _letter(char: str) -> bool:
    """A letter or digit that a Latin name would run on with; Han beside it is a border."""
    return char.isalnum() and not _HAN.match(char)
