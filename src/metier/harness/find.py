"""From a path to a log: which program wrote it, and which of several tasks in a folder is meant.

Purpose: `metier compare BASE TUNED` takes files or the folders that the programs write; of several logs of one task in
a folder the last one counts.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from metier.errors import UserError
from metier.harness import inspect_log, lmeval
from metier.harness.log import Log

HEAD = 1 << 16  # bytes of a file by which its kind is told: Inspect's JSON begins with version, status and eval
CAN = "name samples_TASK_DATE.jsonl of lm-evaluation-harness (--log_samples), or a .eval or .json log of Inspect"


def load(path: Path, task: str = "") -> Log:
    """The log in a file, or that of a task in a folder. UserError when it is none, or when a task must be named."""
    file = _in_folder(path, task) if path.is_dir() else path
    if not file.is_file():
        raise UserError("there is no such file", str(file), CAN)
    with file.open("rb") as stream:
        head = stream.read(HEAD)
    if not head.strip():
        raise UserError("this file is empty", str(file), CAN)
    if b'"higher_is_better"' in head or (b'"results"' in head and b'"configs"' in head):
        raise UserError("these are figures of whole tasks, which cannot be compared item by item", str(file),
                        "name the samples_TASK_DATE.jsonl beside it, written with --log_samples")  # fmt: skip
    if inspect_log.is_log(file, head):
        found = inspect_log.read(file)
    elif lmeval.is_samples(file, head):
        found = lmeval.read(file)
    else:
        raise UserError("this file is neither lm-evaluation-harness's samples nor a log of Inspect", str(file), CAN)
    if task and found.task and found.task != task:
        raise UserError(
            f"this log is of the task '{found.task}', not '{task}'", str(file), "name another --task or file"
        )
    return found


def _in_folder(folder: Path, task: str) -> Path:
    """The last log of the task in a folder (lm-evaluation-harness puts them into a folder of the model's name)."""
    samples: dict[str, list[Path]] = {}
    for path in folder.rglob("samples_*.jsonl"):
        told = lmeval.NAME.fullmatch(path.name)
        samples.setdefault(told["task"] if told else path.stem, []).append(path)
    logs = sorted(itertools.chain(folder.rglob("*.eval"), folder.rglob("*_*_*.json")), key=lambda path: path.name)
    of_task = {name: sorted(paths, key=lambda path: path.name) for name, paths in samples.items()}
    for path in logs:
        if not path.name.startswith("results_"):
            named = path.stem.split("_", 1)[1].rpartition("_")[0] if path.stem.count("_") > 1 else path.stem
            of_task.setdefault(named, []).append(path)
    if not of_task:
        raise UserError("this folder holds no log", str(folder), CAN)
    if not task and len(of_task) > 1:
        raise UserError("this folder holds logs of several tasks", str(folder),
                        f"choose one with --task: {', '.join(sorted(of_task))}")  # fmt: skip
    chosen = task or next(iter(of_task))
    # Inspect writes a task's underscores as dashes into the name of the file.
    found = of_task.get(chosen) or of_task.get(chosen.replace("_", "-"))
    if found is None:
        raise UserError(f"this folder holds no log of the task '{chosen}'", str(folder),
                        f"it has {', '.join(sorted(of_task))}")  # fmt: skip
    return found[-1]
