"""Numbers and codes of anywhere: payment cards, network addresses, wallets, e-mail and web addresses.

Sources: ISO/IEC 7812 (cards), RFC 5321 and 6531 (mail), RFC 3986 (URL), RFC 4291 (IPv6), BIP 13 and 173, EIP 55
(wallets).
E-mail and web addresses are found at their `@` and `://`, so that 邮箱zhang@x.com，needs no space on any side.
"""

from __future__ import annotations

import ipaddress
import re

from metier.prepare.deidentify.recognise import checks
from metier.prepare.deidentify.recognise.rule import CHECKED, LABELLED, SHAPE, Span, rule

_END = r"(?! [0-9A-Za-z] )"
_OCTET = r"(?: 25[0-5] | 2[0-4]\d | 1\d\d | [1-9]?\d )"

RULES = (
    rule("card", "card",
        rf"(?<![0-9A-Za-z.-]) \d{{12,19}} {_END} (?! [.-]\d )",
        runs=(12, 19), check=checks.payment_card, guarded=True, weight=CHECKED),
    rule("card", "card in groups",
        rf"""(?<![0-9A-Za-z.-]) \d{{4}} (?P<s> [ -]{{1,2}} ) \d{{4,6}} (?: (?P=s) \d{{4,5}} ){{1,3}} (?: (?P=s)
             \d{{1,4}} )? {_END} (?! [.-]\d )""",
        runs=(4, 4), then=" -", check=lambda number: len(number) <= 19 and checks.payment_card(number), weight=CHECKED),
    rule("card", "card by label",
        rf"(?<![0-9A-Za-z]) \d{{4,19}} (?: [ -] [0-9*Xx]{{2,6}} ){{0,4}} {_END}",
        runs=(4, 19), check=lambda number: 12 <= len(number) <= 19, context=True, weight=LABELLED),
    rule("card", "last digits of a card",
        rf"""(?: (?<= 尾号 ) | (?<= 尾号: ) | (?<= 尾号为 ) | (?<= ending[ ] ) | (?<= ending[ ]in[ ] ) | (?<=
             ending[ ]with[ ] ) | (?<= last[ ]4[ ] ) | (?<= last[ ]four[ ] ) ) \d{{4}} {_END}""",
        runs=(4, 4), weight=LABELLED),
    rule("ip", "IPv4",
        rf"(?<![0-9A-Za-z.]) {_OCTET} (?: \.{_OCTET} ){{3}} (?: /\d{{1,2}} )? (?! [0-9A-Za-z] | \.\d )",
        runs=(1, 3), then=".", guarded=True, weight=CHECKED - 10),
    rule("wallet", "Ethereum",
        rf"(?<![0-9A-Za-z]) 0x[0-9A-Fa-f]{{40}} {_END}",
        at="token", then="x", weight=CHECKED),
    rule("wallet", "Bitcoin, Bech32",
        rf"(?<![0-9A-Za-z]) (?: bc1 | ltc1 ) [02-9ac-hj-np-z]{{25,87}} {_END}",
        at="token", lead=True, weight=CHECKED),
    rule("wallet", "Bitcoin",
        rf"(?<![0-9A-Za-z]) [13LM][1-9A-HJ-NP-Za-km-z]{{25,34}} {_END}(?<! [0-9]{{26}} )",
        at="token", check=lambda number: not number.isdigit(), weight=SHAPE + 4),
    rule("wallet", "Tron",
        rf"(?<![0-9A-Za-z]) T[1-9A-HJ-NP-Za-km-z]{{33}} {_END}",
        at="token", lead=True, weight=SHAPE + 4),
    rule("mac", "MAC with hyphens or dots",
        rf"""(?<![0-9A-Za-z]) (?: [0-9A-Fa-f]{{2}} (?: -[0-9A-Fa-f]{{2}} ){{5}} | [0-9A-Fa-f]{{4}} \.
             [0-9A-Fa-f]{{4}} \. [0-9A-Fa-f]{{4}} ) {_END} (?! - )""",
        at="token", weight=SHAPE + 6),
)  # fmt: skip

_LOCAL = re.compile(r"[A-Za-z0-9._%+'&~!#$*/=?^{|}`\-]{1,64}$")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?){0,6}"
                     r"\.(?:[A-Za-z]{2,24}|xn--[A-Za-z0-9\-]{1,59})")  # fmt: skip
