"""When a document was written, out of what its data says: a string that sorts by time.

Purpose: exports write 2024-03-05T10:00:00+08:00, 2024/3/5, 2024年3月5日, 5 March 2024 or 20240305. What can be read in
one way only becomes `YYYY-MM-DDTHH:MM:SS` in UTC; a time without a zone counts as UTC.
Trade-off: 05/03/2024 may be March or May and is not read. A month or a year alone stands for its first day.
Not covered: durations, historical calendars.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_YEAR_FIRST = re.compile(
    r"(?P<year>[12]\d{3})\s*[-/.年]\s*(?P<month>\d{1,2})(?:\s*[-/.月]\s*(?P<day>\d{1,2})日?)?月?"
    r"(?:[T\s]*(?P<hour>\d{1,2})[:时点](?P<minute>\d{1,2})(?:[:分](?P<second>\d{1,2}))?(?:\.\d+)?[秒分]?)?"
)
_NAMED = re.compile(r"(?:(?P<day>\d{1,2})(?:st|nd|rd|th)?\s+)?(?P<name>[a-z]{3,9})\.?\s+(?:(?P<day2>\d{1,2}),?\s+)?"
                    r"(?P<year>[12]\d{3})", re.IGNORECASE)  # fmt: skip
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def read_time(text: str) -> str:
    """`YYYY-MM-DDTHH:MM:SS` in UTC, or "" if the text names no time, or not in one way only."""
    text = unicodedata.normalize("NFKC", text).strip()
    if not text:
        return ""
    for read in (datetime.fromisoformat, _pattern, parsedate_to_datetime):
        try:
            found = read(text)
            zoned = found.replace(tzinfo=UTC) if found.tzinfo is None else found
            return zoned.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S").zfill(19)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return ""


def _pattern(text: str) -> datetime:
    if re.fullmatch(r"[12]\d{3}年?", text):
        return datetime(int(text[:4]), 1, 1)
    if match := _YEAR_FIRST.fullmatch(text):
        parts = {name: int(value) for name, value in match.groupdict().items() if value}
        return datetime(**{"day": 1, **parts})  # type: ignore[arg-type]
    if match := _NAMED.fullmatch(text):
        month = _MONTHS.index(match["name"][:3].lower()) + 1
        return datetime(int(match["year"]), month, int(match["day"] or match["day2"] or 1))
    raise ValueError(text)
