"""Organisations by how their names end: 有限公司, 医院, Ltd, University. Off by default.

Trade-off: who sues whom or which bank wrote is often what a text is about, so this is for those who must hide it.
Not covered: brands and names without such an ending.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from metier.prepare.deidentify.recognise.rule import CONTEXT, Span
from metier.prepare.deidentify.recognise.words import words

_ENDS = (r"有限责任公司|股份有限公司|有限公司|集团公司|分公司|人民医院|中心医院|中医院|医院|卫生院|大学|学院|中学"
         r"|小学|幼儿园|律师事务所|会计师事务所|事务所|"
         r"人民法院|中级人民法院|人民检察院|公安局|派出所|仲裁委员会|银行|支行|分行|研究院|研究所|合作社|基金会"
         r"|协会")  # fmt: skip
_PLACE = "|".join(sorted(words("places_zh"), key=len, reverse=True))
_CHINESE = re.compile(
    rf"(?:(?:{_PLACE})[省市县区]?[\u4e00-\u9fff()]{{1,16}}?|(?<![\u4e00-\u9fff])[\u4e00-\u9fff]{{2,14}}?)(?:{_ENDS})"
)
_ENGLISH = re.compile(
    r"""(?<![A-Za-z])(?:[A-Z][\w'&.-]{0,30}[ ,]{1,2}(?:and[ ]|of[ ]|&[ ])?){1,5}(?:Ltd|LLC|LLP|Inc|Corp
        |Corporation|Company|Co|PLC|plc|GmbH|AG|SA|NV|Group|Holdings|University|Hospital|Clinic|Bank|Institute
        |Foundation|Associates|Partners|Limited)(?![A-Za-z])\.?""",
    re.VERBOSE,
)


def chinese(view: str) -> Iterator[Span]:
    """Companies, hospitals, schools, courts and banks."""
    for found in _CHINESE.finditer(view):
        yield Span(found.start(), found.end(), "organisation", "organisation by its ending", CONTEXT - 2)


def english(view: str) -> Iterator[Span]:
    """Capitalised words before Ltd, Inc, University and the like."""
    for found in _ENGLISH.finditer(view):
        yield Span(found.start(), found.end(), "organisation", "organisation by its ending", CONTEXT - 2)
