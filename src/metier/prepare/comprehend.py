"""Read questions and answers out of raw text by patterns: training to read, without any model that writes.

Purpose: a model learns more from a text that it is asked about. Ten patterns find what can be asked: a title and its
text, a term and its definition (X means ..., 本法所称X，是指), a conclusion (therefore, 因此), who, when, how much, a
gap, a continuation, words and their sentence. Each answer stands in the text, and each example names the span it stands
in. Source of the idea: Cheng et al. 2024 (AdaptLLM); patterns, wordings (`comprehend.yaml`) and code are ours.
Trade-off: patterns are strict and find little in a text of another kind; what they find is right by construction but
may be dull. Which examples of a pattern are taken, and in which wording, is drawn from the document's id.
Not covered: questions over several documents, reasoning that the text does not spell out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from metier import tables
from metier.prepare.changes import has_copies
from metier.prepare.config_texts import ComprehendConfig
from metier.prepare.derived import kept_with, made, of_test
from metier.prepare.flow import count
from metier.prepare.operation import Result, Settings, text_operation
from metier.prepare.sentences import Span, sentences

PASSAGE = 1200  # characters of a passage in a question or an answer, cut at a sentence
GAP = "____"

_FILE_NAME = re.compile(r"\.[A-Za-z0-9]{2,5}$")
_QUOTED = re.compile(r"“([^“”\n]{2,30})”|《([^《》\n]{2,40})》|「([^「」\n]{2,30})」|\"([^\"\n]{3,40})\"")


@dataclass(frozen=True)
class Example:
    """question and answer; text[start:end] of the document supports the answer."""

    pattern: str
    question: str
    answer: str
    start: int
    end: int


@dataclass(frozen=True)
class Document:
    """A text with what several patterns need."""

    id: str
    text: str
    title: str
    language: str  # "zh" or "en": whose patterns and wording are used

    @cached_property
    def spans(self) -> list[Span]:
        """Its sentences."""
        return sentences(self.text)

    def of(self, span: Span) -> str:
        """The characters of a span."""
        return self.text[span[0] : span[1]]

    def passage(self, first: int) -> tuple[int, Span]:
        """(index behind the last sentence, span) of the passage from sentence `first`, about PASSAGE characters."""
        last = first + 1
        while last < len(self.spans) and self.spans[last][1] - self.spans[first][0] <= PASSAGE:
            last += 1
        return last, (self.spans[first][0], self.spans[last - 1][1])


Found = tuple[str, str, Span]  # what is asked about, the answer, the span that supports it
Finder = Callable[[Document], Iterator[Found]]


def examples(row: Mapping[str, Any], config: ComprehendConfig) -> list[Example]:
    """All examples of one document, at most `per_pattern` of each pattern, in the order of the patterns."""
    language = "zh" if row["language"] == "zh" or (row["language"] != "en" and _mostly_han(row["text"])) else "en"
    document = Document(row["id"], row["text"], row["title"], language)
    made_ones: list[Example] = []
    for name, find in FINDERS.items():
        if config.patterns and name not in config.patterns:
            continue
        found = sorted(set(find(document)), key=lambda item: (_draw(document.id, name, str(item[2][0]), item[0]), item))
        for about, answer, span in found[: config.per_pattern]:
            wordings = _wordings(language, name)
            wording = wordings[int(_draw(document.id, name, about), 16) % len(wordings)]
            made_ones.append(Example(name, wording.format(about), answer, *span))
    return made_ones


def note(counts: Mapping[str, int]) -> str:
    """For the funnel."""
    shown = ", ".join(f"{name.replace('_', ' ')} {counts[name]:,}" for name in FINDERS if counts.get(name))
    made_ones = sum(counts.get(name, 0) for name in FINDERS)
    said = f"{count(made_ones, 'example')} from {count(counts.get('documents', 0), 'text')}"
    return said + (f": {shown}" if shown else "")


@text_operation("comprehend", note, lambda config: config.comprehend.enabled)
def comprehend(batch: pa.Table, settings: Settings, knowledge: Any) -> Result:
    """Add the examples of each document, as rows behind it or as text below it; test documents are left as they are."""
    config = settings.config.comprehend
    rows: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    for row in batch.to_pylist():
        skip = of_test(row) or has_copies(row["metadata"])
        found = [] if skip else examples(row, config)
        counts.update(example.pattern for example in found)
        counts.update({"documents": bool(found), "left alone": skip})
        if not found:
            rows.append(row)
        elif config.form == "text":
            asked = "\n\n".join(f"{example.question}\n{example.answer}" for example in found)
            rows.append({**row, "text": f"{row['text']}\n\n{asked}"})
        else:
            rows.append(kept_with(row))
            rows += [made(row, "comprehend", number, example.question, example.answer, (example.start, example.end),
                          pattern=example.pattern) for number, example in enumerate(found, 1)]  # fmt: skip
    return Result(tables.table(rows, tables.DOCUMENTS), counts={name: n for name, n in counts.items() if n})


def _title(document: Document) -> Iterator[Found]:
    """The title column, or a first line that is one."""
    title = _FILE_NAME.sub("", document.title).strip() if not _FILE_NAME.search(document.title) else ""
    first = document.text.lstrip().split("\n", 1)[0].lstrip("# ").strip()
    begin = 0
    if not title and "\n" in document.text.strip() and 2 <= len(first) <= 80 and first[-1] not in "。.!！?？;；:：,，":
        title = first
    if title and first == title:
        begin = sum(span[0] < document.text.find(first) + len(first) for span in document.spans)
    if sum(map(str.isalpha, title)) > 1 and begin < len(document.spans):
        _, span = document.passage(begin)
        if span[1] - span[0] > 2 * len(title):
            yield title, document.of(span), span


def _text_to_title(document: Document) -> Iterator[Found]:
    return ((passage, title, span) for title, passage, span in _title(document))


def _definition(document: Document) -> Iterator[Found]:
    for span in document.spans:
        if match := _pattern(document.language, "definition").match(document.of(span)):
            yield match["term"].strip(), match["said"].strip(), span


def _conclusion(document: Document) -> Iterator[Found]:
    for before, span in pairwise(document.spans):
        match = _pattern(document.language, "conclusion").match(document.of(span))
        if match and "\n" not in document.text[before[1] : span[0]]:
            yield document.of(before), match["said"], (before[0], span[1])


def _who(document: Document) -> Iterator[Found]:
    for span in document.spans:
        if match := _pattern(document.language, "who").match(document.of(span)):
            yield match["does"], match["who"], span


def _gapped(name: str) -> Finder:
    """Sentences with exactly one match, which is the gap."""

    def find(document: Document) -> Iterator[Found]:
        for span in document.spans:
            said = document.of(span)
            hits = list(_pattern(document.language, name).finditer(said))
            if len(hits) == 1 and len(said) > 2 * len(hits[0].group()):
                yield said[: hits[0].start()] + GAP + said[hits[0].end() :], hits[0].group(), span

    return find


def _cloze(document: Document) -> Iterator[Found]:
    """A quoted or defined term, left out where it stands once in a sentence."""
    terms = {next(part for part in hit.groups() if part) for hit in _QUOTED.finditer(document.text)}
    terms |= {term for term, _, _ in _definition(document)}
    for span in document.spans:
        said = document.of(span)
        for term in terms:
            if said.count(term) == 1 and len(said) > 2 * len(term):
                yield said.replace(term, GAP), term, span


def _continue(document: Document) -> Iterator[Found]:
    for first in range(0, max(0, len(document.spans) - 4), 5):
        asked = document.spans[first][0], document.spans[first + 2][1]
        told = document.spans[first + 3][0], document.spans[first + 4][1]
        if asked[1] - asked[0] <= PASSAGE and told[1] - told[0] <= PASSAGE:
            yield document.of(asked), document.of(told), (asked[0], told[1])


def _words_to_text(document: Document) -> Iterator[Found]:
    """Three terms that the document uses more than once, and a sentence that holds them."""
    form = r"[\u4e00-\u9fff]{2,4}?(?=[的和与及、，。；：])" if document.language == "zh" else r"[A-Za-z]{6,}"
    used = Counter(re.findall(form, document.text))
    terms = [term for term, n in used.items() if n > 1]
    for span in document.spans:
        said = document.of(span)
        held = sorted({term for term in terms if term in said}, key=lambda term: (-len(term), term))[:3]
        if len(held) == 3 and 20 <= len(said) <= 400:
            yield ("、" if document.language == "zh" else ", ").join(held), said, span


FINDERS: dict[str, Finder] = {
    "title": _text_to_title, "title_to_text": _title, "cloze": _cloze, "definition": _definition,
    "conclusion": _conclusion, "continue": _continue, "words_to_text": _words_to_text, "who": _who,
    "when": _gapped("when"), "how_much": _gapped("how_much"),
}  # fmt: skip


def _mostly_han(text: str) -> bool:
    han = sum(1 for char in text[:2000] if "\u3400" <= char <= "\u9fff")
    return han > 0.2 * len(text[:2000])


def _draw(*parts: str) -> str:
    return tables.digest(*parts)


@cache
def _tables() -> dict[str, Any]:
    import yaml

    return dict(yaml.safe_load(Path(__file__).with_name("comprehend.yaml").read_text(encoding="utf-8")))


def _wordings(language: str, pattern: str) -> list[str]:
    return list(_tables()[language][pattern])


@cache
def _pattern(language: str, name: str) -> re.Pattern[str]:
    return re.compile("".join(_tables()["patterns"][language][name]), re.S)
