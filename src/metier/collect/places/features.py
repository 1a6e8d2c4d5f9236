"""The feature types of Hugging Face data sets: numbers back to label names, pictures and sound left out.

Purpose: such a set stores a label as a number and its names beside the data; a number would say nothing to a person and
could mean another label in the next version. The types stand as JSON in the data's own Arrow schema or dataset_info.
Not covered: pictures, sound, films (their columns are left out, and told).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MEDIA = ("Image", "Audio", "Video", "Pdf", "Nifti")
LISTS = ("Sequence", "List", "LargeList")


def of_schema(schema: Any) -> dict[str, Any]:
    """The features that an Arrow schema's metadata tells; {} when it tells none."""
    raw = (schema.metadata or {}).get(b"huggingface", b"")
    try:
        found = json.loads(raw)["info"]["features"] if raw else {}
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def media(features: Mapping[str, Any]) -> list[str]:
    """Columns that hold pictures or sound."""
    return [name for name, feature in features.items() if _holds_media(feature)]


def named(row: Mapping[str, Any], features: Mapping[str, Any]) -> dict[str, Any]:
    """A row with label names for numbers, without columns of pictures and sound."""
    return {name: _named(value, features.get(name)) for name, value in row.items()
            if not _holds_media(features.get(name))}  # fmt: skip


def _named(value: Any, feature: Any) -> Any:
    if value is None or feature is None:
        return value
    if isinstance(feature, list) and feature:
        return [_named(item, feature[0]) for item in value] if isinstance(value, list) else value
    if not isinstance(feature, Mapping):
        return value
    kind = feature.get("_type")
    if kind == "ClassLabel":
        names = feature.get("names") or []
        if isinstance(value, int) and value < 0:
            return None  # the library's mark for "no label"
        return names[value] if isinstance(value, int) and value < len(names) else value
    if kind in LISTS:
        inner = feature.get("feature")
        if isinstance(value, Mapping) and isinstance(inner, Mapping):  # a list of records is stored as lists by key
            return {key: [_named(part, inner.get(key)) for part in item] if isinstance(item, list) else item
                    for key, item in value.items()}  # fmt: skip
        return [_named(item, inner) for item in value] if isinstance(value, list) else value
    if kind is None and isinstance(value, Mapping):
        return {key: _named(item, feature.get(key)) for key, item in value.items()}
    return value


def _holds_media(feature: Any) -> bool:
    if isinstance(feature, list):
        return any(map(_holds_media, feature))
    if not isinstance(feature, Mapping):
        return False
    if feature.get("_type") in MEDIA:
        return True
    return any(_holds_media(inner) for inner in feature.values() if isinstance(inner, (Mapping, list)))
