"""Where fetched things are kept: objects by their content, snapshots of rows by where they came from.

Purpose: what a place gave is on this disk once, under its SHA-256, before anything is read, so that the same bytes are
read however often the stage runs and whatever the place says tomorrow. Files appear whole or not at all: written under
another name, fsynced, renamed. The folder is open to its owner only, because it holds what a password protected.
Trade-off: the cache grows until somebody empties it; nothing in it is needed but to avoid fetching again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from metier.artifact import _lock, hash_file
from metier.collect.download import cache_folder
from metier.errors import UserError, of_system


def folder(*parts: str) -> Path:
    """A folder of the cache, made when it is not there."""
    path = cache_folder().joinpath(*parts)
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def forbidden() -> bool:
    """Whether METIER_OFFLINE forbids the network."""
    return os.environ.get("METIER_OFFLINE", "") not in ("", "0")


def need_network(what: str, where: str, kept: str = "") -> None:
    """UserError when the network is forbidden."""
    if forbidden():
        raise UserError(
            f"{what} is not in the cache, and METIER_OFFLINE forbids the network", where,
            kept or "unset METIER_OFFLINE for one run; what was fetched is then kept",
        )  # fmt: skip


def object_path(sha256: str) -> Path:
    """Where the bytes with this hash are, or would be."""
    return folder("objects", sha256[:2]) / sha256


def whole(sha256: str) -> Path | None:
    """The object if it is there and its bytes are what its name says; a damaged one is removed."""
    path = object_path(sha256)
    if not path.is_file():
        return None
    if hash_file(path) == sha256:
        return path
    path.unlink()
    return None


def keep(data: bytes) -> tuple[str, Path]:
    """Bytes as an object: (sha256, path)."""
    sha256 = hashlib.sha256(data).hexdigest()
    path = object_path(sha256)
    if not path.is_file():
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".part-")
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        into_place(Path(partial), path)
    return sha256, path


def into_place(partial: Path, path: Path) -> None:
    """Give a finished file its name; what is on the disk before it has the name stays there after a power cut."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(partial, path)


def folder_into_place(partial: Path, target: Path) -> None:
    """As `into_place` for a folder; an older one of that name goes away."""
    for path in sorted(partial.iterdir()):
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    if target.exists():
        shutil.rmtree(target)
    os.replace(partial, target)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time fetches into a folder; UserError for the second."""
    try:
        with _lock(path.with_name(path.name + ".lock")):
            yield
    except UserError as error:
        if "making this artifact" not in error.what:
            raise
        raise UserError(
            "another process is fetching this right now", str(path), "wait for it, then run again"
        ) from None


@contextlib.contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """A full disk or a missing permission as a UserError."""
    try:
        yield
    except OSError as error:
        told = of_system(error, place)
        if told is None:
            raise
        raise told from error
