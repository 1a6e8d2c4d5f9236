"""What a task must be able to do. A new task is one class with these members, behind the door `task`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Decoded:
    """Predictions for n texts. Fields that a task does not use stay empty lists."""

    labels: list[str]  # (n,) the predicted label
    label_lists: list[list[str]]  # (n,) multi-label
    values: list[float]  # (n,) score
    scores: np.ndarray | None  # (n, classes) probabilities


class Task(Protocol):
    """Bound to its configuration and to what training saw (classes, class counts, mean and spread of values).

    `state()` returns that as JSON so that a saved model can decode; `from_state` gives the same task back.
    """

    outputs: int  # width of the logits
    problem_type: str  # Transformers' name, stored with the weights
    monitor_name: str  # the validation figure that early stopping watches; higher is better

    def targets(self, examples: pa.Table) -> Any:
        """Tensor with one target an example."""
        ...

    def loss(self, logits: Any, targets: Any, smoothing: float) -> Any:
        """logits (B, outputs) float32, targets (B, ...) -> (B,) loss of each example."""
        ...

    def decode(self, logits: np.ndarray) -> Decoded:
        """logits (n, outputs) -> predictions."""
        ...

    def monitor(self, logits: Any, targets: Any) -> float:
        """The figure named by monitor_name over a validation set."""
        ...

    def label_maps(self) -> tuple[dict[int, str], dict[str, int]]:
        """id2label and label2id for the saved configuration; empty for regression."""
        ...

    def state(self) -> dict[str, Any]: ...


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise, in float64."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    exponents = np.exp(shifted)
    return exponents / exponents.sum(1, keepdims=True)


def strings(column: Any) -> list[str]:
    """An Arrow column as a list of str."""
    return [value or "" for value in column.to_pylist()]


def positions(labels: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Index of each label in classes; -1 for one that training never saw."""
    index = {label: position for position, label in enumerate(classes)}
    return [index.get(label, -1) for label in labels]
