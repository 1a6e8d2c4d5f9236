"""Where the fields of a structured row stand in its text: turns, question, answer, ...

Purpose: the collect stage writes all fields of a row into one text, with a blank line between, and says in
`metadata["fields"]` where each stands. An operation that changes such a text keeps these places true, so that the task
takes its questions and answers out of the text as it is now: repaired, and without what points to a person. The copies
in the metadata are as they were collected, and nothing is learned from them.
Trade-off: an operation of a plug-in that changes the text and not the places makes the row unusable; it is refused with
a reason, because a cut in the wrong place would teach half a question.
Not covered: texts without fields (one text, one role).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

BETWEEN = "\n\n"
KEY = "fields"


def has_fields(metadata: str | None) -> bool:
    """Whether the metadata (JSON) of a document names fields, without reading all of it."""
    return bool(metadata) and f'"{KEY}"' in str(metadata)


def parts(text: str, metadata: Mapping[str, Any]) -> dict[str, str] | None:
    """path -> what stands there; None where the places do not cover the text, field by field."""
    places = metadata.get(KEY)
    if not isinstance(places, list) or not places:
        return None
    found, at = {}, 0
    for number, place in enumerate(places):
        start, end = place["start"], place["end"]
        if number and text[at : at + len(BETWEEN)] != BETWEEN:
            return None
        at += len(BETWEEN) if number else 0
        if start != at or not start <= end <= len(text):
            return None
        found[str(place["path"])], at = text[start:end], end
    return found if at == len(text) else None


def mapped(text: str, metadata: str, change: Callable[[str], str]) -> tuple[str, str]:
    """Text and metadata with every field changed by itself; a field that becomes empty leaves.

    A text whose places are not true is changed as a whole.
    """
    told = json.loads(metadata)
    before = parts(text, told)
    if before is None:
        return change(text), metadata
    kept = [(path, now) for path, now in ((path, change(part)) for path, part in before.items()) if now]
    places, at = [], 0
    for path, now in kept:
        places.append({"path": path, "start": at, "end": at + len(now)})
        at += len(now) + len(BETWEEN)
    return BETWEEN.join(now for _, now in kept), json.dumps({**told, KEY: places}, ensure_ascii=False)


def moved(places: Sequence[Mapping[str, Any]], changes: Sequence[tuple[int, int, str]]) -> list[dict[str, Any]]:
    """The places after (start, end, what stands there now) were replaced in the text, in rising order.

    A change over the border of two fields leaves places that `parts` refuses.
    """

    def shifted(at: int) -> int:
        by = 0
        for start, end, after in changes:
            if end <= at:
                by += len(after) - (end - start)
        return at + by

    return [{**place, "start": shifted(place["start"]), "end": shifted(place["end"])} for place in places]
