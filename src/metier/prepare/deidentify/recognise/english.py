"""Numbers and codes of the United States and the United Kingdom, and telephone numbers of anywhere.

Sources: SSA and IRS (SSN, ITIN), North American Numbering Plan, NHS Data Dictionary, HMRC manual NIM39110 (NINO), Royal
Mail PAF (postcodes), ITU-T E.123 and E.164 (international telephone numbers).
"""

from __future__ import annotations

import re

from metier.prepare.deidentify.recognise import checks
from metier.prepare.deidentify.recognise.rule import CHECKED, CONTEXT, LABELLED, SHAPE, rule

STATES = ("AL|AK|AS|AZ|AR|CA|CO|CT|DE|DC|FL|GA|GU|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY"
          "|NC|ND|"
          "MP|OH|OK|OR|PA|PR|RI|SC|SD|TN|TX|UT|VT|VA|VI|WA|WV|WI|WY|AA|AE|AP")  # fmt: skip
POST_AREAS = ("AB|AL|B|BA|BB|BD|BH|BL|BN|BR|BS|BT|CA|CB|CF|CH|CM|CO|CR|CT|CV|CW|DA|DD|DE|DG|DH|DL|DN|DT|DY|E|EC|EH"
              "|EN|EX|FK|"
              "FY|G|GL|GU|GY|HA|HD|HG|HP|HR|HS|HU|HX|IG|IM|IP|IV|JE|KA|KT|KW|KY|L|LA|LD|LE|LL|LN|LS|LU|M|ME|MK|ML|N"
              "|NE|NG|"
              "NN|NP|NR|NW|OL|OX|PA|PE|PH|PL|PO|PR|RG|RH|RM|S|SA|SE|SG|SK|SL|SM|SN|SO|SP|SR|SS|ST|SW|SY|TA|TD|TF|TN"
              "|TQ|TR|"
              "TS|TW|UB|W|WA|WC|WD|WF|WN|WR|WS|WV|YO|ZE")  # fmt: skip

_EXTENSION = r"(?: ,? [ ]? (?: x | ext\.? | extension ) [ ]? [:#]? [ ]? \d{1,6} )?"
_END = r"(?! [0-9A-Za-z] | [.,]\d | [-/]\d )"


def _as_long_as_a_number(number: str) -> bool:
    """6 to 15 digits (E.164) without the extension."""
    return 6 <= len(re.split("[XE]", number)[0]) <= 15


def _with_trunk(number: str) -> bool:
    """9 to 12 digits without the extension, the trunk prefix 0 among them."""
    return 9 <= len(re.split("[XE]", number)[0]) <= 12


