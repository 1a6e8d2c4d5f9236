"""Dates with a day or a month, in the forms that English and Chinese write them, and ages.

Purpose: HIPAA asks for all parts of a date but the year, and for ages over 89. The same patterns are used again to
take a date apart when it is shifted. A year alone, a weekday and a time of day are not found: alone they point to
nobody.
Trade-off: 12/05 and 19850512 are dates only beside a word such as `born` or 出生日期; elsewhere they are fractions and
numbers. 2024年5月 counts, since the month is part of a date.
Not covered: calendars other than the Gregorian one, holidays by name, "last Tuesday".
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator

from metier.prepare.deidentify.recognise.rule import CHECKED, CONTEXT, SHAPE, Span

MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name} | {
    name.lower(): number for number, name in enumerate(calendar.month_abbr) if name
} | {"sept": 9}  # fmt: skip
_NAMES = "|".join(sorted((name.capitalize() for name in MONTHS), key=len, reverse=True))
_NAMES = f"(?:{_NAMES}|{_NAMES.upper()}|{_NAMES.lower()})"
_TIME = (
    r"(?P<time>(?:T|,?[ ]{1,2})\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:[ ]?[AaPp][Mm](?![A-Za-z])|Z"
    r"|[+-]\d{2}:?\d{2})?)?"
)
_YEAR = r"(?P<y>(?:1[89]|20)\d\d)"
_ORDINAL = r"(?:st|nd|rd|th)?"
_NUMERAL = "[〇○零Ｏ一二三四五六七八九]"

# name -> pattern; groups y, m, d (numbers), name (a month by name), a and b (day and month, order not known), time.
FORMATS: dict[str, re.Pattern[str]] = {
    "ymd": re.compile(rf"(?<![0-9.\-/]){_YEAR}(?P<s>[-/.])[ ]?(?P<m>\d{{1,2}})(?P=s)[ ]?(?P<d>\d{{1,2}})"
                      rf"(?![0-9]|[-/.]\d){_TIME}"),
    "chinese": re.compile(r"(?<![0-9])(?P<y>(?:1[89]|20)\d\d|\d\d)[ ]?年[ ]?(?P<m>\d{1,2})[ ]?月(?:份"
                          r"|[ ]?(?P<d>\d{1,2})[ ]?[日号])?"),
    "chinese, no year": re.compile(r"(?<![0-9年])(?P<m>\d{1,2})[ ]?月[ ]?(?P<d>\d{1,2})[ ]?[日号]"),
    "numbers": re.compile(rf"(?<![0-9A-Za-z.\-/])(?P<a>\d{{1,2}})(?P<s>[-/.])(?P<b>\d{{1,2}})(?P=s)(?P<y>(?:1[89]"
                          rf"|20)\d\d|\d\d)"
                          rf"(?![0-9A-Za-z]|[-/.]\d){_TIME}"),
    "day month": re.compile(rf"(?<![0-9A-Za-z.\-/])(?P<d>\d{{1,2}}){_ORDINAL}(?:[ ]of)?[ "
                            rf"-]?(?P<name>{_NAMES})(?![a-z])\.?"
                            rf"(?:,?[ -]?{_YEAR})?(?![0-9]){_TIME}"),
    "month day": re.compile(rf"(?<![A-Za-z])(?P<name>{_NAMES})\.?[ -](?P<d>\d{{1,2}}){_ORDINAL}(?![0-9A-Za-z%]"
                            rf"|[.,]\d)(?:,?[ -]{{0,2}}"
                            rf"{_YEAR})?(?![0-9]){_TIME}"),
    "month year": re.compile(rf"(?<![A-Za-z])(?P<name>{_NAMES})\.?,?[ ]{_YEAR}(?![0-9])"),
}  # fmt: skip
_NUMERALS = re.compile(rf"{_NUMERAL}{{4}}年[一二三四五六七八九十]{{1,3}}月(?:[一二三四五六七八九十]{{1,3}}[日号])?")
_BIRTH_BEFORE = re.compile(
    r"(?:出生(?:日期|年月日?|时间)?|生日|生于|birth ?(?:day|date)?|date of birth|(?<![a-z])d\.?o\.?b\.?"
    r"|(?<![a-z])born(?: on| in)?)"
    r"(?:\s*(?:[:=为是于]|is|was|on|in|it'?s|coming up|falls|[.)]))*\s*$"
)
_BIRTH_AFTER = re.compile(r"\s?(?:出生|生(?![产活物效命意前])|生人)")
_BIRTH_ONLY = re.compile(
    r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])(?!\d)|\d{1,2}/\d{1,2}(?!\d|/)|(?:19"
    r"|20)\d{2}[-./]\d{1,2}(?![\d\-./])"
)
_BIRTH_LABEL = re.compile(r"出生|生日|生于|(?<![A-Za-z])(?:[Bb]irth|BIRTH|DOB|dob|D\.O\.B|[Bb]orn|BORN)")
_SECTION = re.compile(r"(?:version|section|clause|article|chapter|(?<![a-z])v|§|第)\s*\.?\s*$")
_AGE_ENGLISH = re.compile(
    r"(?<![0-9.,/-])(?P<v>[0-9]{2,3})(?=[ -]?(?:year|yr)s?[ -]?old|[ -]?y/?o(?![a-z])|[ ]years of age"
    r"|[ -]?yrs?(?![a-z]))"
    r"|(?:(?<![A-Za-z])(?:[Aa]ged?|AGED?|turn(?:ed|s|ing)?)[ :]{1,3}(?:of[ ])?)(?P<w>[0-9]{2,3})(?![0-9%.,/]"
    r"|[ -]?(?:mg|kg|ml|mm|cm))"
)
_AGE_CHINESE = re.compile(
    r"(?<![0-9.])(?P<v>[0-9]{2,3})(?=[ ]?(?:周岁|岁))|(?:年龄|享年|高龄)[ ]?[:为]?[ ]?(?P<w>[0-9]{2,3})(?![0-9%.])"
)
_AGE_NUMERALS = re.compile(
    "(?P<v>(?:九十[一二三四五六七八九]?|一?百(?:零?[一二三四五六七八九]|一十[一二三四五六七八九]?)?))(?=周?岁)"
)


def dates(view: str) -> Iterator[Span]:
    """Every date; birth dates are a kind of their own."""
    for name, pattern in FORMATS.items():
        if not _worth(name, view):
            continue
        for found in pattern.finditer(view):
            if real(found) and not (name == "numbers" and _numbering(view, found)):
                yield _span(view, found.start(), found.end(), f"date, {name}", _weight(name, found))
    if "年" in view:
        for found in _NUMERALS.finditer(view):
            yield _span(view, found.start(), found.end(), "date, numerals", SHAPE)
    for label in _BIRTH_LABEL.finditer(view):
        for place in range(label.end(), min(len(view), label.end() + 30)):
            if view[place].isdigit():
                only = _BIRTH_ONLY.match(view, place)
                if only and _BIRTH_BEFORE.search(view[max(0, place - 40) : place].lower()):
                    yield Span(place, only.end(), "birth_date", "date of birth by label", CHECKED - 12)
                break


def ages(view: str, from_years: int) -> Iterator[Span]:
    """Ages of `from_years` and more; the span is the number alone."""
    patterns = [_AGE_ENGLISH]
    if "岁" in view or "年龄" in view or "年" in view:
        patterns.append(_AGE_CHINESE)
    for pattern in patterns:
        for found in pattern.finditer(view):
            group = "v" if found["v"] else "w"
            if from_years <= int(found[group]) <= 130:
                yield Span(*found.span(group), "age", "age", CONTEXT)
    if from_years <= 99 and "岁" in view:
        for found in _AGE_NUMERALS.finditer(view):
            yield Span(*found.span("v"), "age", "age in numerals", CONTEXT)


def parse(folded: str) -> tuple[str, re.Match[str]] | None:
    """The format that a found date has, and its parts."""
    for name, pattern in FORMATS.items():
        found = pattern.fullmatch(folded)
        if found and real(found):
            return name, found
    return None


def real(found: re.Match[str]) -> bool:
    """Whether day and month can be ones."""
    parts = found.groupdict()
    if parts.get("a"):
        first, second = int(parts["a"]), int(parts["b"])
        return 1 <= min(first, second) <= 12 and 1 <= max(first, second) <= 31 and min(first, second) > 0
    month = int(parts["m"]) if parts.get("m") else MONTHS[parts["name"].lower()]
    return 1 <= month <= 12 and (not parts.get("d") or 1 <= int(parts["d"]) <= 31)


def _weight(name: str, found: re.Match[str]) -> int:
    """Digits with a year of four among them are a date before they are a telephone number."""
    return CHECKED - 10 if name == "ymd" or (name == "numbers" and len(found["y"]) == 4) else SHAPE + 2


def _worth(name: str, view: str) -> bool:
    """A quick look that spares a pass."""
    return "月" in view if name.startswith("chinese") else True


def _numbering(view: str, found: re.Match[str]) -> bool:
    """10.2.24 and 1-2-03 are sections and parts, unless the year has four digits or slashes stand between."""
    if _SECTION.search(view[max(0, found.start() - 12) : found.start()].lower()):
        return True
    return (
        len(found["y"]) == 2
        and found["s"] != "/"
        and not _BIRTH_BEFORE.search(view[max(0, found.start() - 24) : found.start()].lower())
    )


def _span(view: str, start: int, end: int, rule: str, weight: int) -> Span:
    before = view[max(0, start - 24) : start].lower()
    born = _BIRTH_BEFORE.search(before) or _BIRTH_AFTER.match(view, end)
    return Span(start, end, "birth_date" if born else "date", rule, weight)
