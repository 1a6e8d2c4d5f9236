"""Dates moved by the same number of days for everything about one subject.

Purpose: how long between two visits, and how old somebody was, stays true; when it was does not. The number of days is
drawn from the key and the subject (the group of the document, else the document itself): whole weeks, up to a year
back or on, so that a Monday stays a Monday.
Trade-off: 104 possible moves a subject are no secret to who knows one true date; season and year are nearly kept.
Source: Safe Harbor asks for the removal of dates; moving them is what "limited" sets and MIMIC do.
"""

from __future__ import annotations

import calendar
import datetime
import re
from dataclasses import dataclass

from metier.prepare.deidentify.recognise import dates
from metier.prepare.deidentify.recognise.folding import fold
from metier.prepare.deidentify.replace.key import Stream

WEEKS = 52
_COMPACT = re.compile(r"((?:19|20)\d{2})(\d{2})(\d{2})")
_ORDINALS = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
_ORDINAL = re.compile(r"(\d{1,2})(st|nd|rd|th)", re.IGNORECASE)


def shift_of(key: bytes, subject: str) -> int:
    """Days for this subject: a multiple of 7 between -364 and 364, never 0."""
    weeks = Stream(key, "days", subject).below(2 * WEEKS) - WEEKS
    return 7 * (weeks if weeks < 0 else weeks + 1)


@dataclass(frozen=True)
class Shift:
    """days: how far. year: where a date names none (the last one that was named before). day_first: 3/4 is 3 April."""

    days: int
    year: int = 2023
    day_first: bool = False

    def move(self, written: str) -> str | None:
        """The moved date as it was written; None for what cannot be taken apart."""
        folded = fold(written)
        only = _COMPACT.fullmatch(folded)
        if only:
            moved = self._moved(*(int(part) for part in only.groups()))
            return _width(written, moved.strftime("%Y%m%d")) if moved else None
        parsed = dates.parse(folded)
        if parsed is None:
            return None
        found = parsed[1]
        parts = found.groupdict()
        year = _year(parts["y"]) if parts.get("y") else self.year
        month_first = True
        if parts.get("a"):
            month_first = int(parts["b"]) > 12 or (int(parts["a"]) <= 12 and not self.day_first)
            month, day = (int(parts["a"]), int(parts["b"])) if month_first else (int(parts["b"]), int(parts["a"]))
        else:
            month = int(parts["m"]) if parts.get("m") else dates.MONTHS[parts["name"].lower()]
            day = int(parts["d"]) if parts.get("d") else 15
        moved = self._moved(year, month, day)
        return self._written(written, found, moved, month_first) if moved else None

    def _moved(self, year: int, month: int, day: int) -> datetime.date | None:
        try:
            last = calendar.monthrange(year, month)[1]
            return datetime.date(year, month, min(day, last)) + datetime.timedelta(days=self.days)
        except (ValueError, OverflowError):
            return None

    def _written(self, written: str, found: re.Match[str], moved: datetime.date, month_first: bool) -> str:
        """Every part in its old place: width, leading zeros and the form of the month's name stay."""
        values = {
            "y": moved.year,
            "m": moved.month,
            "d": moved.day,
            "name": moved.month,
            "a": moved.month if month_first else moved.day,
            "b": moved.day if month_first else moved.month,
        }
        padded = any(found.groupdict().get(name, "") and found[name].startswith("0") for name in "mdab")
        padded = padded or (
            "s" in found.groupdict() and "a" not in found.groupdict() and len(found["m"] + found["d"]) == 4
        )
        out, at = "", 0
        for name in sorted((name for name in values if found.groupdict().get(name)), key=found.start):
            start, end = found.span(name)
            out += written[at:start] + _part(name, values[name], written[start:end], padded)
            at = end
        return _ORDINAL.sub(_ordinal, out + written[at:]) if "a" not in found.groupdict() else out + written[at:]


def _year(digits: str) -> int:
    """Two digits up to 40 are this century's."""
    return int(digits) if len(digits) == 4 else int(digits) + (2000 if int(digits) <= 40 else 1900)


def _part(name: str, value: int, was: str, padded: bool) -> str:
    if name == "name":
        full = was.lower() in (month.lower() for month in calendar.month_name)
        word = (calendar.month_name if full else calendar.month_abbr)[value]
        return word.upper() if was.isupper() else word.lower() if was.islower() else word
    if name == "y":
        return _width(was, f"{value:04d}"[-len(was) :])
    return _width(was, f"{value:02d}" if padded else str(value))


def _width(was: str, digits: str) -> str:
    full = any(0xFF10 <= ord(char) <= 0xFF19 for char in was)
    return digits.translate({48 + number: 0xFF10 + number for number in range(10)}) if full else digits


def _ordinal(found: re.Match[str]) -> str:
    ending = _ORDINALS.get(int(found[1]), "th")
    return found[1] + (ending.upper() if found[2].isupper() else ending)
