"""Calendar entries (iCalendar, RFC 5545), alone or as a part of an invitation: what, when, where, who.

Purpose: an invitation's plain part often says nothing, and the raw form is no text. Each event, task or note becomes
lines "summary: ...", its description last. Times stay as they are written, with their zone.
Not covered: expanding repetitions, alarms, free and busy times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from metier.collect.accounts import Account, describes
from metier.collect.encoding import decode
from metier.collect.reading import Options, Piece, Reading, Unreadable
from metier.registry import register

ENTRIES = ("VEVENT", "VTODO", "VJOURNAL")
FIELDS = ("SUMMARY", "DTSTART", "DTEND", "DUE", "LOCATION", "ORGANIZER", "ATTENDEE", "RRULE", "STATUS", "DESCRIPTION")
NAMES = {"DTSTART": "start", "DTEND": "end", "RRULE": "repeats"}


@register("reader", "calendar")
@describes(
    "calendar",
    Account(
        title="Calendar entries",
        takes=("ics", "ical"),
        kept=("summary, start, end, place, organiser and guests of each entry", "its description"),
        counted={"entries": "how many", "encoding": "which encoding was found or named"},
        refused={
            "empty": "0 bytes, or no entry with text",
            "undecodable": "no encoding gives plausible text",
            "damaged": "not a calendar",
        },
        lost=("alarms, attachments and private fields of an entry",),
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document with all entries. Unreadable: empty, damaged, undecodable."""
    if not data.strip():
        raise Unreadable("empty", "the file holds no text" if data else "the file has 0 bytes")
    decoded = decode(data, options.encoding, options.declared)
    lines = re.sub(r"\r?\n[ \t]", "", decoded.text.replace("\x00", "")).splitlines()  # long lines are folded
    if not any(line.strip().upper() == "BEGIN:VCALENDAR" for line in lines):
        raise Unreadable("damaged", "no calendar begins in this file")
    entries = ["\n".join(entry) for entry in _entries(lines) if entry]
    if not entries:
        raise Unreadable("empty", "no entry of the calendar has text")
    title = next(
        (line.removeprefix("summary: ") for line in entries[0].split("\n") if line.startswith("summary: ")), ""
    )
    piece = Piece("\n\n".join(entries), title=title, media_type="text/calendar",
                  metadata={"entries": len(entries), "encoding": decoded.encoding})  # fmt: skip
    return Reading([piece])


def _entries(lines: list[str]) -> Iterator[list[str]]:
    entry: dict[str, list[str]] | None = None
    kind, inner = "", 0
    for line in lines:
        key, _, value = line.partition(":")
        name, _, settings = key.partition(";")
        name, word = name.strip().upper(), value.strip().upper()
        if entry is None:
            if name == "BEGIN" and word in ENTRIES:
                entry, kind, inner = {}, word, 0
        elif name == "END" and word == kind and not inner:
            yield _shown(entry)
            entry = None
        elif name in ("BEGIN", "END"):
            inner += 1 if name == "BEGIN" else -1  # an alarm inside the event has fields of the same names
        elif name in FIELDS and not inner and (text := _value(name, settings, value)):
            entry.setdefault(name, []).append(text)
    if entry:
        yield _shown(entry)  # cut off: what there is


def _shown(entry: dict[str, list[str]]) -> list[str]:
    return [f"{NAMES.get(name, name.lower())}: {'; '.join(entry[name])}" for name in FIELDS if name in entry]


def _value(name: str, settings: str, value: str) -> str:
    value = re.sub(r"\\(.)", lambda found: "\n" if found.group(1) in "nN" else found.group(1), value).strip()
    if name in ("ORGANIZER", "ATTENDEE"):
        called = re.search(r'CN="?([^";:]+)', settings, re.I)
        address = re.sub(r"^mailto:", "", value, flags=re.I)
        return f"{called.group(1).strip()} <{address}>" if called else address
    if name.startswith("DT") or name == "DUE":
        zone = re.search(r'TZID="?([^";:]+)', settings, re.I)
        found = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)?(Z?))?", value)
        if found:
            year, month, day, hour, minute, _, utc = found.groups()
            value = f"{year}-{month}-{day}" + (f" {hour}:{minute}{' UTC' if utc else ''}" if hour else "")
        return f"{value} ({zone.group(1)})" if zone else value
    return value
