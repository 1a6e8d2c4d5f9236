"""A text as the guard compares it: its words, where they stand, and what can be said of one word.

Purpose: signs that carry no meaning are taken out first: page numbers, stock sentences, commas within numbers, spaces
between Han characters, letters that a scanner put for digits within a number.
Not covered: what a difference means.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from metier.prepare.guard_words import HAN, looks, words

_NUMBER = r"(?:(?<![^\W_])[OIl|]+(?=\d)|\d)(?:[\dO]|[Il|](?=[\dO])|[.,:/-](?=[\dOIl|]))*"
_TOKEN = re.compile(rf"(?:(?<![\w.])[-+])?{_NUMBER}|[{HAN}]|[^\W\d_{HAN}]+(?:'[^\W\d_{HAN}]+)*|[%‰$€£¥^]")
_DIGITS = str.maketrans("OIl|", "0111")
_ENDS = re.compile(r"[.!?;:。！？；：\n\"“”(（•*]\s*$")  # what a sentence begins behind
_PAGE = re.compile(r"\bpage \d+(?: (?:of|/) \d+)?\b|第\s*\d+\s*页|共\s*\d+\s*页|^\s*[-–—] ?\d+ ?[-–—]\s*$", re.I | re.M)
_RAISED = {ord(raised): f"^{plain}" for raised, plain in zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True)}
_CAPITAL_I = re.compile("(?<=[a-z])I(?=[a-z]|$)")  # optical recognition of l

Span = tuple[int, int]  # words of a text, from and up to


@dataclass(frozen=True)
class Token:
    """A word, a number, a sign or a Han character. `initial`: a sentence may begin here."""

    text: str
    folded: str
    initial: bool


class Text:
    """A text as it is compared: its folded words, where they stand, and `Token` for those that are looked at."""

    def __init__(self, text: str) -> None:
        given = text
        text = unicodedata.normalize("NFKC", text.translate(_RAISED)).replace("\u2019", "'").replace("\u2212", "-")
        text = re.sub(rf"(?<=[{HAN}])[ \t]+(?=[{HAN}])", "", _PAGE.sub(" ", text))
        text = words().stock.sub(" ", text)
        for pattern, plain in words().phrases:
            text = pattern.sub(plain, text)
        text = re.sub(r"(?<=[a-z])n't\b", " not", text)
        text = re.sub(r"\b(?:can|ca)(?:not|n't|'t)\b", "can not", text)
        self.text = _CAPITAL_I.sub("l", text)
        found = [(match[0], match.start()) for match in _TOKEN.finditer(self.text)]
        self.words = [
            _number(word) if word[-1].isdigit() or word[0].isdigit() else word.casefold() for word, _ in found
        ]
        self.spaces = len(re.findall(rf"(?<=[{HAN}]) (?=[{HAN}])", given))  # which nobody writes
        self.starts = [start for _, start in found]
        self.ends = [start + len(word) for word, start in found]

    def tokens(self, start: int, stop: int) -> list[Token]:
        """Words number `start` to `stop`."""
        return [
            Token(self.text[self.starts[i] : self.ends[i]], self.words[i],
                  i == 0 or bool(_ENDS.search(self.text[self.ends[i - 1] : self.starts[i]])))
            for i in range(start, stop)
        ]  # fmt: skip

    @functools.cached_property
    def counts(self) -> Counter[str]:
        """How often each word stands in the text."""
        return Counter(self.words)


def _number(word: str) -> str:
    """As it was meant: letters that a scanner put for digits, and commas that part thousands."""
    word = word.translate(_DIGITS)
    return word.replace(",", "") if re.fullmatch(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", word) else word


def is_name(token: Token) -> bool:
    """A capitalised word that does not merely open a sentence."""
    word, known = token.text, words()
    return word[0].isupper() and not (token.initial and token.folded in known.openers) and token.folded != "i"


def is_han(text: str) -> bool:
    """Whether a word is written in Han or kana; they are words of one character here."""
    return bool(text) and text[0] > "\u3040"


@functools.cache
def weighty(word: str) -> str:
    """The number, date, negation or opposite that a word is meant to be, the word itself if it is none."""
    from rapidfuzz import process
    from rapidfuzz.distance import OSA

    known = words()
    if word in known.facts or len(word) < 3 or not word.isascii():
        return word
    if found := known.by_looks.get(looks(word)):
        return found
    if len(word) < 5 or word in known.common:
        return word
    near = process.extractOne(word, known.weighty, scorer=OSA.distance, score_cutoff=1)
    return near[0] if near and len(near[0]) > 4 and word not in known.weighty else word


def visual(one: str, two: str) -> bool:
    """Equally long, and what differs looks alike."""
    return len(one) == len(two) and all(a + b in words().visual for a, b in zip(one, two, strict=True) if a != b)


def close(one: str, two: str) -> bool:
    """Whether one typing error leads from one word to the other; two in words of more than eight letters."""
    from rapidfuzz.distance import OSA

    return OSA.distance(one, two) <= (2 if min(len(one), len(two)) > 8 else 1)
