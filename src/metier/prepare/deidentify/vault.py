"""What each replacement stands for, in a folder apart from everything else, when somebody asked for it.

Purpose: with the vault and only with it a text can be turned back. One JSON-lines file a batch, readable by its owner
only (folder 0700, files 0600), named by the batch's content, so that a shard that is done again replaces its own file.
Trade-off: plain text on disk; encrypt the disk or the folder. On a cluster the folder must be one that all machines
share.
Not covered: deleting it, which is what makes de-identified data hard to turn back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from metier.errors import UserError
from metier.tables import digest


def write(folder: Path, rows: Iterable[Mapping[str, Any]]) -> Path | None:
    """Write rows (document, field, kind, after, before) as one file; None if there are none.

    UserError: others may read the folder.
    """
    lines = [json.dumps(dict(row), ensure_ascii=False, sort_keys=True) for row in rows]
    if not lines:
        return None
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.name == "posix" and folder.stat().st_mode & 0o077:
        raise UserError("others may look into the folder of the vault", str(folder), f"chmod 700 {folder}")
    path = folder / f"{digest(*lines)}.jsonl"
    fresh = path.with_suffix(".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")
    os.replace(fresh, path)
    return path


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """All rows of a vault. UserError: there is none."""
    files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    if not files:
        raise UserError("this is no vault", str(folder), "name the folder that prepare.deidentify.vault named")
    for path in files:
        with path.open(encoding="utf-8") as stream:
            yield from (json.loads(line) for line in stream)


def reverse(text: str, folder: Path) -> tuple[str, int]:
    """The text with every surrogate of the vault turned back, longest first, and how many were. Placeholders and masks
    stand for many originals and stay."""
    import re

    originals: dict[str, str] = {}
    for row in read(folder):
        if row["policy"] == "surrogate":
            originals.setdefault(row["after"], row["before"])
    if not originals:
        return text, 0
    found = re.compile(
        "|".join(re.escape(after) for after in sorted(originals, key=lambda after: (-len(after), after)))
    )
    return found.subn(lambda match: originals[match.group()], text)