_OTHER_DOMAIN = re.compile(r"[^\W_]+(?:[.\-][^\W_]+){0,6}\.[A-Za-z\u4e00-\u9fff]{2,12}")
_LITERAL = re.compile(r"\[(?:IPv6:)?[0-9A-Fa-f.:]+\]")
_HANDLE = re.compile(r"@[A-Za-z_][A-Za-z0-9_.]{1,30}[A-Za-z0-9_]")
_URL = re.compile(
    r"""(?:[\u4e00-\u9fff]{1,12}\.(?:cn|com|net|中国|网址|公司))?
        [^\s<>\"'，。；：！？、（）《》“”【】「」\u4e00-\u9fff|\\^`{}\[\]]{0,2000}""",
    re.VERBOSE,
)
_URL_TAIL = ".,;:!?)*_'~"
_WWW = re.compile(r"(?<![A-Za-z0-9.@])www\d?\.(?=[A-Za-z0-9-]+\.[A-Za-z])")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{1,15}$")
_MAC = re.compile(r"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:])")
_IPV6 = re.compile(r"(?:[0-9A-Fa-f]{0,4}:){2,7}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4})(?:%\w+)?")
_HEX_BEFORE = re.compile(r"[0-9A-Fa-f:]{1,40}$")


def mail_at(view: str, place: int) -> Span | None:
    """The e-mail address around the `@` at `place`."""
    before = _LOCAL.search(view, max(0, place - 64), place)
    after = _DOMAIN.match(view, place + 1) or _LITERAL.match(view, place + 1) or _OTHER_DOMAIN.match(view, place + 1)
    if before is None or after is None:
        return None
    start = before.start()
    while start < place and view[start] in ".'&~!#$*/=?^{|}`%-+":
        start += 1
    if start == place or _mention(view, start, place):
        return None
    return Span(start, after.end(), "email", "e-mail", SHAPE + 20)


def handle_at(view: str, place: int) -> Span | None:
    """A name that people go by on a network: @ with nothing before it, and a word."""
    if place and (view[place - 1].isalnum() or view[place - 1] in "._-/"):
        return None
    found = _HANDLE.match(view, place)
    return Span(*found.span(), "social", "handle", SHAPE) if found else None


def _mention(view: str, start: int, place: int) -> bool:
    """A rate such as 3@0.5."""
    return view[start:place].isdigit() and view[place + 1 : place + 2].isdigit() and place - start < 5


def at_colon(view: str, place: int) -> Span | None:
    """A web address, MAC or IPv6 address around the colon at `place`."""
    if view.startswith("//", place + 1):
        scheme = _SCHEME.search(view, max(0, place - 16), place)
        rest = _URL.match(view, place + 3)
        return _url(scheme.start(), rest.group(), place + 3) if scheme and rest and rest.group() else None
    before = _HEX_BEFORE.search(view, max(0, place - 40), place + 1)
    start = before.start() if before else place
    if start and view[start - 1].isalnum() and view[start - 1].isascii():
        return None
    found = _MAC.match(view, start)
    if found:
        return Span(start, found.end(), "mac", "MAC", SHAPE + 6)
    found = _IPV6.match(view, start)
    return Span(start, found.end(), "ip", "IPv6", SHAPE + 5) if found and _ipv6(found.group()) else None


def www(view: str) -> list[Span]:
    """Web addresses without a scheme."""
    spans = []
    for found in _WWW.finditer(view):
        rest = _URL.match(view, found.end())
        if rest and rest.group():
            spans.append(_url(found.start(), rest.group(), found.end()))
    return spans


def _url(start: int, rest: str, offset: int) -> Span:
    return Span(start, offset + max(1, len(rest.rstrip(_URL_TAIL))), "url", "URL", SHAPE + 22)


def _ipv6(found: str) -> bool:
    """An address, and not a time such as 10:30:45 or the empty `::`."""
    if len(found.strip(":")) < 3 or (found.count(":") < 3 and "::" not in found):
        return False
    try:
        ipaddress.IPv6Address(found.partition("%")[0])
    except ValueError:
        return False
    return True
