"""Where sentences begin and end in Chinese, English and mixed text, by rules.

Purpose: cutting, citing and questioning a text needs its sentences, with offsets. Chinese ends them with 。！？ and the
closing quotes behind; a ； ends one only before the next item of a list. English full stops are read with what stands
around them: abbreviations, initials, decimals, citations (Sec. 5.1, v., 12 F.3d 45) and item numbers end nothing. What
stands in brackets or title marks （《？》） ends nothing either. A line break ends a sentence, unless the line was only
wrapped. Words and signs come from `sentences.yaml`.
Trade-off: rules need no model and no language tag; an abbreviation that is not in the list and stands before a capital
ends a sentence wrongly. Compared with spaCy's rule-based sentenciser in `benchmarks/texts.py`.
Not covered: poetry, text without punctuation (a paragraph is one sentence then), other languages' abbreviations.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

Span = tuple[int, int]

_CLOSING = "”’\"'」』）)】]》〉"
_END = re.compile(rf"[。！？!?.．｡]+[{re.escape(_CLOSING)}]*|；(?=\s*(?:\n|[（(][一二三四五六七八九十\d]+[）)]))|\n")
_STRONG = re.compile("[。！？｡]")
_TERMINATED = re.compile(rf"[。！？!?.．｡；;：:…][{re.escape(_CLOSING)}]*\s*$")
_ITEM = re.compile(
    r"\s*(?:[-*•●○▪■◆·|#>]|[(（]?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5}|[一二三四五六七八九十]{1,3})[)）.、．]|\d{1,3}(?:\.\d{1,3})+\s"
    r"|第[〇零一二三四五六七八九十百千\d]+[条條章节節款项項编編]|(?:Sec(?:tion|\.)|Article|Art\.|§)\s*\d)"
)
_NUMBERED = re.compile(r"\s*[(（]?(?:\d{1,3}(?:\.\d{1,3})*|[a-zA-Z]|[ivxIVX]{1,5})[.．]")
_LAST_WORD = re.compile(r"(?:[A-Za-z]\.)*[A-Za-z]+$")
_INITIALS = re.compile(r"(?:[A-Za-z]\.)*[A-Za-z]")
_NEXT_WORD = re.compile(r"[“\"'‘(（\[]*([A-Za-z]+)")
_SAID = re.compile(r"[^，。！？,.!?\n”“]{0,8}(?<![未不没沒])(?:说|道|问|答|喊|叫|表示|指出|强调|說|問)(?:道)?[，。：,]")
_SAID_EN = re.compile(r"\s*(?:[a-z]+|[A-Z][a-z]+ (?:said|asked|replied|added|answered)|I (?:said|asked))\b")
_WRAPPED = 20  # Han characters in a line that may have been wrapped; a shorter line is an item or a heading
_INSIDE = 300  # characters; a bracket that stays open longer is a mistake, and sentences end within it
_PAIRS = {"（": "）", "(": ")", "《": "》", "〈": "〉", "【": "】", "[": "]"}


def sentences(text: str) -> list[Span]:
    """(start, end) of every sentence, without the white space around it; all other characters are covered."""
    found: list[Span] = []
    start = 0
    inside = _inside(text)
    for match in _END.finditer(text):
        if match.start() < start or not _ends(text, start, match, inside):
            continue
        _add(found, text, start, match.end())
        start = match.end()
    _add(found, text, start, len(text))
    return found


def _add(found: list[Span], text: str, start: int, end: int) -> None:
    part = text[start:end]
    if part.strip():
        found.append((start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())))


def _ends(text: str, start: int, match: re.Match[str], inside: list[bool]) -> bool:
    """Whether a sentence that began at `start` ends with this mark."""
    sign, behind = match.group(), match.end()
    if sign == "\n":
        return not _wrapped(text, match.start())
    if sign.startswith("；"):
        return True
    if inside[match.start()]:
        return False
    if _STRONG.search(sign):
        return not (sign[-1] in '”’」』"' and _SAID.match(text, behind))
    return _ends_english(text, start, match)


def _ends_english(text: str, start: int, match: re.Match[str]) -> bool:
    sign, behind = match.group(), match.end()
    after = text[behind : behind + 1]
    if after and not after.isspace():
        return "\u3400" <= after <= "\u9fff" and sign[0] in "!?"
    rest = text[behind : behind + 80].lstrip(" \t\u3000")
    if not rest or rest.startswith("\n"):
        return not (sign.startswith(".") and _only_a_number(text[start : match.end()]))
    if sign.startswith(("!", "?")):
        return not (rest[0].islower() or (sign[-1] in "\"'”’" and _SAID_EN.match(rest)))
    if rest[0].islower() or (len(sign) > 1 and sign.startswith("..") and not rest[0].isupper()):
        return False
    return not _abbreviated(text, start, match.start(), rest)


def _only_a_number(part: str) -> bool:
    return bool(_NUMBERED.fullmatch(part))


def _abbreviated(text: str, start: int, dot: int, rest: str) -> bool:
    """Whether the full stop at `dot` belongs to the word before it."""
    line = max(start, text.rfind("\n", 0, dot) + 1)
    if _NUMBERED.fullmatch(text[line : dot + 1]):
        return True
    word = _LAST_WORD.search(text[max(line, dot - 30) : dot])
    if word is None:
        return False
    said = word.group()
    follows = _NEXT_WORD.match(rest)
    starts = follows is not None and follows.group(1).casefold() in _words("starters")
    name = said.casefold().replace(".", "")
    if name in _words("never_last"):
        return True
    if name in _words("before_number") and re.match(r"[\d§(ivxIVX]", rest):
        return True
    if name in _words("then_capital"):
        return not rest[0].isupper()
    if name in _words("often_last"):
        return not starts
    if _INITIALS.fullmatch(said) and said != "I":
        before = text[max(line, dot - 40) : dot - len(said)].rstrip()
        single = len(said) == 1
        return not starts and (not single or said.isupper()) and not (single and before.endswith(("=", "vitamin")))
    return False


def _wrapped(text: str, at: int) -> bool:
    """Whether the line break at `at` only wraps a line."""
    line = text[text.rfind("\n", 0, at) + 1 : at].strip()
    rest = text[at + 1 : at + 60]
    if not line or not rest.strip() or rest.lstrip(" \t\u3000").startswith("\n"):
        return False
    if rest.startswith("\u3000") or _TERMINATED.search(line) or _ITEM.match(rest) or line.startswith(("|", "#")):
        return False
    first = rest.lstrip()[0]
    if first.islower():
        return len(line) >= 2 * _WRAPPED
    han = sum(1 for char in line if "\u3400" <= char <= "\u9fff")
    return han >= _WRAPPED and "\u3400" <= first <= "\u9fff" and line[-1] not in "。！？；："


def _inside(text: str) -> list[bool]:
    """For each character whether it stands within brackets or title marks that close soon."""
    inside = [False] * (len(text) + 1)
    for opening, closing in _PAIRS.items():
        at = text.find(opening)
        while at >= 0:
            end = text.find(closing, at, at + _INSIDE)
            if end < 0 or "\n" in text[at:end]:
                at = text.find(opening, at + 1)
                continue
            if text[max(0, at - 40) : at].rstrip()[-1:] not in tuple("。！？.!?"):  # (A whole sentence stands alone.)
                inside[at:end] = [True] * (end - at)
            at = text.find(opening, end)
    return inside


@cache
def _words(name: str) -> frozenset[str]:
    import yaml

    tables = yaml.safe_load(Path(__file__).with_name("sentences.yaml").read_text(encoding="utf-8"))
    return frozenset(str(tables[name]).split())
