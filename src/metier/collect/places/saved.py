"""Data sets that `datasets` saved to disk, and folders of Arrow files, read with pyarrow alone.

Purpose: `dataset.save_to_disk(folder)` leaves Arrow files with state.json beside them (a dictionary of splits: one such
folder each). The rows go into a snapshot in the cache; its key is the bytes of the folder's files, so a changed folder
is read anew. Splits are told apart by a column `split`.
Not covered: index files of old versions; pictures and sound.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metier import tables
from metier.artifact import hash_file
from metier.collect.accounts import Account, describes
from metier.collect.places import cache, features, snapshot
from metier.collect.places.found import Found
from metier.console import Console
from metier.errors import UserError

BESIDE = (
    ".json",
    ".lock",
    ".md",
    ".arrow",
    ".py",
    ".gitattributes",
)  # what may lie beside Arrow files in such a folder


def recognised(folder: Path) -> bool:
    """Whether a folder is a saved data set, a dictionary of them, or nothing but Arrow files."""
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        return True
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return any(path.suffix == ".arrow" for path in files) and all(
        path.is_file() and path.suffix in BESIDE for path in files
    )


@describes(
    "saved",
    Account(
        title="Data sets saved to disk, and folders of Arrow files",
        takes=("folder with state.json", "folder with dataset_dict.json", "folder of .arrow files"),
        kept=("one text a row, with label names for numbers and a column `split`",),
        counted={"warnings": "columns with pictures or sound, which are left out"},
        refused={"damaged": "a file that is no Arrow file, or ends too early; the rows before that are kept",
                 "unreadable row": "a value that has no plain form"},
        libraries=("pyarrow",),
        kind="place",
    ),
)  # fmt: skip
def fetch(folder: Path, console: Console) -> Found:
    """The rows as the files of a snapshot. UserError: a file that the set's own record names is not there."""
    files = list(_files(folder))
    key = tables.digest("saved", *(f"{split}/{path.name}:{hash_file(path)}" for split, path in files))
    target = cache.folder("snapshots") / key
    with cache.alone(target):
        if found := snapshot.load(target):
            return found
        with snapshot.Writer(target, "rows", "a data set saved to disk") as out:
            with console.progress("reading the saved data set", total=len(files), unit="files") as meter:
                for split, path in files:
                    _copy(path, split, out)
                    meter.advance(1)
            out.finish()
    found = snapshot.load(target)
    assert found is not None
    return found


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """(split or "", file) in the set's own order."""
    if (folder / "dataset_dict.json").is_file():
        for split in _json(folder / "dataset_dict.json").get("splits", []):
            for _, path in _files(_below(folder, str(split))):
                yield str(split), path
    elif (folder / "state.json").is_file():
        for entry in _json(folder / "state.json").get("_data_files", []):
            yield "", _below(folder, str(entry.get("filename", "")))
    else:
        for path in sorted(folder.glob("*.arrow")):
            found = re.search(r"(?:^|[-_])(train|test|validation|dev)(?=[-_.])", path.name)
            yield found.group(1) if found else "", path


def _copy(path: Path, split: str, out: snapshot.Writer) -> None:
    """The rows of one Arrow file; what comes before a damaged place is kept."""
    import pyarrow as pa

    number = 0
    try:
        with pa.memory_map(str(path)) as source:
            reader = _open(source)
            known = features.of_schema(reader.schema)
            if left_out := features.media(known):
                note = f"columns with pictures or sound were left out: {', '.join(left_out)}"
                if note not in out.warnings:
                    out.warnings.append(note)
            for batch in reader:
                for row in batch.to_pylist():
                    number += 1
                    add(out, row, known, split, f"/{path.name}#{number}")
    except (pa.ArrowException, OSError, ValueError) as error:
        out.refuse(
            f"/{path.name}", "damaged", f"not readable as Arrow after {number:,} rows: {str(error).splitlines()[0]}"
        )


def add(out: snapshot.Writer, row: dict[str, Any], known: dict[str, Any], split: str, part: str) -> None:
    """One row with its label names and its split; a row with a value of no plain form is refused."""
    cells = features.named(row, known)
    if split and "split" not in cells:
        cells["split"] = split
    try:
        out.add(cells)
    except (TypeError, ValueError) as error:
        out.refuse(part, "unreadable row", str(error)[:300])


def _open(source: Any) -> Any:
    """The batches of an Arrow stream, or of an Arrow file, with `schema`."""
    import pyarrow as pa

    if source.read(6) != b"ARROW1":
        source.seek(0)
        return pa.ipc.open_stream(source)
    source.seek(0)
    return _FileReader(pa.ipc.open_file(source))


class _FileReader:
    """An Arrow file as an iterator of batches."""

    def __init__(self, file: Any) -> None:
        self.file, self.schema, self.next = file, file.schema, 0

    def __iter__(self) -> _FileReader:
        return self

    def __next__(self) -> Any:
        if self.next >= self.file.num_record_batches:
            raise StopIteration
        self.next += 1
        return self.file.get_batch(self.next - 1)


def _below(folder: Path, name: str) -> Path:
    path = folder / name
    if not name or Path(name).name != name or not path.exists():
        raise UserError(
            f"the saved data set names '{name}', which is not there", str(folder), "copy the folder as a whole"
        )
    return path


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"this file of a saved data set cannot be read: {error}", str(path), "save the set again"
        ) from None
    if not isinstance(found, dict):
        raise UserError("this file of a saved data set is no object", str(path), "save the set again")
    return found
