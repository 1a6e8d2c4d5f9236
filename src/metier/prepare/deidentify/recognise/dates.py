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
    r"(?:出生(?:日期|年月日?|时间)?|生日|(?<![发产])生于|birth ?(?:day|date)?|date of birth|(?<![a-z])d\.?o\.?b\.?"
    r"|(?<![a-z])born(?: on| in)?)"
    r"(?:\s*(?:[:=为是于]|is|was|on|in|it'?s|coming up|falls|[.)]))*\s*$"
)
_BIRTH_AFTER = re.compile(r"\s?(?:出生|生(?![产活物效命意前])|生人)")
_BIRTH_ONLY = re.compile(
    r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])(?!\d)|\d{1,2}/\d{1,2}(?!\d|/)|(?:19|20)\d{2}[-./]\d{1,2}(?![\d\-./])"
)
_SECTION = re.compile(r"(?:version|section|clause|article|chapter|(?<![a-z])v|§|第)\s*\.?\s*$")
_AGE_AFTER = re.compile(
    r"[ ]?(?:周岁|岁)|[ -]?(?:year|yr)s?[ -]?old|[ -]?y/?o(?![a-z])|[ ]years of age|[ -]?yrs?(?![a-z])"
)
_AGE_BEFORE = re.compile(
    r"(?:(?<![A-Za-z])(?:[Aa]ged?|AGED?|[Tt]urn(?:ed|s|ing)?)[ :]{1,3}(?:of[ ])?|(?:年龄|享年|高龄)[ ]?[:为]?[ ]?)$"
)
_NO_AGE = re.compile(r"[0-9%.,/]|[ -]?(?:mg|kg|ml|mm|cm)")
_AGE_NUMERALS = re.compile(
    "(?P<v>(?:九十[一二三四五六七八九]?|一?百(?:零?[一二三四五六七八九]|一十[一二三四五六七八九]?)?))(?=周?岁)"
)
_LONGEST_MONTH = max(map(len, MONTHS))


def at(view: str, place: int, size: int) -> Iterator[Span]:
    """Dates whose first digit run, of `size` digits, is at `place`; those with a month's name before it too."""
    if size > 2 and size not in (4, 8):
        return
    following = view[place + size : place + size + 1]
    start = _month_before(view, place)
    names: tuple[str, ...] = ()
    if start >= 0:
        names = ("month day",) if size <= 2 else ("month year",)
    elif size == 4:
        names = ("ymd",) if following in "-/." else ("chinese",) if following in " 年" else ()
    elif size <= 2:
        names = _SHORT.get(following, ("day month",) if following.isalpha() else ())
    for name in names:
        found = FORMATS[name].match(view, start if start >= 0 else place)
        if found and real(found) and not (name == "numbers" and _numbering(view, found)):
            yield _span(view, found.start(), found.end(), f"date, {name}", _weight(name, found))
    if size == 8 or following in ("/", "-", "."):
        only = _BIRTH_ONLY.match(view, place)
        if only and _BIRTH_BEFORE.search(view[max(0, place - 40) : place].lower()):
            yield Span(place, only.end(), "birth_date", "date of birth by label", CHECKED - 12)


_SHORT = {
    "年": ("chinese",), "月": ("chinese, no year",), "/": ("numbers",), ".": ("numbers",),
    "-": ("numbers", "day month"),
    " ": ("day month", "chinese", "chinese, no year"),
}  # fmt: skip


def age_at(view: str, place: int, size: int, from_years: int) -> Iterator[Span]:
    """The age at a digit run, if it is one of `from_years` and more; the span is the number alone."""
    if 2 <= size <= 3 and from_years <= int(view[place : place + size]) <= 130:
        named = _AGE_AFTER.match(view, place + size)
        labelled = _AGE_BEFORE.search(view, max(0, place - 14), place) and not _NO_AGE.match(view, place + size)
        part = place >= 2 and view[place - 1] in ".,/" and view[place - 2].isdigit()  # 1,095 years
        if (named or labelled) and not part:
            yield Span(place, place + size, "age", "age", CONTEXT)


def numerals(view: str, from_years: int) -> Iterator[Span]:
    """Dates and ages in Chinese numerals."""
    if "年" in view:
        for found in _NUMERALS.finditer(view):
            yield _span(view, found.start(), found.end(), "date, numerals", SHAPE)
    if from_years <= 99 and "岁" in view:
        for found in _AGE_NUMERALS.finditer(view):
            yield Span(*found.span("v"), "age", "age in numerals", CONTEXT)


def _month_before(view: str, place: int) -> int:
    """Where the name of a month right before a number begins; -1 without one."""
    end = place
    while end > 0 and place - end < 3 and view[end - 1] in " -,.":
        end -= 1
    if end == place or end == 0 or not view[end - 1].isalpha():
        return -1
    start = end
    while start > 0 and end - start <= _LONGEST_MONTH and view[start - 1].isalpha() and view[start - 1].isascii():
        start -= 1
    return start if view[start:end].lower() in MONTHS else -1


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
    if parts.get("name") in ("may", "march", "mar") and not parts.get("y"):
        return False  # type 1 may have
    month = int(parts["m"]) if parts.get("m") else MONTHS[parts["name"].lower()]
    return 1 <= month <= 12 and (not parts.get("d") or 1 <= int(parts["d"]) <= 31)


def _weight(name: str, found: re.Match[str]) -> int:
    """Digits with a year of four among them are a date before they are a telephone number."""
    return CHECKED - 10 if name == "ymd" or (name == "numbers" and len(found["y"]) == 4) else SHAPE + 2


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
