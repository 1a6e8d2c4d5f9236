"""Other digits and letters in the shape of the original: separators, width and case stay.

Purpose: a surrogate that every program reads as it read the original. What has a check digit is drawn again until the
recogniser that found the original accepts it: an average of 10 draws for Luhn, 97 for an IBAN.
"""

from __future__ import annotations

from metier.prepare.deidentify.recognise import china, english, europe, general
from metier.prepare.deidentify.recognise.folding import compact, fold
from metier.prepare.deidentify.recognise.rule import Rule
from metier.prepare.deidentify.replace.key import Stream

RULES: dict[str, Rule] = {rule.name: rule for rule in (*china.RULES, *english.RULES, *europe.RULES, *general.RULES)}
DRAWS = 20_000  # a national number with a date in it needs about 1,000
_LOWER, _UPPER = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
LETTERS_STAY = frozenset({
    "passport", "permit", "medical_record", "insurance", "account", "person_number", "case_number",
    "driving_licence", "licence", "tax_id", "card", "phone", "company_id",
})  # fmt: skip


def dress(original: str, characters: str) -> str:
    """`characters` (ASCII, one for each ASCII letter or digit of the folded original) in the original's place and
    width."""
    folded, given = fold(original), iter(characters)
    out = []
    for old, seen in zip(original, folded, strict=True):
        if seen.isascii() and seen.isalnum():
            new = next(given)
            out.append(chr(ord(new) + 0xFEE0) if 0xFF01 <= ord(old) <= 0xFF5E else new)
        else:
            out.append(old)
    return "".join(out)


def letters_and_digits(original: str) -> str:
    """The ASCII letters and digits of the folded original, case as written."""
    return "".join(char for char in fold(original) if char.isascii() and char.isalnum())


def draw(original: str, kind: str, rule: str, stream: Stream, kept: int = 0) -> str | None:
    """A value of the same shape that is not the original; None if the rule accepts none in DRAWS draws.

    kept: so many characters at the beginning stay.
    """
    written = letters_and_digits(original)
    if not written:
        return None
    known = RULES.get(rule)
    for _ in range(DRAWS if known and (known.check or kind in ("phone", "plate", "postcode")) else 50):
        fresh = "".join(
            char if place < kept else _other(char, kind, place, stream) for place, char in enumerate(written)
        )
        if fresh == written:
            continue
        dressed = dress(original, fresh)
        if known is None or _accepted(known, dressed):
            return dressed
    return None


def telling(kind: str, original: str) -> str:
    """The name of the first rule of a kind that knows this shape without its label; "" if none does."""
    folded = fold(original)
    return next(
        (
            name
            for name, rule in RULES.items()
            if rule.kind == kind and not rule.context and rule.pattern.fullmatch(folded)
        ),
        "",
    )


def _accepted(rule: Rule, value: str) -> bool:
    folded = fold(value)
    if (
        rule.at != "state"
        and rule.name != "last digits of a card"
        and not rule.pattern.fullmatch(folded)
        and rule.name != "QQ number"
    ):
        return False
    return rule.check is None or rule.check(compact(folded))


def _other(char: str, kind: str, place: int, stream: Stream) -> str:
    if char.isdigit():
        if kind == "wallet":
            return stream.pick("23456789")
        return char if place == 0 and char == "0" else str(stream.below(9) + 1) if place == 0 else str(stream.below(10))
    if kind in LETTERS_STAY:
        return char
    if kind == "wallet":
        return stream.pick(
            "abcdef"
            if char in "abcdefx"
            else [one for one in _BASE58 if one.isalpha() and one.isupper() == char.isupper()]
        )
    return stream.pick(_UPPER if char.isupper() else _LOWER)
