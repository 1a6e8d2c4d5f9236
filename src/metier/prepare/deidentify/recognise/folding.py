"""One view of a text for all patterns: ASCII digits, letters and punctuation, every character in its place.

Purpose: a telephone number typed full-width, in Arabic digits or with a non-breaking hyphen is one. The view has as
many characters as the text, so every offset in it is an offset into the original.
Trade-off: only what maps one to one is folded; a digit written as a letter (O for 0) is not.
Not covered: Chinese numerals, which the patterns for dates name themselves.
"""

from __future__ import annotations

import re
import unicodedata

_DASHES = "\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d\u30fc\u2500"
_SPACES = "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_INVISIBLE = "\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
_STAY = "，；！？"  # they end an address of the network, which their ASCII forms do not
_BREAKS = "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"


def _table() -> dict[int, str]:
    table = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F) if chr(code) not in _STAY}
    table |= {ord(char): "-" for char in _DASHES}
    table |= {ord(char): " " for char in _SPACES + _INVISIBLE}
    table |= {ord(char): "\n" for char in _BREAKS}
    table |= {ord("\u2019"): "'", ord("\u2018"): "'", ord("\u201c"): '"', ord("\u201d"): '"', 
              ord("\uff61"): "。", ord("〔"): "(", ord("〕"): ")", ord("【"): "[", ord("】"): "]"}  # fmt: skip
    for code in range(0x660, 0x1FC00):  # no decimal digit lies beyond (Unicode 16)
        char = chr(code)
        if char.isdecimal() and code not in table:
            table[code] = str(unicodedata.decimal(char))
    return table


_TABLE = _table()
_ODD = re.compile("[\t\r\v\f\x1c-\x1e]")
_SEPARATORS = re.compile(r"[^0-9A-Za-z]+")


def fold(text: str) -> str:
    """The view: `len(fold(text)) == len(text)`."""
    return text if text.isascii() and not _ODD.search(text) else text.translate(_TABLE)


def compact(folded: str) -> str:
    """A found number without its separators, letters in capitals: what check digits are computed over."""
    return _SEPARATORS.sub("", folded).upper()