RULES = (
    rule("national_id", "SSN or ITIN",
        r"(?<![0-9A-Za-z.-]) \d{3} - \d{2} - \d{4} (?! [0-9A-Za-z] | -\d )",
        runs=(3, 3), then="-", check=checks.social_security, weight=CHECKED - 5),
    rule("national_id", "SSN with spaces",
        r"\d{3} [ ] \d{2} [ ] \d{4} (?! [0-9A-Za-z] | -\d )",
        runs=(3, 3), then=" ", check=checks.social_security, context=True, weight=LABELLED + 1),
    rule("national_id", "SSN, one run",
        r"\d{9} (?! [0-9A-Za-z] )",
        runs=(9, 9), check=checks.social_security, context=True, weight=LABELLED + 1),
    rule("national_id", "NHS number",
        r"(?<![0-9A-Za-z.-]) \d{3} (?P<s>[- ]) \d{3} (?P=s) \d{4} (?! [0-9A-Za-z] | -\d )",
        runs=(3, 3), then="- ", check=checks.nhs, context=True, weight=CHECKED),
    rule("national_id", "NHS number, spaced",
        r"(?<![0-9A-Za-z.-]) \d{3} [ ] \d{3} [ ] \d{4} (?! [0-9A-Za-z] | -\d )",
        runs=(3, 3), then=" ", check=checks.nhs, weight=SHAPE + 9),
    rule("national_id", "NHS number, one run",
        r"\d{10} (?! [0-9A-Za-z] )",
        runs=(10, 10), check=checks.nhs, context=True, weight=CHECKED),
    rule("national_id", "NINO",
        r"""(?<![0-9A-Za-z]) (?! BG|GB|KN|NK|NT|TN|ZZ ) [A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] [ ]? \d{2} [ ]?
            \d{2} [ ]? \d{2} [ ]? [A-D] (?! [0-9A-Za-z] )""",
        at="pair", runs=(2, 6), lead=True, weight=SHAPE + 10),
    rule("account", "routing number",
        r"\d{9} (?! [0-9A-Za-z] )",
        runs=(9, 9), check=checks.routing, context=True, weight=LABELLED + 2),
    rule("account", "sort code",
        r"(?<![0-9A-Za-z.-]) \d{2} [- ]? \d{2} [- ]? \d{2} (?! [0-9A-Za-z] | -\d )",
        runs=(2, 6), context=True, weight=LABELLED),
    rule("postcode", "UK postcode",
        rf"""(?<![0-9A-Za-z]) (?: {POST_AREAS} ) (?: \d{{1,2}} | \d[A-Z] ) [ ]? \d[ABD-HJLNP-UW-Z]{{2}} (?!
             [0-9A-Za-z] )""",
        at="token", runs=(1, 2), lead=True, weight=SHAPE + 3),
    rule("postcode", "ZIP after a state",
        rf"(?<= [ ,] ) (?: {STATES} ) [ ,]{{1,2}} (?P<v> \d{{5}} (?: -\d{{4}} )? ) (?! [0-9A-Za-z] )",
        at="state", runs=(5, 5), weight=SHAPE),
    rule("phone", "NANP",
        rf"""(?<![0-9A-Za-z.]) (?: (?: \+ | 00 )? 1 [-. ]? )? (?: \(\d{{3}}\) [-. ]? | \d{{3}} [-. ] ) \d{{3}}
             [-.] \d{{4}}{_EXTENSION}{_END}""",
        at="sign", runs=(1, 3), then="-. )(", weight=SHAPE + 6),
    rule("phone", "NANP with spaces",
        rf"""(?<![0-9A-Za-z.]) (?: \+? 1 [- ] )? (?: \([2-9]\d{{2}}\) [ ]? | [2-9]\d{{2}} [ ] ) [2-9]\d{{2}} [ ]
             \d{{4}}{_EXTENSION}{_END}""",
        at="sign", runs=(1, 3), then=" )-", weight=SHAPE + 6),
    rule("phone", "seven digits",
        rf"(?<![0-9A-Za-z.,/-]) [2-9]\d{{2}} - \d{{2}}(?!00)\d{{2}}{_EXTENSION}{_END}",
        at="sign", runs=(3, 3), then="-", guarded=True, weight=CONTEXT - 5),
    rule("phone", "international",
        rf"""(?<![0-9A-Za-z.,]) (?: \+ | 00 ) [1-9]\d{{0,2}} [-. ]? (?: \(0?\d{{0,4}}\) [-. ]? )? \d{{1,5}} (?:
             [-. ]? \d{{2,4}} ){{1,5}}{_EXTENSION}{_END}""",
        at="sign", runs=(1, 17), weight=SHAPE + 6),
    rule("phone", "area in brackets",
        rf"""(?<![0-9A-Za-z.]) \( (?: \+? \d{{2,5}} \) [ -]? \d{{3,4}} - \d{{2,4}} | 0\d{{1,4}} \) [ -]? \d{{2,4}}
             (?: [ -] \d{{2,4}} ){{1,2}} ){_EXTENSION}{_END}""",
        at="sign", runs=(2, 5), then=")", weight=SHAPE + 6),
    rule("phone", "trunk zero",
        rf"(?<![0-9A-Za-z.,-]) 0\d{{1,4}} (?P<s>[ -]) \d{{2,4}} (?: (?P=s) \d{{2,4}} ){{1,3}}{_EXTENSION}{_END}",
        runs=(2, 5), then=" -", check=_with_trunk, weight=SHAPE + 6),
    rule("phone", "trunk zero, two groups",
        rf"(?<![0-9A-Za-z.,-]) 0\d{{2,5}} [ -] \d{{5,8}}{_EXTENSION}{_END}",
        runs=(3, 6), then=" -", check=_with_trunk, guarded=True, weight=SHAPE + 6),
    rule("phone", "pairs",
        rf"(?<![0-9A-Za-z.,-]) 0\d (?P<s>[ .-]) \d\d (?P=s) \d\d (?P=s) \d\d (?P=s) \d\d{_END}",
        runs=(2, 2), then=" .-", weight=SHAPE + 6),
    rule("phone", "by context",
        rf"""(?<![0-9A-Za-z.]) (?! \(? (?:19|20)\d\d [ ]? [-/] [ ]? (?:19|20)?\d\d (?!\d) )
             (?: \( \+? \d{{1,5}} \) | \+? \d{{1,5}} ) (?: [-. /]{{0,2}} (?: \( \d{{1,5}} \) | \d{{1,5}} ) ){{1,6}}
             {_EXTENSION}(?! [0-9] | [A-Za-z]{{2}} | [.,-]\d )""",
        at="sign", runs=(1, 15), check=_as_long_as_a_number, context=True, weight=SHAPE + 6),
)  # fmt: skip
