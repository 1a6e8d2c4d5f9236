"""The numbers that Word draws before its paragraphs: 3.2.1, (a), 第四条, as they stand on paper.

Purpose: the clauses of a contract are numbered by the program, not in the text; who reads "see clause 7.3" needs them.
Levels, restarts and styles are followed as Word does; a bullet becomes "- ".
Trade-off: one counter a list definition, which is Word's own rule. Not covered: number formats of scripts other than
Latin and Chinese (they are written in decimals), pictures as bullets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from metier.collect.package import Package, child, get, inside, local

LETTERS = "abcdefghijklmnopqrstuvwxyz"
ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
         (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
# Chinese counting: digits, then the words for ten, hundred, thousand and ten thousand.
CHINESE = {
    "chineseCounting": "〇一二三四五六七八九十百千万", "chineseCountingThousand": "零一二三四五六七八九十百千万",
    "japaneseCounting": "〇一二三四五六七八九十百千万", "taiwaneseCounting": "〇一二三四五六七八九十百千萬",
    "taiwaneseCountingThousand": "零一二三四五六七八九十百千萬",
    "chineseLegalSimplified": "零壹贰叁肆伍陆柒捌玖拾佰仟萬",
    "ideographLegalTraditional": "零壹貳參肆伍陸柒捌玖拾佰仟萬",
}  # fmt: skip
DIGITS = {"ideographDigital": "〇一二三四五六七八九", "taiwaneseDigital": "〇一二三四五六七八九",
          "japaneseDigitalTenThousand": "〇一二三四五六七八九"}  # fmt: skip
SERIES = {"ideographTraditional": "甲乙丙丁戊己庚辛壬癸", "ideographZodiac": "子丑寅卯辰巳午未申酉戌亥",
          "decimalEnclosedCircle": "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳",
          "decimalEnclosedCircleChinese": "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳",
          "ideographEnclosedCircle": "㊀㊁㊂㊃㊄㊅㊆㊇㊈㊉"}  # fmt: skip


@dataclass
class Level:
    """One level of a list. text: such as "%1.%2"; legal: all numbers in decimals whatever their levels say."""

    start: int = 1
    form: str = "decimal"
    text: str = ""
    legal: bool = False
    restart: int = -1
    """Level (from 1) whose advance restarts this one; -1: any outer one; 0: none."""


@dataclass
class Lists:
    """The list definitions of a document and the counters while it is walked."""

    levels: dict[str, dict[int, Level]] = field(default_factory=dict)
    """Number id -> its levels."""
    families: dict[str, str] = field(default_factory=dict)
    """Number id -> the definition whose counters it shares."""
    restarts: dict[str, dict[int, int]] = field(default_factory=dict)
    """Number id -> level -> start, used at the first item of that id."""
    styles: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Paragraph style -> (number id, level)."""
    counters: dict[str, dict[int, int]] = field(default_factory=dict)

    def label(self, paragraph: Any) -> str:
        """What stands before the paragraph, with the space after it; "" for none. Advances the counters."""
        place = self._place(paragraph)
        if place is None:
            return ""
        number, depth = place
        level = self.levels.get(number, {}).get(depth)
        if level is None:
            return "  " * depth + "- "
        if level.form == "bullet":
            return "  " * depth + "- "
        values = self._advance(number, depth)
        if level.form == "none" and "%" not in level.text:
            return f"{level.text} " if level.text else ""

        def shown(match: re.Match[str]) -> str:
            at = int(match.group(1)) - 1
            form = "decimal" if level.legal else self.levels[number].get(at, Level()).form
            return write_number(values.get(at, 1), form)

        text = re.sub(r"%([1-9])", shown, level.text)
        return f"{text} " if text.strip() else ""

    def _place(self, paragraph: Any) -> tuple[str, int] | None:
        """(number id, level) of a paragraph, from itself or from its style; None for no list."""
        properties = child(paragraph, "pPr")
        if properties is None:
            return self.styles.get("")
        style = child(properties, "pStyle")
        inherited = self.styles.get(get(style, "val") if style is not None else "")
        own = child(properties, "numPr")
        if own is None:
            return inherited
        number, depth = child(own, "numId"), child(own, "ilvl")
        name = get(number, "val") if number is not None else inherited[0] if inherited else ""
        if name in ("", "0"):
            return None
        value = get(depth, "val") if depth is not None else ""
        return name, int(value) if value.isdigit() else inherited[1] if inherited else 0

    def _advance(self, number: str, depth: int) -> dict[int, int]:
        """Count one item at `depth`: deeper levels begin anew, outer ones that have no item yet count as begun."""
        levels = self.levels[number]
        values = self.counters.setdefault(self.families.get(number, number), {})
        for at, start in self.restarts.pop(number, {}).items():
            values[at] = start - 1
        for at in range(depth):
            values.setdefault(at, levels.get(at, Level()).start)
        values[depth] = values.get(depth, levels[depth].start - 1) + 1
        for at in [at for at in values if at > depth]:
            wanted = levels.get(at, Level()).restart
            if wanted == -1 or (wanted > 0 and depth + 1 <= wanted):
                del values[at]
        return values


