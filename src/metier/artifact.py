"""Artifacts: folders named by what made them, written whole or not at all.

An artifact is `<store>/<stage>/<fingerprint>/` with the stage's data and `artifact.json` (identity, parents, counts,
environment). The fingerprint is SHA-256 over the identity: stage name and version, the section of the recipe that
bears meaning, the parents' fingerprints, the bytes of raw input. Execution (device, workers, paths) never enters.
A stage writes into `<fingerprint>.partial/`, which is fsynced and renamed when it is complete: after a crash there is
the whole artifact or none, and a stage that can resume finds its own partial folder again.
Trade-off against name@version paths: a changed setting costs disk, but a stale result is impossible.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metier.errors import UserError, of_system
from metier.tables import write_json

RECORD = "artifact.json"
RECORDED = (
    "metier", "torch", "transformers", "tokenizers", "accelerate", "peft", "safetensors", "scikit-learn", "scipy",
    "numpy", "pyarrow", "pypdfium2", "lxml", "trafilatura", "ftfy", "charset-normalizer", "olefile",
)  # fmt: skip


@dataclass(frozen=True)
class Artifact:
    """A finished stage: where its files are and what it says of itself."""

    path: Path
    stage: str
    fingerprint: str
    identity: dict[str, Any]
    parents: dict[str, str]
    summary: dict[str, Any]
    environment: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    created: str = ""

    @classmethod
    def load(cls, path: Path) -> Artifact:
        """Read an artifact; UserError if the folder is not one."""
        try:
            return cls(path=path, **json.loads((path / RECORD).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise UserError("this folder is not a finished artifact", str(path), "run the stage again") from error


class Store:
    """The content-addressed folder of artifacts."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, stage: str, fingerprint: str) -> Path:
        return self.root / stage / fingerprint

    def find(self, stage: str, fingerprint: str) -> Artifact | None:
        """The finished artifact of that fingerprint; None if there is none, or if its record is damaged."""
        try:
            return Artifact.load(self.path(stage, fingerprint))
        except UserError:
            return None

    def all(self, stage: str) -> list[Artifact]:
        """Every finished artifact of a stage, oldest first."""
        names = [path.parent.name for path in (self.root / stage).glob(f"*/{RECORD}")]
        found = [artifact for name in names if not name.endswith(".partial") and (artifact := self.find(stage, name))]
        return sorted(found, key=lambda artifact: (artifact.created, artifact.fingerprint))

    def build(
        self, stage: str, identity: dict[str, Any], parents: Mapping[str, str], work: Callable[[Path], dict[str, Any]],
        again: bool = False,
    ) -> Artifact:  # fmt: skip
        """Run `work(folder)` and keep the folder as an artifact under the fingerprint of its identity.

        `work` returns the summary (counts and figures that other stages and the screen show). If it raises, its
        partial folder stays for a resume and no artifact appears. A second process that wants the same artifact at
        the same time gets a UserError rather than a mixed result; one that comes just after gets the finished one.
        again: make it even if it is there; the old artifact stays until the new one is complete.
        """
        name = fingerprint(identity)
        final, partial = self.path(stage, name), self.path(stage, name + ".partial")
        with _disk_errors(self.root):
            final.parent.mkdir(parents=True, exist_ok=True)
            with _lock(partial.with_suffix(".lock")):
                if (found := self.find(stage, name)) and not again:
                    return found
                partial.mkdir(exist_ok=True)
                start = time.monotonic()
                summary = work(partial)
                record = {
                    "stage": stage, "fingerprint": name, "identity": identity, "parents": dict(parents),
                    "summary": summary, "environment": environment(),
                    "seconds": round(time.monotonic() - start, 3),
                    "created": _now(),
                }  # fmt: skip
                write_json(record, partial / RECORD)
                _sync(partial)
                if final.exists():  # to be made again, or its record is damaged
                    shutil.rmtree(final)
                os.replace(partial, final)
                _sync_folder(final.parent)
        return Artifact.load(final)


def fingerprint(identity: Mapping[str, Any]) -> str:
    """32 hex digits over the canonical JSON of `identity`; refuses what has no canonical form."""
    return hashlib.sha256(canonical(identity).encode("utf-8")).hexdigest()[:32]


def canonical(value: Any) -> str:
    """JSON with one spelling for one meaning. NaN, sets, objects and paths are refused, not guessed at."""
    _check(value, "identity")
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def hash_file(path: Path) -> str:
    """SHA-256 of the bytes of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def environment() -> dict[str, Any]:
    """What the artifact was made with; recorded for the reader, never part of the identity."""
    packages = {}
    for name in RECORDED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            packages[name] = importlib.metadata.version(name)
    return {
        "python": platform.python_version(), "platform": platform.platform(), "machine": platform.machine(),
        "cpus": os.cpu_count(), "packages": packages,
    }  # fmt: skip


def _check(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            assert isinstance(key, str), f"{where}: key {key!r} is not a string"
            _check(item, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check(item, f"{where}[{index}]")
    elif isinstance(value, float):
        assert math.isfinite(value), f"{where}: {value} has no canonical form"
    else:
        assert value is None or isinstance(value, (str, bool, int)), f"{where}: {type(value)} has no canonical form"


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock file while a stage writes; the operating system frees it when the process dies.

    The file stays: were it removed, a process that had opened it and one that makes it anew could both hold "the" lock.
    """
    import errno

    with path.open("a+b") as stream:
        try:
            if os.name == "nt":
                import msvcrt

                stream.seek(0)
                msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            else:
                import fcntl

                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                raise UserError(
                    f"this disk cannot lock files ({error.strerror})", str(path),
                    "set METIER_STORE to a folder on a local disk",
                ) from error  # fmt: skip
            raise UserError(
                "another process is making this artifact right now", str(path), "wait for it, then run again"
            ) from error
        yield


@contextlib.contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    """Tell a full disk or a missing permission in a sentence."""
    try:
        yield
    except OSError as error:
        told = of_system(error, root)
        if told is None:
            raise
        raise told from error


def _now() -> str:
    """UTC to the millisecond, so that artifacts sort by when they were made."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _sync(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as stream, contextlib.suppress(OSError):
                os.fsync(stream.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if os.name != "nt":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
