"""Documents with known duplicates and known traps, in English and Chinese; everything invented, everything seeded.

Purpose: bank letters, medical notes and contracts are built from the sentences in near_grammar.yaml. Of each document
there is one duplicate (edited, scanned badly, with sentences in another order, or with boilerplate around it) and one
trap: the same document with one number, date, party or negation changed, or with two parties in each other's place.
Not covered: layout, tables, translations; texts that people wrote.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DUPLICATES = ("edited", "scanned", "reordered", "boilerplate")
TRAPS = ("number", "date", "party", "roles", "negation")
SCAN_ERRORS = 0.01  # share of characters that a scan gets wrong: the better half of office scanners
GREETINGS = ("Dear", "To ", "尊敬的")  # such a line stays where it is
GRAMMAR = yaml.safe_load((Path(__file__).parent / "near_grammar.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Item:
    """A text; `base` is equal for texts that stem from one document; kind: "original", or one of the above."""

    text: str
    base: int
    kind: str

    @property
    def trap(self) -> bool:
        """Whether it says something else than the original."""
        return self.kind in TRAPS


@dataclass
class Document:
    """Sentences with slots, and what fills them."""

    language: str
    sentences: list[str]
    values: dict[str, str]

    def lines(self) -> list[str]:
        return [re.sub(r"\{(\w+)\}", lambda slot: self.values[slot[1]], line) for line in self.sentences]

    def text(self) -> str:
        return put_together(self.lines(), self.language)


def put_together(lines: list[str], language: str) -> str:
    """Sentences as paragraphs of four, after the greeting if there is one."""
    between = "" if language == "zh" else " "
    first = int(lines[0].startswith(GREETINGS))
    parts = [lines[:first], *(lines[start : start + 4] for start in range(first, len(lines), 4))]
    return "\n".join(between.join(part) for part in parts if part)


def corpus(language: str, number: int, seed: int = 0) -> list[Item]:
    """`number` documents, each with one duplicate and one trap: 3 * number items in a seeded order."""
    items = []
    for base in range(number):
        draw = random.Random(f"{seed} {language} {base}")
        document = make(language, draw)
        items.append(Item(document.text(), base, "original"))
        kind = DUPLICATES[base % len(DUPLICATES)]
        items.append(Item(duplicate(document, kind, draw), base, kind))
        kind = TRAPS[base % len(TRAPS)]
        items.append(Item(trap(document, kind, draw), base, kind))
    random.Random(seed).shuffle(items)
    return items


def make(language: str, draw: random.Random) -> Document:
    """10 to 15 sentences of one field, in their usual order."""
    fields = GRAMMAR[language]["domains"]
    lines = fields[draw.choice(sorted(fields))]
    kept = sorted(draw.sample(range(len(lines)), draw.randint(10, 15)))
    sentences = [re.sub(r"\[([^\]]*)\]", lambda found: draw.choice(found[1].split("|")), lines[i]) for i in kept]
    slots = sorted({slot for line in sentences for slot in re.findall(r"\{(\w+)\}", line)})
    values: dict[str, str] = {}
    for slot in slots:
        values[slot] = fill(slot.rstrip("0123456789"), language, draw)
        while slot[:-1] in ("person", "company") and list(values.values()).count(values[slot]) > 1:
            values[slot] = fill(slot.rstrip("0123456789"), language, draw)
    return Document(language, sentences, values)


def fill(slot: str, language: str, draw: random.Random) -> str:
    """Something for a slot."""
    words = GRAMMAR[language]["slots"]
    if slot == "person":
        names = draw.choice(words["given"]), draw.choice(words["family"])
        return " ".join(names) if language == "en" else names[1] + names[0]
    if slot == "company":
        space = " " if language == "en" else ""
        return draw.choice(words["company_name"]) + space + draw.choice(words["company_kind"])
    if slot == "date":
        day, month, year = draw.randint(1, 28), draw.choice(words["month"]), draw.randint(2015, 2024)
        return f"{day} {month} {year}" if language == "en" else f"{year}年{month}月{day}日"
    if slot == "money":
        value = draw.randint(11, 990) * draw.choice((1, 10, 100))
        return f"{value:,} euros" if language == "en" else f"{value:,}元"
    ranges = {"rate": lambda: f"{draw.randint(101, 999) / 100:.2f}", "digits": lambda: str(draw.randint(1001, 9998)),
              "number": lambda: str(draw.randint(2, 89)), "dose": lambda: str(draw.randint(5, 160)),
              "title": lambda: draw.choice(["Mr", "Ms"] if language == "en" else ["先生", "女士"])}  # fmt: skip
    return ranges[slot]() if slot in ranges else str(draw.choice(words[slot]))


def duplicate(document: Document, kind: str, draw: random.Random) -> str:
    """Another form of the document that says the same."""
    language, lines = document.language, document.lines()
    if kind == "scanned":
        return scan(document.text(), language, draw)
    if kind == "reordered":
        first = int(lines[0].startswith(GREETINGS))
        places = draw.sample(range(first, len(lines)), draw.randint(2, len(lines) - first))
        moved = [lines[i] for i in sorted(places)]
        draw.shuffle(moved)
        for place, line in zip(sorted(places), moved, strict=True):
            lines[place] = line
        return put_together(lines, language)
    if kind == "boilerplate":
        added = draw.sample(GRAMMAR[language]["boilerplate"], draw.randint(1, 2))
        added = [re.sub(r"\{\w+\}", lambda _: str(draw.randint(2, 9)), line) for line in added]
        where = draw.randint(0, len(added))
        return "\n".join([*added[:where], put_together(lines, language), *added[where:]])
    for _ in range(draw.randint(1, 4)):
        lines = edit(lines, language, draw)
    return put_together(lines, language)


def edit(lines: list[str], language: str, draw: random.Random) -> list[str]:
    """One small change: a synonym, a filler word, or a typing error."""
    lines, words = lines.copy(), GRAMMAR[language]
    how = draw.choice(("synonym", "synonym", "filler", "typing error"))
    if how == "synonym":
        pairs = [pair if draw.random() < 0.5 else pair[::-1] for pair in draw.sample(words["synonyms"], 30)]
        for one, two in pairs:
            pattern = rf"\b{one}\b" if language == "en" else one
            for i in draw.sample(range(len(lines)), len(lines)):
                if re.search(pattern, lines[i]):
                    lines[i] = re.sub(pattern, two, lines[i], count=1)
                    return lines
    i = draw.randrange(len(lines))
    if language == "en":
        places = [match.start() for match in re.finditer(r"(?<= )[a-z]{4,}", lines[i])]
        long = [match for match in re.finditer(r"[A-Za-z]{5,}", lines[i])]
        if how == "filler" and places:
            place = draw.choice(places)
            lines[i] = f"{lines[i][:place]}{draw.choice(words['fillers'])} {lines[i][place:]}"
        elif long:
            match = draw.choice(long)
            place = draw.randrange(match.start() + 1, match.end() - 1)
            a, b = lines[i][place], lines[i][place + 1]
            wrong = draw.choice((b + a, a, a + a + b))  # swapped, dropped, doubled
            lines[i] = lines[i][:place] + wrong + lines[i][place + 2 :]
    elif len(lines[i]) > 8:
        place = draw.randrange(2, len(lines[i]) - 2)
        commas = [match.end() for match in re.finditer("，", lines[i])]
        if how == "filler" and commas:
            place = draw.choice(commas)
            lines[i] = lines[i][:place] + draw.choice(words["fillers"]) + lines[i][place:]
        elif lines[i][place].isalpha():
            lines[i] = lines[i][:place] + draw.choice(("", lines[i][place] * 2)) + lines[i][place + 1 :]
    return lines


def scan(text: str, language: str, draw: random.Random) -> str:
    """Letters taken for others, spaces lost and found."""
    confusions: dict[str, list[str]] = {}
    for one, two in GRAMMAR[language]["confusions"]:
        confusions.setdefault(one, []).append(two)
    result, i = [], 0
    could = sum(c in confusions or c == " " for c in text) / len(text)
    chance = 0.85 * SCAN_ERRORS / could  # the rest are spaces where none were
    while i < len(text):
        found = next((text[i : i + n] for n in (2, 1) if text[i : i + n] in confusions), "")
        wrong = draw.random() < chance
        if wrong and found:
            result.append(draw.choice(confusions[found]))
            i += len(found)
            continue
        if wrong and text[i] == " ":
            i += 1
            continue
        result.append(text[i])
        if draw.random() < SCAN_ERRORS * 0.15 and text[i].isalpha():
            result.append(" ")
        i += 1
    return "".join(result)


def trap(document: Document, kind: str, draw: random.Random) -> str:
    """The document with one thing changed that matters."""
    language, values = document.language, dict(document.values)
    used = [slot for slot in values if any(f"{{{slot}}}" in line for line in document.sentences)]
    if kind == "negation":
        return negate(document, draw)
    named = [slot for slot in used if slot[:-1] in ("person", "company")]
    if kind == "roles":
        for sort in draw.sample(["person", "company"], 2):
            pair = [slot for slot in named if slot.startswith(sort)]
            if len(pair) > 1:
                one, two = draw.sample(pair, 2)
                values[one], values[two] = values[two], values[one]
                return Document(language, document.sentences, values).text()
        kind = "party"
    kinds = {"number": ("money", "rate", "digits", "number", "dose"), "date": ("date",), "party": ("person", "company")}
    chosen = [slot for slot in used if slot[:-1] in kinds[kind]]
    if not chosen:  # a document without a date gets a number
        chosen = [slot for slot in used if slot[:-1] in kinds["number"]] or named
    slot = draw.choice(chosen)
    if slot in named and draw.random() < 0.3:
        values[slot] = nearly(values[slot], language, draw)
    while values[slot] == document.values[slot]:
        values[slot] = fill(slot[:-1], language, draw)
    return Document(language, document.sentences, values).text()


def nearly(name: str, language: str, draw: random.Random) -> str:
    """A name that differs in one letter or character and could be a name as well."""
    if language == "en":
        last = len(name) if name.split()[0] in GRAMMAR["en"]["slots"]["given"] else name.index(" ")
        place = draw.choice([i for i, letter in enumerate(name[:last]) if letter in "aeiou"])
        return name[:place] + draw.choice([c for c in "aeiou" if c != name[place]]) + name[place + 1 :]
    characters = "".join(GRAMMAR["zh"]["slots"]["given" if len(name) < 4 else "company_name"])
    place = draw.randrange(1, 2) if len(name) < 4 else draw.randrange(2)
    return name[:place] + draw.choice([c for c in characters if c != name[place]]) + name[place + 1 :]


def negate(document: Document, draw: random.Random) -> str:
    """One statement turned into its opposite."""
    lines = document.lines()
    rules: list[Any] = GRAMMAR[document.language]["negations"]
    for one, two in draw.sample(rules, len(rules)):
        for i in draw.sample(range(len(lines)), len(lines)):
            if one in lines[i] and (two == "" or two not in lines[i]):
                lines[i] = lines[i].replace(one, two, 1)
                return put_together(lines, document.language)
    raise ValueError("no statement can be turned")
