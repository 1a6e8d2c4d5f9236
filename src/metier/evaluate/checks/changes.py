"""Changes of a text that leave its meaning as it is: slips of typing, of recognition, case, width and script.

Purpose: each is a function from a text and a random stream to edits; no edits: the change cannot alter this text.
English and Chinese have errors of their own kind: neighbours on the keyboard and swapped letters in Latin words,
characters that sound alike (as pinyin input offers them) or look alike in Chinese. The tables are those by which
`prepare.correct` believes an error (prepare/confusions.yaml); they hold no numerals, so no figure is altered.
Trade-off: errors are drawn evenly over words, real ones gather in hard words. Traditional and simplified follow OpenCC.
Not covered: regional words of Taiwan and Hong Kong, dialects, spoken language.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

from metier.errors import need
from metier.evaluate.checks.edits import Edit
from metier.prepare import confusions

HAN = re.compile("[\u3400-\u9fff\U00020000-\U000323af]")
WORD = re.compile("[A-Za-z]{4,}")  # shorter words are hardly ever mistyped, and become others ("to", "so")
FULL = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}  # ASCII -> its full-width form
HALF = {wide: code for code, wide in FULL.items()} | {0x3000: 0x20}
TextChange = Callable[[str, Random, float], list[Edit]]


def is_chinese(text: str) -> bool:
    """Whether the text is written in Han characters for the most part."""
    return 2 * len(HAN.findall(text)) > len(re.findall("[A-Za-z]+", text))


def typing(text: str, random: Random, share: float) -> list[Edit]:
    """A share of the words mistyped: a neighbour on the keyboard, two letters swapped, one left out or doubled; of
    Chinese characters one that sounds alike."""
    sounds = confusions.han_table("sounds")
    places = [(found.start(), _mistype) for found in WORD.finditer(text)]
    places += [(found.start(), _other(sounds)) for found in HAN.finditer(text) if found[0] in sounds]
    return _some(text, places, random, share)


def ocr(text: str, random: Random, share: float) -> list[Edit]:
    """A share of the words misread: letters, or characters, that look alike (rn and m, 末 and 未)."""
    looks = confusions.han_table("looks")
    pairs = confusions.pairs_alike()
    places = [
        (found.start(), _misread) for found in WORD.finditer(text) if any(wrong in found[0] for wrong, _ in pairs)
    ]
    places += [(found.start(), _other(looks)) for found in HAN.finditer(text) if found[0] in looks]
    return _some(text, places, random, share)


def upper_case(text: str, random: Random, share: float) -> list[Edit]:
    """All letters large."""
    return _each(text, str.upper)


def lower_case(text: str, random: Random, share: float) -> list[Edit]:
    """All letters small."""
    return _each(text, str.lower)


def full_width(text: str, random: Random, share: float) -> list[Edit]:
    """ASCII as Chinese keyboards write it in full width: ＡＢＣ，１２３."""
    return _each(text, lambda char: char.translate(FULL))


def half_width(text: str, random: Random, share: float) -> list[Edit]:
    """Full-width forms as ASCII."""
    return _each(text, lambda char: char.translate(HALF))


def traditional(text: str, random: Random, share: float) -> list[Edit]:
    """Simplified characters as traditional ones."""
    return _converted(text, "s2t")


def simplified(text: str, random: Random, share: float) -> list[Edit]:
    """Traditional characters as simplified ones."""
    return _converted(text, "t2s")


TEXT_CHANGES: dict[str, TextChange] = {
    "typing": typing, "ocr": ocr, "upper_case": upper_case, "lower_case": lower_case, "full_width": full_width,
    "half_width": half_width, "traditional": traditional, "simplified": simplified,
}  # fmt: skip


def to_script_of(answer: str, model: str) -> str:
    """A written answer in the script (simplified or traditional) of another text; as it is where that has neither.

    A model that is asked in traditional characters may well answer in them, which is no error.
    """
    for setting in ("t2s", "s2t"):
        if HAN.search(model) and converter(setting).convert(model) == model:
            return str(converter(setting).convert(answer))
    return answer


@cache
def converter(setting: str) -> Any:
    """OpenCC's converter; UserError where it is not installed."""
    return need("opencc", "evaluate").OpenCC(setting)


def _some(text: str, places: list[Any], random: Random, share: float) -> list[Edit]:
    """Errors at some places: a share of all words and Han characters of the text, at least one."""
    if not places:
        return []
    size = len(re.findall("[A-Za-z]+", text)) + len(HAN.findall(text))
    wanted = min(len(places), max(1, round(share * size)))
    edits = [slip(text, start, random) for start, slip in sorted(random.sample(places, wanted), key=lambda at: at[0])]
    return [edit for edit in edits if edit is not None]


def _other(table: dict[str, str]) -> Callable[[str, int, Random], Edit]:
    return lambda text, at, random: Edit(at, at + 1, random.choice(table[text[at]]))


def _mistype(text: str, start: int, random: Random) -> Edit | None:
    """One slip within the word that starts here; its first letter is left alone, as fingers mostly do."""
    found = WORD.match(text, start)
    assert found is not None
    word = found[0]
    at = random.randrange(1, len(word) - 1)
    kind = random.choice(("beside", "swap", "drop", "double"))
    here = start + at
    if kind == "swap" and word[at] != word[at + 1]:
        return Edit(here, here + 2, word[at + 1] + word[at])
    if kind == "drop":
        return Edit(here, here + 1, "")
    near = confusions.neighbours(word[at].lower())
    if kind == "beside" and near:
        new = random.choice(near)
        return Edit(here, here + 1, new.upper() if word[at].isupper() else new)
    return Edit(here, here, word[at])


def _misread(text: str, start: int, random: Random) -> Edit | None:
    """One sequence of letters of the word replaced by one that it is taken for."""
    found = WORD.match(text, start)
    assert found is not None
    pairs = [(at, wrong, right) for wrong, right in confusions.pairs_alike()
             for at in range(len(found[0])) if found[0].startswith(wrong, at)]  # fmt: skip
    if not pairs:
        return None
    at, wrong, right = random.choice(pairs)
    return Edit(start + at, start + at + len(wrong), right)


def _each(text: str, turn: Callable[[str], str]) -> list[Edit]:
    return [Edit(at, at + 1, new) for at, char in enumerate(text) if (new := turn(char)) != char]


def _converted(text: str, setting: str) -> list[Edit]:
    """Line by line, since phrases decide which character it is; a line whose length changes stays as it is, because
    nothing could be carried through it (OpenCC's s2t and t2s keep the length but for a few entries)."""
    edits, at = [], 0
    for line in text.splitlines(keepends=True):
        new = converter(setting).convert(line) if HAN.search(line) else line
        if len(new) == len(line):
            edits += [Edit(at + place, at + place + 1, b)
                      for place, (a, b) in enumerate(zip(line, new, strict=True)) if a != b]  # fmt: skip
        at += len(line)
    return edits
