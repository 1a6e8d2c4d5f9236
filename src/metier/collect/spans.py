"""Marked entities: spans of characters in the forms of usual data sets, and tags of tokens as spans.

Purpose: every form becomes [{"start", "end", "label"}], sorted, in characters of the text, the end exclusive. A span
that lies outside its text, or whose own copy of its words is not what stands there, is told and never moved.
CLUENER counts ends inclusively; which way a row counts is decided by the words that it repeats.
Tags may be IOB1, IOB2, BIOES or BMES: an entity begins at B or S, or where the type changes (as seqeval reads them).
Not covered: entities of several separate parts, relations between entities.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

STARTS = ("start", "start_position", "start_offset", "begin", "start_idx", "start_index")
ENDS = ("end", "end_position", "end_offset", "end_idx", "end_index", "stop")
LABELS = ("label", "entity_type", "type", "entity_group", "entity", "labels", "tag", "label_type")
WORDS = ("text", "entity_value", "word", "surface", "value", "mention")
TAG = re.compile(r"(?P<place>[BIOESMLUX])(?:[-_](?P<label>\S.*))?")
LONGEST_LITERAL = 1_000_000  # characters of a cell that may hold a list written as Python writes it
HAN = "[\u3400-\u9fff\uf900-\ufaff\u3000-\u303f\uff00-\uffef]"


class Misfit(Exception):
    """A field of a row that does not fit: which one (a path such as `spans[2].end`), and what is wrong with it."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(field, what)
        self.field, self.what = field, what

    def __str__(self) -> str:
        return f"{self.field}: {self.what}"


def structure(cell: Any) -> Any:
    """The cell, or the list or object that it holds as JSON, or as Python writes lists (exports of pandas)."""
    if not isinstance(cell, str) or cell.lstrip()[:1] not in ("[", "{"):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(cell.strip()) if len(cell) <= LONGEST_LITERAL else cell
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return cell


def spans_like(cell: Any) -> bool:
    """Whether a cell may hold spans: objects with start and end, [start, end, label], or {label: {words: places}}."""
    if isinstance(cell, Mapping):
        return bool(cell) and all(isinstance(value, Mapping) for value in cell.values()) and any(
            isinstance(places, (list, tuple)) for value in cell.values() for places in value.values())  # fmt: skip
    if not isinstance(cell, (list, tuple)) or not cell:
        return False
    first = cell[0]
    if isinstance(first, Mapping):
        return any(name in first for name in STARTS) and any(name in first for name in ENDS)
    return isinstance(first, (list, tuple)) and len(first) == 3 and sum(_whole(item) for item in first) == 2


def tags_like(cell: Any) -> bool:
    """Whether a cell may hold a tag for each token: names such as B-X, or numbers."""
    if not isinstance(cell, (list, tuple)) or not cell:
        return False
    return all(_whole(item) for item in cell) or all(isinstance(item, str) for item in cell)


def read_spans(cell: Any, text: str) -> list[dict[str, Any]]:
    """The spans of a row. Misfit: which entry and why."""
    if cell is None or cell == "" or cell == {}:
        return []
    if isinstance(cell, Mapping):
        found = list(_by_label(cell, text))
    elif isinstance(cell, (list, tuple)):
        found = [_span(item, text, f"spans[{number}]") for number, item in enumerate(cell)]
    else:
        raise Misfit("spans", f"should be a list of spans, and is {cell!r:.60}")
    unique = {(span["start"], span["end"], span["label"]): span for span in found}
    return [unique[key] for key in sorted(unique)]


def _span(item: Any, text: str, place: str) -> dict[str, Any]:
    words: Any = None
    if isinstance(item, Mapping):
        names = [next((name for name in known if name in item), known[0]) for known in (STARTS, ENDS, LABELS)]
        start, end, label = (item.get(name) for name in names)
        words = next((item[name] for name in WORDS if name in item and name != names[2]), None)
        fields = [f"{place}.{name}" for name in names]
    elif isinstance(item, (list, tuple)) and len(item) == 3:
        start, end, label = item if _whole(item[0]) else (*item[1:], item[0])
        fields = [f"{place}[{number}]" for number in range(3)]
    else:
        raise Misfit(place, "should be an object with start, end and label, or [start, end, label]")
    if isinstance(label, (list, tuple)) and len(label) == 1:
        label = label[0]
    for value, name in ((start, fields[0]), (end, fields[1])):
        if not _whole(value):
            raise Misfit(name, "is missing" if value is None else f"should be a whole number, and is {value!r:.60}")
    if label is None or isinstance(label, (list, tuple, dict)) or not str(label).strip():
        raise Misfit(fields[2], "is missing" if label is None else f"should be one name, and is {label!r:.60}")
    assert isinstance(start, int) and isinstance(end, int)
    _inside(start, end, text, fields)
    if isinstance(words, str) and words != text[start:end]:
        raise Misfit(place, f"at {start} to {end} stands {text[start:end][:40]!r}, not {words[:40]!r}")
    return {"start": start, "end": end, "label": str(label).strip()}


