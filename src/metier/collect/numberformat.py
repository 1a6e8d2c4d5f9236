"""Numbers of spreadsheets as the program shows them: 45356 with the format yyyy"年"m"月"d"日" is 2024年3月5日.

Purpose: a cell stores a bare number; whether it is a date, a percentage or an amount stands in its format code
(ECMA-376 part 1, 18.8.31). Codes are followed for dates, times, elapsed times, decimals, thousands, percent, exponents,
literals and the sections for negative and zero.
Trade-off: as on the screen, decimals that the code does not show are gone; `shown` says so, and the reader counts it.
Not covered: fractions (`# ?/?`, written as decimals), conditions in brackets, calendars other than the Gregorian.
"""

from __future__ import annotations

import datetime
import functools
import itertools
import math
import re
from decimal import ROUND_HALF_UP, Context, Decimal

# Built-in codes that files name by number only; 27 to 36 and 50 to 58 are the East Asian dates.
BUILTIN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "General", 13: "General",
    14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm",
    21: "h:mm:ss", 22: "yyyy-mm-dd h:mm", 37: "#,##0;(#,##0)", 38: "#,##0;(#,##0)", 39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;(#,##0.00)", 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0", 49: "@",
    27: 'yyyy"年"m"月"', 28: 'm"月"d"日"', 29: 'm"月"d"日"', 30: "m-d-yy", 31: 'yyyy"年"m"月"d"日"',
    32: 'h"时"mm"分"', 33: 'h"时"mm"分"ss"秒"', 34: 'h"时"mm"分"', 35: 'h"时"mm"分"ss"秒"', 36: 'yyyy"年"m"月"',
    50: 'yyyy"年"m"月"', 51: 'm"月"d"日"', 52: 'yyyy"年"m"月"', 53: 'm"月"d"日"', 54: 'm"月"d"日"',
    55: 'h"时"mm"分"', 56: 'h"时"mm"分"ss"秒"', 57: 'yyyy"年"m"月"', 58: 'm"月"d"日"',
}  # fmt: skip
TOKEN = re.compile(
    r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]|AM/PM|A/P|上午/下午|General|E[+-]|[yY]+|[mM]+|[dD]+|[hH]+|[sS]+|[aA]{3,}|\.|.',
    re.S,
)
LITERAL_SIGNS = re.compile(r"\[\$([^\]-]*)")
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December"]  # fmt: skip
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
DAYS_ZH = "一二三四五六日"
EXACT = Context(prec=700)  # digits: the largest number has 309 before the point, the smallest 324 behind it
LAST_DAY = 2_958_466  # the day after 9999-12-31, the last one that spreadsheets know


def shown(value: float, code: str, date1904: bool = False) -> tuple[str, bool]:
    """(text, whether decimals of the value are not in it)."""
    sections = _sections(code)
    section, magnitude = sections[0], value
    if len(sections) > 1 and value < 0:
        section, magnitude = sections[1], -value
    elif len(sections) > 2 and value == 0:
        section = sections[2]
    tokens = _tokens(section)
    if _is_date(tokens):
        return _date(magnitude, tokens, date1904), False
    return _number(magnitude, tokens)


