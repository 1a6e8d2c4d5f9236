"""The operation `deidentify`, as the prepare stage runs it; see `documents` for what it does.

Purpose: the door only. Hundreds of patterns are compiled when the first document is there, and not when the names of
the operations are listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from metier.prepare.operation import Result, Settings, text_operation

if TYPE_CHECKING:
    from metier.prepare.deidentify.documents import Knowledge

NAME = "deidentify"


def observe(batch: pa.Table, settings: Settings) -> pa.Table:
    """The names beside their labels, with the group that they belong to."""
    from metier.prepare.deidentify import documents

    return documents.observe(batch, settings)


def conclude(observed: Sequence[pa.Table], settings: Settings) -> Knowledge:
    """The names of each group, the key and the lists; read here, so that no other machine needs the files."""
    from metier.prepare.deidentify import documents

    return documents.knowledge_of(settings.config.deidentify, observed)


def note(counts: dict[str, int]) -> str:
    """One sentence for the funnel: how many findings in how many texts, the most frequent kinds first."""
    kinds = sorted(
        ((number, name.partition(":")[2]) for name, number in counts.items() if name.startswith("deidentified:")),
        key=lambda item: (-item[0], item[1]),
    )
    total = sum(number for number, _ in kinds)
    listed = ", ".join(f"{number:,} {name}" for number, name in kinds[:6])
    kept = counts.get("deidentify:group kept", 0)
    left = f"; the group of {kept:,} documents is left as it is" if kept else ""
    return (
        f"{total:,} identifiers in {counts.get('deidentify:documents', 0):,} texts"
        + (f": {listed}" if listed else "")
        + left
    )


@text_operation(NAME, note, lambda config: config.deidentify.policy != "off", observe, conclude)
def deidentify(batch: pa.Table, settings: Settings, knowledge: Knowledge) -> Result:
    """Replace in text, title, source, metadata and group; no document leaves."""
    from metier.prepare.deidentify import documents

    return documents.apply(batch, settings, knowledge)
