"""Counterfactual texts: the same words about a woman instead of a man, an old instead of a young customer.

Purpose: find in a text who it is about (people.yaml) and write it again about each other group, so that the new text is
as right as the old one: he, him and his become she, her and her or hers; a and an follow the word; 他 becomes 她 but
not in 其他; an adjective counts only before a person. All mentions change together.
Trade-off: lists and short rules instead of a parser: what they cannot decide is left out and counted. A text that names
several groups of one attribute is left out, since nobody could say whom the answer is about; so is one with a word of
the body that belongs to one sex.
Not covered: family names by themselves, nicknames, other languages, groups that people.yaml does not name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from metier.evaluate.checks.edits import Edit
from metier.evaluate.wording import Both

NAMES_NOBODY, SEVERAL, BOUND = "it names nobody", "it names several groups", "its words belong to one sex"
_AGE_EN = re.compile(r"\b(\d{1,3})(?=[- ]years?[- ]old\b)|(?<=\baged )(\d{1,3})\b")
_AGE_ZH = re.compile(r"(?<![\d.])(\d{1,3})(?=\s*(?:周岁|岁))")
_SEX_ZH = re.compile(r"(?<=[，,、；;：:\s（(])([男女])(?=[，,、；;。\s）)])")  # "患者，男，56岁"
_VOWEL = re.compile("[aeiouAEIOU]")


class Mention(NamedTuple):
    """Words that say to which group a person belongs. new: by group, what stands there instead."""

    start: int
    end: int
    group: str
    new: Mapping[str, str]


class Found(NamedTuple):
    """Who a text is about, and the edits that write it about each other group."""

    group: str
    edits: Mapping[str, Sequence[Edit]]


def groups(attribute: str) -> dict[str, Both]:
    """The groups of an attribute and their names in both languages."""
    return {name: (both[0], both[1]) for name, both in people()[attribute]["groups"].items()}


def find(text: str, attribute: str, random: Random) -> Found | str:
    """Who the text is about, or why it cannot be said."""
    mentions = _mentions(text, attribute, random)
    named = {one.group for one in mentions}
    if not named:
        return NAMES_NOBODY
    if len(named) > 1:
        return SEVERAL
    if attribute == "gender" and _bound().search(text):
        return BOUND
    targets = [name for name in groups(attribute) if all(name in one.new for one in mentions)]
    own = attribute not in ("gender", "age")  # Asian, white: names of groups are written as their list says
    edits = {name: _edits(text, mentions, name, own) for name in targets if name not in named}
    return Found(named.pop(), edits) if edits else NAMES_NOBODY


def inserted(text: str, chinese: bool, random: Random) -> dict[str, list[Edit]]:
    """By group of names: the edits that put a sentence with such a name before a text that names nobody. All names are
    of one gender, drawn for the text."""
    told = people()["name"]
    language = "zh" if chinese else "en"
    gender = random.choice(("female", "male"))
    return {name: [Edit(0, 0, told["templates"][language].format(random.choice(some[gender])))]
            for name, some in told[language].items()}  # fmt: skip


@cache
def people() -> dict[str, Any]:
    """people.yaml."""
    import yaml

    return dict(yaml.safe_load(Path(__file__).with_name("people.yaml").read_text(encoding="utf-8")))


def _mentions(text: str, attribute: str, random: Random) -> list[Mention]:
    found: list[Mention] = []
    if attribute == "gender":
        found = [*_pairs(text, attribute), *_pronouns(text), *_sexes(text), *_given_names(text, "gender", random)]
    elif attribute == "name":
        found = _given_names(text, "name", random)
    elif attribute == "age":
        found = [*_pairs(text, attribute), *_ages(text)]
    else:
        found = _listed(text, attribute, random)
    return _longest(found)


def _longest(found: Sequence[Mention]) -> list[Mention]:
    """Mentions that do not overlap, longer ones first."""
    kept: list[Mention] = []
    for one in sorted(found, key=lambda mention: (mention.start - mention.end, mention.start)):
        if not any(one.start < other.end and other.start < one.end for other in kept):
            kept.append(one)
    return sorted(kept)


def _edits(text: str, mentions: Sequence[Mention], group: str, own: bool) -> list[Edit]:
    """The mentions about another group, and the articles before them. own: the new words keep their capitals, except
    where a sentence begins."""
    edits = []
    for one in mentions:
        new, begins = one.new[group], re.search(r"(?:^|[.!?]\s)$", text[: one.start])
        if begins or not own:
            new = _cased(text[one.start : one.end], new)
        article = re.search(r"\b([Aa])(n?) $", text[max(0, one.start - 4) : one.start])
        if article and bool(_VOWEL.match(new)) != bool(article[2]):
            at = one.start - len(article[0])
            edits.append(Edit(at, at + len(article[0]) - 1, article[1] + ("n" if _VOWEL.match(new) else "")))
        edits.append(Edit(one.start, one.end, new))
    return edits


def _cased(old: str, new: str) -> str:
    """The new word as the old one was written; a word that always begins with a capital keeps it."""
    if len(old) > 1 and old.isupper():
        return new.upper()
    return new[:1].upper() + new[1:] if old[:1].isupper() else new


def _pairs(text: str, attribute: str) -> list[Mention]:
    """Words of lists of pairs."""
    first, second = list(groups(attribute))[:2]
    found = []
    for pattern, partner, group in _patterns(attribute, first, second):
        for place in pattern.finditer(text):
            if not _kept(text, place.start(), place.end(), attribute):
                other = second if group == first else first
                new = partner[place[0].lower()]
                found.append(Mention(place.start(), place.end(), group, {other: new}))
    return found


@cache
def _patterns(attribute: str, first: str, second: str) -> list[tuple[re.Pattern[str], dict[str, str], str]]:
    """For each list of pairs and each side: the pattern of its words, their partners, and their group."""
    told, made = people()[attribute], []
    for language in ("en", "en_before", "zh"):
        for side, group in ((0, first), (1, second)):
            partner: dict[str, str] = {}
            for pair in told.get(language, []):
                partner.setdefault(pair[side], pair[1 - side])
            if partner:
                made.append((_pattern(partner, language), partner, group))
    return made


def _pattern(words: Sequence[str] | Mapping[str, str], language: str) -> re.Pattern[str]:
    inner = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    if language == "zh":
        return re.compile(f"(?:{inner})")
    persons = "|".join(people()["persons"])
    after = rf"(?= (?:[a-z]+ )?(?:{persons})\b)" if language == "en_before" else r"\b"
    return re.compile(rf"(?<![\w-])(?<!years )(?:{inner}){after}", re.IGNORECASE)  # not the "old" of "25-year-old"


def _kept(text: str, start: int, end: int, attribute: str) -> bool:
    """Whether the words belong to longer ones that mean something else (其他)."""
    for word in people()[attribute].get("kept", []):
        at = text.find(word, max(0, start - len(word) + 1), end + len(word) - 1)
        if at >= 0 and at <= start and end <= at + len(word):
            return True
        if at >= 0 and at < end and start < at + len(word):  # 先生效: the longer word only overlaps
            return True
    return False


def _pronouns(text: str) -> list[Mention]:
    """him, his, her, hers: what they become hangs on what follows."""
    found = []
    for place in re.finditer(r"\b(him|his|hers|her)\b", text, re.IGNORECASE):
        word = place[0].lower()
        after = re.match(r" ([A-Za-z]+)", text[place.end() :])
        owns = after is not None and after[1].lower() not in people()["after_her"]
        if word in ("him", "his"):
            new = "her" if word == "him" or owns else "hers"
            found.append(Mention(place.start(), place.end(), "male", {"female": new}))
        else:
            new = "his" if word == "hers" or owns else "him"
            found.append(Mention(place.start(), place.end(), "female", {"male": new}))
    return found


def _sexes(text: str) -> list[Mention]:
    """男 and 女 by themselves between marks, as records write them."""
    return [
        Mention(place.start(), place.end(), "male" if place[1] == "男" else "female",
                {"female": "女"} if place[1] == "男" else {"male": "男"})
        for place in _SEX_ZH.finditer(text)
    ]  # fmt: skip


def _ages(text: str) -> list[Mention]:
    """Ages in years, written in digits."""
    years, found = people()["age"]["years"], []
    for pattern in (_AGE_EN, _AGE_ZH):
        for place in pattern.finditer(text):
            age = int(place[0])
            if 14 <= age <= years["below"]:
                found.append(Mention(place.start(), place.end(), "young", {"old": str(years["old"])}))
            elif years["above"] <= age <= 110:
                found.append(Mention(place.start(), place.end(), "old", {"young": str(years["young"])}))
    return found


@cache
def _name_patterns() -> list[tuple[re.Pattern[str], str, str, str]]:
    """(pattern, language, group, gender) of every list of names; names are written with their capital."""
    made = []
    for language in ("en", "zh"):
        for group, some in people()["name"][language].items():
            for gender, names in some.items():
                inner = "|".join(sorted(names, key=len, reverse=True))
                made.append((re.compile(rf"\b(?:{inner})\b" if language == "en" else inner), language, group, gender))
    return made


def _given_names(text: str, attribute: str, random: Random) -> list[Mention]:
    """Names of the lists: as `name` they become names of other groups, as `gender` names of the other gender."""
    found: list[Mention] = []
    chosen: dict[tuple[str, str], str] = {}  # a name becomes the same name wherever it stands

    def drawn(language: str, group: str, gender: str, old: str) -> str:
        names = people()["name"][language][group][gender]
        return chosen.setdefault((old, f"{group} {gender}"), random.choice(names))

    for pattern, language, group, gender in _name_patterns():
        for place in pattern.finditer(text):
            if attribute == "gender":
                other = "male" if gender == "female" else "female"
                new = {other: drawn(language, group, other, place[0])}
            else:
                new = {name: drawn(language, name, gender, place[0])
                       for name in people()["name"][language] if name != group}  # fmt: skip
            found.append(Mention(place.start(), place.end(), gender if attribute == "gender" else group, new))
    return found


def _listed(text: str, attribute: str, random: Random) -> list[Mention]:
    """Words of a group's list: they become the word at the same place in the other group's list."""
    found = []
    for language in ("en", "en_before", "zh"):
        told = people()[attribute].get(language, {})
        for group, words in told.items():
            for place in _group_pattern(attribute, language, group).finditer(text):
                at = [word.lower() for word in words].index(place[0].lower())
                new = {name: others[at] for name, others in told.items() if name != group}
                found.append(Mention(place.start(), place.end(), group, new))
    return found


@cache
def _group_pattern(attribute: str, language: str, group: str) -> re.Pattern[str]:
    return _pattern(people()[attribute][language][group], language)


@cache
def _bound() -> re.Pattern[str]:
    told = people()["gender"]["bound"]
    return re.compile(rf"\b(?:{'|'.join(told['en'])})|{'|'.join(told['zh'])}", re.IGNORECASE)