def general(value: float) -> str:
    """A number without a format: whole ones without a point, others without the noise of binary fractions."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    text = f"{value:.15g}"
    return re.sub(r"e([+-])0*(\d)", r"E\1\2", text)


@functools.cache
def _sections(code: str) -> tuple[str, ...]:
    parts = re.findall(r'(?:"[^"]*"|\\.|\[[^\]]*\]|[^;])+|(?<=;)(?=;)|(?<=;)$', code)
    return tuple(parts) or ("General",)


@functools.cache
def _tokens(section: str) -> tuple[str, ...]:
    return tuple(TOKEN.findall(section))


@functools.cache
def _is_date(tokens: tuple[str, ...]) -> bool:
    return any(re.fullmatch(r"[yYmMdDhHsS]+|[aA]{3,}|\[[hms]+\]", token, re.I) for token in tokens)


def _number(value: float, tokens: tuple[str, ...]) -> tuple[str, bool]:
    if "General" in tokens or not any(token in "0#?@" for token in tokens):
        if "General" not in tokens and tokens:  # literals only, such as "-" for zero
            text = "".join(_literal(token) for token in tokens)
            return (text.strip() or general(value), False)
        text = "".join(general(value) if token == "General" else _literal(token) for token in tokens)
        return text.strip() or general(value), False
    if "@" in tokens or "/" in tokens:
        return general(value), False
    percent = 100 ** tokens.count("%")
    point = tokens.index(".") if "." in tokens else len(tokens)
    exponent = next((at for at, token in enumerate(tokens) if token in ("E+", "E-")), len(tokens))
    decimals = sum(token in "0#?" for token in tokens[point:exponent])
    optional = sum(token in "#?" for token in tokens[point:exponent])
    whole = [at for at, token in enumerate(tokens[: min(point, exponent)]) if token in "0#?"]
    last = max(at for at, token in enumerate(tokens[:exponent]) if token in "0#?.")
    thousands = bool(whole) and "," in tokens[whole[0] : whole[-1]]
    scale = 1000 ** len(list(itertools.takewhile(lambda token: token == ",", tokens[last + 1 :])))
    number = Decimal(repr(abs(value))) * percent / scale
    if exponent < len(tokens):
        return f"{'-' if value < 0 else ''}{float(number):.{decimals}E}", _cut(value, f"{float(number):.{decimals}E}")
    rounded = number.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP, context=EXACT)
    digits = f"{rounded:f}"
    if optional and "." in digits:
        kept = digits.rstrip("0")
        digits = kept if len(digits) - len(kept) <= optional else digits[: len(digits) - optional]
        digits = digits.rstrip(".")
    head, _, tail = digits.partition(".")
    minimum = sum(tokens[at] == "0" for at in whole)
    head = head.zfill(minimum) if minimum else head.lstrip("0")
    if thousands:
        head = re.sub(r"(?<=\d)(?=(\d{3})+$)", ",", head)
    body = head + ("." + tail if tail else "")
    sign = "-" if value < 0 and rounded else ""
    first = next((at for at, token in enumerate(tokens) if token in "0#?."), 0)
    places = [at for at, token in enumerate(tokens) if token in "0#?.,"]
    before = "".join(_literal(token) for token in tokens[:first])
    after = "".join(_literal(token) for token in tokens[max(places, default=0) + 1 :])
    cut = abs(rounded - number) > abs(number) * Decimal("1e-12")
    return f"{sign}{before}{body}{after}".strip(), bool(cut)


def _cut(value: float, text: str) -> bool:
    return abs(float(text) - abs(value)) > abs(value) * 1e-12


def _literal(token: str) -> str:
    """What a token that is no digit adds: quoted and escaped text, currency signs, plain characters."""
    if token.startswith('"'):
        return token[1:-1]
    if token.startswith("\\"):
        return token[1:]
    if token.startswith("["):
        found = LITERAL_SIGNS.match(token)
        return found.group(1) if found else ""
    return "" if token[:1] in "_*" and len(token) == 2 else " " if token == "?" else token


def _date(value: float, tokens: tuple[str, ...], date1904: bool) -> str:
    """A serial number as date or time; one that is none (negative, too large) stays a number."""
    days = value + 1462 if date1904 else value
    if not 0 <= days < LAST_DAY:
        return general(value)
    decimals = next((len(m.group(1)) for m in [re.search(r"\.(0+)", "".join(tokens))] if m), 0)
    seconds = round(days * 86_400, decimals)
    day, rest = divmod(seconds, 86_400)
    # Serial 60 is 1900-02-29, which never was: before it counts from 1899-12-31, after it from the day before.
    base = datetime.date(1899, 12, 31) if day < 60 else datetime.date(1899, 12, 30)
    date = base + datetime.timedelta(days=int(day))
    half = any(token in ("AM/PM", "A/P", "上午/下午") for token in tokens)
    hour, minute, second = int(rest // 3600), int(rest // 60 % 60), rest % 60
    out: list[str] = []
    for at, token in enumerate(tokens):
        low = token.lower()
        if low in ("[h]", "[hh]"):
            out.append(str(int(seconds // 3600)))
        elif low in ("[m]", "[mm]"):
            out.append(str(int(seconds // 60)))
        elif low in ("[s]", "[ss]"):
            out.append(str(int(seconds)))
        elif token in ("AM/PM", "A/P"):
            out.append(("PM" if hour >= 12 else "AM")[: 2 if token == "AM/PM" else 1])
        elif token == "上午/下午":
            out.append("下午" if hour >= 12 else "上午")
        elif low[0] == "y" and low.strip("y") == "":
            out.append(f"{date.year % 100:02d}" if len(low) <= 2 else f"{date.year:04d}")
        elif low.strip("m") == "":
            out.append(f"{minute:0{min(len(low), 2)}d}" if _minutes(tokens, at) else _month(date, len(low)))
        elif low.strip("d") == "":
            out.append(_day(date, len(low)))
        elif low.strip("a") == "" and len(low) >= 3:
            out.append(("星期" if len(low) > 3 else "") + DAYS_ZH[date.weekday()])
        elif low.strip("h") == "":
            out.append(f"{(hour - 1) % 12 + 1 if half else hour:0{min(len(low), 2)}d}")
        elif low.strip("s") == "":
            out.append(f"{second:0{3 + decimals if decimals else len(low)}.{decimals}f}" if decimals
                       else f"{int(second):0{min(len(low), 2)}d}")  # fmt: skip
        elif (token == "." and decimals) or token == "0":
            continue
        else:
            out.append(_literal(token))
    return "".join(out).strip()


def _minutes(tokens: tuple[str, ...], at: int) -> bool:
    """Whether an m means minutes: after hours, or before seconds."""
    clock = [token.lower().strip("[]") for token in tokens]
    before = next((token for token in reversed(clock[:at]) if token and token.strip("ymdhs") == ""), "")
    after = next((token for token in clock[at + 1 :] if token and token.strip("ymdhs") == ""), "")
    return before.startswith("h") or after.startswith("s")


def _month(date: datetime.date, length: int) -> str:
    name = MONTHS[date.month - 1]
    return {1: str(date.month), 2: f"{date.month:02d}", 3: name[:3], 4: name}.get(length, name[0])


def _day(date: datetime.date, length: int) -> str:
    name = DAYS[date.weekday()]
    return {1: str(date.day), 2: f"{date.day:02d}", 3: name[:3]}.get(length, name)