def _inside(start: int, end: int, text: str, fields: Sequence[str]) -> None:
    if start < 0:
        raise Misfit(fields[0], f"is {start}")
    if end <= start:
        raise Misfit(fields[1], f"is {end}, not after the start {start}")
    if end > len(text):
        raise Misfit(fields[1], f"is {end}, and the text has {len(text)} characters")


def _by_label(cell: Mapping[str, Any], text: str) -> Iterator[dict[str, Any]]:
    """{label: {words: [[start, end], ...]}}, whose ends may be the last character or the one after it."""
    for label, entities in cell.items():
        if not isinstance(entities, Mapping):
            raise Misfit(f"spans.{label}", "should be an object: words -> [[start, end], ...]")
        for words, places in entities.items():
            for number, place in enumerate(places if isinstance(places, (list, tuple)) else [places]):
                field = f"spans.{label}.{words}[{number}]"
                if not isinstance(place, (list, tuple)) or len(place) != 2 or not all(map(_whole, place)):
                    raise Misfit(field, f"should be [start, end], and is {place!r:.60}")
                start, end = place
                ends = [last for last in (end + 1, end) if 0 <= start < last and text[start:last] == words]
                if not ends:
                    raise Misfit(field, f"at {start} stands {text[max(start, 0) : end + 1][:40]!r}, not {words[:40]!r}")
                yield {"start": start, "end": ends[0], "label": str(label)}


def read_tags(tokens: Any, tags: Any) -> tuple[str, dict[str, Any]]:
    """(text, metadata with tokens, tags, offsets, spans) of one tagged sentence. Misfit: which entry and why."""
    if not isinstance(tokens, (list, tuple)) or not tokens:
        raise Misfit("tokens", "should be a list of tokens" if tokens else "is empty")
    if not isinstance(tags, (list, tuple)):
        raise Misfit("tags", "should be a list with a tag for each token")
    if len(tags) != len(tokens):
        raise Misfit("tags", f"has {len(tags)} entries for {len(tokens)} tokens")
    for number, token in enumerate(tokens):
        if not isinstance(token, str) or not token.strip():
            raise Misfit(f"tokens[{number}]", f"should be a word, and is {token!r:.40}")
    text, offsets = assemble(tokens)
    names = [str(tag) for tag in tags]
    metadata = {"tokens": list(tokens), "tags": names, "offsets": offsets}
    if not all(map(_whole, tags)):  # numbers say nothing without their names
        metadata["spans"] = tagged_spans(names, offsets)
    return text, metadata


def assemble(tokens: Sequence[str]) -> tuple[str, list[list[int]]]:
    """The tokens as a text (a space between, none beside a Han character), and [start, end] of each."""
    parts, offsets, position = [], [], 0
    for number, token in enumerate(tokens):
        if number and not (re.match(HAN, token) or re.match(HAN, tokens[number - 1][-1:])):
            parts.append(" ")
            position += 1
        offsets.append([position, position + len(token)])
        parts.append(token)
        position += len(token)
    return "".join(parts), offsets


def tagged_spans(tags: Sequence[str], offsets: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """Spans from tags. Misfit: a tag that is none."""
    spans: list[dict[str, Any]] = []
    open_label, last = "", "O"
    for number, tag in enumerate(tags):
        found = TAG.fullmatch(tag)
        if not found or (found["label"] is None and found["place"] not in "OX"):
            raise Misfit(f"tags[{number}]", f"is {tag!r}; tags look like O, B-NAME, I-NAME")
        place, label = found["place"], found["label"] or ""
        if place in "OX" and not label:
            open_label, last = "", "O"
            continue
        begins = place in "BSU" or label != open_label or last in "ESLU"
        if begins:
            spans.append({"start": offsets[number][0], "end": offsets[number][1], "label": label})
        else:
            spans[-1]["end"] = offsets[number][1]
        open_label, last = label, place
    return spans


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
