"""Which tasks and methods go together, known before anything is read.

Purpose: a pair that cannot work is refused by its names, in milliseconds, and never does something else in silence.
Every other pair of a built-in task and a built-in method trains (a test walks over all of them).
Not covered: whether the base fits the task (an encoder cannot write), which is told when the base is loaded; tasks and
methods of other packages, which say themselves what they cannot do.
"""

from __future__ import annotations

import importlib.util

from metier.errors import UserError
from metier.train.config import TrainConfig

# task -> method -> (what is wrong, what to do). A model that writes learns in its layers: there is no head to put on
# embeddings that were computed once.
_NO_HEAD = ("`frozen` trains a new head only, and a model that writes has none to train",
            "set it to lora or qlora (few weights move) or full")  # fmt: skip
REFUSED = {task: {"frozen": _NO_HEAD} for task in ("generate", "choose", "chat", "pretrain", "prefer")}
PACKAGES = {"qlora": ("bitsandbytes", "qlora")}  # method -> import name of what it needs, and the extra that brings it
UNMERGED = {"frozen": "its head stands on an unchanged base, and there is no adapter"}


def check(task: str, train: TrainConfig) -> None:
    """UserError where this task and this method cannot go together, or not on this machine."""
    refused = REFUSED.get(task, {}).get(train.method)
    if refused:
        raise UserError(f"task {task} with method {train.method}: {refused[0]}", "train.method", refused[1])
    if train.save == "merged" and train.method in UNMERGED:
        raise UserError(
            f"a model of the method '{train.method}' cannot be merged: {UNMERGED[train.method]}", "train.save",
            "set it to adapter, or choose the method lora, qlora or full",
        )  # fmt: skip
    if train.optimizer == "muon" and train.method != "full":
        raise UserError(
            f"muon moves whole matrices of the base, and the method '{train.method}' does not", "train.optimizer",
            "set train.method to full, or train.optimizer to adamw",
        )  # fmt: skip
    package, extra = PACKAGES.get(train.method, ("", ""))
    if package and importlib.util.find_spec(package) is None:
        raise UserError(
            f"the package '{package}' is not installed", f"needed for train.method: {train.method}",
            f'pip install "metier[{extra}]"',
        )  # fmt: skip