def load(package: Package) -> Lists:
    """The definitions of a package; empty ones where it has none."""
    lists = Lists()
    if "word/numbering.xml" in package:
        _numbering(package.xml("word/numbering.xml"), lists)
    if "word/styles.xml" in package:
        _styles(package.xml("word/styles.xml"), lists)
    return lists


def write_number(value: int, form: str) -> str:
    """A count as it is written: 4 as "decimal" is 4, as "lowerRoman" iv, as "chineseCounting" 四."""
    if form in ("lowerLetter", "upperLetter"):
        text = LETTERS[(value - 1) % 26] * ((value - 1) // 26 + 1) if value > 0 else str(value)
    elif form in ("lowerRoman", "upperRoman"):
        text, rest = "", value
        for size, sign in ROMAN:
            text += sign * (rest // size)
            rest %= size
    elif form in CHINESE:
        return _chinese(value, CHINESE[form])
    elif form in DIGITS:
        return "".join(DIGITS[form][int(digit)] for digit in str(value))
    elif form in SERIES and 0 < value <= len(SERIES[form]):
        return SERIES[form][value - 1]
    elif form == "none":
        return ""
    elif form == "decimalZero":
        return f"{value:02d}"
    else:
        return str(value)
    return text.upper() if form.startswith("upper") else text


def _chinese(value: int, signs: str) -> str:
    if value >= 10_000:
        rest = value % 10_000
        zero = signs[0] if 0 < rest < 1000 else ""
        return _chinese(value // 10_000, signs) + signs[13] + (zero + _chinese(rest, signs) if rest else "")
    text, gap = "", False
    for power in (3, 2, 1, 0):
        digit = value // 10**power % 10
        if digit:
            text += (signs[0] if gap and text else "") + signs[digit] + (signs[9 + power] if power else "")
        gap = not digit
    if text.startswith(signs[1] + signs[10]) and signs[1] == "一":
        text = text[1:]  # ten is 十, not 一十
    return text or signs[0]


def _numbering(root: Any, lists: Lists) -> None:
    abstract: dict[str, dict[int, Level]] = {}
    linked: dict[str, str] = {}  # style -> definition
    pointing: dict[str, str] = {}  # definition -> style that holds the real one
    for item in root:
        if local(item) != "abstractNum":
            continue
        key = get(item, "abstractNumId")
        abstract[key] = {_integer(get(level, "ilvl")): _level(level) for level in item if local(level) == "lvl"}
        for name, into in (("styleLink", linked), ("numStyleLink", pointing)):
            if (found := child(item, name)) is not None:
                into[get(found, "val") if name == "styleLink" else key] = (
                    key if name == "styleLink" else get(found, "val")
                )
    for item in root:
        if local(item) != "num" or (base := child(item, "abstractNumId")) is None:
            continue
        number, family = get(item, "numId"), get(base, "val")
        family = linked.get(pointing.get(family, ""), family)
        lists.families[number] = family
        lists.levels[number] = dict(abstract.get(family, {}))
        for change in item:
            if local(change) != "lvlOverride":
                continue
            depth = _integer(get(change, "ilvl"))
            if (level := child(change, "lvl")) is not None:
                lists.levels[number][depth] = _level(level)
            if (start := child(change, "startOverride")) is not None:
                lists.restarts.setdefault(number, {})[depth] = _integer(get(start, "val"))


def _level(element: Any) -> Level:
    said = {local(item): item for item in element}

    def value(name: str, default: str) -> str:
        return get(said[name], "val") if name in said else default

    form = value("numFmt", "decimal")
    for choice in inside(element, "numFmt"):  # a newer format stands beside a fallback that says "none"
        form = get(choice, "val")
        break
    legal = "isLgl" in said and get(said["isLgl"], "val") not in ("0", "false")
    return Level(
        _integer(value("start", "1"), 1), form, value("lvlText", ""), legal, _integer(value("lvlRestart", "-1"), -1)
    )


def _styles(root: Any, lists: Lists) -> None:
    """Which paragraph styles number their paragraphs, inherited ones too."""
    own: dict[str, tuple[str, int | None]] = {}
    parents: dict[str, str] = {}
    default = ""
    for style in root:
        if local(style) != "style" or get(style, "type") != "paragraph":
            continue
        name = get(style, "styleId")
        if get(style, "default") in ("1", "true"):
            default = name
        if (base := child(style, "basedOn")) is not None:
            parents[name] = get(base, "val")
        properties = child(style, "pPr")
        numbers = child(properties, "numPr") if properties is not None else None
        if numbers is not None:
            number, depth = child(numbers, "numId"), child(numbers, "ilvl")
            own[name] = (get(number, "val") if number is not None else "",
                         _integer(get(depth, "val")) if depth is not None else None)  # fmt: skip
        parents.setdefault(name, "")
    for name in parents:
        found, depth, seen, at = "", None, set(), name
        while at and at not in seen:
            seen.add(at)
            number, level = own.get(at, ("", None))
            found, depth = found or number, level if depth is None else depth
            at = parents.get(at, "")
        if found and found != "0":
            lists.styles[name] = (found, depth or 0)
            if name == default:
                lists.styles[""] = lists.styles[name]


def _integer(text: str, default: int = 0) -> int:
    try:
        return int(text)
    except ValueError:
        return default
