"""What the tasks of models that write have in common: their network gives the loss of each example's answer.

Purpose: one place for the members of `Task` that do not differ between generate, chat, pretrain and prefer.
Shapes: B inputs of the network (families of examples that begin alike, see sharing.py), E examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from metier.train.config import TaskConfig
from metier.train.grouping import Grouped
from metier.train.tasks.base import EXAMPLES, Decoded


class Language:
    """The loss is the negative log-likelihood of the learned tokens; a batch's is divided by their number."""

    outputs = 1
    problem_type = ""
    rows = EXAMPLES
    monitor_name = "log-likelihood a token"
    longest = 4096
    """Tokens that the model sees at once where neither the recipe nor the base says less."""
    summed = True
    """In training the network may give one loss for a whole batch, which spares it a second pass over the head."""
    templated = False
    """Its examples are written by the base's chat template."""
    epochs = 3.0
    """At most, where the recipe leaves it to the method."""
    batch_size = 32

    def __init__(self, config: TaskConfig, state: dict[str, Any]) -> None:
        self.config = config

    @classmethod
    def from_training(cls, config: TaskConfig, train: pa.Table) -> Any:
        """Nothing is read from the training examples."""
        return cls(config, {})

    def pooling(self, wanted: str) -> str:
        return "language"

    def targets(self, examples: pa.Table, encoded: Grouped) -> Sequence[Any]:
        """For each family the number of labelled tokens of each of its examples."""
        import torch

        return [torch.tensor([one.labelled for one in family], dtype=torch.float32) for family in encoded.items]

    def loss(self, logits: Any, counts: Sequence[int], targets: Sequence[Any], smoothing: float) -> Any:
        """logits: (E, 1) nats of each example, or (1, 1) of all together -> the same, flat."""
        return logits[:, 0]

    def settle(self, logits: Any, counts: Sequence[int], targets: Sequence[Any]) -> None:
        """Nothing is left to choose."""

    def decode(self, logits: np.ndarray, encoded: Any) -> Decoded:
        raise NotImplementedError("a task that writes answers by `answer`")

    def monitor(self, logits: Any, counts: Sequence[int], targets: Sequence[Any]) -> float:
        import torch

        return -logits.sum().item() / max(1.0, torch.cat(list(targets)).sum().item())

    def label_maps(self) -> tuple[dict[int, str], dict[str, int]]:
        return {}, {}

    def state(self) -> dict[str, Any]:
        return {}
