"""Find numbers, codes and dates: one pass over the digits of a text, every rule tried where it can begin.

Purpose: megabytes a second in plain Python, and no pattern that can run away: each is anchored at a place and bounded
in length, so the work at one place is bounded too.
Trade-off: identifiers without any digit, `@` or colon are not seen here (names and addresses have passes of their own).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from metier.prepare.deidentify.recognise import china, dates, english, europe, general
from metier.prepare.deidentify.recognise.folding import compact
from metier.prepare.deidentify.recognise.labels import Surrounding
from metier.prepare.deidentify.recognise.rule import CHECKED, LABELLED, SHAPE, Rule, Span

RULES: tuple[Rule, ...] = (*china.RULES, *english.RULES, *europe.RULES, *general.RULES)
LONGEST = 20  # digits; longer runs are treated alike
_PLACES = re.compile("[0-9]+|[@:]")
_FOLLOWING = frozenset(char for rule in RULES for char in rule.then)  # all others are alike
_ALNUM = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
# The value beside a label that has no shape of its own: letters and digits, groups only of digits.
_VALUE = re.compile(r"[A-Za-z0-9]{1,40}(?:[-_/.][A-Za-z0-9]{1,40}|[ ][0-9]{2,40}(?![0-9]*[-/.年月:])){0,6}")
_OTHERWISE = {"sign": "digit", "pair": "token"}  # where a rule begins that does not begin there
_VALUED = frozenset({
    "passport", "permit", "driving_licence", "licence", "national_id", "tax_id", "company_id", "medical_record",
    "insurance", "account", "person_number", "plate", "case_number", "social",
})  # fmt: skip
_PLAIN_PHONE = re.compile("[0-9]{6,15}(?![0-9A-Za-z])")
_YEAR = re.compile("(?:19|20)[0-9]{2}")
_POSTCODE = re.compile(r"[A-Za-z]{0,2}[0-9][0-9A-Za-z]{1,9}(?:[ -][0-9][0-9A-Za-z]{1,3})?")
_USERNAME = re.compile(r"(?<![A-Za-z])(?:[Uu]ser ?[Nn]ame|[Ll]ogin|[Hh]andle|[Ss]creen name|[Ss]kype|[Tt]elegram"
                       r"|[Ii]nstagram|[Tt]witter)"
                       r"(?:[ ]?(?:ID|id|name))?(?:[ ]?(?:is"
                       r"|:))[ ]?@?(?P<v>[A-Za-z][-_.A-Za-z0-9]{1,30}[A-Za-z0-9])(?![A-Za-z0-9@])")  # fmt: skip
_SOCIAL = re.compile(r"(?:微信号?|[Ww]e[Cc]hat|微博|抖音号?|(?<![A-Za-z])(?:vx|VX|wx|WX|V信|v信))[ ]?(?:号码?|ID"
                     r"|id)?[ ]?[:是为]?[ ]{0,2}"
                     r"(?P<v>[A-Za-z][-_A-Za-z0-9]{5,19})(?![A-Za-z0-9])")  # fmt: skip


_SOCIAL_MARKS = ("微信", "微博", "抖音", "hat", "vx", "VX", "wx", "WX", "V信", "v信")
_USERNAME_MARKS = ("ame", "ogin", "andle", "kype", "elegram", "nstagram", "witter")


def numbers(view: str, ages_from: int = 90) -> Iterator[Span]:
    """Every number, code, date and age in a folded text; they may overlap."""
    last_token, url_end = -1, 0
    for found in _PLACES.finditer(view):
        place = found.start()
        char = view[place]
        if char == "@":
            span = general.mail_at(view, place) or general.handle_at(view, place)
        elif char == ":":
            span = general.at_colon(view, place) if place >= url_end else None
            if span and span.kind == "url":
                url_end = span.end
        else:
            token = _token(view, place)
            yield from _at_digits(view, place, found.end() - place, token, token != last_token)
            yield from dates.at(view, place, found.end() - place)
            yield from dates.age_at(view, place, found.end() - place, ages_from)
            last_token = token
            continue
        if span:
            yield span
    if "www" in view:
        yield from general.www(view)
    for pattern, marks in ((_SOCIAL, _SOCIAL_MARKS), (_USERNAME, _USERNAME_MARKS)):
        if any(mark in view for mark in marks):
            for named in pattern.finditer(view):
                yield Span(*named.span("v"), "social", "social by label", LABELLED)


@lru_cache(maxsize=4096)
def _fitting(size: int, following: str, lead: bool) -> tuple[Rule, ...]:
    """The rules that can begin at a digit run of this length, before this character, with or without letters before."""
    return tuple(
        rule
        for rule in RULES
        if rule.runs[0] <= size <= rule.runs[1]
        and (not rule.then or following in rule.then)
        and (lead or not rule.lead)
    )


def _token(view: str, place: int) -> int:
    """Where the letters and digits around a place begin; at most 40 characters back."""
    start, floor = place, max(0, place - 40)
    while start > floor and view[start - 1] in _ALNUM:
        start -= 1
    return start


def _at_digits(view: str, place: int, size: int, token: int, fresh: bool) -> Iterator[Span]:
    """Rules and labels at one digit run. fresh: the token that it belongs to has not been tried yet."""
    starts: dict[str, int] = {"digit": place}
    pair = token
    if fresh:
        starts["token"] = token
        starts["pair"] = pair = _pair(view, token)
    around = Surrounding(view, token)
    following = view[place + size : place + size + 1]
    for rule in _fitting(min(size, LONGEST), following if following in _FOLLOWING else "~", pair < place):
        start = starts.get(rule.at, -1)
        if start < 0 and rule.at in _STARTS:
            start = starts[rule.at] = _STARTS[rule.at](view, place)
        if start < 0:
            continue
        found = rule.pattern.match(view, start)
        if found is None and start < starts.get(_OTHERWISE.get(rule.at, ""), -1):
            found = rule.pattern.match(view, starts[_OTHERWISE[rule.at]])  # the bracket or word is not the number's
        if found is None:
            continue
        begin, end = found.span("v") if "v" in rule.pattern.groupindex else found.span()
        if rule.check is not None and not rule.check(compact(view[begin:end])):
            continue
        if rule.context and not _named(rule, around, end):
            continue
        if rule.guarded and around.other:
            continue
        weight = rule.weight
        if weight < CHECKED and around.kind != rule.kind and (around.kind in _VALUED or around.kind == "phone"):
            weight = min(weight, SHAPE + 5)  # the label names another kind of number
        yield Span(begin, end, rule.kind, rule.name, weight)
    if fresh and place - token <= 8 and (size > 2 or place > token or following in "-_/. "):
        lead = _lead(view, token)
        span = _labelled(view, lead, Surrounding(view, lead) if lead < token else around)
        if span is None and place > token:
            span = _glued(view, place)
        if span:
            yield span


def _named(rule: Rule, around: Surrounding, end: int) -> bool:
    return around.phone(end) if rule.kind == "phone" else around.kind == rule.kind


def _glued(view: str, place: int) -> Span | None:
    """A number whose label is part of its token: MRN123456, tel13800138000."""
    around = Surrounding(view, place)
    if around.kind != "phone":
        return _labelled(view, place, around)
    found = _PLAIN_PHONE.match(view, place)
    return Span(*found.span(), "phone", "phone by label", LABELLED) if found else None


def _labelled(view: str, token: int, around: Surrounding) -> Span | None:
    """Whatever follows a label for numbers without a shape."""
    found = _VALUE.match(view, token)
    if found is None:
        return None
    value = found.group()
    digits = sum(char.isdigit() for char in value)
    if digits < 3 or len(value) > 40 or _YEAR.fullmatch(value):
        return None
    if around.kind == "postcode":
        found = _POSTCODE.match(view, token)
    elif around.kind not in _VALUED or len(compact(value)) < 4:
        return None
    name = "postcode by label" if around.kind == "postcode" else "by label"
    return Span(token, found.end(), around.kind, name, LABELLED) if found else None


def _pair(view: str, token: int) -> int:
    """The two or three letters before a token and a space, as in `AB 12 34 56 C` or `DE 123456789`."""
    if token < 3 or view[token - 1] not in " -" or view[token - 2] not in _LETTERS:
        return token
    start = _token(view, token - 1)
    return start if 1 <= token - 1 - start <= 3 else token


def _lead(view: str, token: int) -> int:
    """Where the letters joined by a hyphen before a token begin, as in `ABC-123456`; the token itself without them."""
    if token < 2 or view[token - 1] not in "-_/" or view[token - 2] not in _LETTERS:
        return token
    start = _token(view, token - 1)
    return start if token - 1 - start <= 8 and view[start:token].strip("-_/").isalpha() else token


def _sign(view: str, place: int) -> int:
    """Where a telephone number with its + and brackets begins."""
    start = place
    while start > 0 and place - start < 3 and view[start - 1] in "+(":
        start -= 1
    return start


def _plate(view: str, place: int) -> int:
    """The province sign of a plate, at most 5 characters before its first digit."""
    for start in range(place - 1, max(-1, place - 7), -1):
        if view[start] in china.PROVINCE_SIGNS:
            return start
    return -2


def _state(view: str, place: int) -> int:
    """The two capitals of a state before a ZIP code."""
    start = place - 1
    while start > 0 and place - start < 3 and view[start] in " ,":
        start -= 1
    return start - 1 if start > 0 and view[start].isupper() and start < place - 1 else -2


_STARTS = {"sign": _sign, "plate": _plate, "state": _state}
