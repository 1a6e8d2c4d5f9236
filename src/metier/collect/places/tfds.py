"""Folders of TensorFlow Datasets, read without TensorFlow.

Purpose: such a folder holds TFRecord files, features.json (what each feature is), dataset_info.json (splits and how
many examples each file has) and the names of labels. The rows go into a snapshot with label names and a column `split`;
files that are missing or shorter than the folder itself says are counted.
Source of the layout: tensorflow_datasets 4.9, core/splits.py, core/features/*.
Not covered: array_record, riegeli and parquet as file format; pictures, sound, ragged features (left out, and told).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metier import tables
from metier.artifact import hash_file
from metier.collect import tfrecord
from metier.collect.accounts import Account, describes
from metier.collect.places import cache, snapshot
from metier.collect.places.found import Found
from metier.collect.reading import Unreadable
from metier.console import Console
from metier.errors import UserError

SHARD = re.compile(r"(?P<name>.+)-(?P<split>[^-]+)\.tfrecord-(?P<number>\d{5,})-of-(?P<of>\d{5,})$")
MOST_VERSIONS = 3  # levels between a data directory and the files: name/config/version


@dataclass
class _Features:
    """What features.json says, and what could not be read of it."""

    spec: Mapping[str, Any]
    folder: Path
    left_out: dict[str, None] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)


def recognised(folder: Path) -> Path | None:
    """The folder itself, or the only version below it, when it is one of TensorFlow Datasets."""
    if (folder / "features.json").is_file() and (folder / "dataset_info.json").is_file():
        return folder
    for depth in range(1, MOST_VERSIONS + 1):
        found = [path.parent for path in folder.glob("*/" * depth + "features.json")]
        if len(found) == 1 and not any(path.is_file() for path in folder.iterdir()):
            return found[0]
        if found:
            return None
    return None


@describes(
    "tfds",
    Account(
        title="Folders of TensorFlow Datasets",
        takes=("folder with features.json and dataset_info.json",),
        kept=("one text an example, with label names for numbers and a column `split`",),
        counted={"warnings": "features that are not read: pictures, sound, tables of numbers"},
        refused={
            "damaged record": "its checksum is wrong, or it holds no `tf.train.Example`; the offset is told",
            "damaged": "a packed file that cannot be unpacked",
            "too large": "a file larger than `collect.max_file_bytes`, packed or unpacked",
            "missing file": "a file that dataset_info.json promises",
            "missing rows": "a file with another number of examples than dataset_info.json promises",
        },
        kind="place",
    ),
)
def fetch(folder: Path, limit: int, console: Console) -> Found:
    """The rows as the files of a snapshot. limit: bytes of one file, packed and unpacked."""
    info = _json(folder / "dataset_info.json")
    kind = str(info.get("fileFormat") or "tfrecord")
    if kind != "tfrecord":
        raise UserError(f"the files of this folder are {kind}, not TFRecord", str(folder),
                        "prepare the data set with `file_format='tfrecord'`, or save it as Parquet")  # fmt: skip
    files = {path.name: path for path in sorted(folder.iterdir()) if SHARD.fullmatch(path.name)}
    told = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".txt"))
    key = tables.digest("tfds", *(f"{path.name}:{hash_file(path)}" for path in [*told, *files.values()]))
    target = cache.folder("snapshots") / key
    with cache.alone(target):
        if found := snapshot.load(target):
            return found
        spec = _json(folder / "features.json")
        features = _Features(spec, folder)
        with snapshot.Writer(target, "rows", "a folder of TensorFlow Datasets") as out:
            with console.progress("reading TFRecord files", total=len(files), unit="files") as meter:
                for split, shards in _splits(info, files).items():
                    for name, expected in shards:
                        _shard(files.get(name), name, split, expected, features, limit, out)
                        meter.advance(1)
            if features.left_out:
                out.warnings.append(f"features that are not read were left out: {', '.join(features.left_out)}")
            out.finish()
    found = snapshot.load(target)
    assert found is not None
    return found


def _splits(info: Mapping[str, Any], files: Mapping[str, Path]) -> dict[str, list[tuple[str, int | None]]]:
    """Split -> its files with the number of examples that the folder's record promises."""
    found: dict[str, dict[str, int | None]] = {}
    sample = next(iter(files), "")
    prefix = (shard["name"] if (shard := SHARD.fullmatch(sample)) else str(info.get("name", "")))  # fmt: skip
    for split in info.get("splits") or []:
        lengths = [int(length) for length in split.get("shardLengths") or []]
        shards = {f"{prefix}-{split['name']}.tfrecord-{number:05d}-of-{len(lengths):05d}": length
                  for number, length in enumerate(lengths)}  # fmt: skip
        found.setdefault(str(split["name"]), {}).update(shards)
    for name in files:
        if shard := SHARD.fullmatch(name):
            found.setdefault(shard["split"], {}).setdefault(name, None)
    return {split: sorted(shards.items()) for split, shards in found.items()}


