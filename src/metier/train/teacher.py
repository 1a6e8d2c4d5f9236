"""Finding a teacher: a model folder of Metier, a run, or a base that writes; without importing torch.

Purpose: name -> folder and identity, so that the teacher's bytes decide whether a finished training can be reused. What
a folder remembers of the machine it was made on is no part of it.
Not covered: what is learned from it (distill.py, teaching.py).
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.artifact import hash_file
from metier.errors import UserError
from metier.train import bases

MODEL = "metier.json"
OF_THE_MACHINE = ("base_path",)  # keys of metier.json that say where something lay, not what it is


@dataclass(frozen=True)
class Teacher:
    """tuned: a model that Metier trained, with a task of its own; else a base that writes."""

    name: str
    path: Path
    sha256: str
    tuned: bool


def find(name: str, revision: str = "", near: Path | None = None) -> Teacher:
    """UserError that says what may be named where there is neither a model nor a base of that name."""
    runs = Path(os.environ.get("METIER_RUNS") or "runs")
    folders = [*([near / name] if near else []), Path(name).expanduser(), runs / name]
    for folder in folders:
        for path in (folder, folder / "model"):
            if (path / MODEL).is_file():
                return Teacher(Path(name).name, path, _hash(path), True)
    try:
        base = bases.resolve(name, revision, near)
    except UserError as error:
        raise UserError(
            error.what.replace("base model", "teacher"), "train.distill.teacher",
            "name a run (its folder is in runs/), a model folder, or a base that writes",
        ) from None  # fmt: skip
    return Teacher(name, base.path, base.sha256, False)


def identity(told: dict[str, Any], near: Path | None) -> dict[str, Any]:
    """What the section `train.distill` adds to the identity of a training: the teacher's bytes, however it was found,
    and how it teaches; nothing without one."""
    if not told["teacher"] or not told["weight"]:
        return {}
    rest = {name: value for name, value in told.items() if name not in ("teacher", "revision")}
    return {"teacher": {"sha256": find(told["teacher"], told["revision"], near).sha256, **rest}}


def _hash(folder: Path) -> str:
    """Over every file of the model by its relative path."""
    sha = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        told = hash_file(file)
        if file == folder / MODEL:
            facts = json.loads(file.read_text(encoding="utf-8"))
            kept = {key: value for key, value in facts.items() if key not in OF_THE_MACHINE}
            told = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
        sha.update(f"{file.relative_to(folder).as_posix()}:{told}\n".encode())
    return sha.hexdigest()
