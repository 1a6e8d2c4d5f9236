"""Postal addresses: Chinese ones from the province to the room, English ones from the number to the ZIP code.

Purpose: a Chinese address is read backwards from its first number and unit (88号, 3栋) to where it begins, and
forwards to its last; an English one starts at a house number and needs a word such as Street. After 地址： or
`Address:` the line counts.
Trade-off: a city or a province alone is no address and stays, and so does a street without a number.
Not covered: places described in words ("behind the old mill"), addresses of countries without a street word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from metier.prepare.deidentify.recognise.english import POST_AREAS, STATES
from metier.prepare.deidentify.recognise.rule import LABELLED, SHAPE, Span
from metier.prepare.deidentify.recognise.words import lists, words

_HAN = "\u4e00-\u9fff"
_UNITS = "号楼|号院|号|栋|幢|座|单元|层|楼|室|户|房|弄|组|队|门|巷|支路|期|区"
_NUMBER = "(?:[0-9]{1,5}(?:-[0-9]{1,5}){0,3}|[A-Za-z]|[甲乙丙丁东西南北]|[一二三四五六七八九十]{1,3})"
_MORE = re.compile(
    rf"""(?:[ ,，]?(?:[{_HAN}]{{2,10}}?(?:小区|花园|大厦|广场|公寓|大楼|中心|苑|城|府|园|村|里|湾|庭|宿舍
         |家属院))?[ ]?{_NUMBER}(?:{_UNITS})(?![年月日岁次个元万亿%])){{0,6}}(?:-?[A-Za-z]?[0-9]{{2,4}}(?!
         [0-9A-Za-z年月日岁次个元万亿%.]))?""",
    re.VERBOSE,
)
_FIRST = re.compile(
    rf"[0-9]{{1,5}}(?:-[0-9]{{1,4}}){{0,2}}[ ]?(?:号楼|号院|号|弄|栋|幢|座|单元|室|组(?![成织])|队(?=[{_HAN}0-9]))"
)
_ROAD_END = re.compile(
    r"""(?:大街|大道|胡同|小区|花园|公寓|大厦|广场|社区|街道|家属院|宿舍|新村|路|街|道|巷|弄|里|村|庄|屯|苑|园
        |坊|湾|庭|府|城|镇|乡|段|线|组|[东西南北中][一二三四五六七八九十]?)[ ]?(?:[东西南北中][段侧]?|
        [一二三四五六七八九十]{1,2}[路街段])?[ ]?$""",
    re.VERBOSE,
)
_PARTS = re.compile(rf"[{_HAN}0-9]{{2,40}}[ ]?$")
_START = re.compile(r"(?:位于|驻|坐落于?|住址|地址|住所地?|家住|现住|暂住|户籍地?|居住在?|住在?|寄往|寄到|寄至|送到"
                    r"|送至|送往|发往|发到|前往|来到|去到?|到|在|于|至|往|是|为|从|"
                    r"由|和|与|及|即|系|的|了|我|他|她|您|你|们|人|，)")  # fmt: skip
# From the province or city on; what stands before these words is read backwards from them.
_UPPER = re.compile("省|自治区|市|自治州|地区")
_CHAIN = re.compile(
    rf"""[{_HAN}]{{1,8}}?(?:市|区|县|旗|州)[{_HAN}]{{1,10}}?(?:镇|乡|街道|苏木|区|县|市)(?:[{_HAN}]{{1,10}}?
         (?:村委会|村|社区|居委会|屯|组|路|街|巷|小区|花园|苑))(?:[0-9一二三四五六七八九十]{{1,3}}(?:组|队|社|号
         |栋))?""",
    re.VERBOSE,
)
_BEFORE = re.compile(rf"[{_HAN}]{{1,8}}$")
_LABEL = re.compile(
    r"""(?:地址|住址|住所地|住所|住处|户籍地|户籍所在地|籍贯地址|居住地|所在地|通讯处|收货处|家住|现住|送货至
        |寄送至)[ ]?[:为是在]?[ ]{0,8}(?P<v>[^\n，。；;,]{4,60})""",
    re.VERBOSE,
)
_CHINESE_PART = re.compile(r"[省市区县镇乡村路街道巷弄号栋室楼苑园里组屯旗州]")
_LABEL_TAIL = re.compile(
    r"""[ ]{1,4}(?=(?:电话|手机|联系|邮编|邮政|性别|年龄|姓名|身份证|开户|账号|税号|传真|E|e|T|t|收件|户名)).*$|
        (?:电话|手机|联系电话|联系人|邮编|邮政编码|开户行|收件人).*$""",
    re.VERBOSE,
)

_STREET = "|".join(lists("addresses")["streets"])
_WORD = r"(?:[A-Z][A-Za-z\u00c0-\u024f'.’-]{0,30}|[0-9]{1,3}(?:st|nd|rd|th)|of|the|de|la|le|du|des|del|von|der)"
_APARTMENT = (
    r"(?:[ ,]{1,3}\n?[ ]{0,4}(?:Apt|APT|Apartment|Suite|SUITE|Ste|STE|Unit|Flat|Floor|Room|Rm"
    r"|#)\.?[ ]?#?[ ]?[A-Za-z0-9-]{1,6})?"
)
_TOWN = (rf"(?:[ ]?[,\n][ ]{{0,4}}(?:[A-Z][\w'’-]{{1,24}}[ ]?){{1,4}})?(?:[ ]?[,\n]?[ "
         rf"]{{0,4}}(?:{STATES})(?![A-Za-z]))?"
         rf"(?:[ ]?[,\n]?[ ]{{0,4}}(?:[0-9]{{5}}(?:-[0-9]{{4}})?(?![0-9])|(?:{POST_AREAS})[0-9][0-9A-Z]?[ "
         rf"]?[0-9][A-Z]{{2}}(?![A-Za-z0-9])))?")  # fmt: skip
_ENGLISH = re.compile(
    rf"(?<![0-9A-Za-z.,/$€£#-])(?:(?:Flat|Unit|Apt|Suite|Apartment)\.?[ ][0-9A-Z]{{1,5}},?[ "
    rf"])?[0-9]{{1,6}}[A-Za-z]?(?:-[0-9]{{1,5}})?[ ]"
    rf"(?:[NSEW]{{1,2}}\.?[ ])?(?:{_WORD}[ ]){{0,4}}(?:(?:{_STREET})(?!\w)\.?)(?:[ ](?:[NSEW]{{1,2}}|North"
    rf"|South|East|West)(?![A-Za-z])\.?)?"
    rf"{_APARTMENT}{_TOWN}"
)
# A number that a street may follow: tried first, since a text is full of other numbers.
_HOUSE = re.compile(r"[0-9]{1,6}[A-Za-z]?(?:-[0-9]{1,5})?[ ](?=[A-Z0-9]|of[ ]|the[ ]|de[ ]|la[ ])")
_FLAT = re.compile(r"(?:Flat|Unit|Apt|Suite|Apartment)\.?[ ]$")
# Quick looks that spare a pass over texts without such words.
_BOX_MARKS = ("Box", "BOX", "APO", "FPO", "DPO")
_FOREIGN_MARKS = (
    "ue ", "oulevard", "Via ", "Viale", "Piazza", "Calle", "Avenida", "Rua ", "Av.", "ul.", "ulica", "Plaza", "Place",
    "Allée", "Chemin", "straße", "strasse", "str.", "gasse", "weg ", "platz", "allee", "gatan", "vägen", "gade",
    "vej ", "straat", "laan", "katu", "tie ",
)  # fmt: skip
_LINE_MARKS = ("ddress", "DDRESS", "esid", "RESID", "iving at", "ives at", "ocated at")
_BOX = re.compile(
    rf"(?<![A-Za-z])(?:P\.?[ ]?O\.?[ ]?Box|POST OFFICE BOX|Post Office Box|PO BOX)[ ]#?[0-9]{{1,6}}{_TOWN}"
    rf"|(?<![A-Za-z])(?:PSC|Unit|CMR|UNIT)[ ][0-9]{{1,5}},?[ ](?:Box|BOX)[ ][0-9]{{1,5}}(?:[ ,\n]{{1,3}}(?:APO|FPO"
    rf"|DPO)[ ](?:AA|AE|AP)[ ][0-9]{{5}}(?:-[0-9]{{4}})?)?"
    rf"|(?<![A-Za-z])(?:APO|FPO|DPO)[ ,]{{1,2}}(?:AA|AE|AP)[ ][0-9]{{5}}(?:-[0-9]{{4}})?"
)
_FOREIGN = re.compile(
    r"""(?<![\w])(?:(?:[0-9]{1,5}[A-Za-z]?,?[ ])?(?:[Rr]ue|[Aa]venue|[Bb]oulevard|Via|Viale|Piazza|Calle|Avenida
        |Rua|Av\.|ul\.|ulica|Plaza|Place|Allée|Chemin)[ ](?:(?:de|du|des|la|le|les|l'|del|della|di|da|do|dos|las
        |los)[ ]?){0,3}(?:[A-ZÀ-Þ][\w'’.-]{1,24}[ ]?){1,4}(?:,?[ ]?(?:nº|n°|no\.)?[ ]?[0-9]{1,5}[A-Za-z]?(?!
        [0-9A-Za-z]))?|[A-ZÄÖÜ][\wäöüß-]{2,30}(?:straße|strasse|str\.|gasse|weg|platz|allee|gatan|vägen|gade|vej
        |straat|laan|katu|tie)[ ][0-9]{1,4}[A-Za-z]?(?![0-9A-Za-z]))""",
    re.VERBOSE,
)
_LINE = re.compile(r"(?i)(?<![a-z])(?:(?:home |billing |shipping |mailing |postal |street |delivery |permanent "
                   r"|current |residential |work |office )?address|"
                   r"residence|resides? at|residing at|living at|lives at|located at)(?:[ ]?(?::|is|of|to"
                   r"|was)){0,2}[ ]{0,8}(?P<v>[0-9](?![0-9.]{6})[^\n;:]{5,90})")  # fmt: skip
_LINE_END = re.compile(r"(?:\.(?=\s|$)|[ ,](?:and|with|whose|who|phone|email|e-mail|tel|contact|to|for|in case"
                       r"|after|on|has|is|was|which|where|"
                       r"ssn|dob|born|at the|before|since|her|his|their|my)(?![A-Za-z])|\s[-|(]|\?"
                       r"|!).*$", re.IGNORECASE)  # fmt: skip


def chinese(view: str) -> Iterator[Span]:
    """Addresses down to a number, a village, or beside their label."""
    for found in _FIRST.finditer(view):
        before = view[max(0, found.start() - 40) : found.start()]
        road = _ROAD_END.search(before)
        written = _PARTS.search(before)
        if not road or not written:
            continue
        start = found.start() - len(before) + _begin(before, written.start(), road.start())
        end = _MORE.match(view, found.end()).end()  # type: ignore[union-attr]
        if found.start() - start >= 2:
            yield Span(start, end, "address", "address", SHAPE + 6)
    reached = 0
    for upper in _UPPER.finditer(view):
        name = _BEFORE.search(view, max(reached, upper.start() - 8), upper.start())
        rest = _CHAIN.match(view, upper.end()) if name else None
        if name and rest:
            start, reached = name.start(), rest.end()
            start += _begin(view[start : upper.end()], 0, upper.end() - start)
            yield Span(start, reached, "address", "address down to a village", SHAPE + 5)
    for found in _LABEL.finditer(view):
        value = _LABEL_TAIL.sub("", found["v"]).rstrip(" )(")
        if ":" not in found.group()[: -len(found["v"])] and not any(char.isdigit() for char in value):
            continue  # 向所在地的区、县人民政府登记
        if len(set(_CHINESE_PART.findall(value))) >= 2:
            yield Span(found.start("v"), found.start("v") + len(value), "address", "address by label", LABELLED)


def english(view: str) -> Iterator[Span]:
    """House number and street, boxes, the usual European orders, and what follows `address is` or `resides at`."""
    for number in _HOUSE.finditer(view):
        start = number.start()
        flat = _FLAT.search(view, max(0, start - 14), start)
        found = _ENGLISH.match(view, flat.start() if flat else start) or (_ENGLISH.match(view, start) if flat else None)
        if found:
            yield from _address(found, "street address")
    for pattern, marks, name in ((_BOX, _BOX_MARKS, "box"), (_FOREIGN, _FOREIGN_MARKS, "street address, Europe")):
        if any(mark in view for mark in marks):
            for found in pattern.finditer(view):
                yield from _address(found, name)
    if any(mark in view for mark in _LINE_MARKS):
        for found in _LINE.finditer(view):
            value = _LINE_END.sub("", found["v"]).rstrip(" ,.)")
            if len(value) >= 6 and sum(char.isalpha() for char in value) >= 3 and "@" not in value:
                yield Span(found.start("v"), found.start("v") + len(value), "address", "address by label", LABELLED - 2)


def _address(found: re.Match[str], name: str) -> Iterator[Span]:
    text = found.group().rstrip(" ,\n")
    if any(char.isdigit() for char in text):
        yield Span(found.start(), found.start() + len(text), "address", name, SHAPE + 4)


@cache
def _places() -> re.Pattern[str]:
    names = sorted(words("places_zh"), key=len, reverse=True)
    return re.compile(f"(?:{'|'.join(names)})(?:省|市|自治区|区|县|州|地区)?")


def _begin(before: str, low: int, high: int) -> int:
    """Where the address in `before` starts: at its first known place, else after the last word that leads to one."""
    place = _places().search(before, low)
    if place and place.start() <= high:
        return place.start()
    start = low
    for found in _START.finditer(before, low, max(low, high - 1)):
        start = found.end()
    return min(start, high)