def _shard(
    path: Path | None, name: str, split: str, expected: int | None, features: _Features, limit: int,
    out: snapshot.Writer,
) -> None:  # fmt: skip
    if path is None:
        if expected:
            out.refuse(f"/{name}", "missing file", f"dataset_info.json promises {expected:,} examples in it")
        return
    try:
        if path.stat().st_size > limit:
            raise Unreadable("too large", f"{path.stat().st_size:,} bytes; collect.max_file_bytes is {limit:,}")
        data = tfrecord.unpacked(path.read_bytes(), limit)
    except (Unreadable, OSError) as error:
        reason, detail = (error.reason, error.detail) if isinstance(error, Unreadable) else ("unreadable", str(error))
        out.refuse(f"/{name}", reason, detail)
        return
    number = 0
    for number, record in enumerate(tfrecord.records(data), 1):
        part = f"/{name}#{number}"
        if record.problem:
            out.refuse(part, "damaged record", f"at byte {record.offset:,}: {record.problem}")
            continue
        try:
            row = _build(features.spec, tfrecord.example(record.data), "", features)
            out.add({**row, **({} if "split" in row else {"split": split})})
        except (ValueError, TypeError) as error:
            out.refuse(part, "damaged record", f"at byte {record.offset:,}: no tf.train.Example: {error}")
    if expected is not None and number != expected:
        out.refuse(
            f"/{name}", "missing rows", f"{number:,} examples are there, dataset_info.json promises {expected:,}"
        )


def _build(spec: Mapping[str, Any], cells: Mapping[str, list[Any]], key: str, features: _Features) -> Any:
    """The value of a feature out of an example's flat cells; nested features are called "outer/inner" there."""
    if "featuresDict" in spec:
        inner = spec["featuresDict"].get("features", {})
        row = {name: _build(part, cells, f"{key}/{name}" if key else name, features) for name, part in inner.items()}
        return {name: value for name, value in row.items() if f"{key}/{name}".lstrip("/") not in features.left_out}
    if "sequence" in spec:
        inner = spec["sequence"].get("feature", {})
        if "featuresDict" in inner:
            return _build(inner, {name: [value] for name, value in cells.items()}, key, features)
        values = cells.get(key)
        if values is None or "sequence" in inner or _shape(inner):
            features.left_out[key] = None
            return None
        values = values[0] if values and isinstance(values[0], list) else values
        return [_value(inner, value, key, features) for value in values]
    if "classLabel" in spec or "text" in spec or ("tensor" in spec and len(_shape(spec)) <= 1):
        values = cells.get(key)
        if values is None:
            features.left_out[key] = None
            return None
        listed = bool(_shape(spec)) or bool(values and isinstance(values[0], list))
        values = values[0] if values and isinstance(values[0], list) else values
        found = [_value(spec, value, key, features) for value in values]
        return found if listed else found[0] if found else None
    features.left_out[key] = None
    return None


def _value(spec: Mapping[str, Any], value: Any, key: str, features: _Features) -> Any:
    if "classLabel" in spec:
        names = _label_names(key, features)
        return None if value < 0 else names[value] if value < len(names) else value
    if spec.get("tensor", {}).get("dtype") == "bool":
        return bool(value)
    return value


def _label_names(key: str, features: _Features) -> list[str]:
    if key not in features.names:
        path = features.folder / f"{key.replace('/', '-')}.labels.txt"
        features.names[key] = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return features.names[key]


def _shape(spec: Mapping[str, Any]) -> list[str]:
    return list(spec.get("tensor", {}).get("shape", {}).get("dimensions") or ())


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"this file of TensorFlow Datasets cannot be read: {error}", str(path), "copy the whole folder"
        ) from None
    if not isinstance(found, dict):
        raise UserError("this file of TensorFlow Datasets is no object", str(path), "copy the whole folder")
    return found
