"""Numbers and codes of mainland China, Hong Kong, Macau and Taiwan.

Sources: GB 11643 (resident ID), GB 32100 (credit code), MIIT numbering plan (mobile prefixes 13 to 19, area codes),
GA 36 (plates), Supreme People's Court rules on case numbers (2016), National Immigration Administration (passports,
permits).
"""

from __future__ import annotations

from metier.prepare.deidentify.recognise import checks
from metier.prepare.deidentify.recognise.rule import CHECKED, LABELLED, SHAPE, rule

PROVINCE_SIGNS = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"

_MOBILE = r"""(?: 1[3-9]\d{9} | 1[3-9]\d [- ] \d{4} [- ] \d{4} | 1[3-9]\d [- ] \d{8} | 1[3-9]\d{2} [- ] \d{3} [- ] \d{4}
             | 1[3-9]\d [- ] \d{3} [- ] \d{5} | 1[3-9]\d{5} [- ] \d{4} | 1 (?: [ ] [3-9] ) (?: [ ] \d ){9} )"""
_AREA = r"(?: 010 | 02\d | 0[3-9]\d{2} )"

RULES = (
    rule("national_id", "resident ID",
        r"[1-9]\d{5}[ -]?(?:18|19|20)\d{6}[ -]?\d{3}[0-9Xx](?![0-9])",
        runs=(6, 18), check=checks.resident_id, weight=CHECKED + 5),
    rule("national_id", "resident ID in groups",
        r"[1-9]\d{2} [ -] \d{3} [ -] (?:18|19|20)\d{2} [ -] \d{4} [ -] \d{3}[0-9Xx] (?![0-9])",
        runs=(3, 3), then=" -", check=checks.resident_id, weight=CHECKED),
    rule("national_id", "resident ID, 15 digits",
        r"[1-9]\d{14}(?![0-9A-Za-z])",
        runs=(15, 15), check=checks.old_resident_id, guarded=True, weight=SHAPE),
    rule("company_id", "credit code",
        r"(?<![0-9A-Za-z])[159Yy][1239NAna]\d{6}[0-9A-Za-z]{10}(?![0-9A-Za-z])",
        at="token", check=checks.credit_code, weight=CHECKED),
    rule("phone", "mobile",
        rf"""(?<![0-9A-Za-z.]) (?: (?: \( (?: \+ | 00 )? 86 \) | (?: \+ | 00 )? 86 ) [- ]{{0,2}} )? {_MOBILE}
             (?! [0-9] | \.\d | [A-Za-z]{{2}} )""",
        at="sign", runs=(1, 15), guarded=True, weight=SHAPE + 8),
    rule("phone", "landline",
        rf"""(?<![0-9A-Za-z.]) (?: (?: \+ | 00 ) 86 [- ]? )? (?: \({_AREA}\) [- ]? |{_AREA}[- ] ) [2-9]\d{{2,3}}
             [- ]? \d{{4}} (?: [ ]? (?: - | 转 | ext\.? ) [ ]? \d{{1,6}} )? (?! [0-9] )""",
        at="sign", runs=(2, 4), then="-) ", weight=SHAPE + 6),
    rule("phone", "landline, international",
        r"(?: \+ | 00 ) 86 [- ]? (?: 10 | 2\d | [3-9]\d{2} ) [- ]? [2-9]\d{2,3} [- ]? \d{4} (?! [0-9] )",
        at="sign", runs=(2, 15), weight=SHAPE + 6),
    rule("phone", "landline, one run",
        r"0 (?: 10 | 2\d | [3-9]\d{2} ) [2-9]\d{6,7} (?! [0-9A-Za-z] )",
        runs=(10, 12), context=True, weight=SHAPE + 6),
    rule("phone", "service number",
        r"(?<![0-9A-Za-z.]) [48]00 [- ] \d{3} [- ]? \d{4} (?! [0-9] )",
        runs=(3, 3), then=" -", weight=SHAPE + 6),
    rule("passport", "passport",
        r"""(?<![0-9A-Za-z]) (?: [EeGg]\d{8} | [Ee][A-HJ-NP-Za-hj-np-z]\d{7} | [DSPdsp][Ee]\d{7} | 1[45]\d{7} )
            (?! [0-9A-Za-z] )""",
        at="token", runs=(7, 9), context=True, weight=LABELLED),
    rule("passport", "passport by shape",
        r"(?<![0-9A-Za-z]) (?: [EG]\d{8} | E[A-HJ-NP-Z]\d{7} ) (?! [0-9A-Za-z] )",
        at="token", runs=(7, 8), lead=True, guarded=True, weight=SHAPE - 5),
    rule("permit", "travel permit",
        r"(?<![0-9A-Za-z]) (?: [CcHhMmWw]\d{8} (?:\d{2})? | [CcTt][A-Za-z]?\d{7,8} | \d{8} ) (?! [0-9A-Za-z] )",
        at="token", runs=(7, 10), context=True, weight=LABELLED),
    rule("national_id", "Hong Kong ID",
        r"(?<![0-9A-Za-z]) [A-Z]{1,2}\d{6} [ ]? \( [0-9A] \)",
        at="token", runs=(6, 6), then=" (", lead=True, check=checks.hong_kong_id, weight=CHECKED),
    rule("national_id", "Macau ID",
        r"(?<![0-9A-Za-z.]) [157]\d{6} [ ]? \( \d \)",
        runs=(7, 7), then=" (", weight=SHAPE),
    rule("national_id", "Taiwan ID",
        r"(?<![0-9A-Za-z]) [A-Z][1289]\d{8} (?! [0-9A-Za-z] )",
        at="token", runs=(9, 9), lead=True, check=checks.taiwan_id, weight=CHECKED - 5),
    rule("plate", "plate",
        rf"""[{PROVINCE_SIGNS}] [ ]? [A-HJ-NP-Za-hj-np-z] [ ·•・.-]? (?: [DFdf][A-HJ-NP-Za-hj-np-z0-9]\d{{4}} |
             \d{{5}}[DFdf] | (?= [A-Za-z]{{0,4}}\d ) [A-HJ-NP-Za-hj-np-z0-9]{{4}}
             [A-HJ-NP-Za-hj-np-z0-9挂学警港澳领试超] ) (?! [0-9A-Za-z] )""",
        at="plate", runs=(1, 6), weight=SHAPE + 5),
    rule("social", "QQ number",
        r"(?<= [Qq] ) [1-9]\d{4,11} (?! [0-9A-Za-z] )",
        runs=(5, 12), weight=LABELLED),
    rule("case_number", "case number",
        r"""\( [ ]? (?:19|20)\d{2} [ ]? \) [ ]? [\u4e00-\u9fff]{1,3} [ ]? \d{0,5} [ ]? [\u4e00-\u9fff]{1,6} [ ]?
            \d{1,7} [ ]? 号 (?: (?: 之 | - ) [一二三四五六七八九十\d]{1,3} )?""",
        at="sign", runs=(4, 4), then=" )", weight=SHAPE + 10),
)  # fmt: skip
