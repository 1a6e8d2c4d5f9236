"""What differs between a result that is wanted and the nearest one that is finished, field by field.

Purpose: `metier why` must name the cause and not only the fact that a stage runs again. Of all finished artifacts of a
stage the one that differs in the fewest fields is the one that a person has in mind.
Not covered: what an identity holds (run.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from metier.artifact import Artifact


def nearest_difference(wanted: Mapping[str, Any], finished: Sequence[Artifact]) -> list[dict[str, Any]]:
    """Field, old and new value against the finished artifact that differs least (the newest of equals)."""
    best: list[dict[str, Any]] | None = None
    for artifact in reversed(finished):
        found = _difference(artifact.identity, wanted)
        if best is None or len(found) < len(best):
            best = found
    if best is None:
        return [{"field": "", "was": None, "is": None, "note": "nothing of this stage is in the store yet"}]
    return best


def _difference(was: Any, now: Any, field_name: str = "") -> list[dict[str, Any]]:
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        return [
            line
            for key in sorted({*was, *now})
            for line in _difference(was.get(key), now.get(key), f"{field_name}.{key}".lstrip("."))
        ]
    if isinstance(was, list | tuple) and isinstance(now, list | tuple):
        old, new = (json.loads(json.dumps(value)) for value in (was, now))
        if old == new:
            return []
        gone = [item for item in old if item not in new]
        come = [item for item in new if item not in old]
        if not gone and not come:
            return [{"field": field_name, "was": "the same items", "is": "in another order"}]
        return [{"field": field_name, "was": item, "is": None} for item in gone] + [
            {"field": field_name, "was": None, "is": item} for item in come
        ]
    return [] if was == now else [{"field": field_name, "was": was, "is": now}]
