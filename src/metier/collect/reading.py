"""What every reader takes and gives.

Purpose: a reader is one function `(data, name, options) -> Reading`. It is handed bytes, not a path, so the same reader
serves a file, a mail's attachment and the inside of a .gz; it opens nothing and writes nothing. Whatever it cannot read
is a `Refusal` with a reason that can be counted; a whole file that cannot be read is the exception `Unreadable`.
Trade-off: a file is in memory while it is read (`collect.max_file_bytes` bounds it).
Not covered: streams larger than memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Unreadable(Exception):
    """A whole file (or attachment) that cannot be read. reason: short, countable. detail: a sentence for a person."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


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
    """Containers (gz, mail) around this file."""


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


class Reader(Protocol):
    """The signature behind the door `reader`."""

    def __call__(self, data: bytes, name: str, options: Options) -> Reading: ...
