"""What optical recognition and typing take for what: one English edit, one Han character.

Purpose: an edit is believed only if it is one that happens: letters that look alike (rn and m), neighbours on the
keyboard, two letters in the wrong order, one missing or doubled. The tables are in `confusions.yaml`.
Trade-off: first and last letters are left alone but for look-alikes, for there stand the endings that make another
right word (appeal, appeals); pairs that are spellings of two countries (organise, organize) are no errors.
Not covered: two errors in one word.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

NUMERALS = frozenset("〇零一二三四五六七八九十百千万亿两半壹贰叁肆伍陆柒捌玖拾佰仟")


def pairs_alike() -> tuple[tuple[str, str], ...]:
    """Sequences of Latin letters that optical recognition takes for each other, either way."""
    return _ocr()


def neighbours(letter: str) -> str:
    """The letters around a lower-case one on the keyboard, without itself; "" for other characters."""
    return _beside(letter).replace(letter, "")


def look_alikes(word: str) -> Iterator[str]:
    """The word with each sequence of letters replaced by one that it is taken for, once at a time."""
    for wrong, right in _ocr():
        start = word.find(wrong)
        while start >= 0:
            yield word[:start] + right + word[start + len(wrong) :]
            start = word.find(wrong, start + 1)


def mistyped(rare: str, frequent: str) -> bool:
    """Whether `rare` is `frequent` with one slip of the fingers within the word. Both are lower case."""
    from metier.errors import need

    edits = need("rapidfuzz.distance", "correct").OSA
    if edits.distance(rare, frequent, score_cutoff=1) != 1 or rare[0] != frequent[0] or rare[-1] != frequent[-1]:
        return False
    at = next(n for n, (a, b) in enumerate(zip(rare + " ", frequent + " ", strict=False)) if a != b)
    if at >= len(frequent) - 1 or _two_spellings(rare, frequent, at):
        return False
    if len(rare) == len(frequent):
        swapped = rare[at : at + 2] == frequent[at : at + 2][::-1]
        return swapped or frequent[at] in _beside(rare[at])
    if len(rare) < len(frequent):
        return True
    return rare[at] == rare[at - 1] or rare[at] in _beside(frequent[at]) or rare[at] in _beside(frequent[at - 1])


def deletes(word: str) -> set[str]:
    """The word, and it without one of its letters; words one slip apart share one of these (symmetric delete)."""
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


def han_alike(char: str) -> str:
    """The Han characters that this one is taken for; "" for most."""
    return _han().get(char, "")


@cache
def confusable() -> frozenset[str]:
    """All Han characters that are taken for another one."""
    return frozenset(_han())


def _two_spellings(rare: str, frequent: str, at: int) -> bool:
    """Whether the difference is one that American and British spelling make."""
    a, b = sorted((rare, frequent), key=len)
    if len(a) == len(b):
        return {rare[at], frequent[at]} == {"s", "z"} or {rare[-2:], frequent[-2:]} == {"er", "re"}
    letter = b[at] if b[:at] + b[at + 1 :] == a else ""
    before, after = b[max(0, at - 1) : at], b[at + 1 :]
    return (
        (letter == "u" and before == "o" and after.startswith("r"))
        or (letter == "l" and "l" in (before, after[:1]))
        or (letter in "ao" and after.startswith("e"))
        or (letter == "e" and after.startswith(("ment", "abl")))
    )


@cache
def _tables() -> dict[str, Any]:
    import yaml

    return dict(yaml.safe_load(Path(__file__).with_name("confusions.yaml").read_text(encoding="utf-8")))


@cache
def _ocr() -> tuple[tuple[str, str], ...]:
    pairs = [pair.casefold().split(":") for pair in _tables()["ocr"].split()]
    return tuple((a, b) for pair in pairs for a, b in (pair, pair[::-1]) if a != b)


@cache
def _beside(letter: str) -> str:
    """The letters around one on the keyboard, and itself."""
    rows = _tables()["keyboard"]
    for number, row in enumerate(rows):
        at = row.find(letter)
        if at >= 0:
            near = [row[max(0, at - 1) : at + 2]]
            near += [rows[n][max(0, at - 1) : at + 1 + (n < number)] for n in (number - 1, number + 1) if 0 <= n < 3]
            return "".join(near)
    return ""


@cache
def _han() -> dict[str, str]:
    return han_table("looks", "sounds")


@cache
def han_table(*kinds: str) -> dict[str, str]:
    """Han character -> those that it is taken for; kinds: `looks` (recognition), `sounds` (typing). No numerals."""
    found: dict[str, set[str]] = {}
    for group in " ".join(_tables()[kind] for kind in kinds).split():
        for char in group:
            found.setdefault(char, set()).update(set(group) - {char} - NUMERALS)
    return {char: "".join(sorted(others)) for char, others in found.items() if others and char not in NUMERALS}
