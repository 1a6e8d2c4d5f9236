"""A part of a source: a share of its documents, or the listed ones; each document that is left out has its reason.

Purpose: try a recipe on a hundredth of a large source, or measure on exactly the documents that a base never read.
`share` is drawn by a hash of the document's id (its place and text), so it depends neither on the order of files nor on
other documents, and a larger share holds the smaller one.
Trade-off: the whole source is read, since a document's id is known only then.
Not covered: parts by meaning or quality (`prepare.select`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metier.artifact import hash_file
from metier.collect.config import CollectConfig
from metier.errors import UserError
from metier.tables import digest

REASONS = ("not listed", "not in the share")


@dataclass(frozen=True)
class Part:
    """What is taken of one source. ids: the listed ones; None: no list. sha256: of the list's file."""

    share: float = 1.0
    ids: frozenset[str] | None = None
    sha256: str = ""

    def leaves_out(self, id: str) -> tuple[str, str] | None:
        """(reason, detail) for a document that is not taken."""
        if self.ids is not None and id not in self.ids:
            return REASONS[0], "its id does not stand in the list that `only` names"
        if self.share < 1 and int(digest("share", id), 16) >= self.share * 2**64:
            return REASONS[1], f"a share of {self.share:g} is taken"
        return None


def parts_of(config: CollectConfig, base: Path) -> tuple[Part, ...]:
    """The part of each source, in their order; UserError for a list that is not there or empty."""
    found = []
    for number, source in enumerate(config.sources):
        if not source.only:
            found.append(Part(source.share))
            continue
        path, where = base / Path(source.only).expanduser(), f"collect.sources.{number}.only"
        if not path.is_file():
            raise UserError("there is no such list of documents", f"{where}: {path}",
                            "check the path; relative ones start at the recipe's folder")  # fmt: skip
        lines = path.read_text(encoding="utf-8").splitlines()
        ids = frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))
        if not ids:
            raise UserError("the list of documents is empty", f"{where}: {path}", "put one id a line")
        found.append(Part(source.share, ids, hash_file(path)))
    return tuple(found)
