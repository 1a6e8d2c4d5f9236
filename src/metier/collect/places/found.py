"""What every place gives: files on this machine, each with the name it has in `source`.

Purpose: the rest of the stage hashes and reads files and need not know where they came from. A thing that could not be
fetched stands here too, with its reason, and ends in the rejected table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Item:
    """One file. name: as shown in `source`, never with credentials; problem: "" or a reason code, detail its sentence.

    sha256: of the bytes, where they were hashed just now; empty: not yet.
    read_as: file name by which the reader is chosen, where `name` does not tell (a page without extension).
    declared: charset that the server claims.
    """

    name: str
    path: Path = Path()
    sha256: str = ""
    problem: str = ""
    detail: str = ""
    read_as: str = ""
    declared: str = ""


@dataclass
class Found:
    """All that a place gave, in an order that does not depend on the moment."""

    items: list[Item] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
