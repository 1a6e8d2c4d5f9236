"""Rows as files: what a database, a data set or a program handed over, kept as JSON Lines with a record of it.

Purpose: rows have no bytes until somebody writes them down. Here they become `name-00001.jsonl`, ... whose bytes follow
from the values alone (no library version, no time, no compression), so their SHA-256 is the identity of the rows; the
table reader takes them on, and a person can look at them. Exact where JSON is not: decimals become text with all their
digits, times ISO 8601 with their zone, bytes UTF-8 text or `base64:...`. NULL and NaN are null.
Trade-off against Parquet: about three times the disk; in return nested and mixed values stay as they are.
Not covered: pictures and sound.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import hashlib
import ipaddress
import json
import math
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metier.artifact import hash_file
from metier.collect.places import cache
from metier.collect.places.found import Found, Item
from metier.errors import UserError
from metier.tables import write_json

RECORD = "snapshot.json"
FILE_BYTES = 64 * 1024 * 1024  # a file of the snapshot is closed past that; readers hold one file in memory
AS_TEXT = (uuid.UUID, datetime.timedelta, ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network,
           ipaddress.IPv6Network, ipaddress.IPv4Interface, ipaddress.IPv6Interface, Path)  # fmt: skip


class Writer:
    """Writes a snapshot into `<folder>.partial`; `finish` gives it its name. Used in a `with`, it cleans up on errors.

    name: stem of the files. origin: where the rows came from, for people; without credentials.
    """

    def __init__(self, folder: Path, name: str, origin: str, rows_per_file: int = 50_000, encoding: str = "") -> None:
        self.folder, self.name, self.origin = folder, name, origin
        self.rows_per_file, self.encoding = rows_per_file, encoding
        self.partial = folder.with_name(folder.name + ".partial")
        self.rows = 0
        self.files: list[dict[str, Any]] = []
        self.refused: list[dict[str, str]] = []
        self.warnings: list[str] = []
        self._stream: Any = None
        self._hash = hashlib.sha256()
        self._in_file = self._size = 0

    def __enter__(self) -> Writer:
        with cache.disk_errors(self.partial):
            shutil.rmtree(self.partial, ignore_errors=True)
            self.partial.mkdir(parents=True)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._stream:
            self._stream.close()
        shutil.rmtree(self.partial, ignore_errors=True)

    def add(self, row: Mapping[str, Any]) -> None:
        """One row; TypeError or ValueError for values that have no plain form."""
        self.add_line(line(row, self.encoding))

    def add_line(self, data: bytes) -> None:
        """One row as `line` gives it."""
        if self._stream and (self._in_file >= self.rows_per_file or self._size >= FILE_BYTES):
            self._close()
        if not self._stream:
            self._stream = (self.partial / f"{self.name}-{len(self.files) + 1:05d}.jsonl").open("wb")
            self._hash, self._in_file, self._size = hashlib.sha256(), 0, 0
        self._stream.write(data)
        self._hash.update(data)
        self._in_file += 1
        self._size += len(data)
        self.rows += 1

    def refuse(self, part: str, reason: str, detail: str) -> None:
        """A row that could not be had; it is counted in the rejected table."""
        self.refused.append({"part": part, "reason": reason, "detail": detail})

    def finish(self) -> Path:
        """Close the files, write the record, give the folder its name."""
        if self._stream:
            self._close()
        record = {"format": 1, "name": self.name, "origin": self.origin, "rows": self.rows, "files": self.files,
                  "refused": self.refused, "warnings": self.warnings}  # fmt: skip
        with cache.disk_errors(self.partial):
            write_json(record, self.partial / RECORD)
            cache.folder_into_place(self.partial, self.folder)
        return self.folder

    def _close(self) -> None:
        self._stream.close()
        self._stream = None
        name = f"{self.name}-{len(self.files) + 1:05d}.jsonl"
        self.files.append({"name": name, "rows": self._in_file, "sha256": self._hash.hexdigest()})


def is_snapshot(folder: Path) -> bool:
    """Whether a folder is one that `Writer` wrote."""
    return (folder / RECORD).is_file()


def load(folder: Path) -> Found | None:
    """The files and refusals of a snapshot; None when there is none, or when a file is not what the record says."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        files = [(folder / str(item["name"]), str(item["name"]), item["sha256"]) for item in record["files"]]
        if record["format"] != 1 or any(Path(name).name != name or hash_file(path) != sha for path, name, sha in files):
            return None
        refused = [Item(f"{record['name']}{item['part']}", problem=item["reason"], detail=item["detail"])
                   for item in record["refused"]]  # fmt: skip
        return Found(
            [*(Item(name, path, sha) for path, name, sha in files), *refused], warnings=list(record["warnings"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def load_user(folder: Path) -> Found:
    """As `load` for a folder that the user named; UserError when it was changed since it was written."""
    found = load(folder)
    if found is None:
        raise UserError(
            "this folder of rows is not what it was when it was written", str(folder),
            f"write it again; or, if the change was meant, remove {RECORD} from it and its files are read as they are",
        )  # fmt: skip
    return found


def line(row: Mapping[str, Any], encoding: str = "") -> bytes:
    """A row as one line of JSON in UTF-8; half a surrogate stays visible as its escape, and the reader refuses it."""
    values = {str(key): plain(value, encoding) for key, value in row.items()}
    try:
        return json.dumps(values, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
    except UnicodeEncodeError:
        return json.dumps(values, allow_nan=False).encode("ascii") + b"\n"


def plain(value: Any, encoding: str = "") -> Any:
    """A value as JSON can hold it without losing digits, zones or bytes; TypeError for what has no such form.

    encoding: tried for bytes that are not UTF-8.
    """
    if isinstance(value, enum.Enum):
        return plain(value.value, encoding)
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, decimal.Decimal):
        return None if value.is_nan() else format(value, "f") if value.is_finite() else str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _bytes(bytes(value), encoding)
    if isinstance(value, AS_TEXT):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item, encoding) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, encoding) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item, encoding) for item in value), key=str)
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()  # pandas' NaT is not itself
    if hasattr(value, "tolist"):  # numpy scalars and arrays, tensors
        return plain(value.tolist(), encoding)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, encoding)
    raise TypeError(f"a {type(value).__name__} has no plain form")


def _bytes(data: bytes, encoding: str) -> str:
    for codec in ("utf-8", encoding):
        if codec:
            try:
                return data.decode(codec)
            except (UnicodeDecodeError, LookupError):
                continue
    return "base64:" + base64.b64encode(data).decode("ascii")
