"""Scoring (regression): one number a text, mean-squared error.

The network learns (value - mean) / spread of the training split, so that learning rates mean the same for prices and
for sentiments. mean and spread stand in the saved `metier.json`; Metier's own `predict` returns the data's unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from metier.errors import UserError
from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.encoding import DEFAULT_LIMIT, Encoded
from metier.train.tasks.base import TEXTS, WINDOWS, Decoded, Profile, combined, short_texts, stacked, strings


@register("task", "score")
class Score:
    """See `Task` for the members."""

    longest = DEFAULT_LIMIT

    outputs = 1
    problem_type = "regression"
    monitor_name = "R2"

    def __init__(self, config: TaskConfig, state: dict[str, Any]) -> None:
        self.config = config
        self.rows = WINDOWS if config.pair else TEXTS
        self.mean, self.spread = float(state["mean"]), float(state["spread"])

    @staticmethod
    def profile(config: TaskConfig) -> Profile:
        return Profile("value", "score", "mae", ("mean", "tfidf"), ("spearman > tfidf", "mae < base"),
                       pair=config.pair)  # fmt: skip

    @classmethod
    def from_training(cls, config: TaskConfig, train: pa.Table) -> Score:
        """Read mean and standard deviation from the training examples."""
        values = np.array(train["value"].to_pylist(), dtype=np.float64)
        if len(values) < 2 or np.ptp(values) == 0:
            raise UserError("there is nothing to learn: all training values are equal", "role value",
                            "check that `value` is mapped to the right column")  # fmt: skip
        return cls(config, {"mean": float(values.mean()), "spread": float(values.std())})

    def pooling(self, wanted: str) -> str:
        return wanted

    def encode(self, encoder: Any, examples: pa.Table, console: Any = None) -> Encoded:
        texts, pairs = strings(examples["text"]), short_texts(self.config, examples)
        return encoder.encode(texts, console, pairs=pairs)  # type: ignore[no-any-return]

    def targets(self, examples: pa.Table, encoded: Encoded | None = None) -> Any:
        """(n,) float32, standardised."""
        import torch

        values = np.array(examples["value"].to_pylist(), dtype=np.float64)
        return torch.tensor((values - self.mean) / self.spread, dtype=torch.float32)

    def loss(self, logits: Any, counts: Sequence[int], targets: Any, smoothing: float) -> Any:
        from metier.train.losses import mean_squared_error

        return mean_squared_error(combined(logits, counts, "mean"), stacked(targets).to(logits.device))

    def settle(self, logits: Any, counts: Sequence[int], targets: Any) -> None:
        """Nothing: the windows of a document are averaged."""

    def decode(self, logits: np.ndarray, encoded: Encoded | None = None) -> Decoded:
        if encoded is not None and len(logits) != len(encoded):
            import torch

            logits = combined(torch.from_numpy(logits), encoded.counts(self.rows), "mean").numpy()
        return Decoded(values=(logits[:, 0].astype(np.float64) * self.spread + self.mean).tolist())

    def monitor(self, logits: Any, counts: Sequence[int], targets: Any) -> float:
        targets, logits = stacked(targets), combined(logits, counts, "mean")
        residual = ((logits[:, 0] - targets) ** 2).sum().item()
        total = ((targets - targets.mean()) ** 2).sum().item()
        return 1 - residual / total if total else 0.0

    def label_maps(self) -> tuple[dict[int, str], dict[str, int]]:
        return {}, {}

    def state(self) -> dict[str, Any]:
        return {"mean": self.mean, "spread": self.spread}
