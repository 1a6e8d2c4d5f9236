"""Write the whole model of a run's adapter: what `metier merge` does.

Purpose: find the model by the name of a run or by a folder, and the examples that it was trained beside; merge, and
give the folder its name only once the merged model has answered as the adapter does.
Not covered: how weights are merged and compared (train/merging.py).
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from metier.artifact import RECORD
from metier.console import Console
from metier.errors import UserError
from metier.prediction import find_model
from metier.tables import read


def merge_to(name: str, output: Path | None = None, base: str = "", device: str = "auto") -> Path:
    """Merge the model `name` (a run, an artifact or a folder) into `output` and return that folder.

    output: a new folder; None: runs/<name>-merged for a run, else <folder>-merged. base: name or folder of the base
    where it is no longer where training found it. UserError where there is nothing to merge.
    """
    console, folder = Console(), find_model(name)
    target = output or _beside(name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError("there is something here already, and it is left alone", str(target),
                        "name a new folder with --output")  # fmt: skip
    facts = json.loads((folder / "metier.json").read_text(encoding="utf-8"))
    if not facts["needs_base"]:
        raise UserError(f"this model is whole already (method {facts['method']})", str(folder), "use it as it is")
    from metier.train import merging
    from metier.train.model import load

    merging.check_merges(facts["method"], str(folder))
    model = load(folder, device, base)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        merging.merge(model, folder, unfinished, merging.asked_of(examples_of(folder), model), console)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    if target.is_dir():
        target.rmdir()
    os.replace(unfinished, target)
    console.say(f"whole model: {target}")
    return target


def examples_of(folder: Path) -> Any:
    """The examples that a model was trained beside, as an Arrow table; None where the folder is no part of a store."""
    artifact = folder.resolve().parent
    record = artifact / RECORD
    if not record.is_file():
        return None
    parents = json.loads(record.read_text(encoding="utf-8")).get("parents", {})
    file = artifact.parent.parent / "prepare" / parents.get("prepare", "") / "examples.parquet"
    return read(file) if file.is_file() else None


def _beside(name: str) -> Path:
    """Where the merged model of `name` goes by default."""
    runs = Path(os.environ.get("METIER_RUNS") or "runs")
    place = Path(name) if Path(name).exists() else runs / name
    place = place.absolute()
    if place.name == "model":
        place = place.parent
    return place.with_name(f"{place.name}-merged")
