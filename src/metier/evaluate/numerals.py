"""The numbers in an answer: what they are worth, whichever way English and Chinese write them.

Purpose: 1,234.5 and 一千二百三十四点五, $3.5 million, 3.5%, 百分之三点五, 1.2亿, 3亿5千万, (1,234) become values that
can be compared. A value is in the base of its dimension: shares as 0.035, masses in grams; currencies are
told apart and not converted. Small number words that mostly say something else ("one", 一个, 十分, 万一) are no numbers
unless they are the whole answer.
Trade-off: rules and a table (numerals.yaml), so what is read can be said; an amount in the words of a whole sentence
("a loss of 5") has no sign.
Not covered: decimal commas (3,5 is two numbers), fractions (3/4 is 3 and 4), dates as dates, Roman numerals.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

_NUMERALS = ("零〇", "一壹", "二贰两", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖")
_DIGITS = {sign: value for value, signs in enumerate(_NUMERALS) for sign in signs}
_PLACES = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000, "万": 10**4, "亿": 10**8}
_MARKER = re.compile(r"(?m)^[ \t]*\d{1,2}(?:[.)]|、)(?=[ \t]*[^\s\d])")  # of a list, at the beginning of its line
_FIGURES = re.compile(r"[\d\s.,;()$€£¥%+-]*")
_CHAPTERS = "条章款项节编页季期届批次名级"  # behind 第一, 第二, 第三, which else say "firstly" or "third party"


@dataclass(frozen=True)
class Number:
    """value: with sign, scale and unit. written: size of what is 1 in it (1e6 for "3.5 million", 0.01 for "3.5%").

    dimension: "share", "mass", "CNY", ...; "" where nothing says. unit: size of the unit written (0.001 for mg). bare:
    neither scale nor share was written.
    """

    value: float
    written: float = 1.0
    dimension: str = ""
    bare: bool = True
    unit: float = 1.0


@lru_cache(1 << 16)  # the answers of every model are looked at by several metrics
def read(text: str) -> tuple[Number, ...]:
    """All numbers of a text, in order."""
    return tuple(number for number, _, _ in _placed(_plain(text)))


@lru_cache(1 << 12)
def scales(question: str) -> tuple[float, ...]:
    """The sizes that a question asks in: 1e6 for "in millions" or (单位：百万元), 0.01 for "what percentage"."""
    plain = re.sub(r"(?<=hundred|million|billion)s\b|(?<=thousand|trillion)s\b", "", _plain(question).casefold())
    found = [_table()["shares"]["%"]] if re.search(r"percent|百分比|百分之|比例|占比|%", plain) else []
    english = re.findall(rf"\bin (?:[a-z$]+ )?({'|'.join(_english())})\b", plain)
    chinese = re.findall(rf"(?:单位[:：]?|以|多少个?|几)(?:人民币)?({_either('scales', False)})", plain)
    return tuple(dict.fromkeys([*found, *(float(_table()["scales"][word]) for word in (*english, *chinese))]))


def same(answer: Number, gold: Number, asked: tuple[float, ...], relative: float, absolute: float) -> bool:
    """Whether two numbers are one within a tolerance.

    relative: share of the gold value. absolute: in the size in which the gold number is written (0.1 of 3.5 million is
    a hundred thousand). asked: sizes that the question asks in; a bare number may be in any of them.
    """
    if answer.dimension and gold.dimension and answer.dimension != gold.dimension:
        return False
    if not (answer.dimension and gold.dimension):  # a bare 5 may be 5 mg
        answer, gold = (replace(one, value=one.value / one.unit, written=one.written / one.unit)
                        for one in (answer, gold))  # fmt: skip
    for own in (1.0, *(asked if answer.bare else ())):
        for right in (1.0, *(asked if gold.bare else ())):
            value, wanted = answer.value * own, gold.value * right
            room = max(relative * abs(wanted), absolute * gold.written * right, 1e-12 * abs(wanted))
            if abs(value - wanted) <= room:
                return True
    return False


@cache
def _table() -> dict[str, Any]:
    import yaml

    return dict(yaml.safe_load(Path(__file__).with_name("numerals.yaml").read_text(encoding="utf-8")))


@cache
def _english() -> tuple[str, ...]:
    return tuple(word for word in _table()["scales"] if word.isascii())


@cache
def _either(name: str, ends: bool = True) -> str:
    """A pattern for any word of a part of the table, the longest first; a Latin word ends where letters end."""
    words = sorted(_table()[name], key=len, reverse=True)
    return "|".join(re.escape(word) + (r"(?![A-Za-z])" if ends and word[-1].isascii() and word[-1].isalpha() else "")
                    for word in words)  # fmt: skip


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    digits, places = "".join(_DIGITS), "".join(_PLACES)
    numerals, english = "|".join(_table()["numerals"]), "|".join(_english())
    one = rf"(?:{numerals}|hundred|thousand|million|billion|trillion)"
    written = (
        r"(?:\d{1,3}(?:,\d{3})+|\d{1,2}(?:,\d{2})+,\d{3})(?![\d,]*\d)(?:\.\d+)?|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\.\d+"
    )
    arabic = (rf"(?P<sign>(?<![\w)])[-+])?(?:(?<![A-Za-z])(?P<money>{_either('currencies', False)})\s?(?P<inner>[-+])?"
              rf"|(?<![A-Za-z0-9_.])|(?<=[A-Za-z]-))(?P<arabic>{written})")  # fmt: skip
    chinese = rf"(?P<chinese>[{digits}{places}]+(?:点[{digits}]+[{places}]*)?)"
    word = rf"(?<![A-Za-z-])(?P<word>(?:{numerals})(?:(?:[ -]|\sand\s){one})*)(?![A-Za-z])"
    before = r"(?P<before>负|零下|(?:minus|negative)\s)?(?P<part>百分之|千分之)?"
    return {
        "number": re.compile(rf"{before}(?:{arabic}|{chinese}|{word})", re.IGNORECASE),
        "share": re.compile(rf"\s?(?:{_either('shares')})", re.IGNORECASE),
        "scale": re.compile(rf"\s?(?P<scale>{_either('scales')}|(?<=\d)k(?![A-Za-z]))", re.IGNORECASE),
        "unit": re.compile(rf"[\s-]?(?P<unit>{_either('units')})"),
        "money": re.compile(rf"\s?(?P<money>{_either('currencies')})", re.IGNORECASE),
        "rest": re.compile(rf"(\d+(?:\.\d+)?)({_either('scales')})"),
        "words": re.compile(rf"{numerals}|{english}", re.IGNORECASE),
    }  # fmt: skip


def _plain(text: str) -> str:
    """Full-width signs as usual ones, but for the Chinese comma, which groups no digits; list markers taken out."""
    text = unicodedata.normalize("NFKC", text.replace("，", "、")).replace("\u2212", "-").replace("億", "亿")
    text = text.replace("萬", "万").replace("點", "点")
    return _MARKER.sub(lambda found: " " * len(found[0]), text) if len(_MARKER.findall(text)) > 1 else text


def _placed(text: str) -> list[tuple[Number, int, int]]:
    """The numbers of a plain text with the places of their first and behind their last character."""
    found: list[tuple[Number, int, int]] = []
    at = 0
    while (hit := _patterns()["number"].search(text, at)) is not None:
        whole = not text[: hit.start()].strip()
        number, end = _number(hit, text, whole)
        if number is None:
            at = max(hit.end(), hit.start() + 1)
            continue
        if _accounting(text, hit, end, found):
            number, end = replace(number, value=-number.value), end + 1
        found.append((number, hit.start(), end))
        at = end
    return found


def _number(hit: re.Match[str], text: str, whole: bool) -> tuple[Number | None, int]:
    """The number of a hit, None where its words say something else, and where it ends with scale and unit."""
    end, patterns = hit.end(), _patterns()
    if hit["arabic"]:
        value = float(hit["arabic"].replace(",", ""))
    elif hit["chinese"]:
        if not hit["part"] and not _counts(hit["chinese"], text[: hit.start("chinese")], text[end:], whole):
            return None, end
        value = _chinese(hit["chinese"])
    else:
        value = _words(hit["word"])
        alone = hit["word"].casefold() in ("one", "zero")
        if alone and not (whole and not text[end:].strip(" .!")) and not patterns["share"].match(text, end):
            return None, end
    if hit["before"] or "-" in (hit["sign"], hit["inner"]):
        value = -value
    written, dimension = 1.0, ""
    if hit["part"]:
        written, dimension = (0.01 if hit["part"] == "百分之" else 0.001), "share"
    elif share := patterns["share"].match(text, end):
        written, dimension, end = _table()["shares"][" ".join(share[0].casefold().split())], "share", share.end()
    else:
        return _measured(value, hit, text, end)
    return Number(value * written, written, dimension, False), end


def _measured(value: float, hit: re.Match[str], text: str, end: int) -> tuple[Number, int]:
    """A number with the scale, the unit or the currency that stands behind it, or the currency before it."""
    table, patterns = _table(), _patterns()
    written, dimension, bare, size = 1.0, "", True, 1.0
    unit, scale = patterns["unit"].match(text, end), patterns["scale"].match(text, end)
    if scale and not (unit and len(unit["unit"]) > len(scale["scale"])):
        word = scale["scale"].casefold()
        written, bare, end = float(table["scales"].get(word, 1000)), False, scale.end()
        value *= written
        smallest = written
        while (rest := patterns["rest"].match(text, end)) and float(table["scales"][rest[2]]) < smallest:
            smallest = float(table["scales"][rest[2]])
            value += (-1 if value < 0 else 1) * float(rest[1]) * smallest
            end = rest.end()
        unit = patterns["unit"].match(text, end)
    if unit:
        dimension, size = table["units"][unit["unit"]]
        value, written, end = value * size, written * size, unit.end()
    elif money := patterns["money"].match(text, end):
        dimension, end = table["currencies"][_named(money["money"])], money.end()
    if hit["money"]:
        dimension = table["currencies"][_named(hit["money"])]
    return Number(value, written, dimension, bare, size), end


def _named(word: str) -> str:
    """A currency as the table has it."""
    known = _table()["currencies"]
    return word if word in known else word.upper() if word.upper() in known else word.casefold()


def _accounting(text: str, hit: re.Match[str], end: int, before: list[tuple[Number, int, int]]) -> bool:
    """(1,234): a number alone in brackets is negative where it looks like an amount, or where figures are all there is.

    Not after another number, which it then says again: "5 (3.2)".
    """
    if text[hit.start() - 1 : hit.start()] != "(" or text[end : end + 1] != ")" or not hit["arabic"]:
        return False
    if before and not text[before[-1][2] : hit.start() - 1].strip() and not _FIGURES.fullmatch(text):
        return False
    amount = text[hit.end() : end].strip() == "" and ("," in hit["arabic"] or "." in hit["arabic"])
    alone = not (text[: hit.start() - 1] + text[end + 1 :]).strip(" .")
    return alone or bool(_FIGURES.fullmatch(text)) or amount


def _counts(run: str, before: str, after: str, whole: bool) -> bool:
    """Whether a run of Chinese numerals says a number here: 三十五 and 三家 do, 一般, 十分重要 and 万一 do not."""
    counted = after[:1] in _table()["counters"] if after else False
    if whole and (not after.strip(" 。.") or (counted and not after[1:].strip(" 。."))):
        return True
    digits = [sign for sign in run if sign in _DIGITS]
    if "点" in run:
        return bool(digits) and run[0] != "点"
    if not digits:  # places alone: 十年, 千万元
        return counted and not after.startswith(("分重", "分之", "分点", "分比")) and (
            run != "十" or not after.startswith("分") or after.startswith("分钟"))  # fmt: skip
    if len(run) > 1 and run[0] in "百千万亿":
        return False
    if len(digits) < len(run):
        return True
    if len(run) > 2 or (len(run) == 2 and (set(run) & set("零〇"))):
        return True
    if before.endswith("第"):
        return run not in ("一", "二", "三") or after[:1] in _CHAPTERS
    return counted and run not in ("一", "零", "〇")


def _chinese(run: str) -> float:
    """三千五百万 -> 35,000,000; 二〇一九 -> 2019; 三点五亿 -> 350,000,000."""
    if "点" in run:
        front, back = run.split("点", 1)
        places = [_PLACES[sign] for sign in back if sign in _PLACES]
        after = "".join(str(_DIGITS[sign]) for sign in back if sign in _DIGITS)
        value = float(f"{int(_chinese(front)) if front else 0}.{after}")
        for place in places:
            value *= place
        return value
    if not any(sign in _PLACES for sign in run):
        return float("".join(str(_DIGITS[sign]) for sign in run))
    total = section = digit = 0
    for sign in run:
        if sign in _DIGITS:
            digit = _DIGITS[sign]
        elif _PLACES[sign] < 10**4:
            section, digit = section + (digit or 1) * _PLACES[sign], 0
        elif _PLACES[sign] == 10**8 or not total or section + digit:
            if _PLACES[sign] == 10**8:
                total, section, digit = (total + section + digit or 1) * 10**8, 0, 0
            else:
                total, section, digit = total + (section + digit or 1) * 10**4, 0, 0
        else:
            total, section, digit = total * 10**4, 0, 0
    return float(total + section + digit)


def _words(run: str) -> float:
    """ "two hundred and five thousand" -> 205,000."""
    total = current = 0.0
    for word in _patterns()["words"].findall(run.casefold()):
        if word in _table()["numerals"]:
            current += _table()["numerals"][word]
        elif word == "hundred":
            current = (current or 1) * 100
        else:
            total, current = total + (current or 1) * float(_table()["scales"][word]), 0.0
    return total + current
