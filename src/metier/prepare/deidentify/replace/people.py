"""Other names for people: the same one for the same name, of the same script, length and, where it shows, gender.

Purpose: "John Smith", "Smith, John", "J. Smith" and "John" become one invented person, and so do 张伟, 张先生 and
张某某, because the family name and the given name are replaced by themselves. Two people who share a family name
share the invented one, as members of a family should.
Trade-off: about 150 given and 200 family names to draw from, so two people may meet in one alias in a large corpus; how
often a family name stands in the corpus is not hidden.
Not covered: names in scripts other than Han and Latin (they become a placeholder).
"""

from __future__ import annotations

import re

from metier.prepare.deidentify.recognise.folding import fold
from metier.prepare.deidentify.recognise.words import parts, words
from metier.prepare.deidentify.replace.key import Stream

_HAN = re.compile("[\u3400-\u9fff]")
_LATIN = re.compile(r"[A-Za-zÀ-ɏ][\w'’-]*|[A-Za-z]")
_STAY = frozenset({
    "van", "von", "de", "der", "den", "da", "di", "del", "la", "le", "el", "al", "bin", "ibn", "dos", "du", "of",
    "the", "and", "jr", "sr", "ii", "iii", "iv", "md", "phd", "mr", "mrs", "ms", "dr", "prof", "esq",
})  # fmt: skip
_MASKED = frozenset("某Xx×*＊甲乙丙丁·")
COMMON = 100  # surnames to draw from: the most frequent, which tell least


def alias(key: bytes, name: str, known: dict[str, str]) -> str | None:
    """The invented name, written as the original was; None for a script that there is no list for.

    known: initial and family name in small letters ("j smith") -> first name, from the full names of the document.
    """
    if _HAN.search(name):
        return _chinese(key, name)
    pieces = _LATIN.findall(name)
    return (
        _latin(key, name, known)
        if pieces and re.sub(r"[\s.,'’\-]|[^\W\d_]", "", name) == "" and name.isprintable()
        else None
    )


def full_names(names: list[str]) -> dict[str, str]:
    """For each full Latin name its "initial family" -> first name; a pair of people with both alike has none."""
    known: dict[str, str] = {}
    for name in names:
        first, last = _ends(name)
        if first and last and len(first) > 1:
            way = f"{first[0]} {last}"
            known[way] = first if known.get(way, first) == first else ""
    return known


def _ends(name: str) -> tuple[str, str]:
    pieces = [piece.lower() for piece in _LATIN.findall(name) if piece.lower() not in _STAY]
    if len(pieces) < 2 or _HAN.search(name):
        return "", ""
    return (pieces[1], pieces[0]) if "," in name else (pieces[0], pieces[-1])


def _chinese(key: bytes, name: str) -> str:
    surnames = words("surnames_zh")
    size = 2 if len(name) > 1 and name[:2] in surnames else 1
    surname, given = name[:size], name[size:]
    pool = [word for word in surnames if len(word) == size and word != surname][:COMMON]
    out = Stream(key, "surname", surname).pick(pool)
    if not given or all(char in _MASKED or char.isdigit() for char in given):
        return out + given
    lists = parts("given_zh")
    women, men = (sum(char in lists[part] for char in given) for part in ("women", "men"))
    pool_given = lists["women"] if women > men else lists["men"] if men > women else lists["both"]
    stream = Stream(key, "given name", name)
    for _ in range(50):
        fresh = "".join(char if not _HAN.match(char) else stream.pick(pool_given) for char in given)
        if fresh != given:
            break
    return out + fresh


def _latin(key: bytes, name: str, known: dict[str, str]) -> str:
    found = [piece for piece in _LATIN.finditer(name) if piece.group().lower() not in _STAY]
    inverted = "," in name
    firsts = words("given_en")
    out, at = "", 0
    for number, piece in enumerate(found):
        word = piece.group()
        family = number == 0 if inverted else number == len(found) - 1
        if len(found) == 1:
            family = word.capitalize() not in firsts
        if len(word) == 1:
            new = _initial(key, word, fold(found[0 if inverted else -1].group()).lower(), known)
        else:
            new = _word(key, word, family)
        out += name[at : piece.start()] + _case(word, new)
        at = piece.end()
    return out + name[at:]


def _word(key: bytes, word: str, family: bool) -> str:
    plain = word.lower().replace("’", "'")
    if family:
        pool = [other for other in words("family_en") if other.lower() != plain]
        return Stream(key, "family name", plain).pick(pool)
    lists = parts("given_en")
    part = next((part for part in ("men", "women") if word.capitalize() in lists[part]), "")
    pool = [other for other in (lists[part] if part else (*lists["men"], *lists["women"])) if other.lower() != plain]
    return Stream(key, "first name", plain).pick(pool)


def _initial(key: bytes, letter: str, last: str, known: dict[str, str]) -> str:
    first = known.get(f"{letter.lower()} {last}", "")
    if first:
        return _word(key, first, False)[0]
    return Stream(key, "initial", f"{letter.lower()} {last}").pick("ABCDEFGHJKLMNPRSTW".replace(letter.upper(), ""))


def _case(was: str, new: str) -> str:
    if len(was) > 1 and was.isupper():
        return new.upper()
    return new.lower() if was.islower() else new
