"""Criteria are written down, with their hash, before any model is asked about the test set.

Purpose: a promise counts only if it was made before the answers were known. `freeze` writes criteria.json into the
artifact of the answers as the first thing, before the test examples are read; whoever judges those answers later
compares the criteria of the recipe with it, and says so where they are others. It travels with the answers, so it is
known in a copy of the run without the store, too.
Trade-off: what a person has seen cannot be known; criteria that were changed after the answers were stored count as
changed although nobody may have looked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metier.artifact import canonical
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.criteria import check_config
from metier.evaluate.wording import Both
from metier.tables import write_json
from metier.train.config import TaskConfig

FILE = "criteria.json"


def promise(config: EvaluateConfig, task: TaskConfig) -> dict[str, Any]:
    """What is promised: the criteria (those of the recipe, or the default ones), the level, and the hash of both."""
    said = {"criteria": [one.text for one in check_config(config, task)], "alpha": config.alpha,
            "source": "recipe" if config.accept else "default"}  # fmt: skip
    return {**said, "sha256": hashlib.sha256(canonical(said).encode()).hexdigest()}


def freeze(config: EvaluateConfig, task: TaskConfig, out: Path) -> str:
    """Write criteria.json into `out`, before the test set is opened; returns its hash."""
    promised = promise(config, task)
    write_json(promised, out / FILE)
    return str(promised["sha256"])


def compare(predictions: Path, config: EvaluateConfig, task: TaskConfig) -> dict[str, Any] | None:
    """The promise that the answers came with, and whether the recipe still keeps it; None if there was none."""
    path = predictions / FILE
    if not path.is_file():
        return None
    promised: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {**promised, "changed": promised["sha256"] != promise(config, task)["sha256"]}


def warning(frozen: dict[str, Any] | None) -> list[Both]:
    """A sentence for the first page when the promise was changed."""
    if frozen is None or not frozen["changed"]:
        return []
    before = _listed(frozen["criteria"])
    return [(
        "The criteria were changed after the models had answered the test set. Promised before it was opened: "
        f"{before} (level {frozen['alpha']:g}).",
        f"模型回答测试集之后，验收标准被改动过。打开测试集之前承诺的是：{before}（显著性水平 {frozen['alpha']:g}）。",
    )]  # fmt: skip


def _listed(criteria: Sequence[str]) -> str:
    return "; ".join(criteria)
