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
from pathlib import Path
from typing import Any

from metier.errors import UserError
from metier.tables import write_json

RECORD = "artifact.json"


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
            record = json.loads((path / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError("this folder is not a finished artifact", str(path), "run the stage again") from error
        return cls(path=path, **record)


class Store:
    """The content-addressed folder of artifacts."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, stage: str, fingerprint: str) -> Path:
        return self.root / stage / fingerprint

    def find(self, stage: str, fingerprint: str) -> Artifact | None:
        """The finished artifact of that fingerprint, or None."""
        path = self.path(stage, fingerprint)
        return Artifact.load(path) if (path / RECORD).is_file() else None

    def all(self, stage: str) -> list[Artifact]:
        """Every finished artifact of a stage, oldest first."""
        found = [Artifact.load(path.parent) for path in (self.root / stage).glob(f"*/{RECORD}")
                 if not path.parent.name.endswith((".partial", ".trash"))]  # fmt: skip
        return sorted(found, key=lambda artifact: (artifact.created, artifact.fingerprint))

    def build(
        self, stage: str, identity: dict[str, Any], parents: Mapping[str, str], work: Callable[[Path], dict[str, Any]]
    ) -> Artifact:
        """Run `work(folder)` and keep the folder as an artifact under the fingerprint of its identity.

        `work` returns the summary (counts and figures that other stages and the screen show). If it raises, its
        partial folder stays for a resume and no artifact appears. A second process that wants the same artifact at
        the same time gets a UserError rather than a mixed result.
        """
        name = fingerprint(identity)
        final, partial = self.path(stage, name), self.path(stage, name + ".partial")
        with _disk_errors(self.root):
            partial.mkdir(parents=True, exist_ok=True)
            with _lock(partial.with_suffix(".lock")):
                start = time.monotonic()
                summary = work(partial)
                record = {
                    "stage": stage, "fingerprint": name, "identity": identity, "parents": dict(parents),
                    "summary": summary, "environment": environment(),
                    "seconds": round(time.monotonic() - start, 3),
                    "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                }  # fmt: skip
                write_json(record, partial / RECORD)
                _sync(partial)
                if final.exists():  # left by a crash between rename and record: never with a record inside
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
    for name in ("metier", "torch", "transformers", "accelerate", "peft", "scikit-learn", "numpy", "pyarrow"):
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
    """Hold a lock file while a stage writes; the operating system frees it when the process dies."""
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
            raise UserError(
                "another process is making this artifact right now", str(path), "wait for it, then run again"
            ) from error
        yield
    path.unlink(missing_ok=True)


@contextlib.contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    """Tell a full disk or a missing permission in a sentence."""
    import errno

    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(root if root.exists() else root.parent).free
            raise UserError(
                f"the disk is full ({free / 1e6:,.0f} MB free)", str(error.filename or root),
                "free some space, or set METIER_STORE to a larger disk; finished work is kept",
            ) from error  # fmt: skip
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UserError(
                "no permission to write or read here", str(error.filename or root),
                "change the folder's permissions, or set METIER_STORE to a folder of your own",
            ) from error  # fmt: skip
        raise


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
