"""Lineage: from every source file to the examples, the model and the verdict.

Purpose: an auditor points at a file and sees what became of it: its bytes (SHA-256), how many documents it gave, in
which split their examples stand, what was refused and why; and the chain of fingerprints that ends at the weights.
Trade-off: one row a file, not a row an example: the examples' own table has `document_ids` and is named in the chain.
Not covered: which example taught the model what (the check `explanation`).
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SPLITS = ("train", "validation", "test")
COLUMNS = ("file", "documents", *SPLITS, "refused", "reasons", "sha256")
_PARTS = ("#", "!")  # what follows names a row, a message or a member of an archive


def trace(
    files: Sequence[Sequence[Any]], documents: Iterable[str], examples: Iterable[tuple[str, str]],
    rejected: Iterable[Mapping[str, Any]],
) -> list[dict[str, Any]]:  # fmt: skip
    """One row a file: those that gave nothing first, then by name.

    files: (number of its source, name, SHA-256), as the collection's identity holds them. documents: the `source` of
    each document. examples: (`source`, `split`) of each example. rejected: rows of REJECTED of collect and prepare.
    """
    hashes = {name: digest for _, name, digest in files}
    owner = _Owner(hashes)
    read: Counter[str] = Counter(owner(source) for source in documents)
    held: Counter[tuple[str, str]] = Counter((owner(source), split) for source, split in examples)
    refused: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rejected:
        refused[owner(str(row["source"]))][str(row["reason"])] += 1
    names = sorted({*hashes, *read, *refused, *(name for name, _ in held)})
    rows = [
        {
            "file": name, "sha256": hashes.get(name, ""), "documents": read[name],
            **{split: held[name, split] for split in SPLITS},
            "refused": refused[name].total() if name in refused else 0,
            "reasons": "; ".join(f"{reason} ({n})" for reason, n in sorted(refused[name].items())) if name in refused
            else "",
        }
        for name in names
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (sum(row[split] for split in SPLITS) > 0, row["file"]))


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The whole table for a spreadsheet; a cell that a spreadsheet would compute is defused."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _plain(row[key]) for key in COLUMNS} for row in rows)
    return out.getvalue()


class _Owner:
    """The file that a document's source belongs to: its longest beginning that is a file's name; of a place that is no
    file of the collection (a register) what stands before its first part."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = set(names)

    def __call__(self, source: str) -> str:
        beginning = source
        while beginning not in self.names:
            cut = max(beginning.rfind(sign) for sign in _PARTS)
            if cut <= 0:
                return beginning or source
            beginning = beginning[:cut]
        return beginning


def _plain(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t" and value else value
