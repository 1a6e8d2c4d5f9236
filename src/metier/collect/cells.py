"""Cells of tables: found by column or dotted path, as text, as JSON can hold them.

Purpose: one reading of a cell, whatever format it came in: dates as ISO 8601, bytes decoded, NaN and "" as missing.
Not covered: numbers and dates written as text; they stay as they are written.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from metier.collect.encoding import decode
from metier.collect.reading import Unreadable


def value(cells: Mapping[str, Any], column: str) -> Any:
    """The cell of a column, or of a dotted path into a nested one; None when there is none."""
    if column in cells:
        return cells[column]
    found: Any = cells
    for key in column.split("."):
        if isinstance(found, Mapping):
            found = found.get(key)
        elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found


def string(value: Any) -> str:
    """A cell as text, "" for a missing one; bytes that no encoding explains are a lone surrogate."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return decode(value).text
        except Unreadable:
            return "\udc80"  # told as an undecodable row
    if missing(value):
        return ""
    return json.dumps(json_value(value), ensure_ascii=False) if not hasattr(value, "isoformat") else value.isoformat()


def name(value: Any) -> str:
    """As `string`; whole floats lose their point, because a gap in a column of integers turns 1 into 1.0."""
    return string(int(value) if isinstance(value, float) and value.is_integer() else value)


def json_value(value: Any) -> Any:
    """The value as JSON can hold it: dates as ISO, NaN as null, bytes as text."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return string(value) if isinstance(value, bytes) else str(value)


def missing(value: Any) -> bool:
    """Whether a cell holds nothing."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def undecodable(text: str) -> bool:
    """Whether a text holds lone surrogates: damaged bytes, or JSON escapes of half a character."""
    return bool(re.search("[\ud800-\udfff]", text))
