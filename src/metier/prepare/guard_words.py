"""The lists of guard.yaml in the form in which `guard.py` looks for them: sets, pairs and patterns.

Not covered: how they are used.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from importlib.resources import files

import yaml

HAN = "\u3041-\u30ff\u3400-\u9fff\U00020000-\U000323af"


_LOOKS = str.maketrans("015|", "olsl")


@dataclass(frozen=True)
class Words:
    """The lists of guard.yaml in the form in which they are used."""

    numbers: frozenset[str]
    dates: frozenset[str]
    negations: frozenset[str]
    facts: frozenset[str]
    facts_zh: frozenset[str]
    prefixes: frozenset[str]
    openers: frozenset[str]
    common: frozenset[str]
    units: frozenset[str]
    units_zh: frozenset[str]
    numerals: frozenset[str]
    negations_zh: frozenset[str]
    roles_zh: frozenset[str]
    dates_zh: tuple[str, ...]
    opposites: tuple[tuple[str, str], ...]
    visual: frozenset[str]
    names_apart: frozenset[str]
    weighty: tuple[str, ...]
    by_looks: dict[str, str]
    particles: frozenset[str]
    titled: re.Pattern[str]
    stock: re.Pattern[str]
    phrases: tuple[tuple[re.Pattern[str], str], ...]
    no_numerals: re.Pattern[str]
    surnames: frozenset[str]
    sure_surnames: frozenset[str]
    organisation: re.Pattern[str]
    after_name: re.Pattern[str]
    field: re.Pattern[str]
    cued: re.Pattern[str]


def looks(word: str) -> str:
    """What a word looks like: rn as m, vv as w, 0 as o, 1 and | as l, 5 as s."""
    return word.translate(_LOOKS).replace("rn", "m").replace("vv", "w")


@functools.cache
def words() -> Words:
    """Read once."""
    raw: dict[str, str] = yaml.safe_load((files("metier.prepare") / "guard.yaml").read_text(encoding="utf-8"))
    lists = {name: frozenset(text.split()) for name, text in raw.items()}
    sure, unsure = frozenset(raw["surnames"]), frozenset(raw["surnames_ambiguous"])
    han, cues = rf"[{HAN}]", "|".join(sorted(lists["cues"], key=len, reverse=True))
    surname = "".join(sure | unsure)

    def both_ways(name: str) -> frozenset[str]:
        return frozenset(either for pair in raw[name].split() for either in (pair, pair[::-1]))

    weighty = (lists["numbers"] | lists["dates"] | lists["negations"]
               | {word for pair in lists["opposites"] for word in pair.split("/") if word.isascii()})  # fmt: skip
    return Words(
        facts=lists["numbers"] | lists["dates"] | lists["negations"],
        facts_zh=frozenset(raw["numerals"]) | frozenset(raw["negations_zh"]) | frozenset(raw["roles_zh"]),
        numbers=lists["numbers"], dates=lists["dates"], negations=lists["negations"], prefixes=lists["prefixes"],
        openers=lists["openers"], units=lists["units"],
        common=lists["openers"] | lists["form_words"] | {date for date in lists["dates"] if len(date) > 4},
        units_zh=frozenset(raw["units_zh"]), numerals=frozenset(raw["numerals"]),
        negations_zh=frozenset(raw["negations_zh"]), roles_zh=frozenset(raw["roles_zh"]),
        dates_zh=tuple(sorted(lists["dates_zh"])),
        opposites=tuple(tuple(pair.split("/")) for pair in raw["opposites"].split()),  # type: ignore[misc]
        surnames=sure | unsure, sure_surnames=sure - unsure,
        visual=both_ways("visual") | both_ways("visual_zh"), names_apart=both_ways("names_apart"),
        weighty=tuple(sorted(weighty)), by_looks={looks(word): word for word in sorted(weighty)},
        particles=frozenset(raw["particles_zh"]),
        titled=re.compile(rf"[{surname}]{han}{{1,2}}(?:{'|'.join(lists['after_name'])})"),
        stock=re.compile("|".join(raw["stock"].split()), re.IGNORECASE),
        phrases=tuple((re.compile(rf"\b{one}\b" if one.isascii() else one, re.IGNORECASE), two.replace(".", " "))
                      for one, two in (pair.rsplit("=", 1) for pair in (raw["phrases"] + raw["misread_zh"]).split())),
        no_numerals=re.compile("|".join(raw["no_numerals"].split())),
        organisation=re.compile(rf"[^{raw['not_in_names']}]{{0,10}}?(?:{'|'.join(raw['organisations'].split())})"),
        after_name=re.compile(rf"{han}{{0,2}}(?:{'|'.join(lists['after_name'])})"),
        field=re.compile(rf"(?:{cues})(?:姓名|名称)?:{han}{{0,15}}$"),
        cued=re.compile(rf"(?:{cues})(?:姓名|名称)?:?[{surname}]{han}{{0,2}}"),
    )  # fmt: skip
