"""What every reader takes and gives.

Purpose: a reader is one function `(data, name, options) -> Reading`. It is handed bytes, not a path, so the same reader
serves a file, a mail's attachment and the inside of a .gz; it opens nothing and writes nothing. Whatever it cannot read
is a `Refusal` with a reason that can be counted; a whole file that cannot be read is the exception `Unreadable`.
A reader of something large (an archive, a mailbox, a table) may hand over what it has so far through `progress`, and
say which member comes next, so that what it found is not held in memory and a crash costs one member only. All that one
file unpacks, at any depth, is paid from one `Budget`.
Trade-off: a file is in memory while it is read (`collect.max_file_bytes` bounds it).
Not covered: files larger than memory, but for tables (`large.py` reads those from the disk).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

MAX_DEPTH = 8
"""Containers (archives, compressed files, mails) inside each other; a mail in an export with an archive in it has 3."""


class Unreadable(Exception):
    """A whole file (or attachment) that cannot be read. reason: short, countable. detail: a sentence for a person."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass
class Budget:
    """What is left of the bytes and members that one file may unpack; shared by all containers inside it."""

    bytes: int = 8 * 1024**3
    members: int = 1_000_000

    def spend(self, size: int) -> None:
        """Pay for one unpacked member. Unreadable("too large") when nothing is left."""
        self.bytes -= size
        self.members -= 1
        if self.bytes < 0 or self.members < 0:
            raise Unreadable("too large", "the file unpacks to more than a file may hold (collect.max_archive_bytes, "
                             "or a million members); what came before is kept")  # fmt: skip


class Progress(Protocol):
    """Where a reader of something large tells how far it is. The same calls in the same order for the same bytes."""

    skip: int
    """Members that were dealt with before; they are passed over without being read."""

    def hand_over(self, reading: Reading) -> None:
        """Take what was found since the last call; the reader goes on with an empty Reading."""
        ...

    def begin(self, number: int, part: str) -> None:
        """Member `number` (counted from 0) is read next; if that kills the process, `part` is what was lost."""
        ...


@dataclass(frozen=True)
class Options:
    """What the recipe says about a source, as far as a reader is concerned."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Tables: role -> column; empty: guess."""
    encoding: str = ""
    """Forced encoding; empty: detect."""
    declared: str = ""
    """Charset that a container claims (mail header); believed only where the bytes agree."""
    delimiter: str = ""
    reader: str = ""
    """Forced reader; empty: by content and extension."""
    ocr: bool = True
    """Recognise pictures and pages without a text layer."""
    max_ocr_pages: int = 40
    """Pages of one file that are recognised; the others are refused."""
    keep_running: bool = False
    """Leave running headers, footers and page numbers in the text of a PDF."""
    attachments: bool = True
    max_bytes: int = 512 * 1024 * 1024
    """Limit on unpacked bytes."""
    depth: int = 0
    """Containers (archive, gz, mail) around this file."""
    mails: int = 0
    """Mails among them."""
    quoted: str = "keep"
    """Quoted earlier mails: keep or remove."""
    signatures: str = "keep"
    """Signatures of mails: keep or remove."""
    thread_groups: bool = False
    """Whether a mail's thread is its group."""
    exclude: tuple[str, ...] = ()
    """Names (globs) of members that are left out of archives."""
    budget: Budget = field(default_factory=Budget)
    progress: Progress | None = None

    def inside(self, **changed: Any) -> Options:
        """Options for a member: what its container claimed of itself does not hold for it."""
        fresh: dict[str, Any] = {"declared": "", "reader": "", "progress": None}
        return replace(self, depth=self.depth + 1, **{**fresh, **changed})


@dataclass
class Piece:
    """One text. `part` is what follows the file's name in `source`: "" or "#3"; `metadata` holds plain JSON values."""

    text: str
    part: str = ""
    title: str = ""
    media_type: str = "text/plain"
    language: str = ""
    group: str = ""
    time: str = ""
    license: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class Refusal:
    """Something inside a file that could not be read: a row, an attachment, a message."""

    part: str
    reason: str
    detail: str = ""


@dataclass
class Reading:
    """All that a reader found in one file, in the file's order."""

    pieces: list[Piece] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def extend(self, other: Reading, part: str = "") -> None:
        """Add what was found in a member called `part`."""
        self.pieces += [replace(piece, part=part + piece.part) for piece in other.pieces] if part else other.pieces
        self.refused += [replace(refusal, part=part + refusal.part) for refusal in other.refused]
        self.warnings += other.warnings

    def __bool__(self) -> bool:
        return bool(self.pieces or self.refused or self.warnings)


class Reader(Protocol):
    """The signature behind the door `reader`."""

    def __call__(self, data: bytes, name: str, options: Options) -> Reading: ...
