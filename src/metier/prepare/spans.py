"""Marked stretches of a text: read from what was collected, and found again after the text was repaired.

Purpose: spans are characters into the text as it was collected, and an operation that removes one invisible character
moves all that follow. So each span remembers what stands in it (`anchor`), and is looked up again by that (`locate`).
Trade-off: a span whose words were themselves changed beyond repair (masked, corrected) is lost, and its text leaves
with a reason, because a text with an unmarked entity would teach that it is none.
Not covered: spans in several pieces.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from metier.prepare.normalize import clean

Found = dict[str, Any]  # {"start", "end", "label"}
NO_SPANS, MALFORMED, LOST = "no spans", "malformed span", "span not in the text"


def anchor(metadata: dict[str, Any], text: str) -> dict[str, Any]:
    """The metadata with the words of each span beside it; `text` is the one that the spans point into."""
    spans = metadata.get("spans")
    if not isinstance(spans, list) or all(isinstance(span, Mapping) and "text" in span for span in spans):
        return metadata
    told = [{**span, "text": text[span["start"] : span["end"]]} if _points(span) else span for span in spans]
    return {**metadata, "spans": told}


def anchored(batch: pa.Table) -> pa.Table:
    """Documents as they were collected, each of their spans with its words."""
    told = []
    for metadata, text in zip(batch["metadata"].to_pylist(), batch["text"].to_pylist(), strict=True):
        found = json.loads(metadata) if '"spans"' in metadata else None
        told.append(json.dumps(anchor(found, text), ensure_ascii=False, sort_keys=True) if found else metadata)
    return batch.set_column(batch.schema.get_field_index("metadata"), "metadata", pa.array(told, pa.string()))


def read_spans(
    metadata: Mapping[str, Any], text: str, quote: Callable[[Any], str] = repr
) -> list[Found] | tuple[str, str]:
    """The spans in `text` by place, each once; or (reason, detail) why the text cannot be used. quote: how a cell of
    the data stands in the detail."""
    given = metadata.get("spans")
    if given is None:
        return NO_SPANS, "neither spans nor tags stand beside the text"
    if not isinstance(given, list):
        return MALFORMED, f"a list of spans is needed, this is {quote(given):.60}"
    for span in given:
        if not _points(span) or not str(span.get("label") or "").strip() or not 0 <= span["start"] < span["end"]:
            return MALFORMED, f"start, end and label are needed, start before end; this is {quote(span):.80}"
    if any("text" not in span and span["end"] > len(text) for span in given):
        return MALFORMED, f"a span reaches beyond the {len(text):,} characters of the text"
    ordered = sorted(given, key=lambda span: (span["start"], span["end"]))
    places = locate(text, [(s["start"], str(s.get("text") or text[s["start"] : s["end"]])) for s in ordered])
    lost = next((span for span, place in zip(ordered, places, strict=True) if place is None), None)
    if lost is not None:
        return LOST, f"{quote(lost.get('text', '')):.60} ({lost['label']}) does not stand in the repaired text"
    found = {(*place, str(span["label"]).strip()) for span, place in zip(ordered, places, strict=True) if place}
    return [{"start": start, "end": end, "label": label} for start, end, label in sorted(found)]


def locate(text: str, wanted: Sequence[tuple[int, str]]) -> list[tuple[int, int] | None]:
    """Where each (start, words) stands now, in characters without spaces at the edges; None where it does not.

    starts rise. A text that did not change is answered from the starts alone; otherwise each span is taken at the place
    that is nearest to where the spans before it have moved, and not before the start of the last one.
    """
    found: list[tuple[int, int] | None] = []
    shift = least = 0
    for start, words in wanted:
        place = _nearest(text, words, start + shift, least)
        if place is None and (repaired := clean(words)) != words:
            place = _nearest(text, repaired, start + shift, least)
        if place is not None:
            shift, least = place[0] - start, place[0]
            left = len(text[slice(*place)]) - len(text[slice(*place)].lstrip())
            right = len(text[slice(*place)].rstrip())
            place = (place[0] + left, place[0] + right) if right > left else None
        found.append(place)
    return found


def _nearest(text: str, words: str, expected: int, least: int) -> tuple[int, int] | None:
    """The occurrence of `words` that is nearest to `expected` and starts at `least` or later."""
    if not words:
        return None
    if expected >= least and text.startswith(words, expected):
        return expected, expected + len(words)
    after = text.find(words, max(expected, least))
    before = text.rfind(words, least, max(expected, least) + len(words))
    places = [place for place in (before, after) if place >= 0]
    if not places:
        return None
    best = min(places, key=lambda place: (abs(place - expected), place))
    return best, best + len(words)


def _points(span: Any) -> bool:
    return isinstance(span, Mapping) and all(
        isinstance(span.get(name), int) and not isinstance(span.get(name), bool) for name in ("start", "end")
    )
