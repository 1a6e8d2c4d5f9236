"""What is measured about a text's quality, and the limits, for Chinese and English apart.

Purpose: a rule is a name, a measure of one text, and a limit on one side of it. English is measured in words, Chinese
in characters. Sources of the ideas: Rae et al. 2021 (Gopher: symbols, bullets, ellipses, function words, repeated lines
and n-grams), Raffel et al. 2020 (C4: placeholders, markup), Penedo et al. 2024 (FineWeb: repeated lines, punctuation).
The limits are ours and looser than theirs, because documents of a field are short notes, tables and numbered clauses
and not web pages; many apply only above a length (`from_letters`), since a share of six words means nothing. They were
set on `benchmarks/texts.py`: real texts and broken ones in both languages.
Not covered: whether a text is true, well written or harmful.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

Measure = Callable[["Text"], float]
HAN_LETTERS = 2.5  # an English word of five letters says about as much as two Han characters

_HAN = re.compile("[\u3400-\u9fff\U00020000-\U000323af]")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_LINK = re.compile(r"(?:https?://|www\.)[^\s，。）)\]>]+")
_MARKUP = re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>|[{}]|\bfunction\s*\(|(?:var|let|const)\s+\w+\s*=|&[a-z]{2,6};")
_PLACEHOLDER = re.compile(
    r"lorem ipsum|dolor sit amet|\byour text here\b|\binsert text here\b|enable javascript|\{\{\s*\w+\s*\}\}"
    r"|(?:此处|在此|这里)(?:输入|填写|添加|插入)(?:您的)?(?:文字|文本|内容|标题)|(?:请|需)(?:启用|开启)\s*JavaScript",
    re.I,
)
_TRUNCATED = re.compile(
    r"(?:\[?\+\d+ char(?:acter)?s\]?|read more|continue reading|show more|(?:点击)?(?:查看|阅读|展开)"
    r"(?:全文|更多|剩余)\S{0,4}"
    r"|未完待续)[\s.…»>）)\]]*$",
    re.I,
)
_BULLET = re.compile(r"\s*(?:[-*•●○▪■◆►·]|[(（]?\d{1,2}[)）.、])\s*\S")
_ELLIPSIS = re.compile(r"(?:\.{3}|…|。{2,})\s*$")
# What bytes read in the wrong encoding look like, beside characters that no text holds.
_MOJIBAKE = re.compile("锟斤拷|锟斤|烫烫烫|屯屯屯"
                       "|\u00c3[\u0080-\u00bf\u2018-\u203a]|\u00e2\u20ac.?|\u00c2[\u00a0-\u00bf]"
                       "|[\u00e4-\u00e9][\u0080-\u00bf\u0152-\u02dc\u2013-\u203a\u20ac\u2122]{1,2}|ï¿½")  # fmt: skip
_STOPS = "，。、；：！？…,.;:!?"
_USUAL = set(_STOPS + "“”‘’\"'（）()《》〈〉【】[]「」『』-–—·/%％&+=￥¥$€£°℃~～@*#|×①②③④⑤⑥⑦⑧⑨⑩")
FUNCTION_WORDS = frozenset(
    [
        "the",
        "be",
        "to",
        "of",
        "and",
        "that",
        "have",
        "with",
        "a",
        "in",
        "is",
        "for",
        "on",
        "it",
        "as",
        "was",
        "are",
        "by",
        "this",
        "at",
        "from",
        "or",
        "an",
        "not",
        "shall",
        "any",
        "which",
    ]
)
FUNCTION_HAN = frozenset("的了是在和有不或者及与為为以于於等对對中之其应應可当當")


@dataclass
class Text:
    """One text with what several rules need, each computed once."""

    text: str
    chinese: bool

    @cached_property
    def visible(self) -> str:
        """Without white space."""
        return "".join(self.text.split())

    @cached_property
    def han(self) -> str:
        """The Han characters in their order."""
        return "".join(_HAN.findall(self.text))

    @cached_property
    def words(self) -> list[str]:
        """Words of Latin letters, case folded."""
        return [word.casefold() for word in _WORD.findall(self.text) if not _HAN.search(word)]

    @cached_property
    def lines(self) -> list[str]:
        """Lines that are not empty."""
        return [line.strip() for line in self.text.splitlines() if line.strip()]

    @cached_property
    def units(self) -> Sequence[str]:
        """What n-grams are made of: Han characters in Chinese, words in English."""
        return self.han if self.chinese else self.words


@dataclass(frozen=True)
class Rule:
    """A text leaves when its measure is above `most` (or below, if `least`).

    zh, en: the limits. from_letters: texts with fewer Latin letters are not judged by it; a Han character counts as
    `HAN_LETTERS`.
    """

    name: str
    measure: Measure = field(repr=False)
    zh: float
    en: float
    least: bool = False
    from_letters: int = 0


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _letters(text: Text) -> float:
    return _share(sum(1 for char in text.visible if char.isalpha()), len(text.visible))


def _garbage(text: Text) -> float:
    """Share of characters that no text holds: replacement, private use, unassigned, control, and mojibake."""
    wrong = sum(
        1 for char in text.visible if char == "\ufffd" or unicodedata.category(char) in ("Co", "Cn", "Cc", "Cs")
    )
    return _share(wrong + sum(len(part) for part in _MOJIBAKE.findall(text.visible)), len(text.visible))


def _symbols(text: Text) -> float:
    """Share of characters that are neither letters, figures nor usual punctuation, and runs of the same sign."""
    plain = _LINK.sub("", text.visible)
    odd = sum(1 for char in plain if not char.isalnum() and char not in _USUAL)
    return _share(odd + sum(len(run.group()) - 3 for run in re.finditer(r"([^\w\s])\1{3,}", plain)), len(plain))


def _links(text: Text) -> float:
    return _share(sum(map(len, _LINK.findall(text.text))), len(text.visible))


def _markup(text: Text) -> float:
    return _share(sum(map(len, _MARKUP.findall(text.text))), len(text.visible))


def _placeholder(text: Text) -> float:
    return float(len(_PLACEHOLDER.findall(text.text)))


def _truncated(text: Text) -> float:
    return float(bool(_TRUNCATED.search(text.text.rstrip())))


def _function_words(text: Text) -> float:
    if text.chinese:
        return _share(sum(1 for char in text.han if char in FUNCTION_HAN), len(text.han))
    return _share(sum(1 for word in text.words if word in FUNCTION_WORDS), len(text.words))


def _odd_words(text: Text) -> float:
    """Share of words of four letters and more without a vowel, with four equal letters, or with five consonants."""
    long = [word for word in text.words if len(word) > 3]
    odd = re.compile(r"^[^aeiouyà-ÿ]+$|(.)\1{3}|[^aeiouyà-ÿ'’-]{6}")
    return _share(sum(1 for word in long if odd.search(word)), len(long))


def _rare_han(text: Text) -> float:
    """Share of Han characters that stand in neither half of frequent ones: level 1 of GB 2312 and of Big5.

    Chinese bytes in the wrong encoding become rare characters; in ordinary texts of both scripts it is below 0.05.
    """
    return _share(sum(1 for char in text.han if not _frequent(char)), len(text.han))


def _frequent(char: str) -> bool:
    for encoding, first, last in (("gb2312", 0xB0, 0xD7), ("big5", 0xA4, 0xC6)):
        try:
            if first <= char.encode(encoding)[0] <= last:
                return True
        except UnicodeEncodeError:
            continue
    return False


def _punctuation(text: Text) -> float:
    """Han characters or words for one mark of punctuation or line break."""
    marks = sum(1 for char in text.text if char in _STOPS) + len(text.lines)
    return len(text.units) / max(1, marks)


def _bullets(text: Text) -> float:
    return _share(sum(1 for line in text.lines if _BULLET.match(line)), len(text.lines))


def _ellipses(text: Text) -> float:
    return _share(sum(1 for line in text.lines if _ELLIPSIS.search(line)), len(text.lines))


def _top_line(text: Text) -> float:
    """Share of the text that its most expensive repeated line holds."""
    counts = Counter(text.lines)
    return max((n * len(line) for line, n in counts.items() if n > 1), default=0) / max(1, sum(map(len, text.lines)))


def _repeated_lines(text: Text) -> float:
    """Share of the characters that stand in a line that stood before."""
    counts = Counter(text.lines)
    return sum((n - 1) * len(line) for line, n in counts.items()) / max(1, sum(map(len, text.lines)))


def _top_ngram(text: Text) -> float:
    """Share of the text that its most frequent run of 4 Han characters (2 words) holds."""
    width = 4 if text.chinese else 2
    counts = Counter(_grams(text.units, width))
    top = max(counts.values(), default=0)
    return min(1.0, _share(top * width, len(text.units))) if top > 1 else 0.0


def _repeated_ngrams(text: Text) -> float:
    """Share of the Han characters (words) that stand in a run of 12 (6) that stood before."""
    width = 12 if text.chinese else 6
    seen: set[tuple[str, ...] | str] = set()
    covered = last = 0
    for start, gram in enumerate(_grams(text.units, width)):
        if gram in seen:
            covered += start + width - max(start, last)
            last = start + width
        seen.add(gram)
    return _share(covered, len(text.units))


def _grams(units: Sequence[str], width: int) -> list[str | tuple[str, ...]]:
    if isinstance(units, str):
        return [units[start : start + width] for start in range(len(units) - width + 1)]
    return [tuple(units[start : start + width]) for start in range(len(units) - width + 1)]


BUILT_IN = (
    Rule("letters", _letters, 0.1, 0.1, least=True),
    Rule("garbage", _garbage, 0.03, 0.03),
    Rule("symbols", _symbols, 0.25, 0.25),
    Rule("links", _links, 0.6, 0.6),
    Rule("markup", _markup, 0.15, 0.15),
    Rule("placeholder", _placeholder, 0, 0),
    Rule("truncated", _truncated, 0, 0),
    Rule("function_words", _function_words, 0.02, 0.03, least=True, from_letters=150),
    Rule("odd_words", _odd_words, 1.0, 0.35, from_letters=60),
    Rule("rare_han", _rare_han, 0.2, 0.5, from_letters=15),
    Rule("punctuation", _punctuation, 120, 90, from_letters=150),
    Rule("bullets", _bullets, 0.95, 0.95, from_letters=600),
    Rule("ellipses", _ellipses, 0.4, 0.4, from_letters=60),
    Rule("top_line", _top_line, 0.4, 0.4, from_letters=40),
    Rule("repeated_lines", _repeated_lines, 0.5, 0.5, from_letters=40),
    Rule("top_ngram", _top_ngram, 0.3, 0.3, from_letters=60),
    Rule("repeated_ngrams", _repeated_ngrams, 0.6, 0.6, from_letters=150),
)
